"""`who`, `can` and `matrix` as callers of the API ask for them: read, answered, at a given time."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.errors import Invalid
from v6srv.policy import ask
from v6srv.policy.ask import Thing
from v6srv.policy.who import abilities
from v6srv.policy.who import matrix as matrices
from v6srv.policy.who.abilities import WhatCan, WhoCan

ROWS = 20
"""How many ids of rows are named unless told."""


def who_can(enforcer: Enforcer, query: Mapping[str, Any]) -> WhoCan:
    """Everybody who may do the `operation` with what the query names. See `thing`."""
    operation, asked = ask.operation(query["operation"]), thing(query)
    with _time(query):
        return abilities.who_can(enforcer, operation, asked)


def what_can(enforcer: Enforcer, query: Mapping[str, Any]) -> WhatCan:
    """All that the `principal` may do, or one that is `made_up` (described).

    `resource` lists those that are meant; `rows`: whether to name rows, up to `limit` each. Raises
    Invalid and NotFound.
    """
    somebody = ask.named(enforcer, query.get("principal"), query.get("made_up"))
    resources = [ask.resource(word) for word in query.get("resource", ())]
    rows = query.get("limit", ROWS) if query.get("rows") else None
    with _time(query):
        return abilities.what_can(enforcer, somebody, resources, rows)


def matrix(enforcer: Enforcer, query: Mapping[str, Any]) -> dict[str, Any]:
    """What each `role` grants for each `resource`; both are lists, all unless given."""
    resources = [ask.resource(word) for word in query.get("resource", ())]
    rows = matrices.matrix(enforcer, query.get("role", ()), resources)
    return {"policy": enforcer.version, "roles": rows}


def thing(query: Mapping[str, Any]) -> Thing:
    """What a query is about.

    The row with the `id`, or made up (`row`, JSON), of the table `on` if that is not the resource's
    own; or a `room`; or the `resource` as a whole. Raises Invalid and NotFound.
    """
    resource = ask.resource(query["resource"])
    ways = [way for way in ("id", "row", "room") if way in query]
    if len(ways) > 1 or ("on" in query and ways not in (["id"], ["row"])):
        raise Invalid("Name one row: by id or row, of the table `on`; or a room; or none of them")
    if "room" in query:
        return ask.thing(f"room:{query['room']}", resource)
    on = ask.resource(query["on"]) if "on" in query else None
    if "row" in query:
        return ask.made_up_row(resource, ask.document(query["row"], "the row"), on)
    return ask.row(resource, query["id"], on) if "id" in query else ask.whole(resource)


def _time(query: Mapping[str, Any]) -> AbstractContextManager[None]:
    return clock.stopped(ask.moment(query["at"])) if "at" in query else nullcontext()
