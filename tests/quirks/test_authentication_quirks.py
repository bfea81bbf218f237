"""realtime-quirks.md 1: authentication, one test for each entry."""

import time
from datetime import timedelta
from pathlib import Path

import bcrypt
import jwt
import pyotp
import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import select

from tests.api.test_token import LOGIN, Outbox, claims, refresh
from tests.quirks.test_account_quirks import NEW, WRONG, bearer, log_in, wrong_code
from tests.quirks.test_rest_quirks import refused, told
from tests.support import Caller, open_app, send_mails
from tests.unit.test_mail import Inbox, smtp
from tests.world import IMAGE, PASSWORD, api_key
from v6srv import db, passwords
from v6srv.cli.main import cli
from v6srv.db import utcnow
from v6srv.model import Node, User
from v6srv.service import setup

__all__ = ["smtp"]

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

EXAMPLE = Path(__file__).parents[2] / "examples" / "study.yaml"


@pytest.fixture
def with_codes(backend, databases):
    """A caller of a server that asks for second factors."""
    with open_app(databases, backend, True, two_factor_auth=True) as (app, _world):
        Outbox(app)
        yield Caller(app)


@pytest.mark.parametrize("end", ["kill", "report", "delete task", "delete node", "renew key"])
def test_a_01_a_container_token_expires_and_ends_with_what_it_is_for(call, world, end):
    body = {"task_id": world.task.running, "image": IMAGE}
    answer = call("south_registry", "POST", "/token/container", json=body)
    token = answer.json["container_token"]
    assert time.time() + 24 * 3600 < claims(token)["exp"] < time.time() + 400 * 24 * 3600
    assert call(None, "GET", "/task", **bearer(token)).status_code == 200
    if end == "kill":
        call("root", "POST", "/kill/task", json={"id": world.task.running})
    elif end == "report":
        # Its own result: that of another organization may be open still, or for ever.
        done = {"status": "completed", "finished_at": "2026-11-24T06:00:00"}
        path = f"/result/{world.result['running', 'south']}"
        assert call("south_registry", "PATCH", path, json=done).status_code == 200
        assert call("container", "GET", "/task").status_code == 200  # that of north
    elif end == "delete task":
        call("root", "DELETE", f"/task/{world.task.running}")
    elif end == "delete node":
        call("root", "DELETE", f"/node/{world.node.south_registry}")
    else:
        call("root", "POST", "/recover/node", json={"id": world.node.south_registry})
    refused(call(None, "GET", "/task", **bearer(token)), 401)


def test_a_02_a_mailed_token_is_no_bearer_token(call, world, mails):
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    token = mails[0][2]["token"]
    for path in (f"/user/{world.user.viewer}", "/organization", "/task", "/node"):
        refused(call(None, "GET", path, **bearer(token)), 401, 422)
    refused(refresh(call, token), 401, 422)


def test_a_03_a_mailed_token_does_its_own_work_once(with_codes):
    call, mails = with_codes, with_codes.app.extensions["mailer"]
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    call(None, "POST", "/recover/2fa/lost", json=LOGIN)
    password, factor = (mail[2]["token"] for mail in mails)
    reset = {"reset_token": factor, "password": NEW}
    refused(call(None, "POST", "/recover/reset", json=reset), 400)
    refused(call(None, "POST", "/recover/2fa/reset", json={"reset_token": password}), 400)
    body = {"reset_token": factor}
    assert call(None, "POST", "/recover/2fa/reset", json=body).status_code == 200
    refused(call(None, "POST", "/recover/2fa/reset", json=body), 400)
    reset = {"reset_token": password, "password": NEW}
    assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
    refused(call(None, "POST", "/recover/reset", json={**reset, "password": "An0ther-Pass!"}), 400)


def test_a_04_unusable_mailed_tokens_are_400_and_expired_ones_401(call, world, mails, app):
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    good = claims(mails[0][2]["token"])

    def forged(**changes):
        return jwt.encode({**good, **changes}, app.config["JWT_SECRET_KEY"], "HS256")

    for token in (
        "nonsense",
        log_in(call).json["access_token"],
        call.token("container"),
        forged(sub={"id": "9999"}),
        forged(sub={"id": str(world.node.north_registry)}),
        forged(sub=world.user.viewer),
        forged(purpose="2fa"),
        forged(type="access"),
    ):
        body = {"reset_token": token, "password": NEW}
        answer = call(None, "POST", "/recover/reset", json=body)
        assert (answer.status_code, answer.json["msg"]) == (400, "Invalid recovery token!")
    body = {"reset_token": forged(exp=int(time.time()) - 5), "password": NEW}
    refused(call(None, "POST", "/recover/reset", json=body), 401)
    assert log_in(call).status_code == 200


def test_a_05_the_second_factor_is_never_shown_and_stored_encrypted(with_codes):
    secret = log_in(with_codes).json["otp_secret"]
    assert secret not in with_codes("root", "GET", "/user").text
    with with_codes.app.app_context():
        stored = db.session.scalar(select(User.otp_secret).where(User.username == "viewer"))
    assert stored
    assert secret not in stored


def test_a_06_a_secret_is_pending_until_its_first_valid_code(with_codes):
    call = with_codes
    first = log_in(call).json
    refused(log_in(call, {**LOGIN, "mfa_code": wrong_code(first["otp_secret"])}), 401)
    assert log_in(call).json == first
    code = pyotp.TOTP(first["otp_secret"]).now()
    assert "access_token" in log_in(call, {**LOGIN, "mfa_code": code}).json
    assert set(log_in(call).json) == {"msg"}


def test_a_07_codes_are_counted_and_used_once(with_codes):
    call = with_codes
    secret = log_in(call).json["otp_secret"]
    code = pyotp.TOTP(secret).now()
    assert log_in(call, {**LOGIN, "mfa_code": code}).status_code == 200
    refused(log_in(call, {**LOGIN, "mfa_code": code}), 401)
    for _ in range(4):
        refused(log_in(call, {**LOGIN, "mfa_code": wrong_code(secret)}), 401)
    later = pyotp.TOTP(secret).at(int(time.time()) + 30)  # right, and not used yet
    answer = log_in(call, {**LOGIN, "mfa_code": later})
    assert (answer.status_code, answer.json["msg"]) == (401, "Failed to login")


def test_a_08_the_owner_gets_one_mail_and_an_address_has_to_wait(call, world, mails):
    statuses = [log_in(call, WRONG).status_code for _ in range(23)]
    assert statuses == [401] * 20 + [429] * 3
    assert [kind for kind, _, _ in mails] == ["blocked"]


def test_a_09_unknown_names_cost_the_same_and_get_the_same_answer(call, world, mails, monkeypatch):
    hashed = []
    compare = bcrypt.checkpw
    stranger = {**WRONG, "username": "stranger"}
    log_in(call, stranger)  # makes the dummy hash
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: hashed.append(given) or compare(*given))
    for path in ("/token/user", "/recover/2fa/lost"):
        counts, answers = [], []
        for body in (WRONG, stranger):
            hashed.clear()
            answers.append(told(call(None, "POST", path, json=body)))
            counts.append(len(hashed))
        assert counts == [1, 1]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("body", [{}, {"username": "viewer"}, {"password": PASSWORD}, None])
def test_a_10_an_incomplete_login_is_a_bad_request(call, world, body):
    refused(call(None, "POST", "/token/user", json=body), 400)
    refused(call(None, "POST", "/token/node", json={}), 400)


def test_a_11_the_wrong_kind_of_client_is_refused(call, world):
    for who, method, path in (
        ("north_registry", "GET", "/user"),
        ("container", "GET", "/role"),
        ("viewer", "POST", "/token/container"),
        ("north_registry", "POST", "/kill/task"),
        ("container", "PATCH", "/password/change"),
        ("north_registry", "POST", "/recover/node"),
    ):
        body = None if method == "GET" else {"id": 1, "task_id": 1, "image": IMAGE}
        refused(call(who, method, path, json=body), 403)


def test_a_12_tokens_end_when_password_or_key_change(call, world, mails):
    mine, others = log_in(call).json, log_in(call).json
    change = {"current_password": PASSWORD, "new_password": NEW}
    assert (
        call(
            None, "PATCH", "/password/change", json=change, **bearer(mine["access_token"])
        ).status_code
        == 200
    )
    assert refresh(call, mine["refresh_token"]).status_code == 200
    refused(refresh(call, others["refresh_token"]), 401)
    # A mail reset ends all of them.
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    reset = {"reset_token": mails[-1][2]["token"], "password": "Th1rd-Password!"}
    assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
    refused(refresh(call, mine["refresh_token"]), 401)
    refused(call(None, "GET", "/task", **bearer(mine["access_token"])), 401)
    node = call(None, "POST", "/token/node", json={"api_key": api_key("west_trial")}).json
    call("root", "POST", "/recover/node", json={"id": world.node.west_trial})
    refused(refresh(call, node["refresh_token"]), 401)


def test_a_13_a_secret_that_nobody_configured_is_random(backend, databases, tmp_path):
    keys = []
    for folder in ("one", "other"):
        setup.install_policies(tmp_path / folder / "policies")
        settings = {
            "jwt_secret_key": None,
            "instance": tmp_path / folder,
            "policies": tmp_path / folder / "policies",
        }
        with open_app(databases, backend, True, **settings) as (app, _world):
            keys.append(app.config["JWT_SECRET_KEY"])
            token = Caller(app).token("root")
        assert (tmp_path / folder / "jwt_secret").stat().st_mode & 0o777 == 0o600
    assert keys[0] != keys[1]
    assert min(map(len, keys)) >= 43  # 256 bits
    jwt.decode(token, keys[1], ["HS256"], options={"verify_sub": False})


def test_a_14_root_is_made_once_with_a_password_of_its_own(call, world, app, backend, databases):
    call("second_root", "DELETE", f"/user/{world.user.root}")
    assert setup.prepare(app.config["SETTINGS"], passwords) is None
    refused(log_in(call, {"username": "root", "password": "root"}), 401)
    users = call("second_root", "GET", "/user").json
    assert "root" not in [user["username"] for user in users]
    fresh = databases.settings(databases.empty(backend), root_password=None)
    generated = setup.prepare(fresh, passwords)
    assert generated
    assert len(generated) >= 16
    assert passwords.password_problem(generated) is None
    assert setup.prepare(fresh, passwords) is None


def test_a_15_a_node_is_found_by_its_key_in_one_look_up_and_keys_are_unique(
    call, world, store, monkeypatch
):
    monkeypatch.setattr(bcrypt, "checkpw", None)  # a call would be an error
    body = {"api_key": api_key("west_trial")}
    answer = call(None, "POST", "/token/node", json=body)
    assert answer.json["node_url"] == f"{call.base}/node/{world.node.west_trial}"
    with pytest.raises(Exception, match=r"(?i)unique"):
        store(Node, world.node.south_trial, key_digest=passwords.key_digest(body["api_key"]))


def test_a_16_long_passwords_are_not_cut_but_old_hashes_fit(call, world, store):
    long = "Aa1!" * 25
    session = log_in(call).json["access_token"]
    change = {"current_password": PASSWORD, "new_password": long}
    call(None, "PATCH", "/password/change", json=change, **bearer(session))
    refused(log_in(call, {**LOGIN, "password": long[:72]}), 401)
    assert log_in(call, {**LOGIN, "password": long}).status_code == 200
    old = bcrypt.hashpw(long[:72].encode(), bcrypt.gensalt(4)).decode()  # by a 3.x server
    store(User, world.user.viewer, password=old)
    assert log_in(call, {**LOGIN, "password": long}).status_code == 200


def test_a_17_failed_logins_are_timed_in_utc(call, world, stored, monkeypatch):
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    try:
        refused(log_in(call, WRONG), 401)
        failed = stored(User, world.user.viewer).last_login_attempt
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(utcnow() - failed) < timedelta(seconds=30)


@pytest.mark.parametrize("place", ["top level", "smtp"])
def test_a_18_sender_and_validity_of_mails_are_configured(backend, databases, smtp, place):
    inbox = Inbox()
    mail = {"server": "127.0.0.1", "port": smtp(inbox), "MAIL_USE_TLS": False}
    mail["username"] = "access@registry.example"
    validity = {"email_token_validity_minutes": 7}
    more = {"smtp": {**mail, **validity}} if place == "smtp" else {"smtp": mail, **validity}
    with open_app(databases, backend, True, **more) as (app, _world):
        Caller(app)(None, "POST", "/recover/lost", json={"username": "viewer"})
        send_mails(app)
    [(_, message)] = inbox.mails
    assert message["From"] == "access@registry.example"
    text = message.get_body(("plain",)).get_content()
    [token] = [word for word in text.split() if word.count(".") == 2 and word.startswith("ey")]
    assert claims(token)["exp"] - claims(token)["iat"] == 7 * 60


def test_a_19_a_weak_password_of_root_or_an_import_is_said(tmp_path, backend, databases, caplog):
    caplog.set_level("WARNING")
    setup.prepare(databases.settings(databases.empty(backend), root_password="root"), passwords)
    assert "the first password of root is weak" in caplog.text
    document = yaml.safe_load(EXAMPLE.read_text())
    user = document["organizations"][0]["users"][0]
    user["password"] = "weak"
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(document))
    environment = {
        "V6SRV_INSTANCE": str(tmp_path / "instance"),
        "V6SRV_ROOT_PASSWORD": "Root-pass-1",
        "V6SRV_PASSWORD_ROUNDS": "4",
    }
    result = CliRunner(env=environment).invoke(cli, ["import", str(path)])
    assert result.exit_code == 0, result.output
    said = result.output + caplog.text
    assert any("weak" in line and user["username"] in line for line in said.splitlines()), said


def test_a_20_errors_of_the_framework_carry_a_message_too(call, world):
    for answer in (
        call("root", "PUT", "/task"),
        call("root", "GET", "/nowhere"),
        call("root", "POST", "/organization", data="{", content_type="application/json"),
        call(None, "GET", "/task", headers={"Authorization": "Basic eA=="}),
        call(None, "GET", "/task", headers={"Authorization": "Bearer a.b.c"}),
    ):
        refused(answer, 400, 401, 404, 405, 422)
        assert answer.json["message"]
