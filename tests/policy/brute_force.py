"""Stock Casbin decides on every row of a plain little domain: what a diff has to agree with.

Nothing of `v6srv.policy` is used. The rows are written down by hand for three organizations, four
collaborations and nine principals. A fact is varied where a line that could match asks for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from casbin.core_enforcer import EnforceContext

from tests.stock_casbin import stock_enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.vocabulary import Operation, PrincipalKind, Resource

MODEL = Path(__file__).parents[2] / "policies" / "model.conf"

ORGS = (1, 2, 9)
COLLABS = (1, 2, 4)
IMAGES = ("harbor/a:1", "harbor/b", "other/a_1", "other/b", None)
CHANGES = (
    (),
    ("username",),
    ("password",),
    ("password", "x"),
    ("password", "organization_id"),
    ("organization_id",),
    ("roles",),
    ("password", "rules"),
    ("rules", "x"),
    ("ip",),
    ("public_key",),
    ("x",),
    ("ip", "x"),
)


NOBODY = ["role:nobody", "task", "own", "view", "True", "allow"]
"""Stock Casbin fails on a policy without lines."""


def _user(id: int, org: int, collabs: Iterable[int], *roles: str) -> Principal:
    return Principal(PrincipalKind.USER, id, org, frozenset(collabs), roles)


PRINCIPALS = (
    _user(11, 1, (1,), "role:viewer"),
    _user(12, 1, (1,), "role:researcher"),
    _user(13, 2, (1, 2), "role:org_admin", "rule:3"),
    _user(14, 1, (1,), "role:collab_admin"),
    _user(15, 1, (1,), "role:root"),
    _user(16, 3, (), "role:12"),
    _user(17, 2, (1, 2)),
    Principal(PrincipalKind.NODE, 21, 1, frozenset({1})),
    Principal(
        PrincipalKind.CONTAINER,
        21,
        1,
        frozenset({1}),
        task_id=9,
        run_id=4,
        image="harbor/a:1",
    ),
)


class Stock:
    """A policy in stock Casbin. Lines that cannot match a request are left out, to be faster."""

    known: dict[Any, list[bool]] = {}
    """What was decided before: by the lines that could match."""

    def __init__(self, lines: list[Line]) -> None:
        groups = [line for line in lines if line.ptype != "p"]
        self.enforcer = stock_enforcer(MODEL.read_text(), groups)
        for who in PRINCIPALS:
            for role in who.roles:
                self.enforcer.add_grouping_policy(who.id, role)
        self.lines = [list(line.values) for line in lines if line.ptype == "p"]
        self.names = {who: self._names(who) for who in PRINCIPALS}

    def _names(self, who: Principal) -> set[str]:
        facts = who.facts
        own = {facts.id, facts.kind, facts.group}
        return own.union(*(self.enforcer.get_implicit_roles_for_user(name) for name in own))

    def matching(self, who: Principal, resource: str, operation: str) -> list[list[str]]:
        """The lines for this request, but for scope and condition."""
        return [
            line
            for line in self.lines
            if line[0] in self.names[who]
            and line[1] in (resource, "*")
            and line[3] in (operation, "*")
        ]

    def decide(
        self, lines: list[list[str]], subject: SubjectFacts, row: Any, operation: str
    ) -> bool:
        self.enforcer.get_model().model["p"]["p"].policy = lines or [NOBODY]
        return bool(self.enforcer.enforce(subject, row, operation))

    def decisions(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        rows: list[tuple[SubjectFacts, SimpleNamespace]],
        facts: frozenset[str],
    ) -> list[bool]:
        """On each of the rows, which are those that vary these facts."""
        lines = self.matching(who, resource, operation)
        key = (who, resource, operation, facts, tuple(map(tuple, lines)))
        if key not in self.known:
            self.known[key] = [
                self.decide(lines, subject, row, operation.value) for subject, row in rows
            ]
        return self.known[key]

    def may_hand_out(self, who: Principal, resource: str, scope: str, operation: str) -> bool:
        lines = self.matching(who, resource, operation)
        key = (who, resource, scope, operation, tuple(map(tuple, lines)))
        if key not in self.known:
            self.enforcer.get_model().model["p"]["p"].policy = lines or [NOBODY]
            context = EnforceContext("r2", "p", "e", "m2")
            rule = SimpleNamespace(res=resource, scope=scope, act=operation)
            self.known[key] = [self.enforcer.enforce(context, who.facts, rule)]
        return self.known[key][0]


def facts_of(lines: Iterable[list[str]]) -> frozenset[str]:
    """The words of facts that these lines ask for, by their text."""
    found = set()
    for _, resource, scope, _, condition, _ in lines:
        if scope == "own":
            found.add("owners")
        if scope == "own_organization":
            found.add("owner_orgs")
        if scope in ("organization", "collaboration"):
            found |= {"orgs", "collabs"}
            if resource in ("organization", "*"):
                found.add("id")
        for fact in (
            "id",
            "owners",
            "owner_orgs",
            "org",
            "orgs",
            "collabs",
            "image",
            "run",
            "parent",
        ):
            if f"r.obj.{fact} " in f"{condition} ".replace(")", " ").replace(",", " "):
                found.add(fact)
        for fact in ("status", "encrypted", "country", "foreign_roles", "default", "refused"):
            if f"r.obj.{fact}" in condition:
                found.add(fact)
        if "r.sub.changes" in condition:
            found.add("changes")
    return frozenset(found)


# --- rows


def rows(
    who: Principal, resource: Resource, operation: Operation, facts: frozenset[str]
) -> list[tuple[SubjectFacts, SimpleNamespace]]:
    """Every row of the domain that there can be for this principal, and the fields it changes."""
    changes: Iterable[tuple[str, ...]] = ((),)
    if "changes" in facts and operation is Operation.EDIT:
        changes = CHANGES
    made = _TABLES[resource](who, facts)
    # What is written is decided as it will stand, and the principal as it was.
    if operation in (Operation.CREATE, Operation.EDIT) and resource is Resource.COLLABORATION:
        made = _collaborations(who, facts, members_change=True)
    if operation is Operation.EDIT and resource is Resource.NODE:
        made = _nodes(who, facts, moves=True)
    found = [SimpleNamespace(**{"type": resource.value, **row}) for row in made]
    if resource is Resource.EVENT and operation is Operation.VIEW:
        found = [SimpleNamespace(type="event", **row) for row in _rooms(who)]
    return [(who.facts.changing(frozenset(fields)), row) for fields in changes for row in found]


Facts = Iterator[dict[str, Any]]


def _vary(
    facts: frozenset[str], name: str, values: Iterable[Any], default: Any = None
) -> list[Any]:
    return list(values) if name in facts else [default]


def _subsets(values: Iterable[Any]) -> list[frozenset[Any]]:
    members = list(values)
    return [
        frozenset(one)
        for size in range(len(members) + 1)
        for one in itertools.combinations(members, size)
    ]


def _is_user(who: Principal) -> bool:
    return who.kind is PrincipalKind.USER


def _members(who: Principal, collab: int | None) -> list[frozenset[int]]:
    """What organizations a collaboration can have."""
    if collab is None:
        return [frozenset()]
    every = _subsets({*ORGS, who.organization_id})
    if collab in who.collaboration_ids:
        return [orgs for orgs in every if who.organization_id in orgs]
    if _is_user(who):
        return [orgs for orgs in every if who.organization_id not in orgs]
    return every


def _memberships(who: Principal, org: int | None) -> list[frozenset[int]]:
    """What collaborations an organization can be in."""
    if org is None:
        return [frozenset()]
    if org != who.organization_id:
        return _subsets(COLLABS)
    if _is_user(who):
        return [who.collaboration_ids]
    return [collabs for collabs in _subsets(COLLABS) if who.collaboration_ids <= collabs]


def _organizations(who: Principal, facts: frozenset[str]) -> Facts:
    countries = _vary(facts, "country", ("NL", None))
    for id, country in itertools.product({*ORGS, who.organization_id}, countries):
        for collabs in _memberships(who, id):
            yield {
                "id": id,
                "org": id,
                "owner_orgs": frozenset({id}),
                "orgs": frozenset({id}),
                "owners": frozenset(),
                "collabs": collabs,
                "country": country,
            }


def _collaborations(who: Principal, facts: frozenset[str], members_change: bool = False) -> Facts:
    every = _subsets({*ORGS, who.organization_id} - {None})
    ids = {*COLLABS, who.account_id}
    for id, encrypted in itertools.product(ids, _vary(facts, "encrypted", (True, None))):
        for orgs in every if members_change else _members(who, id):
            yield {
                "id": id,
                "org": None,
                "owner_orgs": frozenset(),
                "orgs": orgs,
                "owners": frozenset(),
                "collabs": frozenset({id}),
                "encrypted": encrypted,
            }


def _nodes(who: Principal, facts: frozenset[str], moves: bool = False) -> Facts:
    statuses = _vary(facts, "status", ("completed", None))
    places = itertools.product({*ORGS, who.organization_id, None}, (*COLLABS, None))
    for id, (org, collab), status in itertools.product((21, 4), list(places), statuses):
        is_self = id == who.account_id and not moves
        if is_self and (org != who.organization_id or collab != 1):
            continue
        own = org is not None and org == who.organization_id
        if own and _is_user(who) and collab and collab not in who.collaboration_ids:
            continue
        yield {
            "id": id,
            "org": org,
            "owner_orgs": frozenset({org} - {None}),
            "orgs": frozenset({org} - {None}),
            "owners": frozenset({f"node:{id}"}),
            "collabs": frozenset({collab} - {None}),
            "status": status,
        }


def _users(who: Principal, facts: frozenset[str]) -> Facts:
    ids = (4, 99, *([who.account_id] if _is_user(who) else []))
    for id, org in itertools.product(set(ids), {*ORGS, who.organization_id, None}):
        if id == who.account_id and org != who.organization_id:
            continue
        foreign = _vary(facts, "foreign_roles", (True, False), False)
        for collabs, foreign_roles in itertools.product(_memberships(who, org), foreign):
            yield {
                "id": id,
                "org": org,
                "owner_orgs": frozenset({org} - {None}),
                "orgs": frozenset({org} - {None}),
                "owners": frozenset({f"user:{id}"}),
                "collabs": collabs,
                "foreign_roles": foreign_roles,
            }


def _roles(who: Principal, facts: frozenset[str]) -> Facts:
    orgs: list[tuple[int | None, frozenset[int]]] = [
        (org, frozenset({org})) for org in {*ORGS, who.organization_id} if org
    ]
    orgs += [(None, frozenset()), (None, frozenset({*ORGS, 3}))]
    holders = _vary(facts, "owners", _subsets({who.id, "user:99"}), frozenset())
    for id, (org, all_orgs), owners in itertools.product((4, 6, who.account_id), orgs, holders):
        is_default = len(all_orgs) > 1
        every = [frozenset({*COLLABS, *who.collaboration_ids})]
        for collabs in every if is_default else _memberships(who, org):
            yield {
                "id": id,
                "org": org,
                "owner_orgs": frozenset({org} - {None}),
                "orgs": all_orgs,
                "owners": frozenset(one for one in owners if one.startswith("user:")),
                "collabs": collabs,
                "default": is_default,
            }


def _task_like(who: Principal, facts: frozenset[str], of_task: bool = False) -> Facts:
    """`of_task`: a result or port, which belongs to who started its task."""
    orgs_asked = facts | ({"org"} if "owner_orgs" in facts else set())
    places = [(None, frozenset())]
    if {"orgs", "collabs"} & facts:
        places = [(c, orgs) for c in (*COLLABS, None) for orgs in _members(who, c)]
    owned_by = {who.id, "user:99"} if _is_user(who) else {"user:99"}
    for values in itertools.product(
        places,
        _vary(facts, "owners", (frozenset(), *(frozenset({one}) for one in owned_by)), frozenset()),
        _vary(orgs_asked, "org", (who.organization_id, 9, None)),
        _vary(facts if of_task else frozenset(), "owner_orgs", (who.organization_id, 9, None)),
        _vary(facts, "id", (4, 6, who.account_id), 6),
        _vary(facts, "image", IMAGES),
        _vary(facts, "run", (4, None)),
        _vary(facts, "parent", (9, None)),
        _vary(facts, "status", ("completed", None)),
        _vary(facts, "refused", _subsets(owned_by), frozenset()),
    ):
        (collab, orgs), owners, org, started, id, image, run, parent, status, refused = values
        yield {
            "id": id,
            "org": org,
            "owner_orgs": frozenset({started if of_task else org} - {None}),
            "orgs": orgs,
            "owners": owners,
            "collabs": frozenset({collab} - {None}),
            "image": image,
            "run": run,
            "parent": parent,
            "status": status,
            "refused": refused,
        }


def _lines(_who: Principal, _facts: frozenset[str]) -> Facts:
    for id in (4, 6, None):
        nothing: frozenset[int] = frozenset()
        sets = dict.fromkeys(("owner_orgs", "orgs", "owners", "collabs"), nothing)
        yield {"id": id, "org": None, **sets}


def _studies(who: Principal, facts: frozenset[str]) -> Facts:
    ids = _vary(facts, "id", (4, 6, who.account_id), 6)
    for id, collab in itertools.product(ids, COLLABS):
        for orgs in _subsets({*ORGS, who.organization_id} - {None}):
            yield {
                "id": id,
                "org": None,
                "owners": frozenset(),
                "owner_orgs": frozenset(),
                "orgs": orgs,
                "collabs": frozenset({collab}),
            }


def _rooms(who: Principal) -> Facts:
    for collab, org in itertools.product(COLLABS, {*ORGS, who.organization_id, None}):
        own = org is not None and org == who.organization_id
        if not (own and _is_user(who)) or collab in who.collaboration_ids:
            yield {
                "id": None,
                "org": org,
                "owner_orgs": frozenset({org} - {None}),
                "orgs": frozenset({org} - {None}),
                "owners": frozenset(),
                "collabs": frozenset({collab}),
            }


def _stopped(who: Principal, facts: frozenset[str]) -> Facts:
    """Work is stopped on tasks and nodes."""
    yield from _task_like(who, facts)
    yield from _nodes(who, facts)


_TABLES = {
    Resource.ORGANIZATION: _organizations,
    Resource.COLLABORATION: _collaborations,
    Resource.NODE: _nodes,
    Resource.USER: _users,
    Resource.ROLE: _roles,
    Resource.TASK: _task_like,
    Resource.RESULT: partial(_task_like, of_task=True),
    Resource.PORT: partial(_task_like, of_task=True),
    Resource.STUDY: _studies,
    Resource.POLICY: _lines,
    Resource.EVENT: _stopped,
}
