"""/token: logging in, locking out, refreshing, tokens for algorithms (auth.md 2 to 5, 3.3)."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import jwt
import pyotp
import pytest

from tests.api.test_task import order
from tests.support import Caller, open_app
from tests.world import IMAGE, PASSWORD, api_key
from v6srv import db, passwords
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import transaction
from v6srv.identity import mail_delivery
from v6srv.model import AlgorithmStore, Node, Result, Study, Task, TaskDatabase, User
from v6srv.service import generations

LOGIN = {"username": "viewer", "password": PASSWORD}
WRONG = {"username": "viewer", "password": "Wr0ng-Pass!"}


class Outbox(Sequence):
    """Takes the place of the mailer: the mails that were to be sent until now, in their order."""

    def __init__(self, app):
        self._app = app
        self._sent = []
        app.extensions["mailer"] = self

    def send(self, kind, to, values):
        self._sent.append((kind, to, values))

    def __getitem__(self, index):
        return self._all()[index]

    def __len__(self):
        return len(self._all())

    def __eq__(self, other):
        return self._all() == other

    def _all(self):
        with self._app.app_context():
            mail_delivery.send_due()
        return self._sent


@pytest.fixture
def outbox(app):
    return Outbox(app)


@pytest.fixture
def stored(app):
    """Read or change columns of a row: `stored(User, id)`, `stored(User, id, email=None)`."""

    def access(model, id, **changes):
        with app.app_context(), db.writing():
            row = db.session.get(model, id)
            for name, value in changes.items():
                setattr(row, name, value)
            db.session.commit()
            db.session.refresh(row)
            return row

    return access


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


# --- users


def test_a_user_logs_in_with_the_answer_of_the_contract(call, world):
    answer = call(None, "POST", "/token/user", json=LOGIN)
    assert answer.status_code == 200
    body = answer.json
    assert set(body) == {"access_token", "refresh_token", "refresh_url", "user_url"}
    assert body["refresh_url"] == f"{call.base}/token/refresh"
    assert body["user_url"] == f"{call.base}/user/{world.user.viewer}"
    assert answer.headers["jwt-token"] == body["access_token"]
    assert claims(body["access_token"])["sub"] == world.user.viewer
    assert claims(body["access_token"])["roles"] == ["Viewer"]
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert call(None, "GET", f"/user/{world.user.viewer}", headers=headers).status_code == 200


@pytest.mark.parametrize("body", [WRONG, {"username": "stranger", "password": PASSWORD}])
def test_wrong_password_and_unknown_name_get_one_answer(call, world, body):
    answer = call(None, "POST", "/token/user", json=body)
    assert (answer.status_code, answer.json["msg"]) == (401, "Failed to login")


@pytest.mark.parametrize(
    "sent",
    [
        {"data": "username=x", "content_type": "application/x-www-form-urlencoded"},
        {"data": "{", "content_type": "application/json"},
        {"data": "[]", "content_type": "application/json"},
        {"json": {}},
        {"json": {"username": "viewer"}},
        {"json": {"password": PASSWORD}},
        {"json": {"username": "", "password": ""}},
        {"json": {"username": None, "password": PASSWORD}},
        {"json": {"username": "viewer", "password": 12345678}},
        {"json": {"username": ["viewer"], "password": PASSWORD}},
        {"json": {"username": "viewer", "password": {"$gt": ""}}},
        {"json": {"username": "view\x00er", "password": PASSWORD}},
        {"json": {**LOGIN, "mfa_code": [1]}},
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_bodies_that_say_nothing_usable_are_400(call, world, sent):
    answer = call(None, "POST", "/token/user", **sent)
    assert answer.status_code == 400
    assert isinstance(answer.json["msg"], str)


def test_an_account_is_locked_after_five_wrong_passwords(call, world, stored, outbox):
    for attempt in range(1, 6):
        assert call(None, "POST", "/token/user", json=WRONG).status_code == 401
        assert stored(User, world.user.viewer).failed_login_attempts == attempt
    assert outbox == []
    locked = stored(User, world.user.viewer)
    for body in (LOGIN, WRONG, LOGIN):  # the right password does not help, nothing is prolonged
        answer = call(None, "POST", "/token/user", json=body)
        assert (answer.status_code, answer.json["msg"]) == (401, "Failed to login")
    after = stored(User, world.user.viewer)
    assert after.failed_login_attempts == 5
    assert after.last_login_attempt == locked.last_login_attempt
    # One mail per lock, whatever strangers try (A8).
    [(kind, to, values)] = outbox
    assert (kind, to) == ("blocked", "viewer@north.example")
    assert values["attempts"] == 5
    assert values["address"] == "127.0.0.1"
    assert 1 <= values["minutes"] <= 15
    # Others are not locked.
    other = {"username": "researcher", "password": PASSWORD}
    assert call(None, "POST", "/token/user", json=other).status_code == 200


def test_guessing_in_parallel_does_not_get_around_the_lock(call, world, app, stored, outbox):
    def guess(number):
        body = {"username": "viewer", "password": f"Wr0ng-Pass!{number}"}
        return Caller(app)(None, "POST", "/token/user", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(guess, range(8))) == {401}
    assert stored(User, world.user.viewer).failed_login_attempts == 5
    assert call(None, "POST", "/token/user", json=LOGIN).status_code == 401
    assert len(outbox) == 1


def test_a_lock_ends_and_a_wrong_password_then_starts_counting_anew(call, world, stored, outbox):
    id = world.user.viewer
    long_ago = db.utcnow() - timedelta(minutes=16)
    stored(User, id, failed_login_attempts=5, last_login_attempt=long_ago)
    assert call(None, "POST", "/token/user", json=WRONG).status_code == 401
    assert stored(User, id).failed_login_attempts == 1
    assert call(None, "POST", "/token/user", json=LOGIN).status_code == 200
    assert stored(User, id).failed_login_attempts == 0
    # A second lock is told about again.
    for _ in range(6):
        call(None, "POST", "/token/user", json=WRONG)
    stored(User, id, last_login_attempt=db.utcnow() - timedelta(minutes=16))
    for _ in range(6):
        call(None, "POST", "/token/user", json=WRONG)
    assert [kind for kind, _, _ in outbox] == ["blocked", "blocked"]


# --- second factor


@pytest.fixture
def with_codes(backend, databases):
    with open_app(databases, backend, True, two_factor_auth=True) as (app, world):
        Outbox(app)
        yield Caller(app), world


def test_the_second_factor_is_set_up_confirmed_and_asked_for(with_codes):
    call, _world = with_codes
    first = call(None, "POST", "/token/user", json=LOGIN)
    assert first.status_code == 200
    assert set(first.json) == {"qr_uri", "otp_secret", "msg"}
    assert "jwt-token" not in first.headers
    # Until the first valid code the same secret is shown again (A6).
    assert call(None, "POST", "/token/user", json=LOGIN).json == first.json
    app = pyotp.TOTP(first.json["otp_secret"])
    code = app.now()
    right = call(None, "POST", "/token/user", json={**LOGIN, "mfa_code": code})
    assert right.status_code == 200
    assert "access_token" in right.json
    for missing in (LOGIN, {**LOGIN, "mfa_code": ""}, {**LOGIN, "mfa_code": 0}):
        answer = call(None, "POST", "/token/user", json=missing)
        assert (answer.status_code, answer.json) == (
            200,
            {"msg": "Please include your two-factor authentication code"},
        )
    # The code has been used (A7), and who knows the password is told so.
    again = call(None, "POST", "/token/user", json={**LOGIN, "mfa_code": code})
    assert again.status_code == 401
    assert "already used: wait until your app shows the next" in again.json["msg"]
    guess = call(None, "POST", "/token/user", json={**WRONG, "mfa_code": code})
    assert (guess.status_code, guess.json["msg"]) == (401, "Failed to login")


def test_wrong_codes_lock_the_account_like_wrong_passwords(with_codes):
    call, _world = with_codes
    secret = call(None, "POST", "/token/user", json=LOGIN).json["otp_secret"]
    now = db.utcnow().timestamp()
    good = {pyotp.TOTP(secret).at(int(now) + offset_s) for offset_s in (-30, 0, 30, 60)}
    wrong = next(code for code in map(str, range(100_000, 100_009)) if code not in good)
    for _ in range(5):
        answer = call(None, "POST", "/token/user", json={**LOGIN, "mfa_code": int(wrong)})
        assert (answer.status_code, answer.json["msg"]) == (
            401,
            "Your two-factor authentication code is incorrect!",
        )
        call(None, "POST", "/token/user", json=LOGIN)  # the password alone resets nothing
    code = pyotp.TOTP(secret).now()
    locked = call(None, "POST", "/token/user", json={**LOGIN, "mfa_code": code})
    assert (locked.status_code, locked.json["msg"]) == (401, "Failed to login")


# --- nodes


def test_a_node_logs_in_with_its_key(call, world):
    answer = call(None, "POST", "/token/node", json={"api_key": api_key("south_registry")})
    assert answer.status_code == 200
    assert set(answer.json) == {"access_token", "refresh_token", "refresh_url", "node_url"}
    assert answer.json["node_url"] == f"{call.base}/node/{world.node.south_registry}"
    assert answer.headers["jwt-token"] == answer.json["access_token"]
    read = claims(answer.json["access_token"])
    assert (read["sub"], read["roles"]) == (world.node.south_registry, [])


def test_an_unknown_key_is_401(call, world):
    answer = call(None, "POST", "/token/node", json={"api_key": "00000000"})
    assert (answer.status_code, answer.json["msg"]) == (401, "Api key is not recognized!")


@pytest.mark.parametrize("body", [{}, {"api_key": None}, {"api_key": ""}, {"api_key": 5}, []])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_missing_key_is_400(call, world, body):
    assert call(None, "POST", "/token/node", json=body).status_code == 400


def test_a_node_of_a_3x_server_is_found_by_its_hash_once(call, world, stored, count_queries):
    key, id = api_key("south_trial"), world.node.south_trial
    stored(Node, id, key_digest=None, api_key=passwords.hash_password(key))
    assert call(None, "POST", "/token/node", json={"api_key": key}).status_code == 200
    node = stored(Node, id)
    assert (node.key_digest, node.api_key) == (passwords.key_digest(key), None)
    with count_queries() as statements:
        assert call(None, "POST", "/token/node", json={"api_key": key}).status_code == 200
    assert len([text for text in statements if text.startswith("SELECT")]) == 1


# --- refresh


def refresh(call, token):
    headers = {"Authorization": f"Bearer {token}"}
    return call(None, "POST", "/token/refresh", headers=headers)


@pytest.mark.parametrize(
    ("path", "body", "url"),
    [("user", LOGIN, "user_url"), ("node", {"api_key": api_key("west_trial")}, "node_url")],
)
def test_a_refresh_token_gives_a_new_pair_of_the_same_session(call, world, path, body, url):
    first = call(None, "POST", f"/token/{path}", json=body).json
    answer = refresh(call, first["refresh_token"])
    assert answer.status_code == 200
    assert "jwt-token" not in answer.headers
    assert set(answer.json) == {"access_token", "refresh_token", "refresh_url", url}
    assert answer.json[url] == first[url]
    old, new = claims(first["access_token"]), claims(answer.json["access_token"])
    assert new["jti"] != old["jti"]
    assert {name: new[name] for name in ("sub", "roles", "sid", "client_type")} == {
        name: old[name] for name in ("sub", "roles", "sid", "client_type")
    }
    assert refresh(call, first["refresh_token"]).status_code == 200  # old ones stay valid
    assert refresh(call, answer.json["refresh_token"]).status_code == 200


def test_only_refresh_tokens_refresh(call, world):
    access = call(None, "POST", "/token/user", json=LOGIN).json["access_token"]
    for token in (access, call.token("container")):
        answer = refresh(call, token)
        assert (answer.status_code, answer.json["msg"]) == (
            422,
            "Only refresh tokens are allowed",
        )
    answer = call(None, "POST", "/token/refresh")
    assert (answer.status_code, answer.json["msg"]) == (401, "Missing Authorization Header")


def test_a_deleted_or_revoked_account_does_not_refresh(call, world, app, stored):
    pair = call(None, "POST", "/token/user", json=LOGIN).json
    stored(User, world.user.viewer, token_version=1)
    for answer in (
        refresh(call, pair["refresh_token"]),
        call(
            None,
            "GET",
            "/role",
            headers={"Authorization": f"Bearer {pair['access_token']}"},
        ),
    ):
        assert answer.status_code == 401
    pair = call(None, "POST", "/token/user", json=LOGIN).json
    assert call("root", "DELETE", f"/user/{world.user.viewer}").status_code == 200
    answer = refresh(call, pair["refresh_token"])
    assert (answer.status_code, answer.json["msg"]) == (
        401,
        f"Error loading the user {world.user.viewer}",
    )


@pytest.mark.parametrize(("ahead_s", "status"), [(299, 200), (400, 401)])
def test_a_token_of_a_clock_that_is_ahead_is_good_or_unauthenticated(
    call, world, app, ahead_s, status
):
    """401, on which clients get a new token, and not 422: nothing is wrong with the token."""
    pair = call(None, "POST", "/token/user", json=LOGIN).json

    def ahead(token):
        issued = int(time.time()) + ahead_s
        said = {**claims(token), "iat": issued, "nbf": issued}
        return jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256")

    headers = {"Authorization": f"Bearer {ahead(pair['access_token'])}"}
    assert call(None, "GET", "/role", headers=headers).status_code == status
    assert refresh(call, ahead(pair["refresh_token"])).status_code == status


# --- containers


def test_a_node_gets_a_token_for_the_algorithm_it_starts(call, world):
    body = {"task_id": world.task.running, "image": IMAGE}
    answer = call("north_registry", "POST", "/token/container", json=body)
    assert answer.status_code == 200
    assert set(answer.json) == {"container_token"}
    assert "jwt-token" not in answer.headers
    read = claims(answer.json["container_token"])
    assert read["client_type"] == "container"
    assert read["sub"] == {
        "client_type": "container",
        "node_id": world.node.north_registry,
        "organization_id": world.org.north,
        "collaboration_id": world.collab.registry,
        "task_id": world.task.running,
        "image": IMAGE,
        "database": "default",
        "databases": [],
        "study_id": None,
        "store_id": None,
    }
    headers = {"Authorization": f"Bearer {answer.json['container_token']}"}
    seen = call(None, "GET", f"/organization/{world.org.south}", headers=headers)
    assert seen.status_code == 200


def test_a_container_token_names_the_databases_as_both_dialects_do(call, world):
    """And what they are read with, as an algorithm of 4.x hands it on; of what study, which store."""
    task = call("researcher", "POST", "/task", json=order(world, "north")).json
    with call.app.app_context(), as_server(ServerWrite.COMMAND), transaction() as sess:
        study = Study(name="pilot", collaboration_id=world.collab.registry)
        store = AlgorithmStore(name="store", url="https://store.example")
        sess.add_all((study, store))
        for position, (label, parameters) in enumerate(
            [("default", {"arguments": {"a": 1}, "label": "lies"}), ("other", {})]
        ):
            parameters = json.dumps(parameters)
            values = {"task_id": task["id"], "position": position, "label": label}
            sess.add(TaskDatabase(**values, parameters=parameters))
        sess.flush()
        row = sess.get(Task, task["id"])
        row.study_id, row.algorithm_store_id, row.database = study.id, store.id, "default"
        study_id, store_id = study.id, store.id
    body = {"task_id": task["id"], "image": IMAGE}
    answer = call("north_registry", "POST", "/token/container", json=body)
    sub = claims(answer.json["container_token"])["sub"]
    assert {**sub, "image": 0, "collaboration_id": 0, "organization_id": 0, "node_id": 0} == {
        "client_type": "container",
        "node_id": 0,
        "organization_id": 0,
        "collaboration_id": 0,
        "task_id": task["id"],
        "image": 0,
        "database": "default",
        "databases": [{"arguments": {"a": 1}, "label": "default"}, {"label": "other"}],
        "study_id": study_id,
        "store_id": store_id,
    }


def test_a_container_speaks_as_its_node_does(call, world):
    """What it was seen to be, or what its token says."""

    def dialect(who):
        body = {"task_id": world.task.running, "image": IMAGE}
        answer = call(who, "POST", "/token/container", json=body)
        return claims(answer.json["container_token"]).get("dialect")

    assert [dialect("north_registry"), dialect("north_registry in 4")] == [None, 4]
    with call.app.app_context():
        generations.note_generation(world.node.north_registry, 4)
        generations.write()
    assert dialect("north_registry") == 4


@pytest.mark.parametrize(
    ("who", "task", "image", "status", "msg"),
    [
        ("north_registry", "none", IMAGE, 400, "Master task does not exist!"),
        ("north_registry", "running", f"{IMAGE}x", 401, "Image and task do no match"),
        ("north_registry", "running", IMAGE.upper(), 401, "Image and task do no match"),
        ("south_trial", "running", IMAGE, 401, "You are not within the collaboration"),
        ("north_registry", "finished", IMAGE, 400, "Task is already finished!"),
        ("north_registry", "failed", IMAGE, 400, "Task is already finished!"),  # its own result
        ("south_registry", "failed", IMAGE, 200, None),  # whose result is still open
        ("viewer", "running", IMAGE, 403, None),
        ("container", "running", IMAGE, 403, None),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_gets_a_token_for_which_task(call, world, who, task, image, status, msg):
    body = {"task_id": getattr(world.task, task, 999), "image": image}
    answer = call(who, "POST", "/token/container", json=body)
    assert answer.status_code == status
    if msg:
        assert answer.json["msg"] == msg


@pytest.mark.parametrize(
    "body", [{}, {"task_id": 1}, {"image": IMAGE}, {"task_id": "x", "image": IMAGE}]
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_request_for_a_container_token_names_task_and_image(call, world, body):
    assert call("north_registry", "POST", "/token/container", json=body).status_code == 400


def test_a_container_token_ends_with_the_task(call, world, stored):
    body = {"task_id": world.task.running, "image": IMAGE}
    token = call("north_registry", "POST", "/token/container", json=body).json["container_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert call(None, "GET", "/task", headers=headers).status_code == 200
    for org in ("north", "south"):
        stored(Result, world.result["running", org], finished_at=db.utcnow())
    assert call(None, "GET", "/task", headers=headers).status_code == 401
