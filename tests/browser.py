"""A real browser: Debian's Chromium, driven by Playwright, that may speak to this machine only."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from tests.live import LiveServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SHOTS = "V6SRV_TEST_SCREENSHOTS"
"""Names the folder where pictures of pages are kept, if any."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser for many tests."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: the console is not tried in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def tab(
    browser: Browser, server: LiveServer, *, dark: bool = False, narrow: bool = False
) -> Iterator[Page]:
    """A page of a browser without cookies. It fails where a page asks another machine, or a script
    or a style is refused by the page's own policy, or fails."""
    context: BrowserContext = browser.new_context(
        base_url=server.url,
        color_scheme="dark" if dark else "light",
        viewport=NARROW if narrow else WIDE,
        reduced_motion="reduce",
    )
    wrong: list[str] = []

    def only_here(route: Route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(server.url).netloc:
            route.continue_()
        else:
            wrong.append(f"asked {route.request.url}")
            route.abort()

    context.route("**/*", only_here)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("console", lambda said: _note(said.type, said.text, wrong))
    page.set_default_timeout(15_000)
    yield page
    context.close()
    assert not wrong, wrong


def _note(kind: str, text: str, wrong: list[str]) -> None:
    """What the browser complains about, but for answers that are refusals: those are shown."""
    if kind == "error" and "Failed to load resource" not in text and "Response Status" not in text:
        wrong.append(f"console: {text}")


def log_in(page: Page, username: str, password: str) -> None:
    """Log in by the form, and wait for the first page."""
    page.goto("/console/login")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/console/")


def picture(page: Page, name: str) -> None:
    """Keep a picture of the page, where pictures are wanted."""
    if folder := os.environ.get(SHOTS):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
