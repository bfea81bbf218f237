"""Random requests against random policies, judged by an oracle that shares nothing with v6srv.

Two properties. Sound: every row that differs after a request is one whose change the policy allows.
Complete: who is refused has asked for something that is not allowed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from flask import Flask

from tests.databases import Databases
from tests.examples import examples
from tests.unit_of_work.house import Incomplete, Seen, Unsound, house
from tests.unit_of_work.requests import ROUTES
from tests.unit_of_work.sockets import PING, SHARE
from v6srv import db
from v6srv.authz import changes as authz_changes
from v6srv.authz.facts import TABLES
from v6srv.authz.fields import field_names, field_of
from v6srv.authz.unit_of_work import Unit
from v6srv.db import Base

POLICIES = examples(5)
READING = {"GET", "HEAD", "OPTIONS"}
REQUESTS = 140
"""For each policy."""


def explore(
    databases: Databases, backend: str, heed: type[AssertionError] = AssertionError
) -> Seen:
    """What was seen of random policies. Raises what is wrong, of what is heeded."""
    seen = Seen()
    for seed in range(POLICIES):
        with house(databases, backend, random.Random(seed)) as opened:
            try:
                opened.explore(REQUESTS, seen, heed)
            except AssertionError as error:
                raise type(error)(f"seed {seed}: {error}") from error
    return seen


def test_what_is_stored_is_allowed_and_what_is_refused_is_not(
    databases: Databases, backend: str
) -> None:
    seen = explore(databases, backend)
    assert seen.lines[True] > 10 * seen.lines[False], "most random lines count"
    assert ROUTES - seen.refused.keys() <= {PING}, "each endpoint has refused somebody"
    assert seen.refused.total() > 10 * seen.unclear.total(), "the oracle knows why"
    assert seen.other.keys() <= {400, 401, 404, 409}
    rare = {route for route in ROUTES if not seen.changed[route]}
    assert len(rare) <= len(ROUTES) // 10, f"most endpoints have changed something, not {rare}"


NOT_ASKED = {
    *("POST /token/user", "POST /token/node", "POST /token/refresh", "POST /recover/lost"),
    "POST /token/logout",
    *("POST /recover/reset", "POST /recover/2fa/lost", "POST /recover/2fa/reset"),
    # These write nothing: tokens, VPN configurations, and questions.
    *("POST /token/container", "POST /vpn/update", "POST /policy/decision"),
    *("POST /policy/explain", "POST /policy/question"),
}
"""Endpoints that are open to anybody, and what writes nothing."""


def test_every_endpoint_that_writes_is_asked(app: Flask) -> None:
    """Also those that are added later, unless somebody says here why not."""
    found = set()
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule.removeprefix("/api"))
            found |= {f"{method} {path}" for method in (rule.methods or set()) - READING}
    assert found - NOT_ASKED == ROUTES - {SHARE, PING}


# --- it can fail

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

LEFT_OUT: dict[str, tuple[object, str, Callable[..., object]]] = {
    "rows as they were": (Unit, "before", lambda _unit, _changes: None),
    "rows as they stand": (Unit, "settle", lambda _unit: db.session.flush()),
    "which fields change": (authz_changes, "_named", lambda *_: frozenset()),
    "who owns what": (authz_changes, "field_of", lambda model, key: _column(model, key)),
}
"""Checks, and what is in their place when they are left out."""


@SQLITE
@pytest.mark.parametrize("check", LEFT_OUT)
def test_a_check_that_is_left_out_is_found(
    databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    monkeypatch.setattr(*LEFT_OUT[check])
    with pytest.raises(Unsound):
        explore(databases, backend, Unsound)


@SQLITE
def test_a_denial_without_a_reason_is_found(
    databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of all fields, whatever is changed."""
    every = {model: field_names(model) for model in TABLES}
    monkeypatch.setattr(authz_changes, "_named", lambda row, *_: every[type(row)])
    with pytest.raises(Incomplete):
        explore(databases, backend, Incomplete)


def _column(model: type[Base], key: str) -> str | None:
    """The field that a column is; what is in association tables is none."""
    return None if key in ("organizations", "roles", "rules") else field_of(model, key)
