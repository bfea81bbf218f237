"""What the fixtures of conftest.py are made of; modules with wider fixtures use it directly."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from flask import Flask
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from tests import once
from tests.databases import Databases
from tests.world import World
from v6srv import db, problems
from v6srv.app import create_app
from v6srv.db import Base
from v6srv.engine import outages
from v6srv.identity import mail_delivery, tokens
from v6srv.model import Account, Node, Task, User
from v6srv.service import generations
from v6srv.settings import Settings
from v6srv.vocabulary import V3


def make_app(settings: Settings) -> Flask:
    """As `create_app`, with what applications of tests have in common."""
    with once.making_applications():
        return create_app(settings)


@contextmanager
def open_app(
    databases: Databases, backend: str, with_world: bool, **settings: Any
) -> Iterator[tuple[Flask, World | None]]:
    """An application on a database of its own, and its world if one is wanted.

    One at a time in a process: the session is bound to one database.
    """
    uri, world = databases.copy(backend, with_world)
    application = make_app(databases.settings(uri, **settings))
    application.testing = True
    application.config["PROPAGATE_EXCEPTIONS"] = False
    yield application, world
    engine = db.session.get_bind()
    db.session.remove()
    engine.dispose()
    databases.drop(uri)


def without_ids(answer: TestResponse) -> Any:
    """The body of an answer without what is its own, whatever it was about: the ids."""
    own = ("decision_id", "request_id")
    return {name: value for name, value in answer.json.items() if name not in own}


class Caller:
    """Sends requests as somebody: see `__call__`."""

    def __init__(self, app: Flask, base: str | None = None) -> None:
        """`base`: below which path, that of the settings if not given."""
        self.app = app
        self.base = base or app.config["SETTINGS"].api_path
        self.client = app.test_client()
        self._tokens: dict[str, str] = {}

    def __call__(
        self,
        who: str | None,
        method: str,
        path: str,
        json: Any = None,
        query: Any = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> TestResponse:
        """The answer to a request.

        `who` is None (no token), a user name, a node name, or `world.container(...)`; "container"
        is the container of the task `running` at node `north_registry`. `path` is without the base
        path; `more` goes to werkzeug's test client (`data`, `content_type`).
        """
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {self.token(who)}"
        if json is not None:
            more["json"] = json
        answer = self.client.open(
            self.base + path, method=method, query_string=query, headers=sent, **more
        )
        with self.app.app_context():  # as the loop of a server does, within a second
            self.app.extensions["seen"].write()
            generations.write()
        return answer

    def token(self, who: str) -> str:
        """An access token, made without the work of a login; that of `viewer in 4` is of 4.x."""
        if who not in self._tokens:
            with self.app.app_context():
                self._tokens[who] = _issue(who)
        return self._tokens[who]


def _issue(who: str) -> str:
    who, _, number = who.partition(" in ")
    dialect = int(number or V3)
    if who == "container":
        who = "container:running@north_registry"
    found = re.fullmatch(r"container:(\w+)@(\w+)", who)
    if found is None:
        account = db.session.scalars(select(User).where(User.username == who)).one_or_none()
        return tokens.issue_pair(account or _node(who), dialect=dialect)[0]
    node = _node(found[2])
    task = db.session.scalars(select(Task).where(Task.name == found[1])).one()
    container = {
        "node_id": node.id,
        "organization_id": node.organization_id,
        "collaboration_id": node.collaboration_id,
        "task_id": task.id,
        "image": task.image,
        "database": task.database,
    }
    return tokens.issue_container_token(container, node.token_version, dialect)


def _node(name: str) -> Account:
    return db.session.scalars(select(Node).where(Node.name == name)).one()


def send_mails(app: Flask) -> None:
    """Send the mails that are due, as a loop of the server does."""
    with app.app_context():
        mail_delivery.send_due()


@contextmanager
def counting() -> Iterator[list[str]]:
    """The SQL statements that are sent while the block runs, without begin and commit."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    engine = db.session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def counting_commits() -> Iterator[list[None]]:
    """One entry for each transaction that is committed while the block runs."""
    commits: list[None] = []

    def note(_connection: Any) -> None:
        commits.append(None)

    engine = db.session.get_bind()
    event.listen(engine, "commit", note)
    try:
        yield commits
    finally:
        event.remove(engine, "commit", note)


@contextmanager
def database_away() -> Iterator[None]:
    """Every statement of the application fails, as when the database has gone."""

    def fail(cursor: Any, *_: Any) -> None:
        raise engines[0].dialect.loaded_dbapi.OperationalError("gone")

    assert db._probe is not None
    engines = (db.session.get_bind(), db._probe.engine)
    assert db.answers()  # it has been connected once: what fails is an ordinary statement
    for engine in engines:
        event.listen(engine, "do_execute", fail)
    try:
        yield
    finally:
        for engine in engines:
            event.remove(engine, "do_execute", fail)
        outages._failed_at.clear()  # the next test must not see it
        problems.end(outages.AWAY.text)


def store(table: str, id: int, **values: Any) -> None:
    """Change a row past all rules, as an older release or a hand has done it."""
    changed = Base.metadata.tables[table]
    db.session.execute(changed.update().where(changed.c.id == id).values(values))
    db.session.commit()
    db.session.remove()


def database_digest() -> dict[str, str]:
    """A digest of the rows of each table of the current database, as its driver gives them.

    Leaves out when accounts were last seen, which every request may write.
    """
    digests = {}
    with db.session.get_bind().connect() as connection:
        cursor = connection.connection.cursor()
        for name, statement in _all_rows(connection.dialect.name).items():
            cursor.execute(statement)
            digests[name] = hashlib.sha256(repr(cursor.fetchall()).encode()).hexdigest()
        cursor.close()
    return digests


@cache
def _all_rows(_dialect: str) -> dict[str, str]:
    """A statement for each table: asked thousands of times."""
    return {
        table.name: str(
            select(*(column for column in table.c if column.name != "last_seen"))
            .order_by(*table.primary_key)
            .compile(db.session.get_bind())
        )
        for table in Base.metadata.sorted_tables
    }
