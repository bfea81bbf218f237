"""Logging in at the real server, beside everything else that it does."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import requests

from tests.live import live_server

SERVE = ("-m", "v6srv", "serve")


def test_many_wrong_logins_do_not_keep_others_from_being_answered() -> None:
    """With the cost of production: each takes a quarter of a second of computing."""
    limits = {"V6SRV_PASSWORD_ROUNDS": "12", "V6SRV_HASH_THREADS": "1", "V6SRV_HASH_QUEUE": "5"}
    with live_server(*SERVE, **limits) as server:
        done: list[tuple[str, int]] = []  # in the order of the answers
        over = threading.Event()

        def look() -> None:
            with requests.Session() as http:
                while not over.is_set():
                    answer = http.get(f"{server.api}/version", timeout=20)
                    done.append(("version", answer.status_code))
                    time.sleep(0.01)

        def log_in(number: int) -> requests.Response:
            answer = requests.post(
                f"{server.api}/token/user",
                json={"username": f"stranger {number}", "password": "Wr0ng-Pass!"},
                timeout=60,
            )
            done.append(("login", answer.status_code))
            return answer

        looking = threading.Thread(target=look)
        looking.start()
        with ThreadPoolExecutor(16) as callers:
            answers = list(callers.map(log_in, range(16)))
        over.set()
        looking.join(30)
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {401, 503}
        assert len(answers) - len(refused) >= 6  # one at work and five in the queue
        for answer in refused:
            assert int(answer.headers["Retry-After"]) > 0
            assert isinstance(answer.json()["msg"], str)
        assert {status for what, status in done if what == "version"} == {200}
        # Six hashes came one after the other; between any two of them others had their turn.
        hashed = [index for index, one in enumerate(done) if one == ("login", 401)]
        between = [
            [what for what, _ in done[one:other]].count("version")
            for one, other in pairwise(hashed)
        ]
        assert min(between) >= 1, done
        assert "WORKER TIMEOUT" not in server.tail()
