"""Logging in to the console, and out."""

import pyotp
import pytest

from tests.console.conftest import OWN
from tests.world import PASSWORD
from v6srv.identity import page_session, totp
from v6srv.model import User

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def browser(app):
    return app.test_client()


def log_in(browser, username="viewer", **more):
    form = {"username": username, "password": PASSWORD, **more}
    return browser.post("/console/login", data=form, headers=OWN)


def test_who_is_not_logged_in_is_led_to_the_form(browser, world):
    answer = browser.get("/console/?x=1")
    assert answer.status_code == 303
    assert answer.location == "/console/login?next=/console/?x%3D1"
    form = browser.get(answer.location)
    assert 'value="/console/?x=1"' in form.text


def test_who_logs_in_sees_the_page_that_was_asked_for(browser, world):
    answer = log_in(browser, next="/console/?x=1")
    assert (answer.status_code, answer.location) == (303, "/console/?x=1")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # there is no TLS here
    assert "viewer" in browser.get("/console/").text


@SQLITE
def test_behind_tls_the_cookie_goes_no_other_way(browser, world):
    form = {"username": "viewer", "password": PASSWORD}
    answer = browser.post("/console/login", data=form, headers=OWN, base_url="https://v6.example")
    assert "Secure" in answer.headers["Set-Cookie"]


@SQLITE
@pytest.mark.parametrize(
    "wanted",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/console/",
        "/\\elsewhere.example",
        "/console/\\..\\..",
        "/api/user",
        "/consoles",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_link_leads_to_no_other_place(browser, world, wanted):
    assert log_in(browser, next=wanted).location == "/console/"


def test_a_wrong_password_is_told_in_the_words_of_the_server(browser, world):
    answer = log_in(browser, password="wrong")
    assert answer.status_code == 401
    assert "Failed to login" in answer.text
    assert page_session.COOKIE not in answer.headers.get("Set-Cookie", "")


@SQLITE
def test_the_script_of_the_form_gets_the_reason_alone(browser, world):
    form = {"username": "viewer", "password": "wrong"}
    answer = browser.post("/console/login", data=form, headers=OWN | {"HX-Request": "true"})
    assert "Failed to login" in answer.text
    assert "<html" not in answer.text
    form["password"] = PASSWORD
    answer = browser.post("/console/login", data=form, headers=OWN | {"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/console/")


@SQLITE
def test_the_second_factor_is_set_up_and_asked_for(browser, world):
    browser.application.config["SETTINGS"] = browser.application.config["SETTINGS"].model_copy(
        update={"two_factor_auth": True}
    )
    page = log_in(browser).text
    assert "<svg" in page
    assert PASSWORD not in page
    with browser.application.app_context():
        secret = totp.secret_of(User.get_by_username("viewer"))
    assert secret in page
    answer = log_in(browser, mfa_code=pyotp.TOTP(secret).now())
    assert answer.status_code == 303
    again = log_in(browser)
    assert again.status_code == 200
    assert secret not in again.text
    assert "mfa_code" in again.text
    assert log_in(browser, mfa_code="000000").status_code == 401


def test_who_logs_out_is_logged_out_everywhere_in_this_session(browser, world):
    log_in(browser)
    kept = browser.get_cookie(page_session.COOKIE).value
    answer = browser.post("/console/logout", headers=OWN)
    assert answer.location == "/console/login?out=1"
    assert "You are logged out here." in browser.get(answer.location).text
    assert browser.get_cookie(page_session.COOKIE) is None
    browser.set_cookie(page_session.COOKIE, kept)
    answer = browser.get("/console/")
    assert answer.location == "/console/login?next=/console/&over=1"
    assert "over" in browser.get(answer.location).text


@SQLITE
def test_what_a_browser_has_opens_no_api_and_what_programs_have_no_page(browser, world, call):
    log_in(browser)
    cookie = browser.get_cookie(page_session.COOKIE).value
    answer = browser.get("/api/user", headers={"Authorization": f"Bearer {cookie}"})
    assert answer.status_code == 401
    assert browser.get("/api/user").status_code == 401
    browser.set_cookie(page_session.COOKIE, call.token("viewer"))
    assert browser.get("/console/").status_code == 303


@SQLITE
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"},
    ],
)
def test_what_comes_from_elsewhere_is_refused_before_it_is_read(browser, world, headers):
    log_in(browser)
    answer = browser.post("/console/organization/new", data={"name": "x"}, headers=headers)
    assert answer.status_code == 403
    assert "did not come from a page of this server" in answer.text
    answer = browser.post("/console/logout", headers=headers)
    assert answer.status_code == 403
    assert browser.get("/console/").status_code == 200


@SQLITE
def test_an_old_browser_says_where_a_form_comes_from(browser, world):
    headers = {"Origin": "http://localhost"}
    form = {"username": "viewer", "password": PASSWORD}
    assert browser.post("/console/login", data=form, headers=headers).status_code == 303
