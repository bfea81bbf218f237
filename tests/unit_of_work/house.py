"""A server that random requests are sent to, and what is learned from its answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.wrappers import Response

from tests.databases import Databases
from tests.support import open_app
from tests.unit_of_work.changes import difference
from tests.unit_of_work.complete import Unclear, reasons
from tests.unit_of_work.lines import Policy
from tests.unit_of_work.random_lines import LineMaker
from tests.unit_of_work.requests import RequestMaker
from tests.unit_of_work.sockets import emit, sid_of
from tests.unit_of_work.sound import Judge, Request
from tests.unit_of_work.state import Reader, State, Who, caller
from v6srv import db
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.identity import sessions, tokens
from v6srv.model import Account, CasbinRule, Node, Task, User
from v6srv.service import presence

_LOCK_OUT = {"failed_login_attempts", "last_login_attempt", "blocked_mail_at", "wrong_codes"}


class Unsound(AssertionError):
    """Something was stored that nothing allows."""


class Incomplete(AssertionError):
    """Something was refused that nothing forbids."""


@dataclass
class Seen:
    """What there was to learn from."""

    changed: Counter[str] = field(default_factory=Counter)
    """Requests that changed something, by route."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were refused for a reason that the oracle knows, by route."""
    unclear: Counter[str] = field(default_factory=Counter)
    """Refusals of which the oracle cannot tell the reason, by route."""
    other: Counter[int] = field(default_factory=Counter)
    """Answers of another status, by status."""
    lines: Counter[bool] = field(default_factory=Counter)
    """Random lines, by whether they count."""


@contextmanager
def house(databases: Databases, backend: str, chance: random.Random) -> Iterator[House]:
    """A server with a world and a random policy of its own."""
    with open_app(databases, backend, with_world=True) as (app, _world):
        made = House(app, chance)
        made.add_lines()
        made.log_in()
        yield made


class House:
    """A server, its database and its policy."""

    def __init__(self, app: Flask, chance: random.Random) -> None:
        self.app, self.chance = app, chance
        self.reader = Reader(db.session.get_bind())
        self.client = app.test_client()
        self.folder = app.config["SETTINGS"].policies

    def add_lines(self) -> None:
        """A random policy, stored past the server."""
        lines = LineMaker(self.chance, self.reader.read()).policy()
        with self.app.app_context(), db.transaction():
            for ptype, *values in lines:
                columns = {f"v{number}": value for number, value in enumerate(values)}
                db.session.add(CasbinRule(ptype=ptype, **columns))

    def log_in(self) -> None:
        """Everybody, three times, and with a socket."""
        with self.app.app_context(), as_server(ServerWrite.COMMAND), db.transaction():
            for user in db.session.scalars(select(User)).all() * 3:
                sessions.begin(user, 3)
            everybody = db.session.scalars(select(Account.id)).all()
        presence.connected({sid_of(id): id for id in everybody})

    def explore(self, requests: int, seen: Seen, heed: type[AssertionError]) -> None:
        """Send random requests and judge the answers. Raises what is wrong, of what is heeded."""
        state = self.reader.read()
        for number in range(requests):
            maker = RequestMaker(self.chance, state, number, seen.changed)
            request = maker.make()
            who = caller(state, *request.who)
            answer = self.send(request)
            before, state = state, self.reader.read()
            policy = Policy.of(self.folder, before, self._live())
            if number == 0:
                live = self._live()
                seen.lines.update(id in live for id in before.ids("policy"))
            try:
                judge(Case(request, who, policy, before, state, answer), seen)
            except AssertionError as error:
                if isinstance(error, heed):
                    raise

    def send(self, request: Request) -> Response:
        """The answer of the server."""
        with self.app.app_context():
            token = _token(*request.who)
        if request.method == "EMIT":
            return emit(self.app, request.route, token, request.body)
        return self.client.open(
            f"/api{request.path}",
            method=request.method,
            json=request.body,
            query_string=request.query,
            headers={"Authorization": f"Bearer {token}"},
        )

    def _live(self) -> set[int]:
        """The ids of lines in the database that the last request was decided by."""
        origins = (line.origin for line in self.app.extensions["authz"].policy.lines)
        added = (origin for origin in origins if origin.startswith("db:casbin_rule:"))
        return {int(origin.rpartition(":")[2]) for origin in added}


def _token(kind: str, account: int, task: int | None) -> str:
    """An access token that was issued just now."""
    if kind == "user":
        return tokens.issue_pair(db.session.get_one(User, account))[0]
    node = db.session.get_one(Node, account)
    if task is None:
        return tokens.issue_pair(node)[0]
    container: dict[str, Any] = {
        "node_id": account,
        "organization_id": node.organization_id,
        "collaboration_id": node.collaboration_id,
        "task_id": task,
        "image": db.session.get_one(Task, task).image,
        "database": "default",
    }
    return tokens.issue_container_token(container, node.token_version)


@dataclass(frozen=True)
class Case:
    """A request, its answer, and what it did."""

    request: Request
    who: Who
    policy: Policy
    before: State
    after: State
    answer: Response

    def __str__(self) -> str:
        status, body = self.answer.status_code, self.answer.get_data(as_text=True)[:300]
        return f"{self.who}\n{self.request}\n{status} {body}"


def judge(case: Case, seen: Seen) -> None:
    """Hold an answer against the oracle. Raises Unsound and Incomplete."""
    status, request = case.answer.status_code, case.request
    assert status < 500, case
    if status < 400:
        found = Judge(case.policy, case.who, request, case.before, case.after).refusals()
        if found:
            raise Unsound(f"nobody may: {'; '.join(found)}\n{case}")
        seen.changed[request.route] += bool(difference(case.before, case.after))
        return
    if left := difference(
        _without_lock_out(case, case.before), _without_lock_out(case, case.after)
    ):
        raise Unsound(f"refused, and {left} differ\n{case}")
    if status != 403:
        seen.other[status] += 1
        return
    try:
        why = reasons(request, case.who, case.policy, case.before)
    except Unclear:
        seen.unclear[request.route] += 1
        return
    if not why:
        raise Incomplete(f"refused, and nothing is wrong with it\n{case}")
    seen.refused[request.route] += 1


def _without_lock_out(case: Case, state: State) -> State:
    """Wrong passwords are counted (ServerWrite.LOGIN), of the account that they were for."""
    if case.request.route != "PATCH /password/change":
        return state
    state = state.copy()
    row = state.tables["user"].get((case.who.account,), {})
    row |= dict.fromkeys(_LOCK_OUT)
    return state
