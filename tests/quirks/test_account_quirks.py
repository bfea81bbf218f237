"""quirks.md, part E: users, roles and security, one test for each entry."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import bcrypt
import jwt
import pyotp
import pytest
from sqlalchemy import delete

from tests.api.test_token import LOGIN, Outbox, claims, refresh
from tests.quirks.test_rest_quirks import ids, order, refused, told
from tests.realtime.conftest import eventually, serving
from tests.support import Caller, database_digest, open_app, send_mails
from tests.unit.test_mail import Inbox, smtp
from tests.world import IMAGE, PASSWORD, World
from v6srv import db, passwords
from v6srv.db import utcnow
from v6srv.model import RoleRule, User
from v6srv.service import setup

__all__ = ["smtp"]

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.filterwarnings("error::sqlalchemy.exc.SAWarning"),
]

WRONG = {**LOGIN, "password": "Wr0ng-Pass!"}
NEW = "N3w-Password!"


def log_in(call, body=LOGIN):
    return call(None, "POST", "/token/user", json=body)


def bearer(token):
    return {"headers": {"Authorization": f"Bearer {token}"}}


@pytest.fixture
def with_codes(backend, databases):
    """A caller of a server that asks for second factors."""
    with open_app(databases, backend, True, two_factor_auth=True) as (app, _world):
        Outbox(app)
        yield Caller(app)


def wrong_code(secret):
    """Six digits that are not right now, nor soon."""
    now = int(time.time())
    good = {pyotp.TOTP(secret).at(now + offset_s) for offset_s in (-60, -30, 0, 30, 60)}
    return next(code for code in map(str, range(100_000, 100_009)) if code not in good)


def test_q_21_null_leaves_what_a_role_has(call, world):
    path = f"/role/{world.role.analysts}"
    before = call("root", "GET", path).json
    body = {"name": None, "description": "changed", "rules": None}
    answer = call("root", "PATCH", path, json=body)
    assert answer.status_code == 200
    assert answer.json == {**before, "description": "changed"}


def test_q_22_adding_and_taking_a_rule_is_stored_and_answered(call, world):
    role, rule = world.role.analysts, world.rule["node", "ORGANIZATION", "VIEW"]
    path = f"/role/{role}/rule/{rule}"
    before = ids(call("root", "GET", f"/role/{role}/rule"))
    added = call("root", "POST", path)
    assert [row["id"] for row in added.json] == sorted([*before, rule])
    assert ids(call("root", "GET", f"/role/{role}/rule")) == sorted([*before, rule])
    taken = call("root", "DELETE", path)
    assert [row["id"] for row in taken.json] == before
    assert ids(call("root", "GET", f"/role/{role}/rule")) == before


@pytest.mark.parametrize("slug", ["node", "container", "viewer", "root"])
def test_q_23_default_roles_stay_as_they_are(call, world, slug):
    role = getattr(world.role, slug)
    held = ids(call("root", "GET", f"/role/{role}/rule"))
    other = world.rule["role", "GLOBAL", "DELETE"]
    refused(call("root", "DELETE", f"/role/{role}"), 400, 403)
    refused(call("root", "PATCH", f"/role/{role}", json={"name": "x"}), 400, 403)
    refused(call("root", "POST", f"/role/{role}/rule/{other}"), 400, 403)
    refused(call("root", "DELETE", f"/role/{role}/rule/{held[0]}"), 400, 403)
    assert ids(call("root", "GET", f"/role/{role}/rule")) == held
    assert call("north_registry", "GET", "/task").status_code == 200
    assert call("container", "GET", "/task").status_code == 200


def test_q_24_names_and_addresses_of_users_are_checked(call, world, store):
    good = {"username": "new", "firstname": "a", "lastname": "b", "email": "new@x.example"}
    good["password"] = PASSWORD
    for wrong in (
        {"username": ""},
        {"username": None},
        {"username": "  "},
        {"username": "VIEWER"},
        {"email": ""},
        {"email": None},
        {"email": "no address"},
        {"email": "Viewer@North.Example"},
        {"firstname": None},
        {"password": None},
    ):
        refused(call("root", "POST", "/user", json={**good, **wrong}), 400)
    good["roles"] = [world.role.viewer]
    assert call("root", "POST", "/user", json=good).status_code == 201
    # Accounts that exist keep working, whatever they are called.
    store(User, world.user.nobody, username="OLD name", email="no address")
    body = {"username": "OLD name", "password": PASSWORD}
    assert log_in(call, body).status_code == 200
    answer = call("root", "PATCH", f"/user/{world.user.nobody}", json={"firstname": "New"})
    assert answer.status_code == 200


def test_q_30_nobody_reads_the_second_factor_of_another(with_codes):
    secret = log_in(with_codes).json["otp_secret"]
    users = with_codes("root", "GET", "/user")
    viewer = next(user for user in users.json if user["username"] == "viewer")
    for answer in (users, with_codes("root", "GET", f"/user/{viewer['id']}")):
        assert secret not in answer.text
        assert "otp" not in answer.text
        assert "password" not in answer.text


def test_q_31_a_second_factor_is_confirmed_and_cannot_be_guessed_or_replayed(with_codes):
    call = with_codes
    first = log_in(call).json
    assert set(first) == {"qr_uri", "otp_secret", "msg"}
    assert log_in(call).json == first  # missed it? it is shown until the first valid code
    code = pyotp.TOTP(first["otp_secret"]).now()
    assert "access_token" in log_in(call, {**LOGIN, "mfa_code": code}).json
    assert set(log_in(call).json) == {"msg"}
    refused(log_in(call, {**LOGIN, "mfa_code": code}), 401)  # used
    for _ in range(4):  # the fifth wrong one locks, though the password is right each time
        refused(log_in(call, {**LOGIN, "mfa_code": wrong_code(first["otp_secret"])}), 401)
    refused(log_in(call), 401)


def test_q_32_root_comes_back_only_into_an_empty_table(call, world, store, app):
    store(User, world.user.root, username="chief")
    setup.prepare(app.config["SETTINGS"], passwords)  # what every start does
    refused(log_in(call, {"username": "root", "password": PASSWORD}), 401)
    refused(log_in(call, {"username": "root", "password": "root"}), 401)
    assert log_in(call, {"username": "chief", "password": PASSWORD}).status_code == 200


def test_q_34_mails_come_from_the_configured_sender(backend, databases, smtp):
    inbox = Inbox()
    mail = {
        "server": "127.0.0.1",
        "port": smtp(inbox),
        "username": "help@registry.example",
        "MAIL_USE_TLS": False,
    }
    with open_app(databases, backend, True, smtp=mail) as (app, _world):
        answer = Caller(app)(None, "POST", "/recover/lost", json={"username": "viewer"})
        assert answer.status_code == 200
        send_mails(app)
    [(envelope, message)] = inbox.mails
    assert message["From"] == envelope.mail_from == "help@registry.example"
    assert envelope.rcpt_tos == ["viewer@north.example"]


def test_q_35_mails_are_part_of_the_server_and_never_change_an_answer(backend, databases, smtp):
    def mail(port):
        return {"server": "127.0.0.1", "port": port, "MAIL_USE_TLS": False}

    def ask(call):
        answers = [
            call(None, "POST", "/recover/lost", json={"username": name})
            for name in ("viewer", "stranger")
        ]
        answers += [
            call(None, "POST", "/recover/2fa/lost", json={"username": name, "password": PASSWORD})
            for name in ("viewer", "stranger")
        ]
        return [told(answer) for answer in answers]

    inbox = Inbox()
    with open_app(databases, backend, True, smtp=mail(smtp(inbox))) as (app, _world):
        working = ask(Caller(app))
        send_mails(app)
    assert len(inbox.mails) == 2
    nobody_listens = 1
    with open_app(databases, backend, True, smtp=mail(nobody_listens)) as (app, _world):
        assert ask(Caller(app)) == working
    assert {status for status, _ in working} == {200}
    assert working[0] == working[1]
    assert working[2] == working[3]


def test_q_36_a_container_sees_its_collaboration_and_its_run_only(call, world):
    who = "container:waiting@south_trial"
    assert ids(call(who, "GET", "/task")) == [world.task.waiting]
    results = ids(call(who, "GET", "/result"))
    assert set(results) == {world.result["waiting", org] for org in ("south", "west")}
    # South also works in `registry`.
    refused(call(who, "GET", f"/collaboration/{world.collab.registry}"), 403, 404)
    refused(call(who, "GET", f"/task/{world.task.running}"), 403, 404)
    refused(call(who, "GET", f"/result/{world.result['running', 'south']}"), 403, 404)
    assert call(who, "GET", f"/collaboration/{world.collab.trial}").status_code == 200
    members = call(who, "GET", f"/collaboration/{world.collab.trial}/organization")
    assert set(ids(members)) == {world.org.south, world.org.west}


def test_q_37_a_container_token_ends_with_its_task(call, world):
    body = {"task_id": world.task.running, "image": IMAGE}

    def token():
        answer = call("north_registry", "POST", "/token/container", json=body)
        return answer.json["container_token"]

    given = token()
    days = timedelta(seconds=claims(given)["exp"] - time.time()) / timedelta(days=1)
    assert 1 < days < 400
    assert call(None, "GET", "/task", **bearer(given)).status_code == 200
    call("root", "POST", "/kill/task", json={"id": world.task.running})
    refused(call(None, "GET", "/task", **bearer(given)), 401)
    call("root", "DELETE", f"/task/{world.task.running}")
    refused(call(None, "POST", "/task", json=order(world, "north"), **bearer(given)), 401)


def test_q_38_nobody_takes_over_or_removes_a_more_powerful_account(call, world):
    for who, victim in (("collab_admin", "root"), ("org_admin", "collab_admin")):
        path = f"/user/{getattr(world.user, victim)}"
        refused(call(who, "PATCH", path, json={"email": "mine@x.example"}), 403)
    refused(call("org_admin", "DELETE", f"/user/{world.user.collab_admin}"), 403)
    mail = call("root", "GET", f"/user/{world.user.root}").json["email"]
    assert mail != "mine@x.example"
    # Those with less can be managed.
    path = f"/user/{world.user.viewer}"
    assert call("org_admin", "PATCH", path, json={"email": "v@x.example"}).status_code == 200
    assert call("org_admin", "DELETE", path).status_code == 200


def test_q_39_a_mailed_token_is_for_one_purpose_and_works_once(call, world, mails):
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    [(_, _, values)] = mails
    token = values["token"]
    refused(call(None, "GET", f"/user/{world.user.viewer}", **bearer(token)), 401, 422)
    refused(call(None, "POST", "/recover/2fa/reset", json={"reset_token": token}), 400)
    reset = {"reset_token": token, "password": NEW}
    assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
    refused(call(None, "POST", "/recover/reset", json={**reset, "password": "0ther-Pass!"}), 400)
    # A token that was mailed before the password changed is void as well.
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    late = {"reset_token": mails[-1][2]["token"], "password": "0ther-Pass!"}
    session = log_in(call, {**LOGIN, "password": NEW}).json["access_token"]
    change = {"current_password": NEW, "new_password": "Th1rd-Password!"}
    assert (
        call(None, "PATCH", "/password/change", json=change, **bearer(session)).status_code == 200
    )
    refused(call(None, "POST", "/recover/reset", json=late), 400)


def test_q_40_accounts_cannot_be_told_apart(call, world, mails, monkeypatch):
    hashed = []
    compare = bcrypt.checkpw
    log_in(call, {"username": "stranger", "password": PASSWORD})  # makes the dummy hash
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: hashed.append(given) or compare(*given))
    for path, bodies in (
        ("/token/user", (WRONG, {**WRONG, "username": "stranger"})),
        ("/recover/2fa/lost", (WRONG, {**WRONG, "username": "stranger"}, LOGIN)),
        ("/recover/lost", ({"username": "viewer"}, {"username": "stranger"})),
    ):
        answers, work = [], []
        for body in bodies:
            hashed.clear()
            answers.append(told(call(None, "POST", path, json=body)))
            work.append([stored[4:7] for _, stored in hashed])
        assert len(set(answers)) == 1, answers
        assert all(one == work[0] for one in work), work


def test_q_41_strangers_cannot_flood_the_owner_and_have_to_wait(call, world, mails, store):
    for _ in range(12):
        refused(log_in(call, WRONG), 401)
    assert [kind for kind, _, _ in mails] == ["blocked"]
    # A rejected new password unlocks nothing.
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    reset = {"reset_token": mails[-1][2]["token"], "password": "weak"}
    refused(call(None, "POST", "/recover/reset", json=reset), 400)
    refused(log_in(call), 401)
    # Who guesses on is stopped, whether or not there is such an account. Others at the same
    # address, a whole hospital perhaps, are not; nor is the owner at another one.
    for name in ("viewer", "stranger"):
        statuses = [log_in(call, {**WRONG, "username": name}).status_code for _ in range(21)]
        assert statuses[-1] == 429
    assert log_in(call, {**LOGIN, "username": "researcher"}).status_code == 200
    store(User, world.user.viewer, failed_login_attempts=0)
    elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.9"}}
    assert call(None, "POST", "/token/user", json=LOGIN).status_code == 429
    assert call(None, "POST", "/token/user", json=LOGIN, **elsewhere).status_code == 200


def test_q_43_being_seen_is_written_once_a_minute(call, world, stored, store):
    call("viewer", "GET", "/task")
    first = stored(User, world.user.viewer).last_seen
    assert utcnow() - first < timedelta(minutes=1)
    for _ in range(3):
        call("viewer", "GET", "/task")
    assert stored(User, world.user.viewer).last_seen == first
    store(User, world.user.viewer, last_seen=first - timedelta(seconds=61))
    call("viewer", "GET", "/task")
    assert stored(User, world.user.viewer).last_seen >= first


def test_q_46_changed_passwords_and_keys_end_what_was_issued_before(call, world):
    mine, others = log_in(call).json, log_in(call).json
    change = {"current_password": PASSWORD, "new_password": NEW}
    answer = call(None, "PATCH", "/password/change", json=change, **bearer(mine["access_token"]))
    assert answer.status_code == 200
    path = f"/user/{world.user.viewer}"
    refused(call(None, "GET", path, **bearer(others["access_token"])), 401)
    refused(refresh(call, others["refresh_token"]), 401)
    # The client that changed it goes on with its tokens.
    assert call(None, "GET", path, **bearer(mine["access_token"])).status_code == 200
    assert refresh(call, mine["refresh_token"]).status_code == 200
    # Parallel threads of a client may use one refresh token.
    with ThreadPoolExecutor(4) as pool:
        statuses = list(
            pool.map(
                lambda _: refresh(Caller(call.app), mine["refresh_token"]).status_code, range(4)
            )
        )
    assert statuses == [200] * 4
    node = f"/node/{world.node.north_registry}"
    assert call("north_registry", "GET", node).status_code == 200
    call("root", "POST", "/recover/node", json={"id": world.node.north_registry})
    refused(call("north_registry", "GET", node), 401)


def test_q_47_the_subject_is_a_number_or_an_object_and_never_a_text(call, world, app):
    user = claims(log_in(call).json["access_token"])
    assert user["sub"] == world.user.viewer
    assert isinstance(claims(call.token("container"))["sub"], dict)
    for kind, id in (("user", world.user.viewer), ("node", world.node.north_registry)):
        forged = {**user, "client_type": kind, "sub": str(id)}
        token = jwt.encode(forged, app.config["JWT_SECRET_KEY"], "HS256")
        refused(call(None, "GET", "/task", **bearer(token)), 401, 422)


def test_q_60_without_a_configured_secret_tokens_survive_a_restart(backend, databases):
    tokens = []
    for _start in range(2):
        with open_app(databases, backend, True, jwt_secret_key=None) as (app, _world):
            call = Caller(app)
            tokens.append(call.token("root"))
            for token in tokens:
                assert call(None, "GET", "/task", **bearer(token)).status_code == 200
    guessed = jwt.encode(claims(tokens[0]), "a secret that somebody has guessed wrongly", "HS256")
    with open_app(databases, backend, True, jwt_secret_key=None) as (app, _world):
        refused(Caller(app)(None, "GET", "/task", **bearer(guessed)), 422)


def test_q_61_default_roles_receive_what_they_lack_at_the_next_start(call, world: World, app):
    path = f"/role/{world.role.viewer}/rule"
    complete = ids(call("root", "GET", path))
    with app.app_context(), db.writing():
        db.session.execute(delete(RoleRule).where(RoleRule.c.role_id == world.role.viewer))
        db.session.commit()
    assert ids(call("root", "GET", path)) == []
    setup.prepare(app.config["SETTINGS"], passwords)  # what every start does
    assert ids(call("root", "GET", path)) == complete
    before = database_digest()
    setup.prepare(app.config["SETTINGS"], passwords)
    assert database_digest() == before


def test_q_61_default_roles_follow_policy_files_while_the_server_runs(backend, databases, tmp_path):
    """Rows of roles decide who may hand them out, so they must not stay behind the policy."""
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder) as (app, world), serving(app):
        call = Caller(app)
        path, added = f"/role/{world.role.node}/rule", world.rule["event", "COLLABORATION", "VIEW"]
        user, body = f"/user/{world.user.nobody}", {"roles": [world.role.node]}
        before = ids(call("root", "GET", path))
        (folder / "more.csv").write_text("p, role:node, event, collaboration, view, True, allow\n")
        eventually(lambda: ids(call("root", "GET", path)), sorted([*before, added]))
        # An Organization Admin does not hold what the role has now, and cannot hand it out.
        refused(call("org_admin", "PATCH", user, json=body), 403)
        (folder / "more.csv").unlink()
        eventually(lambda: ids(call("root", "GET", path)), before)
        assert call("org_admin", "PATCH", user, json=body).status_code == 200


def test_q_65_every_character_of_a_long_password_counts(call, world):
    long = "Aa1!" * 30
    session = log_in(call).json["access_token"]
    change = {"current_password": PASSWORD, "new_password": long}
    answer = call(None, "PATCH", "/password/change", json=change, **bearer(session))
    assert answer.status_code == 200
    for wrong in (long[:-1] + "?", long[:72], long[:73]):
        refused(log_in(call, {**LOGIN, "password": wrong}), 401)
    assert log_in(call, {**LOGIN, "password": long}).status_code == 200
