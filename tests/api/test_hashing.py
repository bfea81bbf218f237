"""Hashing takes a quarter of a second: what a request must not hold meanwhile, and when it ends."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore

import bcrypt
import pytest

from tests.support import Caller, open_app
from tests.unit.test_hash_pool import wait_for
from tests.world import PASSWORD
from v6srv import db, passwords
from v6srv.model import Node

WRONG = "Wr0ng-Pass!"
NEW_USER = {
    "username": "nina",
    "password": PASSWORD,
    "firstname": "Nina",
    "lastname": "North",
    "email": "nina@north.example",
}


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status"),
    [
        (None, "POST", "/token/user", {"username": "viewer", "password": WRONG}, 401),
        (None, "POST", "/token/user", {"username": "stranger", "password": WRONG}, 401),
        (None, "POST", "/recover/2fa/lost", {"username": "viewer", "password": PASSWORD}, 200),
        (None, "POST", "/token/node", {"api_key": "a key of nobody"}, None),
        ("root", "POST", "/user", NEW_USER, 201),
        (
            "viewer",
            "PATCH",
            "/password/change",
            {"current_password": PASSWORD, "new_password": "N3w-Password!"},
            200,
        ),
    ],
)
def test_no_connection_to_the_database_is_held_while_a_password_is_hashed(
    app, call, world, monkeypatch, who, method, path, body, status
):
    with app.app_context(), db.writing():
        node = db.session.get(Node, world.node.south_trial)
        node.key_digest, node.api_key = None, passwords.hash_password("the key of a 3.x server")
        db.session.commit()
    held = []
    engine = db.session.get_bind()
    for name in ("checkpw", "hashpw"):
        work = getattr(bcrypt, name)

        def looking(*given, work=work):
            held.append(engine.pool.checkedout())
            return work(*given)

        monkeypatch.setattr(bcrypt, name, looking)
    answer = call(who, method, path, json=body)
    if status is not None:
        assert answer.status_code == status, answer.json
    assert held
    assert set(held) == {0}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_beyond_the_queue_the_answer_is_503_and_says_when_to_come_back(
    backend, databases, monkeypatch
):
    begun, release = Semaphore(0), Event()
    compare = bcrypt.checkpw

    def slow(*given):
        begun.release()
        assert release.wait(20)
        return compare(*given)

    def log_in(_number=0):
        body = {"username": "viewer", "password": PASSWORD}
        return Caller(app)(None, "POST", "/token/user", json=body)

    limits = {"hash_threads": 1, "hash_queue": 2}
    with open_app(databases, backend, True, **limits) as (app, _world):
        monkeypatch.setattr(bcrypt, "checkpw", slow)
        with ThreadPoolExecutor(3) as callers:
            inside = [callers.submit(log_in) for _ in range(3)]
            assert begun.acquire(timeout=20)
            wait_for(passwords._how["pool"], 3)
            answer = log_in()
            assert answer.status_code == 503
            assert answer.json["msg"].startswith("Too many log in at this moment")
            assert int(answer.headers["Retry-After"]) > 0
            assert Caller(app)(None, "GET", "/version").status_code == 200
            release.set()
            assert [one.result(20).status_code for one in inside] == [200] * 3
        assert log_in().status_code == 200
