"""The policy in a real browser: a change is published and a socket loses its room; a denial is
explained from the page that refused."""

import re
import time

import pyotp
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe

from tests.browser import chromium, picture, tab
from tests.live import ROOT_PASSWORD, live_server
from tests.scenario.ears import Ears

PASSWORD = "Aa1!watcher-of-events"
CHANGE = """
# from here on
p, user:2, event, global, view, True, deny
p, user:2, policy, global, view, True, allow
"""

PAGES = (
    "",
    "/line",
    "/line/new",
    "/version",
    "/version/1",
    "/explain?principal=user:2&operation=create&resource=task",
    "/who-can?operation=view&resource=task",
    "/can?principal=user:2&rows=true",
    "/matrix",
    "/matrix/cell?role=role:viewer&resource=task&operation=view",
    "/decision",
    "/socket",
)


class Person:
    """Somebody with an authenticator app, who uses each of its codes once."""

    def __init__(self, server, name, password):
        self.server, self.name, self.password = server, name, password
        self.secret = self._ask()["otp_secret"]
        self._step = int(time.time()) // 30 - 2

    def _ask(self, **more):
        form = {"username": self.name, "password": self.password, **more}
        answer = requests.post(f"{self.server.api}/token/user", json=form, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def code(self):
        """The next one that is good."""
        self._step = max(self._step + 1, int(time.time()) // 30 - 1)
        return pyotp.HOTP(self.secret).at(self._step)

    def token(self):
        """A token for the API."""
        return self._ask(mfa_code=self.code())["access_token"]

    def log_in(self, page):
        """Log in by the form: name and password first, then the code."""
        page.goto("/console/login")
        page.get_by_label("User name").fill(self.name)
        page.get_by_label("Password").fill(self.password)
        page.get_by_role("button", name="Log in").click()
        page.get_by_label("code").fill(self.code())
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/console/")


@pytest.fixture(scope="module")
def server():
    settings = {"V6SRV_CONSOLE_PUBLISHING": "true", "V6SRV_TWO_FACTOR_AUTH": "true"}
    with live_server(**settings) as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def sound(page):
    """Nothing serious is wrong with the page for those who cannot see it, or have no mouse."""
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, [(one["id"], [n["html"] for n in one["nodes"]][:3]) for one in serious]


def test_a_change_is_published_and_a_live_socket_loses_its_room(server, browser):
    root = Person(server, "root", ROOT_PASSWORD)
    headers = {"Authorization": f"Bearer {root.token()}"}

    def make(path, **body):
        answer = requests.post(f"{server.api}{path}", json=body, headers=headers, timeout=20)
        assert answer.ok, answer.text
        return answer.json()

    make("/collaboration", name="registry", organization_ids=[1], encrypted=0)
    roles = requests.get(f"{server.api}/role", headers=headers, timeout=20).json()
    [viewer] = [role["id"] for role in roles if role["name"] == "Viewer"]
    user = {"username": "watcher", "password": PASSWORD, "roles": [viewer], "organization_id": 1}
    names = {"firstname": "a", "lastname": "b", "email": "watcher@v6srv.example"}
    assert make("/user", **user, **names)["id"] == 2
    watcher = Person(server, "watcher", PASSWORD)
    ears = Ears(server.url, watcher.token())
    ears.wait_until_connected()

    with tab(browser, server) as page:
        root.log_in(page)
        page.goto("/console/policy/socket/2")
        room = page.get_by_role("row").filter(has_text="collaboration_1_organization_1")
        assert "yes" in room.inner_text()
        sound(page)
        for path in PAGES:
            page.goto(f"/console/policy{path}")
            sound(page)
            picture(page, "policy" + re.sub(r"\W+", "-", path.partition("?")[0]))
        page.goto("/console/policy/edit")
        text = page.get_by_label("default_roles.csv")
        before = text.input_value()
        text.fill(before + CHANGE)
        numbers = page.locator(".editor").filter(has=text).locator(".gutter").inner_text()
        assert numbers.split()[-1] == str((before + CHANGE).count("\n") + 1)
        page.get_by_role("button", name="Check and compare").click()
        page.get_by_text("once its gains are approved").wait_for(timeout=60_000)
        assert page.get_by_text("user:2 may no longer view event").count()
        assert page.get_by_text("user:2 may now view policy").count()
        sound(page)
        picture(page, "policy-checked")
        page.get_by_label("Why").fill("she looks after the policy now")
        page.get_by_label("Your password").fill("wrong")
        page.get_by_role("button", name="Publish").click()
        page.locator("#problems").get_by_text("password is not correct").wait_for()
        assert page.get_by_label("default_roles.csv").input_value() == before + CHANGE
        page.get_by_label("I approve").check()
        page.get_by_label("Your password").fill(ROOT_PASSWORD)
        page.get_by_label("Code of your").fill(root.code())
        page.get_by_role("button", name="Publish").click()
        page.locator("#said").get_by_text("is published").wait_for(timeout=60_000)
        assert page.get_by_text("she looks after the policy now").count()
        picture(page, "policy-published")
        page.goto("/console/policy/socket/2")
        deadline = time.monotonic() + 20
        while page.get_by_text("collaboration_1_organization_1").count():
            assert time.monotonic() < deadline
            page.reload()
        assert page.get_by_text("1 socket,").count()  # it stays connected, and hears nothing
    assert ears.connected
    ears.close()

    with tab(browser, server, dark=True, narrow=True) as page:
        watcher.log_in(page)
        page.goto("/console/organization/new")
        refused = page.locator(".refused")
        assert "root" in refused.inner_text()  # whom to ask
        sound(page)
        refused.get_by_role("link", name=re.compile("^[0-9a-f]{20}$")).click()
        page.get_by_role("link", name="Explain by the policy of now").click()
        page.get_by_role("heading", name="user:2 may not create organization").wait_for()
        assert page.get_by_text("nothing grants user:2 to create organization").count()
        sound(page)
        picture(page, "explained")
