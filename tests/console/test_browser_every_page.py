"""Every page in a real browser: axe-core, four ways to look at it, and nothing from elsewhere."""

import json
from importlib.resources import files
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import chromium, log_in, picture, tab
from tests.console.network import network
from tests.console.places import places
from tests.console.test_every_page import MISSING
from tests.live import ROOT_PASSWORD, live_server
from v6srv.app import with_endpoints
from v6srv.console import pages
from v6srv.settings import Settings

FILES = (".csv", ".pem", ".svg", "/input")
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def net():
    with live_server(V6SRV_TWO_FACTOR_AUTH="") as server:
        yield network(server)


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def every(net):
    app = with_endpoints(Settings.model_construct().mounts, "/api", pages)
    found = [place for place in places(app, net.ids) if place.endpoint not in MISSING]
    return [place for place in found if not urlsplit(place.path).path.endswith(FILES)]


# Colours do not hang on the width, nor what is where on the colours: two ways cover all four.
@pytest.mark.parametrize(
    ("dark", "narrow"), [(False, False), (True, True)], ids=["light-wide", "dark-narrow"]
)
def test_anybody_can_use_it(net, browser, dark, narrow):
    wrong = []
    with tab(browser, net.server, dark=dark, narrow=narrow) as page:
        log_in(page, "root", ROOT_PASSWORD)
        for place in every(net):
            answer = page.goto(f"/console{place.path}")
            assert answer.ok, place
            found = Axe().run(page).response["violations"]
            wrong += [
                (str(place), one["id"], one["nodes"][0]["html"][:200])
                for one in found
                if one["impact"] in SERIOUS
            ]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append((str(place), "scrolls sideways", ""))
            if not dark and not narrow:
                picture(page, place.endpoint.removeprefix("console."))
    assert not wrong, json.dumps(wrong, indent=1)


def test_the_keyboard_is_enough(net, browser):
    with tab(browser, net.server) as page:
        page.goto("/console/login")
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.get_by_label("User name").focus()
        page.keyboard.type("root")
        page.keyboard.press("Tab")
        page.keyboard.type(ROOT_PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/")


def test_a_task_is_killed(net, browser):
    with tab(browser, net.server) as page:
        log_in(page, "root", ROOT_PASSWORD)
        page.goto(f"/console/task/{net.ids['task']}")
        page.get_by_role("link", name="Kill").click()
        page.get_by_role("button", name="Kill").click()
        page.get_by_text("have been told to stop").wait_for()
        assert page.url.endswith(f"/console/task/{net.ids['task']}")
        assert page.locator("td .state").all_inner_texts() == ["killed by user"] * 2
        assert page.locator("[hx-trigger]").count() == 0  # nothing comes any more


def test_the_checker_finds_what_is_wrong(net, browser):
    """Nobody would notice if it had stopped to look."""
    assert files("axe_playwright_python").joinpath("axe.min.js").is_file()
    with tab(browser, net.server) as page:
        page.goto("/console/login")
        page.evaluate("document.querySelector('label').remove()")
        found = Axe().run(page).response["violations"]
        assert any(one["impact"] in SERIOUS for one in found)


def test_a_page_that_nobody_sees_asks_for_nothing(net, browser):
    """And one that is seen asks for what can change, not for all of it."""
    with tab(browser, net.server) as page:
        log_in(page, "root", ROOT_PASSWORD)
        page.clock.install()
        page.goto("/console/")
        page.wait_for_function("window.htmx")
        asked = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})"
        )
        page.clock.run_for(65_000)
        assert "/console/now" not in asked
        assert "/console/runs" not in asked
        page.evaluate("delete document.hidden")
        with page.expect_response("**/console/now") as answer:
            page.clock.run_for(11_000)
        assert answer.value.ok
        with page.expect_response("**/console/runs"):
            page.clock.run_for(61_000)
        assert "/console/" not in asked
        page.wait_for_selector("#now h2")
        page.wait_for_selector("#runs h2")
