"""/recover: lost passwords, lost second factors, new node keys (auth.md 5.2, 6, 8)."""

import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pyotp
import pytest

from tests.api.test_token import LOGIN, Outbox, claims, refresh
from tests.support import Caller, open_app
from tests.world import PASSWORD, api_key
from v6srv import db
from v6srv.model import User

NEW = "N3w-Password!"
LOST = "If the username or email is in our database you will soon receive an email."
LOST_2FA = (
    "If you sent a correct combination of username/email andpassword, you will soon receive an "
    "email."
)


@pytest.fixture
def outbox(app):
    return Outbox(app)


def mailed(outbox, kind):
    """The one token that was mailed."""
    tokens = [values["token"] for sent, _, values in outbox if sent == kind]
    assert len(tokens) == 1
    return tokens[0]


def log_in(call, password):
    body = {"username": "viewer", "password": password}
    return call(None, "POST", "/token/user", json=body)


@pytest.mark.parametrize(
    "body",
    [
        {"username": "viewer", "email": None},
        {"username": None, "email": "viewer@north.example"},
        {"email": "Viewer@NORTH.example"},
        {"username": "viewer", "email": "nobody@north.example"},  # the user name wins
    ],
)
def test_a_lost_password_is_replaced_with_a_mailed_token(call, world, outbox, body):
    session = log_in(call, PASSWORD).json
    answer = call(None, "POST", "/recover/lost", json=body)
    assert (answer.status_code, answer.json["msg"]) == (200, LOST)
    assert outbox[0][1] == "viewer@north.example"
    token = mailed(outbox, "password_reset")
    reset = {"reset_token": token, "password": NEW}
    answer = call(None, "POST", "/recover/reset", json=reset)
    assert (answer.status_code, answer.json["msg"]) == (
        200,
        "The password has successfully been reset!",
    )
    assert outbox[-1][0] == "password_changed"
    assert log_in(call, PASSWORD).status_code == 401
    assert log_in(call, NEW).status_code == 200
    # All sessions have ended (A12), and the token has done its work (A3).
    assert refresh(call, session["refresh_token"]).status_code == 401
    again = call(None, "POST", "/recover/reset", json={**reset, "password": "An0ther-Pass!"})
    assert (again.status_code, again.json["msg"]) == (400, "Invalid recovery token!")
    assert log_in(call, NEW).status_code == 200


def test_one_token_sets_one_password_however_many_use_it_at_once(call, world, app, outbox):
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    token = mailed(outbox, "password_reset")

    def reset(number):
        body = {"reset_token": token, "password": f"{NEW}{number}"}
        return Caller(app)(None, "POST", "/recover/reset", json=body).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(reset, range(6)))
    assert sorted(statuses) == [200, 400, 400, 400, 400, 400]
    assert log_in(call, f"{NEW}{statuses.index(200)}").status_code == 200


@pytest.mark.parametrize("body", [{"username": "stranger"}, {"email": "x@y.example"}])
def test_unknown_accounts_get_the_same_answer_and_no_mail(call, world, outbox, body):
    answer = call(None, "POST", "/recover/lost", json=body)
    assert (answer.status_code, answer.json["msg"]) == (200, LOST)
    assert outbox == []


def test_an_account_without_an_address_gets_no_mail(call, world, app, outbox):
    with app.app_context(), db.writing():
        db.session.get(User, world.user.viewer).email = None
        db.session.commit()
    assert call(None, "POST", "/recover/lost", json={"username": "viewer"}).status_code == 200
    assert outbox == []


def test_a_reset_unlocks_the_account_only_when_it_succeeds(call, world, outbox):
    for _ in range(5):
        log_in(call, "Wr0ng-Pass!")
    assert log_in(call, PASSWORD).status_code == 401
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    token = mailed(outbox, "password_reset")
    weak = call(None, "POST", "/recover/reset", json={"reset_token": token, "password": "weak"})
    assert weak.status_code == 400
    assert "Password too short" in weak.json["msg"]
    assert log_in(call, PASSWORD).status_code == 401
    reset = {"reset_token": token, "password": NEW}
    assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
    assert log_in(call, NEW).status_code == 200


def test_only_mailed_tokens_of_the_right_purpose_are_accepted(call, world, app, outbox):
    pair = log_in(call, PASSWORD).json
    call(None, "POST", "/recover/2fa/lost", json=LOGIN)
    key = app.config["JWT_SECRET_KEY"]
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    good = claims(mailed(outbox, "password_reset"))
    of_nobody = jwt.encode({**good, "sub": {"id": "9999"}}, key, "HS256")
    of_a_node = jwt.encode({**good, "sub": {"id": str(world.node.west_trial)}}, key, "HS256")
    for token in (
        "nonsense",
        pair["access_token"],
        pair["refresh_token"],
        call.token("container"),
        mailed(outbox, "second_factor_reset"),
        of_nobody,
        of_a_node,
    ):
        body = {"reset_token": token, "password": NEW}
        answer = call(None, "POST", "/recover/reset", json=body)
        assert (answer.status_code, answer.json["msg"]) == (400, "Invalid recovery token!")
    expired = jwt.encode({**good, "exp": int(time.time()) - 1}, key, "HS256")
    answer = call(None, "POST", "/recover/reset", json={"reset_token": expired, "password": NEW})
    assert (answer.status_code, answer.json["msg"]) == (401, "Token has expired")
    assert log_in(call, PASSWORD).status_code == 200


def test_a_mailed_token_opens_no_other_endpoint(call, world, outbox):
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    headers = {"Authorization": f"Bearer {mailed(outbox, 'password_reset')}"}
    for path in (f"/user/{world.user.viewer}", "/rule", "/organization"):
        assert call(None, "GET", path, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "msg"),
    [
        ("lost", {}, "No username or email provided!"),
        ("lost", {"username": "", "email": None}, "No username or email provided!"),
        ("lost", {"username": ["viewer"]}, None),
        ("reset", {}, "The reset token and/or password is missing!"),
        ("reset", {"reset_token": "x"}, "The reset token and/or password is missing!"),
        ("reset", {"password": NEW}, "The reset token and/or password is missing!"),
        ("reset", {"reset_token": 5, "password": NEW}, None),
        ("2fa/lost", {"password": PASSWORD}, "No username or email provided!"),
        ("2fa/lost", {"username": "viewer"}, "No password provided!"),
        ("2fa/reset", {}, "The reset token is missing!"),
        ("2fa/reset", {"reset_token": "x"}, "Invalid recovery token!"),
        ("2fa/reset", [], None),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_incomplete_bodies_are_400(call, world, path, body, msg):
    answer = call(None, "POST", f"/recover/{path}", json=body)
    assert answer.status_code == 400
    if msg:
        assert answer.json["msg"] == msg
    not_json = call(None, "POST", f"/recover/{path}", data="x=1", content_type="text/plain")
    assert not_json.status_code == 400


def test_a_lost_second_factor_is_replaced_with_a_mailed_token(backend, databases):
    with open_app(databases, backend, True, two_factor_auth=True) as (app, _world):
        call, outbox = Caller(app), Outbox(app)
        old = call(None, "POST", "/token/user", json=LOGIN).json["otp_secret"]
        code = pyotp.TOTP(old).now()
        session = call(None, "POST", "/token/user", json={**LOGIN, "mfa_code": code}).json
        answer = call(None, "POST", "/recover/2fa/lost", json=LOGIN)
        assert (answer.status_code, answer.json["msg"]) == (200, LOST_2FA)
        body = {"reset_token": mailed(outbox, "second_factor_reset")}
        answer = call(None, "POST", "/recover/2fa/reset", json=body)
        assert answer.status_code == 200
        assert set(answer.json) == {"qr_uri", "otp_secret", "msg"}
        assert answer.json["otp_secret"] != old
        assert refresh(call, session["refresh_token"]).status_code == 401
        again = call(None, "POST", "/recover/2fa/reset", json=body)
        assert (again.status_code, again.json["msg"]) == (400, "Invalid recovery token!")
        code = pyotp.TOTP(answer.json["otp_secret"]).now()
        done = call(None, "POST", "/token/user", json={**LOGIN, "mfa_code": code})
        assert "access_token" in done.json


@pytest.mark.parametrize(
    "body",
    [
        {"username": "stranger", "password": PASSWORD},
        {"username": "viewer", "password": "Wr0ng-Pass!"},
    ],
)
def test_a_wrong_password_gets_the_same_answer_but_no_mail(call, world, outbox, body):
    answer = call(None, "POST", "/recover/2fa/lost", json=body)
    assert (answer.status_code, answer.json["msg"]) == (200, LOST_2FA)
    assert outbox == []


def test_a_wrong_password_there_counts_towards_the_lock(call, world, outbox):
    for _ in range(5):
        body = {"email": "viewer@north.example", "password": "Wr0ng-Pass!"}
        call(None, "POST", "/recover/2fa/lost", json=body)
    assert log_in(call, PASSWORD).status_code == 401
    assert call(None, "POST", "/recover/2fa/lost", json=LOGIN).json["msg"] == LOST_2FA
    assert [kind for kind, _, _ in outbox] == ["blocked"]


# --- node keys


def test_a_new_key_ends_the_old_one_and_all_tokens_of_the_node(call, world):
    old = {"api_key": api_key("north_registry")}
    session = call(None, "POST", "/token/node", json=old).json
    container = {"Authorization": f"Bearer {call.token('container')}"}
    body = {"id": world.node.north_registry}
    answer = call("org_admin", "POST", "/recover/node", json=body)
    assert answer.status_code == 200
    assert set(answer.json) == {"api_key"}
    assert call(None, "POST", "/token/node", json=old).status_code == 401
    assert refresh(call, session["refresh_token"]).status_code == 401
    assert call(None, "GET", "/task", headers=container).status_code == 401
    new = {"api_key": answer.json["api_key"]}
    assert call(None, "POST", "/token/node", json=new).status_code == 200


@pytest.mark.parametrize(
    ("who", "node", "status"),
    [
        ("root", "west_trial", 200),
        ("org_admin", "north_registry", 200),
        ("collab_admin", "north_registry", 200),
        ("org_admin", "south_registry", 403),  # of another organization
        ("collab_admin", "south_registry", 403),
        ("researcher", "north_registry", 403),
        ("north_registry", "north_registry", 403),  # users only
        ("container", "north_registry", 403),
        (None, "north_registry", 401),
        ("root", "none", 404),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_may_renew_which_key(call, world, who, node, status):
    body = {"id": getattr(world.node, node, 9999)}
    assert call(who, "POST", "/recover/node", json=body).status_code == status


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": "x"}, {"id": [1]}, []])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_without_an_id_no_key_is_renewed(call, world, body):
    answer = call("root", "POST", "/recover/node", json=body)
    assert (answer.status_code, answer.json["msg"]) == (400, "ID missing in JSON body")
