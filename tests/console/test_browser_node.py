"""A node, from its registration on a page to its first sign of life, in a real browser."""

from collections.abc import Iterator

import pytest
import requests
import yaml
from playwright.sync_api import Browser, expect

from tests.browser import chromium, log_in, picture, tab
from tests.live import ROOT_PASSWORD, LiveServer, live_server
from tests.realtime.ears import Ear

SOON_MS = 20_000
"""Within what a page has asked again, however slow the machine is."""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def place(server: LiveServer) -> dict[str, int]:
    """A collaboration of two organizations, one with a node that has never been there."""
    root = server.login()

    def made(path: str, **fields: object) -> int:
        answer = requests.post(f"{server.api}/{path}", json=fields, headers=root, timeout=20)
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["id"])

    near, far = (made("organization", name=name) for name in ("Near Hospital", "Far Hospital"))
    both = made("collaboration", name="Ages", organization_ids=[near, far], encrypted=False)
    made("node", organization_id=near, collaboration_id=both)
    return {"near": near, "far": far, "collaboration": both}


def test_a_node_is_registered_and_seen_to_come(server, browser, place):
    with tab(browser, server) as page:
        log_in(page, "root", ROOT_PASSWORD)
        page.goto(f"/console/collaboration/{place['collaboration']}")
        expect(page.get_by_text("0 of 1 node online")).to_be_visible()
        expect(page.get_by_text("Far Hospital.")).to_be_visible()
        page.get_by_role("button", name="Register a node").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("The key of Far Hospital")
        key = page.locator("#key").inner_text()
        assert key not in page.url
        expect(page.locator("#state")).to_contain_text("never connected")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download for 4.x").click()
        keys = yaml.safe_load(download.value.path().read_text())
        assert (keys["api_key"], keys["port"]) == (key, server.port)

        address = f"{keys['server_url']}:{keys['port']}"
        answer = requests.post(
            f"{address}{keys['api_path']}/token/node", json={"api_key": key}, timeout=20
        )
        assert answer.status_code == 200, answer.text
        ear = Ear(address, "node").connect(answer.json()["access_token"])
        ear.wait("connect")
        page.evaluate("window.same = true")  # gone with the page
        expect(page.locator("#state")).to_contain_text("online", timeout=SOON_MS)
        assert page.evaluate("window.same")
        assert page.locator("#key").inner_text() == key
        picture(page, "node-key")
        page.get_by_role("link", name="The page of the node").click()
        page.get_by_text("Stop everything it runs").click()
        page.get_by_role("button", name="Stop everything").click()
        expect(page.locator("#said")).to_contain_text("has been told to stop")
        ear.wait("kill_containers")
        ear.close()
        expect(page.locator("#state")).to_contain_text("offline", timeout=SOON_MS)


def test_a_refused_form_stays_as_it_is(server, browser, place):
    with tab(browser, server) as page:
        log_in(page, "root", ROOT_PASSWORD)
        page.goto(f"/console/organization/{place['near']}/key")
        page.get_by_label("Or its text").fill("???")
        page.get_by_role("button", name="Save the key").click()
        expect(page.locator("#problems")).to_contain_text("not valid base64")
        expect(page.get_by_label("Or its text")).to_have_value("???")
        file = {"name": "key.pem", "mimeType": "text/plain", "buffer": _PEM}
        page.get_by_label("File of the public key").set_input_files(files=[file])
        page.get_by_role("button", name="Save the key").click()
        expect(page.locator("#said")).to_contain_text("has a new public key")


_PEM = b"-----BEGIN PUBLIC KEY-----\nbm90IGEga2V5\n-----END PUBLIC KEY-----\n"
