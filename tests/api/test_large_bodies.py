"""Large inputs and results: exact, bounded in memory, and no matter for who is not known."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from tests.support import Caller
from tests.world import IMAGE, World
from v6srv import db
from v6srv.api import bodies, caller
from v6srv.api.bodies import LARGE, Turns
from v6srv.errors import Unavailable

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

TEXT = "QUJD\u00e4\u20ac\U0001f600" * (2 * LARGE // 7)
"""With characters of every width."""


def test_a_large_result_and_input_come_back_as_they_were(app: Flask, world: World) -> None:
    call = Caller(app)
    path = f"/result/{world.result['running', 'north']}"
    answer = call("north_registry", "PATCH", path, json={"result": TEXT, "log": TEXT})
    assert (answer.status_code, answer.json["result"] == TEXT) == (200, True)
    read = call("researcher", "GET", path)
    assert int(read.headers["Content-Length"]) == len(read.data)
    assert "Transfer-Encoding" not in read.headers
    assert read.json["result"] == read.json["log"] == TEXT
    task = {
        "name": "large",
        "image": IMAGE,
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.south, "input": TEXT}],
    }
    made = call("researcher", "POST", "/task", json=task)
    assert made.status_code == 201, made.text[:200]
    [found] = call("south_registry", "GET", f"/task/{made.json['id']}/result").json
    assert found["input"] == TEXT


@SQLITE
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_beyond_the_setting_is_refused_and_changes_nothing(
    app: Flask, world: World, is_chunked: bool
) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 2 * LARGE
    call, path = Caller(app), f"/result/{world.result['running', 'north']}"
    before = call("researcher", "GET", path).json
    more: dict[str, Any] = {"environ_overrides": {"wsgi.input_terminated": is_chunked}}
    if is_chunked:
        more["headers"] = {"Content-Length": ""}
    answer = call("north_registry", "PATCH", path, json={"result": "x" * 2 * LARGE}, **more)
    assert answer.status_code == 413
    assert isinstance(answer.json["msg"], str)
    assert call("researcher", "GET", path).json == before


@SQLITE
def test_who_is_not_known_sends_nothing_large(app: Flask, world: World) -> None:
    call = Caller(app)
    body = {"username": "root", "password": "x" * LARGE}
    assert call(None, "POST", "/token/user", json=body).status_code == 413
    path = f"/result/{world.result['running', 'north']}"
    assert call(None, "PATCH", path, json={"result": TEXT}).status_code == 401


@SQLITE
@pytest.mark.parametrize("text", ["\x00", "a\ud800", TEXT + "\x00", TEXT + "\udfff"])
def test_what_cannot_be_stored_is_found_in_a_large_text(
    app: Flask, world: World, text: str
) -> None:
    path = f"/result/{world.result['running', 'north']}"
    sent = {"data": json.dumps({"result": text}), "content_type": "application/json"}
    assert Caller(app)("north_registry", "PATCH", path, **sent).status_code == 400


@SQLITE
def test_only_so_many_are_worked_on_at_once(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones do not wait for them."""
    app.extensions["turns"] = turns = Turns(5 * LARGE)
    token = Caller(app).token("north_registry")
    at_work, most, statuses = [0], [0], []

    def count() -> bool:
        at_work[0] += 1
        most.append(at_work[0])
        time.sleep(0.05)
        at_work[0] -= 1
        return False

    def send(text: str) -> None:
        path = f"/api/result/{world.result['running', 'north']}"
        headers = {"Authorization": f"Bearer {token}"}
        with app.test_client() as client:
            body = {"log": "a line", "unknown": text}
            statuses.append(client.patch(path, json=body, headers=headers).status_code)

    monkeypatch.setattr(caller, "has_gone", count)
    threads = [threading.Thread(target=send, args=("x" * 2 * LARGE,)) for _ in range(6)]
    with turns.of(5 * LARGE):
        for thread in threads:
            thread.start()
        send("small")
        assert (statuses, most) == ([200], [0])
    for thread in threads:
        thread.join()
    assert statuses == [200] * 7
    assert max(most) <= 2
    assert len(most) == 7


@pytest.fixture
def turns() -> Turns:
    return Turns(10)


def test_turns_are_in_order_and_never_more_than_there_is(turns: Turns) -> None:
    order: list[int] = []
    inside: list[int] = []
    sizes = [6, 6, 4, 100, 1, 1]
    most: list[int] = []

    def work(number: int) -> None:
        with turns.of(sizes[number]):
            order.append(number)
            inside.append(min(sizes[number], 10))
            most.append(sum(inside))
            time.sleep(0.02)
            inside.remove(min(sizes[number], 10))

    with turns.of(10):
        threads = []
        for number in range(len(sizes)):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert max(most) <= 10
    assert order[0] == 0
    assert order.index(3) > order.index(2)


def test_who_waits_too_long_is_told_and_keeps_nobody(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "WAIT_S", 0.01)
    with turns.of(8):
        with pytest.raises(Unavailable), turns.of(4):
            pass
        with turns.of(2):
            pass
    with turns.of(10):
        pass


@pytest.fixture
def closed(app: Flask) -> Iterator[list[Any]]:
    """Connections that were not used again."""
    found: list[Any] = []
    engine = db.session.get_bind()
    event.listen(engine, "invalidate", lambda connection, *_: found.append(connection))
    return found


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_connection_that_something_large_passed_is_not_kept(
    app: Flask, world: World, closed: list[Any]
) -> None:
    """Its driver would keep the memory."""
    call, path = Caller(app), f"/result/{world.result['running', 'north']}"
    call("north_registry", "PATCH", path, json={"result": "small"})
    assert closed == []
    call("north_registry", "PATCH", path, json={"result": TEXT})
    assert len(closed) == 1
    call("researcher", "GET", path)
    assert len(closed) == 2
    assert call("researcher", "GET", f"/task/{world.task.waiting}").status_code in (200, 403)
    assert len(closed) == 2
