"""How an endpoint states its rule. The outermost decorator of every view.

The guard authenticates, asks the policies, opens and ends the transaction, and hands the view only
what the policies allow: a Select already cut, or a row already decided. What the view writes is
decided again before it is stored, whatever it is (`authz.unit_of_work`): no check can be forgotten.

A view gets, of what its guard offers, the keyword arguments that its signature names:

- `who`: the Principal, `authz`: the Authorizer (all guards but `anyone`; all that `whole` and
  `some` have)
- `rows`: AllowedRows (`rows`, `rows_of`)
- `row`: the row that the URL or body names (`one`, `edits`, `deletes`, `rows_of`, `named`), or that
  of the caller (`own`)

What users, nodes and containers may call is what the lines say of them. `closed_to` names kinds
that are refused whatever lines say: only where the contract closes a list and opens its rows.
"""

import inspect
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeVar

from flask import current_app, request
from flask_smorest.utils import deepupdate

from v6srv.api import bodies, caller
from v6srv.authz.authorizer import NOTHING_CHANGED, Authorizer
from v6srv.authz.facts import MODELS
from v6srv.authz.fields import asked_to_change
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import Unit, acting, is_about
from v6srv.db import Base, let_go, reading, something_large, transaction, work_on
from v6srv.errors import Invalid, Unavailable
from v6srv.identity.current import authenticate, claims, take_visits
from v6srv.vocabulary import Operation, PrincipalKind, Resource, Scope

View = TypeVar("View", bound=Callable[..., Any])
Supply = Callable[[Authorizer, Principal, dict[str, Any]], dict[str, Any]]

USERS = frozenset({PrincipalKind.USER})
NODES = frozenset({PrincipalKind.NODE})
CONTAINERS = frozenset({PrincipalKind.CONTAINER})
ALL = USERS | NODES | CONTAINERS
NOBODY: frozenset[PrincipalKind] = frozenset()

_LONG_S = 1.0
"""Who hangs up before may have meant to: what was asked for is done."""
_READS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Rule:
    """What an endpoint asks of its caller; shown in OpenAPI as `x-required-rule`."""

    resource: Resource | None = None
    operation: Operation | None = None
    min_scope: Scope | None = None
    on: str | None = None
    """The table whose row is decided, when it is not the resource's own."""
    reason: str | None = None
    """Why no policy is asked by the guard."""
    callers: frozenset[PrincipalKind] = ALL
    """The kinds that it is open to whatever the lines say; empty: no token is needed."""

    def document(self) -> dict[str, Any]:
        """The rule as OpenAPI extension."""
        shown: dict[str, Any] = {}
        for name in ("resource", "operation", "min_scope", "on", "reason"):
            value = getattr(self, name)
            if value is not None:
                shown[name] = str(value)
        if self.callers != ALL:
            shown["callers"] = sorted(kind.value for kind in self.callers)
        return shown


def authorizer() -> Authorizer:
    """The Authorizer of this application."""
    found: Authorizer = current_app.extensions["authz"]
    return found


def rows(
    resource: Resource,
    operation: Operation = Operation.VIEW,
    *,
    min_scope: Scope | None = None,
    closed_to: frozenset[PrincipalKind] = NOBODY,
) -> Callable[[View], View]:
    """Hand `rows`, what the caller may `operation`. Denied if that is nothing by policy."""

    def supply(authz: Authorizer, who: Principal, _url: dict[str, Any]) -> dict[str, Any]:
        return {"rows": authz.allowed_rows(who, resource, operation, min_scope)}

    rule = Rule(resource, operation, min_scope, callers=ALL - closed_to)
    return _guard(rule, supply)


def one(
    resource: Resource,
    operation: Operation = Operation.VIEW,
    *,
    on: type[Base] | None = None,
    min_scope: Scope | None = None,
    closed_to: frozenset[PrincipalKind] = NOBODY,
    changes: frozenset[str] | None = NOTHING_CHANGED,
    reads: bool = False,
) -> Callable[[View], View]:
    """Hand `row`, the one that the URL's `id` names; `on` is its table, if another.

    `changes`: what an edit changes of it, which is written elsewhere; None: not known yet.
    `reads`: as that of `whole`.
    """

    def supply(authz: Authorizer, who: Principal, url: dict[str, Any]) -> dict[str, Any]:
        id = url["id"]
        row = authz.fetch(who, resource, operation, id, on, min_scope=min_scope, changes=changes)
        return {"row": row}

    rule = Rule(resource, operation, min_scope, on and on.__name__, callers=ALL - closed_to)
    return _guard(rule, supply, reads=reads)


def rows_of(
    resource: Resource, *, on: type[Base], closed_to: frozenset[PrincipalKind] = NOBODY
) -> Callable[[View], View]:
    """Hand `row`, of table `on`, and `rows` of `resource`, not yet limited to that row.

    Decided as viewing `resource` on that row, and once more on each row of the list.
    """

    def supply(authz: Authorizer, who: Principal, url: dict[str, Any]) -> dict[str, Any]:
        row = authz.fetch(who, resource, Operation.VIEW, url["id"], on, lenient=True)
        return {"row": row, "rows": authz.allowed_rows(who, resource)}

    rule = Rule(resource, Operation.VIEW, on=on.__name__, callers=ALL - closed_to)
    return _guard(rule, supply)


def creates(
    resource: Resource, *, beforehand: Callable[[], dict[str, Any]] | None = None
) -> Callable[[View], View]:
    """Denied before the body is read when nothing grants create at all.

    `beforehand`: what takes its time, such as hashing, and is handed. It is done before the
    transaction, for those who are not denied, and all is asked once more when it is done.
    """
    return some(resource, Operation.CREATE, beforehand=beforehand)


def edits(
    resource: Resource,
    operation: Operation = Operation.EDIT,
    *,
    changes: frozenset[str] | None = None,
) -> Callable[[View], View]:
    """Hand `row`, to be changed.

    Denied before the body is read where what it asks to change would not be allowed. What is
    changed is decided when it is written, as `operation` of the row as it was and as it stands.
    `changes`: what is changed whatever the body says, such as the members of a row.
    """
    return _guard(Rule(resource, operation), _to_be_changed(resource, operation, changes))


def deletes(resource: Resource) -> Callable[[View], View]:
    """Hand `row`, to be deleted."""
    return _guard(Rule(resource, Operation.DELETE), _to_be_changed(resource, Operation.DELETE))


def named(
    resource: Resource,
    operation: Operation,
    *,
    on: type[Base],
    missing: str,
    key: str = "id",
    location: str = "json",
    changes: frozenset[str] | None = None,
) -> Callable[[View], View]:
    """Hand `row`, of table `on`, that the body (or the query, by `location`) names by `key`.

    Invalid with the text `missing` when it is not named by a number. `changes`: what an edit
    changes, where that is known.
    """

    def supply(authz: Authorizer, who: Principal, _url: dict[str, Any]) -> dict[str, Any]:
        authz.require_any(who, resource, operation, changes)
        id = _named(key, location, missing)
        if on is MODELS.get(resource):
            return _to_be_changed(resource, operation, changes)(authz, who, {"id": id})
        return {"row": authz.fetch(who, resource, operation, id, on)}

    return _guard(Rule(resource, operation, on=on.__name__), supply)


def own(
    resource: Resource,
    operation: Operation = Operation.EDIT,
    *,
    changes: frozenset[str] = NOTHING_CHANGED,
    closed_to: frozenset[PrincipalKind] = NOBODY,
    visits: bool = False,
    beforehand: Callable[[], dict[str, Any]] | None = None,
) -> Callable[[View], View]:
    """Hand `row`, that of the caller's own account, to be read; `changes`: what an edit changes.

    `resource`: that of users or nodes; a container counts as the node that runs it. `visits`: what
    this server has given to others, to ask who it is about, will do (`tokens.issue_visit`).
    `beforehand`: as that of `creates`.
    """

    def supply(authz: Authorizer, who: Principal, _url: dict[str, Any]) -> dict[str, Any]:
        id = who.user_id if resource is Resource.USER else who.node_id
        if id is None:
            raise authz.refusal(who, resource, operation)
        return {"row": authz.fetch(who, resource, operation, id, changes=changes)}

    rule = Rule(resource, operation, callers=ALL - closed_to)
    reads = operation is Operation.VIEW
    return _guard(rule, supply, reads=reads, visits=visits, beforehand=beforehand)


def some(
    resource: Resource,
    operation: Operation,
    *,
    reads: bool = False,
    beforehand: Callable[[], dict[str, Any]] | None = None,
) -> Callable[[View], View]:
    """Hand only `who` and `authz`, to those who may `operation` some row; which, is asked later.

    `reads`: as that of `whole`; `beforehand`: as that of `creates`.
    """

    def supply(authz: Authorizer, who: Principal, _url: dict[str, Any]) -> dict[str, Any]:
        authz.require_any(who, resource, operation)
        return {}

    return _guard(Rule(resource, operation), supply, reads=reads, beforehand=beforehand)


def whole(
    resource: Resource,
    operation: Operation = Operation.VIEW,
    *,
    reads: bool = False,
    beforehand: Callable[[], dict[str, Any]] | None = None,
) -> Callable[[View], View]:
    """Hand only `who` and `authz`, to those who may `operation` the resource as a whole.

    Decided on something that is in no organization and no collaboration and has no owner. `reads`:
    a POST that changes nothing and need not wait for those that do. `beforehand`: as that of
    `creates`.
    """

    def supply(authz: Authorizer, who: Principal, _url: dict[str, Any]) -> dict[str, Any]:
        authz.require_whole(who, resource, operation)
        return {}

    return _guard(Rule(resource, operation), supply, reads=reads, beforehand=beforehand)


def anyone(reason: str) -> Callable[[View], View]:
    """No token needed. The view ends its own transactions: it may have to hash in between.

    Nobody acts: what it writes is the server's own.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(self: object, *args: Any, **url: Any) -> Any:
            bodies.only_small()
            with acting(authorizer()), _transaction(reads=True):
                return view(self, *args, **url)

        return _state(guarded, Rule(reason=reason, callers=NOBODY))

    return decorate


# --- parts

_WITH_DATA = frozenset({Resource.TASK, Resource.RESULT})
"""What bodies are about that can be large: they hold inputs and results."""


def _guard(
    rule: Rule,
    supply: Supply,
    *,
    reads: bool = False,
    visits: bool = False,
    beforehand: Callable[[], dict[str, Any]] | None = None,
) -> Callable[[View], View]:
    def offer(unit: Unit, url: dict[str, Any]) -> dict[str, Any]:
        """What the caller of now may have. Raises Denied."""
        authz = authorizer()
        unit.read_again = partial(authenticate, authz.store)
        who = unit.who = unit.read_again()
        authz.require_kind(who, rule.callers, rule.resource, rule.operation)
        return {"who": who, "authz": authz, **url, **supply(authz, who, url)}

    def decorate(view: View) -> View:
        wanted = frozenset(inspect.signature(view).parameters)

        @wraps(view)
        def guarded(self: object, *args: Any, **url: Any) -> Any:
            if visits:
                take_visits()
            with _body(rule):
                early = {}
                if beforehand is not None:
                    with acting(authorizer()) as unit, _transaction(reads=True):
                        offer(unit, url)
                    let_go()
                    early = beforehand()
                reading_only = reads or request.method in _READS
                with acting(authorizer()) as unit, _transaction(reads=reading_only):
                    offered = offer(unit, url) | early
                    handed = {name: offered[name] for name in offered if name in wanted}
                    answer = view(self, *args, **handed)
                    if bodies.is_large(answer):
                        something_large()
                    return answer

        return _state(guarded, rule)

    return decorate


def _state(guarded: Any, rule: Rule) -> Any:
    """Remember the rule, for the check at start and for the documentation."""
    guarded.rule = rule
    documented = deepcopy(getattr(guarded, "_apidoc", {}))
    resource = guarded.__qualname__.rpartition(".")[0].rpartition(".")[2]
    shown: dict[str, Any] = {
        "operationId": f"{guarded.__name__}{resource}",
        "x-required-rule": rule.document(),
    }
    if rule.callers:
        shown["security"] = [{"bearer": []}]
    documented["manual_doc"] = deepupdate(documented.get("manual_doc", {}), shown)
    guarded._apidoc = documented
    return guarded


def _body(rule: Rule) -> AbstractContextManager[None]:
    """Let callers with a token pass, and read what they send before a transaction begins.

    A transaction that writes locks rows, on SQLite the whole database: the network must not be
    waited for inside. Raises Unauthenticated or BadToken.
    """
    claims()
    if request.method in _READS:
        return nullcontext()
    if rule.resource not in _WITH_DATA:
        bodies.only_small()
    return bodies.taken_in()


@contextmanager
def _transaction(*, reads: bool) -> Iterator[None]:
    """One transaction per request: committed once if it writes, rolled back on every error.

    Also when it took so long that its caller has given up: it does not know of the change.
    """
    began = time.monotonic()
    with work_on(request.blueprint or ""), reading() if reads else transaction():
        yield
        if not reads and time.monotonic() - began > _LONG_S and caller.has_gone():
            raise Unavailable("The caller did not wait for this")


def _to_be_changed(
    resource: Resource, operation: Operation, changes: frozenset[str] | None = None
) -> Supply:
    def supply(authz: Authorizer, who: Principal, url: dict[str, Any]) -> dict[str, Any]:
        edits = operation is Operation.EDIT  # then it is read again before it is shown
        row = authz.fetch(who, resource, operation, url["id"], changes=changes, shown=not edits)
        decided = None
        if (
            edits
            and changes is None
            and authz.asks_for_changes(who, type(row), operation)
            and (asked := _asked(row, authz))
            and authz.require(who, operation, row, asked, early=True)
        ):
            decided = asked
        is_about(row, operation, decided)
        return {"row": row}

    return supply


def _asked(row: Base, authz: Authorizer) -> frozenset[str]:
    """What the body asks to change: who may not learns nothing by what is wrong with it."""
    body = request.get_json(silent=True)
    words = authz.policy.definition.words(getattr(row, "ptype", None))
    return asked_to_change(row, body, words) if isinstance(body, dict) else NOTHING_CHANGED


def _named(key: str, location: str, missing: str) -> int:
    if location == "query":
        value: object = request.args.get(key, "")
    else:
        body = request.get_json(silent=True)
        value = body.get(key) if isinstance(body, dict) else None
    if isinstance(value, str) and re.fullmatch("[0-9]{1,100}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(missing, {key: [missing]})
    return value
