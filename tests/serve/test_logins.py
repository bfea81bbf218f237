"""Logging in at the real server, beside everything else that it does."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import requests

from tests.live import LiveServer, live_server

SERVE = ("-m", "v6srv", "serve")
LIMITS = {"V6SRV_PASSWORD_ROUNDS": "12", "V6SRV_HASH_THREADS": "1"}
"""The cost of production: a quarter of a second of computing for each hash."""

Done = list[tuple[str, int]]


@contextmanager
def looking(server: LiveServer) -> Iterator[Done]:
    """Ask for something cheap all the time; what was answered, in this order."""
    done: Done = []
    over = threading.Event()

    def look() -> None:
        with requests.Session() as http:
            while not over.is_set():
                done.append(("cheap", http.get(f"{server.api}/version", timeout=20).status_code))
                time.sleep(0.01)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join(30)
    assert {status for what, status in done if what == "cheap"} == {200}
    assert "WORKER TIMEOUT" not in server.tail()


def at_once(
    number: int, done: Done, ask: Callable[[int], requests.Response]
) -> list[requests.Response]:
    """The answers to so many logins that begin together."""

    def noted(one: int) -> requests.Response:
        answer = ask(one)
        done.append(("login", answer.status_code))
        return answer

    with ThreadPoolExecutor(number) as callers:
        return list(callers.map(noted, range(number)))


def cheap_between(done: Done, *statuses: int) -> list[int]:
    """How many cheap requests were answered between any two logins with these answers."""
    places = [place for place, (what, status) in enumerate(done) if what == "login"]
    places = [place for place in places if done[place][1] in statuses]
    return [[what for what, _ in done[one:other]].count("cheap") for one, other in pairwise(places)]


def test_many_wrong_logins_do_not_keep_others_from_being_answered() -> None:
    with live_server(*SERVE, **LIMITS, V6SRV_HASH_QUEUE="5") as server, looking(server) as done:

        def log_in(number: int) -> requests.Response:
            body = {"username": f"stranger {number}", "password": "Wr0ng-Pass!"}
            return requests.post(f"{server.api}/token/user", json=body, timeout=60)

        answers = at_once(16, done, log_in)
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {401, 503}
        assert len(answers) - len(refused) >= 6  # one at work and five in the queue
        for answer in refused:
            assert int(answer.headers["Retry-After"]) > 0
            assert isinstance(answer.json()["msg"], str)
        # Hashes came one after the other, and between any two of them others had their turn.
        assert min(cheap_between(done, 401)) >= 1, done


def test_wrong_node_keys_cost_one_hash_each_however_many_nodes_a_3x_server_had() -> None:
    with live_server(*SERVE, **LIMITS) as server:
        with sqlite3.connect(server.instance / "v6srv.sqlite") as database:
            for number in range(10):
                row = database.execute("INSERT INTO authenticatable (type) VALUES ('node')")
                stored = f"$2b$12${number}{'.' * 52}"
                node = (row.lastrowid, f"old {number}", stored)
                database.execute("INSERT INTO node (id, name, api_key) VALUES (?, ?, ?)", node)
        with looking(server) as done:

            def log_in(number: int) -> requests.Response:
                body = {"api_key": f"wrong {number}"}
                return requests.post(f"{server.api}/token/node", json=body, timeout=60)

            answers = at_once(12, done, log_in)
            # Not wrong yet: there are nine more nodes that it could belong to.
            assert {answer.status_code for answer in answers} == {503}
            for answer in answers:
                assert int(answer.headers["Retry-After"]) > 0
            assert min(cheap_between(done, 503)) >= 1, done
