"""Every link of an answer leads to a row that its reader may view, and no such row is left out.

Said by an oracle that shares nothing with the package: random databases and policies with denials
and conditions, SQLite and PostgreSQL.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from tests.authz.one_version import EXAMPLES, OneVersion
from tests.authz.random_world import World, make_lines, make_world, oracle
from tests.support import counting
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.source.load import examine
from v6srv.authz.source.model_conf import define
from v6srv.model import Collaboration, Node, Organization, Port, Result, Role, Rule, Task, User
from v6srv.model.derived import links_of
from v6srv.vocabulary import V3, Operation, PrincipalKind, Resource

SHIPPED = Path(__file__).parents[2] / "policies" / "model.conf"

R = Resource
LISTS: dict[type, dict[str, tuple[Resource, Callable[[Any], Any]]]] = {
    Organization: {
        "collaboration_ids": (R.COLLABORATION, lambda row: row.collaborations),
        "node_ids": (R.NODE, lambda row: row.nodes),
        "user_ids": (R.USER, lambda row: row.users),
        "role_ids": (R.ROLE, lambda row: row.roles),
        "result_ids": (R.RESULT, lambda row: row.results),
    },
    Collaboration: {
        "organization_ids": (R.ORGANIZATION, lambda row: row.organizations),
        "node_ids": (R.NODE, lambda row: row.nodes),
        "task_ids": (R.TASK, lambda row: row.tasks),
    },
    User: {
        "role_ids": (R.ROLE, lambda row: row.roles),
        "created_task_ids": (R.TASK, lambda row: row.created_tasks),
    },
    Role: {"user_ids": (R.USER, lambda row: row.users)},
    Task: {
        "child_ids": (R.TASK, lambda row: row.children),
        "result_ids": (R.RESULT, lambda row: row.results),
        "shown_collaboration_id": (R.COLLABORATION, lambda row: row.collaboration),
    },
    Result: {
        "port_rows": (R.PORT, lambda row: row.ports),
        "shown_organization_id": (R.ORGANIZATION, lambda row: row.organization),
    },
    Port: {"shown_result_id": (R.RESULT, lambda row: row.result_row)},
}
"""What each table links to, as its relations say."""

OF_RULES = {(User, "rule_rows"), (Role, "rule_rows"), (Rule, "user_ids")}
"""Rules can be viewed by everybody; random worlds have none. `tests/api/test_links.py` has."""


def _authz(lines: list[Line]) -> Authorizer:
    enforcer, _ = examine(define(SHIPPED.read_text()), (), lines)
    assert enforcer is not None
    return Authorizer(OneVersion(enforcer))


def test_all_links_are_tested() -> None:
    declared = {
        (linked.owner, linked.name)
        for model in (*LISTS, Node, Rule)
        for linked in links_of(model, V3)
    }
    assert declared == {(model, name) for model in LISTS for name in LISTS[model]} | OF_RULES


@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_links_lead_to_what_may_be_viewed_and_to_all_of_it(session: Session, seed: int) -> None:
    chance = random.Random(seed)
    try:
        world = make_world(chance, session)
        lines = make_lines(chance)
        authz = _authz(lines)
        people = [(who, _expected(world, who, lines)) for who in world.principals]
        for who, expected in people:
            session.expunge_all()
            assert _found(authz, who) == expected, who
    finally:
        session.rollback()


def _expected(world: World, who: Principal, lines: list[Line]) -> dict[tuple[Any, ...], Any]:
    """By table, id of the row and attribute: the ids that may be viewed."""

    def may(resource: Resource, row: Any) -> bool:
        return oracle(who, world.facts[resource, row.id], Operation.VIEW, lines)

    found: dict[tuple[Any, ...], Any] = {}
    for row in (row for rows in world.rows.values() for row in rows):
        for name, (resource, related) in LISTS.get(type(row), {}).items():
            others = related(row)
            key = type(row), row.id, name  # type: ignore[attr-defined]
            if isinstance(others, list):
                found[key] = sorted(other.id for other in others if may(resource, other))
            else:
                found[key] = others.id if others is not None and may(resource, others) else None
    return found


def _found(authz: Authorizer, who: Principal) -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = {}
    for model, attributes in LISTS.items():
        with counting() as statements:
            rows = authz.shown(who, model).read()
            for row in rows:
                for name in attributes:
                    shown = getattr(row, name)
                    if name == "port_rows":
                        shown = [id for id, _, _ in shown or ()]
                    is_list = not name.startswith("shown_")
                    found[model, row.id, name] = (shown or []) if is_list else shown
        assert len(statements) == 1, statements
    return found


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_condition_that_fails_shows_no_links(session: Session) -> None:
    """As lists do: what cannot be asked grants nothing."""
    north = Organization(name="north")
    session.add_all([north, User(username="u", organization=north)])
    session.flush()
    condition = "r.obj.id == r.sub.account && r.sub.org < 'x'"
    lines = [
        Line("p", ("user:1", "user", "global", "view", condition, "allow"), "broken"),
        Line("p", ("user:1", "organization", "global", "view", "True", "allow"), "whole"),
    ]
    who = Principal(PrincipalKind.USER, 1, 1, frozenset(), ())
    [row] = _authz(lines).shown(who, Organization).read()
    assert (row.user_ids, row.node_ids) == (None, None)
    session.rollback()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_rows_that_are_read_in_another_way_show_no_links(session: Session) -> None:
    """Nobody can forget to ask: without a reader there are none."""
    north = Organization(name="north", nodes=[Node(name="n")])
    session.add(north)
    session.flush()
    session.expunge_all()
    row = session.get_one(Organization, north.id)
    assert (row.node_ids, row.user_ids) == (None, None)
    session.rollback()
