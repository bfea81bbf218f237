"""What strangers, partners and admins can hand to the server, as functions of bytes.

Each takes whatever a fuzzer makes and raises only where the server does something that it never
may: a mistake of its own, a 5xx, an answer that is not what clients read.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask_socketio import SocketIOTestClient

from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import World
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.source.folder import read_files
from v6srv.authz.source.load import assemble, parse_files
from v6srv.authz.source.problems import PolicyError
from v6srv.errors import V6srvError
from v6srv.identity import principals, signing, tokens
from v6srv.wire.errors import STATUSES

Target = Callable[[bytes], None]

POLICIES = Path(__file__).parents[2] / "policies"
MODEL = (POLICIES / "model.conf").read_text()
FEW_LINES = """g2, global, collaboration
g2, collaboration, organization
g2, organization, own_organization
g2, own_organization, own
g, kind:user, role:everyone
p, role:root, *, global, *, True, allow
"""
FRESH_AFTER = 2_000
"""Inputs that change the database, until it is made anew."""


def policy_file(data: bytes) -> None:
    """A file of lines beside a model and a few that are good."""
    _policy({"model.conf": MODEL, "few.csv": FEW_LINES}, "local.csv", data)


def model_file(data: bytes) -> None:
    """A model, with the lines of the default policies that need no other one."""
    _policy({"few.csv": FEW_LINES}, "model.conf", data)


def _policy(others: Mapping[str, str], name: str, data: bytes) -> None:
    """It is refused with problems that say where, or it can be asked."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        try:
            texts = {**others, **read_files(Path(folder))}
            definition, lines, problems = parse_files(texts)
            enforcer = assemble(definition, lines, (), 0, problems)
        except PolicyError as error:
            _say_where(error)
            return
    assert isinstance(enforcer, Enforcer)
    assert all(isinstance(line, list) for line in enforcer.get_policy())


def _say_where(error: PolicyError) -> None:
    assert error.problems
    assert all(problem.message and problem.origin for problem in error.problems)


def token(data: bytes) -> None:
    """An `Authorization` header: as it comes, or claims that our own key has signed."""
    app, _ = _server.now()
    text = data.decode(errors="replace")
    with app.app_context():
        try:
            claims = json.loads(text)
        except (ValueError, RecursionError):
            headers = [text, f"Bearer {text}"]
        else:
            if not isinstance(claims, dict):
                return
            try:
                signed = signing.sign(claims)
            except (TypeError, ValueError, OverflowError):
                return  # nobody can sign this
            headers = [f"Bearer {signed}"]
        for header in headers:
            for refresh in (False, True):
                _refused_or(lambda refresh=refresh, header=header: _enter(header, refresh))
            _refused_or(
                lambda header=header: tokens.read_purpose_token(
                    header.removeprefix("Bearer "), tokens.PASSWORD
                )
            )


def _enter(header: str, refresh: bool) -> None:
    principals.load(tokens.read_bearer(header, refresh=refresh))


def _refused_or(do: Callable[[], object]) -> None:
    """It works, or is refused in a way that is the fault of who asks."""
    try:
        do()
    except V6srvError as error:
        _blames_the_caller(error)


def _blames_the_caller(error: V6srvError) -> None:
    status, _ = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    assert status < 500, error


PLACES = (
    *("POST /token/user", "POST /token/node", "POST /token/container", "POST /recover/lost"),
    *("POST /recover/reset", "POST /recover/2fa/lost", "POST /recover/2fa/reset"),
    *("POST /organization", "PATCH /organization/2", "POST /collaboration"),
    *("PATCH /collaboration/1", "POST /collaboration/1/organization", "POST /collaboration/1/node"),
    *("POST /node", "PATCH /node/2", "POST /user", "PATCH /user/8", "PATCH /password/change"),
    *("POST /role", "PATCH /role/8", "POST /task", "PATCH /result/3", "POST /port"),
    *("POST /kill/task", "POST /kill/node/tasks", "POST /policy/line", "POST /policy/decision"),
    *("POST /policy/explain", "POST /policy/question", "POST /vpn/update"),
)
CALLERS = ("second_root", "org_admin", "north_registry", "container")


def body(data: bytes) -> None:
    """The body of a request: the first two bytes say by whom and where, the third in which form."""
    if len(data) < 3:
        return
    app, _ = _server.now()
    who = CALLERS[data[0] % len(CALLERS)]
    method, path = PLACES[data[1] % len(PLACES)].split()
    base = ("/api", "/v4/api")[data[2] % 2]
    call = Caller(app, base)
    answer = call(who, method, path, data=data[3:], content_type="application/json")
    where = f"{who} {method} {base}{path}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500 or answer.status_code == 501, where
    if answer.status_code >= 400:
        assert isinstance(answer.json["msg"], str), where


def packet(data: bytes) -> None:
    """A message on the socket of a node or a user, as the libraries hand it on."""
    app, _ = _server.now()
    who = ("north_registry", "second_root")[data[:1] == b"u"]
    text = data[1:].decode(errors="replace")
    client = _server.socket(who)
    with _no_mistake():
        app.extensions["socketio"].server.eio._trigger_event("message", client.eio_sid, text)
    if not client.is_connected("/tasks"):
        _server.forget(who)


TARGETS: Mapping[str, Target] = {
    "policy_file": policy_file,
    "model_file": model_file,
    "token": token,
    "body": body,
    "packet": packet,
}


class _Server:
    """An application with the world, made anew now and then: what is sent changes it."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._databases: Databases | None = None
        self._opened: tuple[Flask, World] | None = None
        self._sockets: dict[str, Any] = {}
        self._count = 0

    def now(self) -> tuple[Flask, World]:
        self._count += 1
        if self._opened is None or self._count % FRESH_AFTER == 0:
            self.begin_anew()
        assert self._opened is not None
        return self._opened

    def begin_anew(self) -> None:
        self.close()
        if self._databases is None:
            self._databases = Databases(Path(tempfile.mkdtemp(prefix="v6srv-fuzz-")))
        opened = open_app(self._databases, "sqlite", True, login_rate_limit="off")
        app, world = self._open.enter_context(opened)
        assert world is not None
        self._opened = app, world

    def socket(self, who: str) -> Any:
        """A socket of theirs that is connected."""
        assert self._opened is not None
        if who not in self._sockets:
            app, _ = self._opened
            header = {"Authorization": f"Bearer {Caller(app).token(who)}"}
            io = app.extensions["socketio"]
            self._sockets[who] = SocketIOTestClient(app, io, namespace="/tasks", headers=header)
        return self._sockets[who]

    def forget(self, who: str) -> None:
        self._sockets.pop(who, None)

    def close(self) -> None:
        self._sockets.clear()
        self._open.close()
        self._opened = None


_server = _Server()


class _Mistakes(logging.Handler):
    """What the outermost handlers say of errors that nobody expected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        self.said.append(f"{record.getMessage()} {kind} {record.exc_info and record.exc_info[1]}")


@contextmanager
def _no_mistake() -> Iterator[None]:
    heard, root = _Mistakes(), logging.getLogger()
    root.addHandler(heard)
    try:
        yield
    finally:
        root.removeHandler(heard)
    assert not heard.said, heard.said


def end() -> None:
    """Close what targets have opened."""
    _server.close()
    if _server._databases is not None:
        _server._databases.drop_all()
