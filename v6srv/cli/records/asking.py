"""The endpoints of 4.x, asked in this process: no port and no token, and the same answers.

Whoever can run a command on the database of an instance is the system: it may do what the policy
that comes with this release lets root, whatever the instance's says. Or it speaks for a user, and
then the policy of the instance decides, as if that user had asked over the network.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from flask import Flask
from sqlalchemy import select

from v6srv import db, passwords
from v6srv.api import bodies, v4
from v6srv.api.converters import Digits
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.decision_log import DecisionLog
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.source.folder import shipped_texts
from v6srv.authz.source.live import PolicyStore
from v6srv.authz.source.load import assemble, parse_files
from v6srv.cli import logs
from v6srv.cli.database import connected, must_exist
from v6srv.cli.records.resources import RESOURCES
from v6srv.dialect import asked
from v6srv.errors import Invalid, NotFound, V6srvError
from v6srv.identity import scripting, tokens
from v6srv.identity.current import speak
from v6srv.identity.seen import Seen
from v6srv.model import Permission, User
from v6srv.service import generations
from v6srv.settings import Settings
from v6srv.vocabulary import V4
from v6srv.wire import errors
from v6srv.wire.json import OrjsonProvider

log = logging.getLogger(__name__)

_BASE = "/v4/api"
_ALL = 2**31 - 1
_MB = 1024 * 1024


class Refused(V6srvError):
    """An endpoint has refused, in its own words."""

    def __init__(self, answer: dict[str, Any]) -> None:
        decision = answer.get("decision_id")
        more = filter(None, (answer.get("reason"), decision and f"decision {decision}"))
        why = ", ".join(more)
        super().__init__(f"{answer['msg']} ({why})" if why else answer["msg"])
        self.status: int = answer["status"]


class Endpoints:
    """What the endpoints answer to one caller."""

    def __init__(self, app: Flask, enter: Callable[[], None], *, is_system: bool) -> None:
        self._app, self._enter, self.is_system = app, enter, is_system
        self._names: dict[str, dict[int, str]] = {}

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The body of an answer. Raises Refused."""
        url = f"{_BASE}/{path}"
        if self.is_system and method != "GET":
            log.info("%s %s by the system, as uid %d", method, url, os.getuid())
        with (
            asked.using(asked.Asked(V4, _BASE)),
            self._app.test_request_context(url, method=method, json=body, query_string=query),
        ):
            self._enter()
            answer = self._app.full_dispatch_request()
            content = self._app.json.loads(answer.get_data())
        if answer.status_code >= 400:
            raise Refused(content)
        return content

    def rows(self, kind: str, limit: int | None = None, **query: Any) -> list[dict[str, Any]]:
        """The rows of a resource that the caller may view, all unless told. Raises Refused."""
        found: list[dict[str, Any]] = self.ask("GET", kind, per_page=limit or _ALL, **query)["data"]
        return found

    def id_of(self, kind: str, name: str) -> int:
        """The id of the row that is called so; a number is an id.

        A rule is called by its words. Raises NotFound, Refused, or Invalid for a name of several.
        """
        if name.isascii() and name.isdecimal():
            return int(name)
        found = [row["id"] for row in self.rows(kind, **_looked_for(kind, name))]
        found = [id for id in found if self.name_of(kind, id) == name]
        if not found:
            raise NotFound(f"There is no {kind} {name!r} that may be seen")
        if len(found) > 1:
            ids = ", ".join(map(str, found))
            raise Invalid(f"Several are called {name!r}: name one by its id, of {ids}")
        return int(found[0])

    def name_of(self, kind: str, id: int) -> str | None:
        """What a row is called; None for one that the caller may not view."""
        if kind not in self._names:
            try:
                self._names[kind] = {row["id"]: _name_in(kind, row) for row in self.rows(kind)}
            except Refused:
                self._names[kind] = {}
        return self._names[kind].get(id)

    def named(self, kind: str, **query: Any) -> list[dict[str, Any]]:
        """Id and name of the rows that a query finds; empty if the caller may view none."""
        try:
            return [
                {"id": row["id"], "name": _name_in(kind, row)} for row in self.rows(kind, **query)
            ]
        except Refused:
            return []

    def roles_of(self, user_id: int) -> list[int]:
        """The ids of all roles of a user: one that the caller does not see is not to be lost."""
        held = select(Permission.c.role_id).where(Permission.c.user_id == user_id)
        try:
            return sorted(db.session.scalars(held))
        finally:
            db.session.remove()

    def generations(self) -> dict[int, int]:
        """Of which generation the programs of nodes are, as far as they have shown it."""
        try:
            return generations.known()
        finally:
            db.session.remove()

    def set_password(self, user_id: int, text: str) -> None:
        """Give a user a new password, as the system alone can. Raises NotFound or Invalid."""
        with db.transaction() as session:
            user = session.get(User, user_id)
            if user is None:
                raise NotFound(f"User id={user_id} is not found!")
            problem = scripting.set_password(user, text)
            if problem is not None:
                raise Invalid(problem)
        log.info("a new password of user %d by the system, as uid %d", user_id, os.getuid())


@contextmanager
def opened(settings: Settings, username: str | None, *, writes: bool) -> Iterator[Endpoints]:
    """The endpoints of an instance, for a user or the system. Raises NotFound for no such user."""
    must_exist(settings.uri)
    with connected(settings.uri):
        authz, enter = _as_user(settings, username) if username else _as_system()
        db.session.remove()
        app = _application(settings, authz)
        if writes:
            from v6srv.api import kill, recover  # logging in is most of it, and takes its time

            _register(app, kill, recover)
            quiet = settings.logging.model_copy(update={"use_console": False})
            logs.configure(settings.model_copy(update={"logging": quiet}))
            passwords.configure(settings.password_rounds)
            tokens.init_app(app, settings)
        yield Endpoints(app, enter, is_system=username is None)


def _looked_for(kind: str, name: str) -> dict[str, str]:
    """The filters that find at least what has this name."""
    if kind != "rule":
        return {RESOURCES[kind].name: name}
    resource, _, rest = name.partition(":")
    return dict(
        zip(("name", "scope", "operation"), (resource, *rest.upper().split(":")), strict=False)
    )


def _name_in(kind: str, row: dict[str, Any]) -> str:
    if kind == "rule":
        return f"{row['name']}:{row['scope']}:{row['operation']}".lower()
    return str(row[RESOURCES[kind].name])


class _Shipped:
    """The policy of this release alone: neither files nor lines of the instance."""

    shadow: Enforcer | None = None

    def __init__(self) -> None:
        definition, lines, problems = parse_files(shipped_texts())
        self.live = assemble(definition, lines, (), 0, problems)

    def follow(self, _revision: int) -> Enforcer:
        return self.live


def _as_system() -> tuple[Authorizer, Callable[[], None]]:
    return Authorizer(_Shipped()), partial(speak, scripting.NO_TOKEN, scripting.SYSTEM)


def _as_user(settings: Settings, username: str) -> tuple[Authorizer, Callable[[], None]]:
    user = db.session.scalars(select(User).where(User.username == username)).one_or_none()
    if user is None:
        raise NotFound(f"There is no user {username!r}")
    claims = scripting.claims_of(user)
    authz = Authorizer(PolicyStore(settings.policies), DecisionLog.of(settings))
    return authz, partial(speak, claims)


def _application(settings: Settings, authz: Authorizer) -> Flask:
    app = Flask("v6srv")
    app.url_map.converters["int"] = Digits
    app.json = OrjsonProvider(app)
    most = settings.max_body_mb * _MB
    app.config.update(SETTINGS=settings, MAX_CONTENT_LENGTH=most, MAX_PER_PAGE=_ALL)
    turns = bodies.Turns(settings.http.bodies_at_once_mb * _MB)
    app.extensions.update(authz=authz, seen=Seen(), turns=turns)
    app.teardown_appcontext(lambda _error: db.session.remove())
    errors.register(app)
    _register(app, *v4.RESOURCES)
    return app


def _register(app: Flask, *modules: ModuleType) -> None:
    for module in modules:
        app.register_blueprint(module.blp, url_prefix=_BASE)
