"""Pages for who cannot log in."""

import pyotp
import pytest

from tests.api.test_recover import mailed
from tests.api.test_token import Outbox
from tests.console.conftest import OWN
from tests.world import PASSWORD
from v6srv.identity import totp
from v6srv.model import User

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
NEW = "Qu1te-new-one!"


@pytest.fixture
def outbox(app):
    return Outbox(app)


@pytest.fixture
def stranger(visit):
    return visit(None)


def logged_in(stranger, **form):
    sent = {"username": "viewer", "password": PASSWORD, **form}
    return stranger.client.post("/console/login", data=sent, headers=OWN)


@pytest.mark.parametrize("known", [{"username": "viewer"}, {"email": "viewer@north.example"}])
def test_a_lost_password_is_replaced(stranger, world, outbox, known):
    assert 'href="/console/recover"' in stranger.get("/login")
    page = stranger.sent("/recover", known)
    assert "a mail with a token is on its way" in page
    assert "Token from the mail" in page
    token = mailed(outbox, "password_reset")
    assert token not in page
    form = {"reset_token": f" {token}\r\n", "password": NEW}
    page = stranger.sent("/recover/password", form)
    assert "The password has been set" in page
    assert NEW not in page
    assert logged_in(stranger).status_code == 401
    assert logged_in(stranger, password=NEW).status_code == 303
    assert "Invalid recovery token" in stranger.sent("/recover/password", form, status=400)


@SQLITE
@pytest.mark.parametrize("path", ["/recover", "/recover/second-factor"])
def test_no_answer_tells_which_accounts_there_are(stranger, world, outbox, path):
    known = stranger.sent(path, {"username": "viewer", "password": "wrong"})
    unknown = stranger.sent(path, {"username": "who", "password": "wrong"})
    assert known == unknown


def test_a_lost_second_factor_is_replaced(stranger, world, outbox, app):
    settings = app.config["SETTINGS"].model_copy(update={"two_factor_auth": True})
    app.config["SETTINGS"] = settings
    logged_in(stranger)
    with app.app_context():
        old = totp.secret_of(User.get_by_username("viewer"))
    assert logged_in(stranger, mfa_code=pyotp.TOTP(old).now()).status_code == 303
    page = stranger.get("/account")
    assert "/console/recover/second-factor?username=viewer" in page
    assert 'value="viewer"' in stranger.get("/recover/second-factor", username="viewer")
    form = {"username": "viewer", "password": PASSWORD}
    assert "a mail with a token" in stranger.sent("/recover/second-factor", form)
    page = stranger.sent(
        "/recover/second-factor/new", {"reset_token": mailed(outbox, "second_factor_reset")}
    )
    with app.app_context():
        new = totp.secret_of(User.get_by_username("viewer"))
    assert new != old
    assert new in page
    assert "<svg" in page
    assert new not in stranger.get("/recover/second-factor/new")
    stranger.get("/account", status=303)  # all sessions have ended
    assert logged_in(stranger, mfa_code=pyotp.TOTP(old).now()).status_code == 401
    assert logged_in(stranger, mfa_code=pyotp.TOTP(new).now()).status_code == 303


@SQLITE
@pytest.mark.parametrize("path", ["/recover/password", "/recover/second-factor/new"])
@pytest.mark.parametrize(("token", "told"), [("x", "Invalid recovery token!"), ("", "missing")])
def test_a_token_that_is_none_is_refused(stranger, world, path, token, told):
    form = {"reset_token": token, "password": NEW}
    assert told in stranger.sent(path, form, status=400)


@SQLITE
def test_a_token_that_is_too_old_is_refused_on_the_spot(stranger, world, outbox, app):
    app.extensions["v6srv_tokens"]["mail_s"] = -60
    for path, kind in (("", "password_reset"), ("/second-factor", "second_factor_reset")):
        stranger.sent(f"/recover{path}", {"username": "viewer", "password": PASSWORD})
        form = {"reset_token": mailed(outbox, kind), "password": NEW}
        path = "/second-factor/new" if path else "/password"
        assert "expired" in stranger.sent(f"/recover{path}", form, status=401)
