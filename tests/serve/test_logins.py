"""Logging in at the real server, beside everything else that it does."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import requests

from tests.live import ROOT_PASSWORD, LiveServer, live_server

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


def workers(server: LiveServer) -> str:
    """The processes that answer."""
    pid = server.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


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
    with live_server(**LIMITS, V6SRV_HASH_QUEUE="5") as server, looking(server) as done:

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


def test_wrong_node_keys_and_ten_nodes_of_a_3x_server_keep_nobody_from_logging_in() -> None:
    with live_server(**LIMITS) as server:
        with closing(sqlite3.connect(server.instance / "v6srv.sqlite")) as database, database:
            for number in range(10):
                row = database.execute("INSERT INTO authenticatable (type) VALUES ('node')")
                stored = f"$2b$12${number}{'.' * 52}"
                node = (row.lastrowid, f"old {number}", stored)
                database.execute("INSERT INTO node (id, name, api_key) VALUES (?, ?, ?)", node)
        with looking(server) as done:

            def log_in(number: int) -> requests.Response:
                body = {"api_key": f"wrong {number}"}
                return requests.post(f"{server.api}/token/node", json=body, timeout=60)

            def people(_number: int) -> requests.Response:
                body = {"username": "root", "password": ROOT_PASSWORD}
                return requests.post(f"{server.api}/token/user", json=body, timeout=60)

            with ThreadPoolExecutor(1) as other:
                keys = other.submit(at_once, 12, [], log_in)
                people_in = [at_once(1, done, people)[0].status_code for _ in range(3)]
                answers = keys.result(120)
            # Not wrong yet: there are nine more nodes that it could belong to.
            assert {answer.status_code for answer in answers} == {503}
            for answer in answers:
                assert int(answer.headers["Retry-After"]) > 0
            assert people_in == [200] * 3
            assert min(cheap_between(done, 200)) >= 1, done


def test_six_writers_and_eight_wrong_logins_for_one_name() -> None:
    """The last of them locks the account, and one more sends a mail about it, in a transaction."""
    with live_server(**LIMITS) as server:
        headers, before = server.login(), workers(server)
        over = threading.Event()
        written: list[int] = []

        def write(number: int) -> None:
            made = requests.post(
                f"{server.api}/organization",
                json={"name": f"organization {number}"},
                headers=headers,
                timeout=60,
            )
            path = f"{server.api}/organization/{made.json()['id']}"
            while not over.is_set():
                body = {"address1": f"street {len(written)}"}
                answer = requests.patch(path, json=body, headers=headers, timeout=60)
                written.append(answer.status_code)

        with ThreadPoolExecutor(6) as writers, looking(server) as done:
            writing = [writers.submit(write, number) for number in range(6)]

            def log_in(number: int) -> requests.Response:
                body = {"username": "root", "password": f"Wr0ng-Pass!{number}"}
                return requests.post(f"{server.api}/token/user", json=body, timeout=60)

            try:
                answers = at_once(8, done, log_in)
            finally:
                over.set()
            for one in writing:
                one.result(60)
        assert [answer.status_code for answer in answers] == [401] * 8
        assert set(written) == {200}
        assert min(cheap_between(done, 401)) >= 1, done
        assert "is locked out for" in server.tail()
        assert workers(server) == before
