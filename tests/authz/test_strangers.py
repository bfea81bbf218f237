"""Nobody is let in without a role, unless the policy says that it is meant.

A table of admins' slips and of lines that are harmless, and random policies compared with trying
every row on plain Python.
"""

import itertools
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.authz.random_world import (
    BY_TEXT,
    CONDITIONS,
    in_scope,
    loose_row,
    make_lines_for_kinds,
    make_row,
    make_strangers,
    oracle,
)
from tests.examples import examples
from tests.policy.test_lint import MARK, TODAY, make
from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.authz.source.load import build
from v6srv.authz.source.model_conf import define
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.authz.source.strangers import DECLARING, Strangers, stranger_problems
from v6srv.policy.lint.folder import lint
from v6srv.vocabulary import Operation, PrincipalKind, Resource, Scope

POLICIES = Path(__file__).parents[2] / "policies"
LET_IN, FOR_A_TIME = "strangers-let-in", "strangers-for-a-time"

# § stands where the finding is.
SLIPS = [
    # conditions that select nothing
    "§p, kind:user, user, global, edit, r.sub.org != 0, allow",
    "§p, kind:user, user, global, edit, r.obj.id == r.obj.id, allow",
    "§p, kind:user, user, global, edit, r.sub.org == r.sub.org, allow",
    "§p, kind:user, task, global, view, meets(r.sub.collabs, r.sub.collabs), allow",
    "§p, kind:user, task, global, view, glob(r.sub.id, 'user:*'), allow",
    "§p, kind:user, task, global, view, r.sub.kind == 'kind:user', allow",
    "§p, kind:user, task, global, view, !(r.obj.image == 'x'), allow",
    "§p, kind:user, task, global, view, r.obj.image != 'registry.example/secret:1', allow",
    "§p, kind:user, task, global, view, glob(r.obj.image, '*'), allow",
    "§p, kind:user, task, global, view, r.sub.account < 100000, allow",
    "§p, kind:user, task, global, view, r.sub.org > 3, allow",
    "§p, kind:user, task, global, view, !(3 in r.sub.collabs), allow",
    "§p, kind:user, task, global, view, !('role:root' in r.sub.roles), allow",
    "§p, kind:user, task, global, view, !g(r.sub.id, 'role:viewer'), allow",
    "§p, kind:user, task, global, view, g(r.sub.kind, 'role:everyone'), allow",
    "§p, kind:user, user, global, edit, meets(r.sub.changes, ('email',)), allow",
    "§p, kind:user, user, global, edit, within(r.sub.changes, ('firstname', 'lastname')), allow",
    # || instead of &&
    "§p, kind:user, task, global, view, 1 == 1 || r.sub.org in r.obj.orgs, allow",
    "§p, kind:user, task, global, view, r.sub.org in r.obj.orgs || r.obj.image != 'x', allow",
    "§p, kind:user, task, global, view, r.obj.org == r.sub.org || r.obj.org == None, allow",
    "§p, kind:user, task, global, view, r.obj.org in (r.sub.org, 1), allow",
    # != instead of ==, and ! in the wrong place
    "§p, kind:user, task, global, view, r.obj.org != r.sub.org, allow",
    "§p, kind:user, task, global, view, !(r.sub.org in r.obj.orgs), allow",
    "§p, kind:user, user, global, delete, !(r.sub.id in r.obj.owners), allow",
    # a number of one thing compared with that of another
    "§p, kind:user, task, global, view, r.obj.id == r.sub.account, allow",
    "§p, kind:user, user, global, edit, r.obj.id == r.sub.org, allow",
    "§p, kind:user, collaboration, global, view, r.obj.id == r.sub.org, allow",
    "§p, kind:node, organization, global, view, r.obj.id == r.sub.account, allow",
    # absent equals absent
    "§p, kind:user, collaboration, global, view, r.obj.org == r.sub.org, allow",
    "§p, kind:user, event, global, view, r.obj.org == r.sub.org, allow",
    "§p, kind:user, task, global, view, r.obj.run == r.sub.run, allow",
    "§p, kind:user, task, global, view, r.sub.org == None, allow",
    "§p, kind:user, task, global, view, r.sub.group == 'org:None', allow",
    "§p, kind:user, task, global, view, r.sub.group in ('org:3', 'org:None'), allow",
    "§p, kind:user, task, global, view, !(r.sub.org > 0) && !(r.sub.org <= 0), allow",
    # single rows of others, for everybody
    "§p, kind:user, task, global, view, 4 in r.obj.collabs, allow",
    "§p, kind:user, collaboration, global, view, r.obj.id == 4, allow",
    "§p, kind:user, result, global, view, r.obj.status == 'completed', allow",
    # without a condition, in every scope
    "§p, kind:user, user, global, view, True, allow",
    "§p, kind:user, *, global, *, True, allow",
    "§p, kind:user, policy, global, view, True, allow",
    "§p, kind:user, user, organization, edit, True, allow",
    "§p, kind:user, task, organization, create, True, allow",
    "§p, kind:user, task, collaboration, delete, True, allow",
    "§p, kind:user, role, own, edit, True, allow",
    # whoever makes a row owns it
    "§p, kind:user, task, own, create, True, allow",
    "§p, role:everyone, task, own, *, True, allow",
    "§p, kind:user, task, global, create, r.sub.id in r.obj.owners, allow",
    "§p, kind:user, task, own, create, glob(r.obj.image, 'harbor/*'), allow",
    "§p, kind:user, *, organization, *, True, allow",
    "§p, role:everyone, user, organization, edit, True, allow",
    # nodes and containers
    "§p, kind:node, user, global, view, True, allow",
    "§p, kind:node, result, collaboration, edit, True, allow",
    "§p, kind:node, port, global, create, r.sub.org != 0, allow",
    "§p, kind:node, user, organization, create, True, allow",
    "§p, role:node, task, organization, delete, True, allow",
    "§p, kind:container, organization, global, view, r.sub.task != 2, allow",
    "§p, kind:container, organization, global, view, glob(r.sub.image, 'signed/*'), allow",
    "§p, kind:container, task, collaboration, create, r.obj.image == r.sub.image, allow",
    "§p, kind:container, task, global, create, r.obj.parent == r.sub.task, allow",
    "§p, kind:container, task, collaboration, create, r.obj.parent == r.sub.task, allow",
    "§p, kind:container, result, organization, edit, True, allow",
    # a role of people for everybody: the line that gives it is to blame
    "§g, kind:user, role:root",
    "§g, kind:node, role:root",
    "§g, kind:container, role:root",
    "§g, kind:user, role:org_admin",
    "§g, kind:node, role:researcher",
    "§g, kind:user, kind:node",
    "§g, kind:container, role:node",
    "§g, role:everyone, role:node",
    "§g, role:everyone, role:root",
    "§g, role:node, role:collab_admin",
    "p, role:helpers, task, global, view, True, allow\ng, user:5, role:helpers\n§g, kind:user, role:helpers",
    # a role that only everybody has: its line is to blame
    "g, kind:user, role:guest\n§p, role:guest, task, global, view, True, allow",
    "g, role:everyone, role:guest\n§p, role:guest, task, global, view, True, allow",
    # a denial that is too narrow, or about others
    "§p, kind:user, task, global, view, True, allow\np, kind:user, task, global, view, r.obj.image == 'x', deny",
    "§p, kind:node, user, global, view, True, allow\np, kind:user, user, global, view, !(r.sub.org in r.obj.orgs), deny",
    # what is not meant like that
    "g, kind:user, role:any_user\n§p, role:any_user, *, global, view, True, allow",
    "g, kind:user, role:any_user\n§p, role:any_user, task, global, *, True, allow",
    "g, kind:user, role:any_node\n§p, role:any_node, task, global, view, True, allow",
    "g, kind:user, role:any_users\n§p, role:any_users, task, global, view, True, allow",
    "§g, role:any_user, role:root\ng, kind:user, role:any_user",
]  # fmt: skip

PASSING = [
    "§p, kind:user, port, global, view, True, allow, valid_until=2031-01-01",
    "§p, kind:node, user, global, view, True, allow, valid_from=2031-01-01",
    "§p, kind:user, port, global, view, r.sub.org != 0 && timeMatch('2030-01-01', '2031-01-01'), allow",
    "§p, kind:node, user, global, view, True, allow\np, kind:node, user, global, view, True, deny, valid_until=2031-01-01",
]  # fmt: skip

HARMLESS = [
    # what is one's own
    "p, kind:user, user, own, edit, True, allow",
    "p, kind:user, user, global, edit, r.obj.id == r.sub.account, allow",
    "p, kind:user, user, global, edit, r.sub.id in r.obj.owners, allow",
    "p, kind:user, user, global, edit, !(r.obj.id != r.sub.account), allow",
    "p, kind:user, task, own, delete, True, allow",
    "p, kind:user, task, global, delete, meets(r.obj.owners, (r.sub.id,)), allow",
    "p, kind:user, task, own, delete, r.sub.org != 0, allow",
    # to view what one has a part in
    "p, kind:user, task, organization, view, True, allow",
    "p, kind:user, task, collaboration, view, True, allow",
    "p, kind:user, *, organization, view, True, allow",
    "p, kind:user, task, global, view, r.sub.org in r.obj.orgs, allow",
    "p, kind:user, task, global, view, r.obj.org == r.sub.org, allow",
    "p, kind:user, task, global, view, r.sub.org == r.obj.org && r.obj.image != 'x', allow",
    "p, kind:user, task, global, view, meets(r.obj.collabs, r.sub.collabs), allow",
    "p, kind:user, task, global, view, meets(r.obj.orgs, (r.sub.org,)), allow",
    "p, kind:user, task, global, view, r.sub.id in r.obj.owners || r.obj.org == r.sub.org, allow",
    "p, kind:user, collaboration, global, view, r.obj.id in r.sub.collabs, allow",
    "p, kind:user, organization, global, view, r.obj.id == r.sub.org, allow",
    "p, kind:user, event, collaboration, view, True, allow",
    "p, kind:user, event, global, view, r.obj.org == r.sub.org && r.sub.org != None, allow",
    "p, kind:container, task, global, view, r.obj.run == r.sub.run, allow",
    "p, kind:container, result, global, view, r.obj.run == r.sub.run, allow",
    # what the protocol needs
    "p, kind:node, result, organization, edit, r.obj.org == r.sub.org && r.obj.status != 'completed', allow",
    "p, kind:container, task, collaboration, create,"
    " r.obj.image == r.sub.image && r.obj.parent == r.sub.task && r.obj.id != 5, allow",
    # those who are named
    "p, kind:user, task, global, view, r.sub.org == 3, allow",
    "p, kind:user, task, global, view, r.sub.org in (3, 4), allow",
    "p, kind:user, task, global, view, r.sub.group == 'org:3', allow",
    "p, kind:user, task, global, view, r.sub.id == 'user:5', allow",
    "p, kind:user, task, global, view, meets(r.sub.collabs, (3, 4)) && 3 in r.obj.collabs, allow",
    "p, kind:user, task, global, view, 'role:12' in r.sub.roles, allow",
    "p, kind:user, task, global, view, g(r.sub.id, 'role:viewer'), allow",
    "p, org:3, task, global, view, True, allow",
    "p, user:5, *, global, view, True, allow",
    # nothing is left after denials
    "p, kind:user, task, global, view, True, allow\np, kind:user, task, global, view, !(r.sub.org in r.obj.orgs), deny",
    "p, kind:node, node, global, view, True, allow\np, kind:node, node, global, view, r.obj.id != r.sub.account, deny",
    "p, kind:user, task, global, view, True, allow, valid_until=2031-01-01\np, kind:user, task, global, view, r.obj.org != r.sub.org, deny",
    # over for ever
    "p, kind:user, task, global, view, True, allow, valid_until=2021-01-01",
    # meant
    "g, kind:user, role:any_user\np, role:any_user, organization, global, view, True, allow",
    "g, kind:node, role:any_node\np, role:any_node, node, global, view, r.obj.status == 'online', allow",
    "g, kind:container, role:any_container\np, role:any_container, organization, global, view, True, allow",
    "g, role:everyone, role:any_user\np, role:any_user, task, organization, create, True, allow",
    "g, kind:user, role:any_user\np, role:any_user, port, global, view, True, allow, valid_until=2031-01-01",
    # everybody may be a viewer: of what one takes part in
    "g, kind:user, role:viewer",
    "g, kind:user, role:guest\np, role:guest, task, organization, view, True, allow",
]  # fmt: skip


def _strangers(folder: Path) -> list[Problem]:
    with clock.stopped(TODAY):
        return [p for p in lint(folder) if p.code.slug in (LET_IN, FOR_A_TIME)]


@pytest.mark.parametrize("lines", SLIPS)
def test_a_slip_that_lets_strangers_in_is_an_error_at_its_line(tmp_path: Path, lines: str) -> None:
    places = make(tmp_path, lines)
    found = _strangers(tmp_path)
    assert {(p.code.slug, p.origin) for p in found} == {(LET_IN, place) for place in places}
    assert all(p.is_error for p in found)
    with clock.stopped(TODAY), pytest.raises(PolicyError, match=r"may .*without a role"):
        build(tmp_path)


@pytest.mark.parametrize("lines", PASSING)
def test_a_slip_that_does_so_for_a_time_is_one_too(tmp_path: Path, lines: str) -> None:
    places = make(tmp_path, lines)
    found = _strangers(tmp_path)
    assert [(p.code.slug, p.origin) for p in found] == [(FOR_A_TIME, place) for place in places]
    assert all(p.is_error for p in found)
    with clock.stopped(TODAY), pytest.raises(PolicyError, match="for some time, without a role"):
        build(tmp_path)


@pytest.mark.parametrize("lines", HARMLESS)
def test_what_is_harmless_or_meant_goes_live(tmp_path: Path, lines: str) -> None:
    assert MARK not in lines
    make(tmp_path, lines)
    with clock.stopped(TODAY):
        assert [p for p in lint(tmp_path) if p.is_error] == []
        build(tmp_path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("p, kind:user, task, global, view, True, allow", "everybody may view every task, without"),
        ("p, kind:user, task, global, view, r.sub.org != 0, allow", "view a task that is not theirs"),
        ("p, kind:node, port, global, *, True, allow", "every node may edit every port, create"),
        ("g, kind:node, role:root", "edit every collaboration and 34 more"),
        ("p, kind:container, user, global, view, True, allow", "role:any_container, with"),
    ],
)  # fmt: skip
def test_it_is_said_who_may_what_and_how_to_say_that_it_is_meant(
    tmp_path: Path, lines: str, words: str
) -> None:
    make(tmp_path, lines)
    [problem] = _strangers(tmp_path)
    assert words in problem.message


def test_a_scope_that_holds_what_is_not_theirs_is_the_fault_of_the_matcher(tmp_path: Path) -> None:
    """It is said once for each kind, and not at every line of that scope."""
    [place] = make(
        tmp_path,
        model=(
            ("m = (r.obj", "§m = (r.obj"),
            ("r.sub.org in r.obj.orgs", "(r.sub.org in r.obj.orgs || r.obj.org != r.sub.org)"),
        ),
    )
    assert {p.origin for p in _strangers(tmp_path)} == {place}


@pytest.mark.parametrize(
    "line",
    [
        "p, §role:any_user, task, organization, view, True, allow",
        "p, §role:any_user, user, global, edit, r.obj.id == r.sub.account, allow",
    ],
)
def test_a_declaration_that_nothing_needs_is_told(tmp_path: Path, line: str) -> None:
    [place] = make(tmp_path, f"g, kind:user, role:any_user\n{line}")
    with clock.stopped(TODAY):
        found = lint(tmp_path)
    [told] = [p for p in found if p.code.slug == "needless-declaration"]
    assert (told.origin, told.suggestion, told.is_error) == (place, "kind:user", False)


# --- random policies, tried on random rows


def _has_part(who: Principal, row: SimpleNamespace, operation: Operation) -> bool:
    """What is harmless, said again in plain Python."""
    sub, node, container = who.facts, who.kind == "node", who.kind == "container"
    made = operation == "create" and row.type != who.kind
    held = row.type == "role" and operation != "view"
    owner = sub.id in row.owners and not (made or held)
    if owner or (row.type == who.kind and row.id == sub.account):
        return True
    home = sub.org is not None and (sub.org in row.orgs or row.org == sub.org)
    home = home or (row.type == "organization" and row.id == sub.org)
    joined = row.type == "collaboration" and row.id in sub.collabs
    if operation is Operation.VIEW:
        homeless = row.type not in ("collaboration", "event", "policy") and row.org == sub.org
        own = row.type == "node" and who.kind != "user" and row.id == sub.account
        of_run = container and getattr(row, "run", None) == sub.run and hasattr(row, "run")
        of_task = container and row.type == "task" and sub.task in (row.id, row.parent)
        together = sub.collabs & row.collabs or joined
        started = sub.org is not None and sub.org in row.owner_orgs
        return bool(home or started or homeless or together or own or of_run or of_task)
    return (
        (node and operation == "edit" and row.type in ("node", "organization") and home)
        or (node and operation == "edit" and row.type == "node" and row.org == sub.org)
        or (node and (row.type, operation) in PROTOCOL and row.org == sub.org)
        or (container and (row.type, operation) == ("task", "create") and _subtask(sub, row))
    )


def _subtask(sub: SubjectFacts, row: SimpleNamespace) -> bool:
    together = row.parent == sub.task and row.image == sub.image
    return together and bool(sub.collabs & row.collabs)


PROTOCOL = {("result", "edit"), ("port", "create"), ("port", "edit"), ("port", "delete")}


def _unmeant(lines: list[Line], kind: PrincipalKind) -> list[Line]:
    """Without the allowances that are meant for every one of a kind."""
    return [
        line
        for line in lines
        if line.ptype != "p"
        or line.values[0] != DECLARING[kind]
        or line.values[5] != "allow"
        or "*" in (line.values[1], line.values[3])
    ]


@settings(max_examples=examples(20), deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_whoever_is_let_in_by_a_random_policy_is_found(seed: int) -> None:
    """Every row that a stranger has no part in and may use is one that lint knows of."""
    chance = random.Random(seed)
    lines = make_lines_for_kinds(chance)
    enforcer = Enforcer(define((POLICIES / "model.conf").read_text()), lines, 0)
    found = {
        (kind, resource, operation)
        for kind, resource, operation in itertools.product(PrincipalKind, Resource, Operation)
        for rest in Strangers(enforcer).let_in(kind, resource, operation)
        if rest.line in _unmeant(lines, kind)
    }
    assert bool(found) is any(True for _ in stranger_problems(enforcer))
    for _ in range(40):
        for who, resource in itertools.product(make_strangers(chance), Resource):
            row, operation = make_row(chance, resource), chance.choice(tuple(Operation))
            if _has_part(who, row, operation):
                continue
            allowed = oracle(who, row, operation, _unmeant(lines, who.kind))
            assert not allowed or (who.kind, resource, operation) in found, (who.id, row, lines)


@pytest.mark.parametrize("resource", Resource)
def test_no_condition_is_called_open_that_is_not(resource: Resource) -> None:
    """For each condition and scope by itself some row shows that strangers are let in."""
    chance, open_ = random.Random(9), 0
    pool = [text for text, _ in (*CONDITIONS[""], *CONDITIONS.get(resource, ()))]
    scopes = list(Scope)
    if resource is Resource.EVENT:  # it has no table that says how owners look
        pool.remove("'user:01' in r.obj.owners")
        scopes.remove(Scope.OWN)
    definition = define((POLICIES / "model.conf").read_text())
    rows = [
        (who, loose_row(chance, resource)) for _ in range(2000) for who in make_strangers(chance)
    ]
    for kind, operation in itertools.product(PrincipalKind, Operation):
        strange = [
            (who, SimpleNamespace(**vars(row), held={who.id}, act=operation.value))
            for who, row in rows
            if who.kind == kind and not _has_part(who, row, operation)
        ]
        scope = chance.choice(scopes)
        inside = [(who, row) for who, row in strange if in_scope(scope, who.facts, row)]
        for text in pool:
            line = Line("p", (f"kind:{kind}", resource, scope, operation, text, "allow"), "one:1")
            found = Strangers(Enforcer(definition, [line], 0)).let_in(kind, resource, operation)
            shown = any(BY_TEXT[text](who.facts, row) for who, row in inside)
            assert bool(found) is shown, line
            open_ += shown
    assert open_ > 20
