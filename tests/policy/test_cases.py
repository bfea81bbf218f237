"""Cases: every way that rows can differ for two plans, found without rows."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import pytest

from tests.policy import brute_force
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.source.model_conf import define
from v6srv.authz.theory.patterns import words
from v6srv.errors import Invalid
from v6srv.policy.diff.cases import Case, Found, Pair
from v6srv.vocabulary import Operation, PrincipalKind, Resource

DEFINITION = define(brute_force.MODEL.read_text())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = Principal(PrincipalKind.USER, 5, 1, frozenset({1, 2}), ("role:a",))
NODE = Principal(PrincipalKind.NODE, 6, 1, frozenset({1}))


def _policy(resource: str, operation: str, *lines: tuple[str, str, str]) -> Enforcer:
    """Lines for everybody: scope, condition, effect."""
    made = [
        Line("p", (subject, resource, scope, operation, condition, effect), f"test:{number}")
        for number, (scope, condition, effect) in enumerate(lines)
        for subject in ("kind:user", "kind:node")
    ]
    return Enforcer(DEFINITION, made, 0)


def _plans(
    old: Enforcer, new: Enforcer, resource: Resource, operation: Operation, who: Principal
) -> list[Any]:
    return [policy.plan(who.facts, resource, operation) for policy in (old, new)]


def _found(
    old: Enforcer,
    new: Enforcer,
    resource: Resource,
    operation: Operation = Operation.VIEW,
    who: Principal = USER,
) -> tuple[Found, ...]:
    before, after = _plans(old, new, resource, operation, who)
    sides = ((before, old.program), (after, new.program))
    return Pair(*sides, (resource, operation), [NOW]).found(who.facts)


def _names(*args: Any, **more: Any) -> set[tuple[str, bool]]:
    return {(found.case.name, found.gained) for found in _found(*args, **more)}


# --- texts for patterns


@pytest.mark.parametrize("seed", range(20))
def test_there_is_a_word_for_each_set_of_patterns_that_match_together(seed: int) -> None:
    chance = random.Random(seed)
    patterns = {
        "".join(chance.choice("ab*?") for _ in range(chance.randint(1, 4)))
        for _ in range(chance.randint(1, 4))
    }
    literals = {
        "".join(chance.choice("ab") for _ in range(chance.randint(0, 3)))
        for _ in range(chance.randint(0, 2))
    }

    def matched(text: str) -> tuple[object, ...]:
        globs = (fnmatchcase(text, pattern) for pattern in sorted(patterns))
        return (*globs, *(text == literal for literal in sorted(literals)))

    every = {
        matched("".join(letters))
        for length in range(8)
        for letters in itertools.product("abz", repeat=length)
    }
    found = words(sorted(patterns), sorted(literals))
    assert {matched(word) for word in found} == every
    assert len(found) == len(every)


def test_a_star_in_a_literal_is_a_star() -> None:
    assert "a*" in words(["a*"], ["a*"])


def test_too_many_patterns_are_refused_instead_of_being_sampled() -> None:
    with pytest.raises(Invalid, match="too many"):
        words([f"*a{'?' * n}" for n in range(16)], [])


# --- cases


def test_a_wider_scope_is_gained_where_the_narrower_did_not_reach() -> None:
    old = _policy("task", "view", ("organization", "True", "allow"))
    new = _policy("task", "view", ("global", "True", "allow"))
    assert _names(old, new, Resource.TASK) == {("other organizations", True)}
    assert _names(new, old, Resource.TASK) == {("other organizations", False)}


def test_what_no_row_can_be_is_no_case() -> None:
    """The organization of a user is in a collaboration if and only if the user is."""
    old = _policy("task", "view", ("organization", "True", "allow"))
    new = _policy("task", "view", ("collaboration", "True", "allow"))
    assert _names(old, new, Resource.TASK, who=USER) == set()
    # A node is in one of the collaborations of its organization.
    assert _names(old, new, Resource.TASK, who=NODE) == {
        ("organization, other collaborations", False)
    }


def test_nobody_owns_an_organization() -> None:
    old = _policy("organization", "view", ("own", "False", "allow"))
    new = _policy("organization", "view", ("own", "True", "allow"))
    assert _names(old, new, Resource.ORGANIZATION) == set()


def test_owners_of_one_kind_are_told_from_those_of_the_other() -> None:
    """A number that only a node is listed with stands for no user."""
    line = "meets(r.obj.owners, ('user:99', 'node:21'))"
    for resource, owner in (("result", "user:99"), ("node", "node:21")):
        old = _policy(resource, "view", ("global", "False", "allow"))
        new = _policy(resource, "view", ("global", line, "allow"))
        [found] = _found(old, new, Resource(resource))
        assert found.example["owners"] == {owner}


def test_rooms_of_the_own_organization_are_found_when_only_that_is_asked() -> None:
    """They are those of the collaborations that it is in, which no condition asks for."""
    old = _policy("event", "view", ("global", "False", "allow"))
    new = _policy("event", "view", ("global", "r.obj.org == r.sub.org", "allow"))
    assert _names(old, new, Resource.EVENT) == {("r.obj.org == r.sub.org", True)}


def test_what_is_said_in_other_words_is_no_change() -> None:
    old = _policy("task", "view", ("global", "r.obj.image == 'a' || r.obj.image == 'b'", "allow"))
    new = _policy(
        "task",
        "view",
        ("global", "r.obj.image in ('b', 'a')", "allow"),
        ("global", "glob(r.obj.image, 'a') && !(r.obj.image == 'b')", "allow"),
    )
    assert _found(old, new, Resource.TASK) == ()


def test_patterns_are_told_apart_where_they_overlap() -> None:
    old = _policy("task", "view", ("global", "glob(r.obj.image, 'h/*')", "allow"))
    new = _policy(
        "task",
        "view",
        ("global", "glob(r.obj.image, 'h/*')", "allow"),
        ("global", "glob(r.obj.image, '*:1')", "deny"),
    )
    [found] = _found(old, new, Resource.TASK)
    assert not found.gained
    image = found.example["image"]
    assert image.startswith("h/")
    assert image.endswith(":1")


def test_fields_that_change_are_asked_of_edits_only() -> None:
    lines = ("global", "meets(r.sub.changes, ('roles', 'rules'))", "allow")
    for operation, cases in ((Operation.EDIT, 1), (Operation.DELETE, 0)):
        old = _policy("user", operation.value, ("own", "False", "allow"))
        new = _policy("user", operation.value, lines)
        found = _found(old, new, Resource.USER, operation)
        assert len(found) == cases
        assert all(one.example["changes"] & {"roles", "rules"} for one in found)


def test_a_set_within_others_is_told_from_one_with_more() -> None:
    old = _policy("node", "edit", ("own", "True", "allow"))
    new = _policy("node", "edit", ("own", "within(r.sub.changes, ('ip',))", "allow"))
    [found] = _found(old, new, Resource.NODE, Operation.EDIT, NODE)
    assert not found.gained
    assert not found.example["changes"] <= {"ip"}
    assert found.example["owners"] == {"node:6"}


def test_an_order_with_what_is_absent_holds_for_nobody() -> None:
    old = _policy("task", "view", ("global", "True", "allow"))
    new = _policy("task", "view", ("global", "True", "allow"), ("global", "r.sub.run > 3", "deny"))
    assert _names(old, new, Resource.TASK) == set()


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("meets(r.obj.orgs, r.obj.collabs)", "asks too much of a row at once"),
        ("r.obj.image == r.obj.database && glob(r.obj.image, 'a*')", "and with patterns"),
    ],
)
def test_what_asks_too_much_of_a_row_is_refused(condition: str, why: str) -> None:
    old = _policy("task", "view", ("global", "False", "allow"))
    new = _policy("task", "view", ("global", condition, "allow"))
    with pytest.raises(Invalid, match=why):
        _found(old, new, Resource.TASK)


def test_principals_with_other_numbers_share_the_work_and_those_that_lines_name_do_not() -> None:
    old = _policy("task", "view", ("global", "r.obj.org == r.sub.org", "allow"))
    new = _policy(
        "task",
        "view",
        ("global", "r.obj.org == r.sub.org", "allow"),
        ("global", "r.obj.org == 3", "allow"),
    )
    before, after = _plans(old, new, Resource.TASK, Operation.VIEW, USER)
    sides = ((before, old.program), (after, new.program))
    pair = Pair(*sides, (Resource.TASK, Operation.VIEW), [NOW])
    seven, eight, three = (
        pair.found(Principal(PrincipalKind.USER, id, org, frozenset({9})).facts)
        for id, org in ((11, 7), (12, 8), (13, 3))
    )
    assert seven is eight
    assert [found.gained for found in seven] == [True]
    assert three == ()


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (Case(), "every row"),
        (Case((("r.obj.image == 'a'", False), ("r.sub.id in r.obj.owners", True))), "own, not (r.obj.image == 'a')"),
        (Case((("r.obj.run != r.sub.run", False),)), "r.obj.run == r.sub.run"),
        (Case(rooms=((3, None), (3, 2))), "room of collaboration 3, organization 2 in collaboration 3"),
        (Case(rooms=tuple((n, None) for n in range(5))), "room of collaboration 0, collaboration 1, collaboration 2 and 2 more"),
    ],
)  # fmt: skip
def test_cases_have_readable_names(case: Case, name: str) -> None:
    assert case.name == name


# --- all of it, with conditions of many parts

ATOMS = (
    "glob(r.obj.image, 'h/*')",
    "glob(r.obj.image, '*:1')",
    "glob(r.obj.image, 'h/?')",
    "r.obj.image == 'h/a'",
    "r.obj.image != 'x:1'",
    "r.obj.database in ('d', 'e')",
    "r.obj.org == r.sub.org",
    "r.obj.org == None",
    "1 in r.obj.collabs",
    "meets(r.obj.orgs, (3, 4))",
    "4 in r.obj.orgs",
    "r.sub.org in r.obj.orgs",
    "meets(r.sub.collabs, r.obj.collabs)",
    "r.sub.id in r.obj.owners",
    "r.obj.parent == 7",
    "r.sub.account > 5",
)


def _condition(chance: random.Random, depth: int = 2) -> str:
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(ATOMS)
    joined = chance.choice((" && ", " || ")).join(
        _condition(chance, depth - 1) for _ in range(chance.randint(2, 3))
    )
    return f"{'!' if chance.random() < 0.3 else ''}({joined})"


def _tasks(who: Principal) -> list[SimpleNamespace]:
    """Tasks of all kinds that there can be for `who`."""
    places: list[tuple[frozenset[int], frozenset[int]]] = [(frozenset(), frozenset())]
    for collab in (1, 2, 8):
        for size in range(4):
            for orgs in map(frozenset, itertools.combinations((1, 3, 4, 9), size)):
                inside = collab in who.collaboration_ids
                known = who.kind is PrincipalKind.USER or inside
                if known and (1 in orgs) is not inside:
                    continue
                places.append((frozenset({collab}), orgs))
    values = itertools.product(
        places,
        ("h/a", "h/b", "h/a:1", "x:1", "y:1", "zz", "h/", None),
        ("d", "z", None),
        (1, 2, None),
        (frozenset({"user:5"}), frozenset({"user:9"}), frozenset()),
        (7, None),
    )
    return [
        SimpleNamespace(
            type="task",
            collabs=collabs,
            orgs=orgs,
            image=image,
            database=database,
            org=org,
            owners=owners,
            parent=parent,
            id=1,
        )
        for (collabs, orgs), image, database, org, owners, parent in values
    ]


@pytest.mark.parametrize("who", [USER, NODE], ids=["user", "node"])
@pytest.mark.parametrize("seed", range(15))
def test_every_task_is_in_a_case_if_and_only_if_its_decision_differs(
    seed: int, who: Principal
) -> None:
    chance = random.Random(seed)
    old, new = (
        _policy(
            "task",
            "view",
            *dict.fromkeys(
                ("global", _condition(chance), chance.choice(("allow", "allow", "deny")))
                for _ in range(chance.randint(1, 3))
            ),
        )
        for _ in range(2)
    )
    before, after = _plans(old, new, Resource.TASK, Operation.VIEW, who)
    found = _found(old, new, Resource.TASK, who=who)
    rows = _tasks(who)
    for row in chance.sample(rows, 1500):
        decisions = [plan.decide(who.facts, row, "view") for plan in (before, after)]
        expected = [] if decisions[0] is decisions[1] else [decisions[1]]
        inside = [one.gained for one in found if _is_in(one.case, new, who, row)]
        assert inside == expected, (row, found)
    defaults = vars(rows[0])
    for one in found:
        row = SimpleNamespace(**{**defaults, **one.example})
        decisions = [plan.decide(who.facts, row, "view") for plan in (before, after)]
        assert decisions == [not one.gained, one.gained], one


def _is_in(case: Case, policy: Enforcer, who: Principal, row: object) -> bool:
    return all(
        policy.program.function(text.replace("r.", "r_"))(who.facts, row, "view") is holds
        for text, holds in case.conditions
    )


def test_who_is_alike_is_decided_by_the_own_organization_too() -> None:
    """No line asks for it, but the organizations of its collaborations include it."""
    old = _policy("task", "view", ("collaboration", "True", "allow"))
    new = _policy("task", "view", ("collaboration", "meets(r.obj.orgs, (1, 9))", "allow"))
    before, after = _plans(old, new, Resource.TASK, Operation.VIEW, USER)
    sides = ((before, old.program), (after, new.program))
    pair = Pair(*sides, (Resource.TASK, Operation.VIEW), [NOW])
    inside, outside = (
        pair.found(Principal(PrincipalKind.USER, 11, org, frozenset({30})).facts) for org in (1, 7)
    )
    assert inside == ()
    assert [found.gained for found in outside] == [False]
