"""While files change under requests and sockets, no decision fails and none is wrong.

The files go bad, and good again in two ways that both allow and deny the same to everybody who
asks; a wrong or failed answer during a change would be seen.
"""

import threading
from collections import Counter
from pathlib import Path

import pytest
import requests
from flask import Flask

from tests.databases import Databases
from tests.policy_edits import take_up
from tests.realtime.conftest import Audience, serving
from tests.support import Caller, open_app
from v6srv.authz.source.live import PolicyStore
from v6srv.service import setup

QUESTIONS = (
    ("viewer", "/task", 200),
    ("viewer", "/port", 403),
    ("nobody", "/task", 403),
    ("root", "/port", 200),
    ("org_admin", "/organization", 200),
    ("north_registry", "/task", 200),
)
BAD = (
    "p, role:viewer, prot, global, view, True, deny\n",
    "p, role:viewer, port, global, view, r.obj.nothing == 1, deny\n",
    "p, role:viewer, port\n",
    "g, role:viewer, role:viewer\n",
    "p, kind:user, *, global, *, True, allow\n",
    "p, role:root, *, global, *, True, deny\n",
)
GOOD = (
    "p, role:viewer, port, global, view, True, deny\n",
    "# the same in other words\np, role:viewer, port, global, *, True, deny\n",
)
CHANGES = 2 * len(BAD)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
def test_no_decision_is_wrong_while_files_change(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    local = folder / "local.csv"
    local.write_text(GOOD[0])
    with (
        open_app(databases, backend, True, policies=folder) as (app, world),
        serving(app) as url,
    ):
        call = Caller(app)
        audience = Audience(url, call.token)
        try:
            hearing, deaf = audience("collab_admin"), audience("nobody")
            wrong, answers = _answers_while(url, call, lambda: _change(app, local))
            assert wrong == Counter()
            assert answers > 100
            before = len(hearing.named("status_update"))
            path = f"/result/{world.result['running', 'north']}"
            assert (
                call("north_registry", "PATCH", path, json={"status": "active"}).status_code == 200
            )
            hearing.wait("status_update")
            assert before == 0
            assert deaf.named("status_update") == []
            assert hearing.client.connected
            assert [text for text in hearing.named("message") if "left" in str(text)] == []
        finally:
            audience.close()


def _change(app: Flask, local: Path) -> None:
    """Bad, good, bad ... each taken up, or refused, before the next."""
    store: PolicyStore = app.extensions["authz"].store
    with app.app_context():  # at its end what was read of the database is let go
        for turn in range(CHANGES):
            local.write_text(BAD[turn % len(BAD)])
            live = store.live
            assert not take_up(store)
            assert store.live.version == live.version  # a request may have made it once more
            assert store.problems
            local.write_text(GOOD[turn % len(GOOD)])
            assert take_up(store)
            assert store.problems == ()


def _answers_while(url: str, call: Caller, change: object) -> tuple[Counter[str], int]:
    """Ask from one thread per question until `change` is done; what was wrong, and how many."""
    done, wrong, counts = threading.Event(), Counter[str](), Counter[int]()

    def ask(number: int, who: str, path: str, status: int) -> None:
        headers = {"Authorization": f"Bearer {call.token(who)}"}
        with requests.Session() as http:
            while not done.wait(0.01):  # the policies are made by the same processor
                answer = http.get(f"{url}/api{path}", headers=headers, timeout=30)
                counts[number] += 1
                if answer.status_code != status:
                    wrong[f"{who} {path}: {answer.status_code} {answer.text[:200]}"] += 1

    for who, _, _ in QUESTIONS:
        call.token(who)
    threads = [
        threading.Thread(target=ask, args=(number, *question))
        for number, question in enumerate(QUESTIONS)
    ]
    for thread in threads:
        thread.start()
    try:
        change()  # type: ignore[operator]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    return wrong, sum(counts.values())
