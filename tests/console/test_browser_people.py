"""Users and roles in a real browser: a second factor, a role from another, more rights at once."""

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import chromium, picture, tab
from tests.live import ROOT_PASSWORD, live_server

PASSWORD = "Wind-mill-42-tulip"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def server():
    with live_server(V6SRV_TWO_FACTOR_AUTH="true") as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def set_up(page, username, password):
    """Log in for the first time: with the secret that the page shows beside the QR code."""
    page.goto("/console/login")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    secret = page.locator("#factor code").inner_text()
    assert page.locator("#factor svg").is_visible()
    page.get_by_label("Code of your").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/console/")


def box(page, rule):
    return page.get_by_role("checkbox", name=rule, exact=True)


def checked(page, name):
    """A picture of the page, in which axe-core finds nothing that keeps anybody out."""
    picture(page, f"people_{name}")
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in SERIOUS]
    assert not found, found


def test_a_role_is_made_of_another_and_whoever_gets_it_sees_more_at_once(server, browser):
    with tab(browser, server) as root, tab(browser, server, dark=True, narrow=True) as user:
        set_up(root, "root", ROOT_PASSWORD)
        root.get_by_role("link", name="Users").click()
        root.get_by_role("link", name="New user").click()
        root.get_by_label("User name").fill("maria")
        root.get_by_label("Email address").fill("maria@example.org")
        root.get_by_label("Password").fill("easy")
        root.get_by_role("button", name="Save").click()
        root.locator("#problems").get_by_text("too short").wait_for()
        root.get_by_label("Password").fill(PASSWORD)  # the rest is still there
        root.get_by_role("button", name="Save").click()
        root.get_by_text("maria has been added.").wait_for()

        set_up(user, "maria", PASSWORD)
        menu = user.get_by_role("navigation", name="Parts of the console")
        assert "Tasks" not in menu.inner_text()
        assert user.goto("/console/task").status == 403

        root.get_by_role("link", name="Roles").click()
        root.get_by_role("link", name="Viewer").click()
        checked(root, "role")
        root.get_by_role("link", name="New role from this one").click()
        root.get_by_label("Name").fill("Task watcher")
        box(root, "view port, scope organization").uncheck()
        box(root, "delete task, scope own").check()
        checked(root, "role_form")
        root.get_by_role("button", name="See what changes").click()
        root.get_by_role("heading", name="What Task watcher grants").wait_for()
        table = root.get_by_role("table", name="What somebody may do").inner_text()
        assert "delete task" in table
        assert "view port" not in table
        checked(root, "role_preview")
        root.get_by_role("button", name="Save").click()
        root.get_by_text("Task watcher has been added.").wait_for()

        root.get_by_role("link", name="Users").click()
        root.get_by_role("link", name="maria").click()
        root.get_by_role("link", name="Edit").click()
        root.get_by_label("Task watcher").check()
        checked(root, "user_form")
        root.get_by_role("button", name="Save").click()
        root.get_by_text("maria has been changed.").wait_for()
        checked(root, "user")

        assert user.goto("/console/task").ok
        assert "Tasks" in menu.inner_text()
        user.get_by_role("link", name="maria").click()
        told = user.get_by_role("table", name="What the policy grants you")
        assert "delete task" in told.inner_text()
        checked(user, "account")

        root.get_by_role("link", name="Task watcher").click()
        root.get_by_role("link", name="Edit").click()
        box(root, "delete task, scope own").uncheck()
        root.get_by_role("button", name="See what changes").click()
        row = root.get_by_role("row", name="loses delete task own").first
        assert "maria" in row.inner_text()
        picture(root, "people_loses")
        root.get_by_role("button", name="Save").click()
        root.get_by_text("Task watcher has been changed.").wait_for()
        user.reload()
        assert "delete task" not in told.inner_text()
