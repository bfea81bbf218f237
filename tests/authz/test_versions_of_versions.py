"""A version that is made of the last one is the version that is made of all lines."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.authz.test_engine_properties import MODELS
from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.rules import RULES
from v6srv.authz.source.adapter import Stored
from v6srv.authz.source.folder import read_texts
from v6srv.authz.source.live import Files, Sound
from v6srv.authz.source.load import parse_files
from v6srv.vocabulary import Operation, PrincipalKind, Resource

POLICIES = Path(__file__).parents[2] / "policies"
HANDED = [SimpleNamespace(res=r, scope=s, act=a) for r, s, a in (rule.key for rule in RULES[::7])]
KEYS = {number: rule.key for number, rule in enumerate(RULES, 1)}
MORE = (
    "p, role:8, task, global, view, True, deny",
    "p, role:9, task, global, delete, True, allow",
    "p, user:3, task, global, view, r.obj.id != 4 && !('role:8' in r.sub.roles), allow",
    "g, role:any_user, role:9",
    "g, org:2, role:8",
    "p, org:2, result, global, view, True, allow",
    "p, user:3, task, global, view, True, deny",
)


def files_of(model: str) -> Files:
    texts, unread = read_texts(POLICIES)
    texts = {**texts, "model.conf": model}
    definition, lines, wrong = parse_files(texts, unread)
    return Files(texts, definition, tuple(lines), tuple(wrong))


def stored_of(roles: Mapping[int, Sequence[int]], more: Sequence[str]) -> Stored:
    rules = [
        Line("p", (f"rule:{id}", *key, "True", "allow"), f"db:rule:{id}")
        for id, key in KEYS.items()
    ]
    added = [text.split(", ") for text in more]
    lines = [
        Line(ptype, tuple(values), f"db:casbin_rule:{id}")
        for id, (ptype, *values) in enumerate(added, 1)
    ]
    return Stored(rules, {id: json.dumps(held) for id, held in roles.items() if held}, lines)


def principals(chance: random.Random) -> list[Principal]:
    names = [f"role:{id}" for id in range(8, 16)] + ["role:viewer", "rule:3", "role:root"]
    return [
        Principal(kind, 3, 2, frozenset({1}), tuple(chance.sample(names, chance.randint(0, 3))))
        for kind in (PrincipalKind.USER, PrincipalKind.USER, PrincipalKind.NODE)
    ]


def said(version: Enforcer, who: Principal) -> list[object]:
    """All that decisions, lists and reasons are made of."""
    plans = [
        version.plan(who.facts, resource, operation)
        for resource in Resource
        for operation in Operation
    ]
    handed = [version.handing_out(who.facts, rule).plan for rule in HANDED]
    lines = [
        [(rest.line, rest.effect, rest.text) for rest in plan.remainders]
        for plan in (*plans, *handed)
    ]
    kept = [(sorted(plan.allow), sorted(plan.deny)) for plan in plans]
    return [lines, kept, version.lacks(who.facts)]


@pytest.mark.parametrize("model", ["shipped", "allow only", "no index on resources"])
@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_it_says_what_one_made_of_all_lines_says(model: str, seed: int) -> None:
    chance = random.Random(f"{model} {seed}")
    files, roles, more = files_of(MODELS[model]), dict[int, list[int]](), list[str]()
    last, made_of_last = None, 0
    for _ in range(12):
        for role in chance.sample(range(8, 16), chance.randint(0, 3)):
            roles[role] = chance.sample(sorted(KEYS), chance.choice((0, 1, 5, 30)))
        if chance.random() < 0.3:
            more = chance.sample(MORE, chance.randint(0, 2))
        now = stored_of(roles, more)
        version = last.with_roles(files, now, 7) if last else None
        whole, problems = files.examine(now.lines, 7)
        assert whole is not None
        if version is None:
            last = None if problems else Sound(files, now, whole, clock.now())
            continue
        assert not problems, "what would have been refused is live"
        made_of_last += 1
        assert (version.version, version.lines) == (whole.version, whole.lines)
        assert (version.revision, version.moments) == (whole.revision, whole.moments)
        for who in principals(chance):
            assert said(version, who) == said(whole, who)
        assert version.get_policy() == whole.get_policy()
        assert version.get_implicit_roles_for_user("role:8") == (
            whole.get_implicit_roles_for_user("role:8")
        )
        last = Sound(files, now, version, clock.now())
    assert made_of_last


@pytest.mark.parametrize("line", [MORE[0], MORE[2], MORE[4]])
def test_a_role_that_other_lines_speak_of_is_checked_with_all_of_them(line: str) -> None:
    files, before = files_of(MODELS["shipped"]), stored_of({8: [1], 80: [1]}, [line])
    whole, _ = files.examine(before.lines, 1)
    assert whole is not None
    last = Sound(files, before, whole, clock.now())
    assert last.with_roles(files, replace(before, roles={8: "[2, 1]", 80: "[1]"}), 2) is None
    assert last.with_roles(files, replace(before, roles={8: "[1]", 80: "[2, 1]"}), 2) is not None


def test_when_a_time_limit_has_passed_all_lines_are_checked_again() -> None:
    files, yesterday = files_of(MODELS["shipped"]), clock.now() - timedelta(days=1)
    values = ("user:3", "task", "global", "view", "True", "allow")
    limited = Line("p", values, "db:casbin_rule:1", valid_from=yesterday)
    before = replace(stored_of({8: [1]}, []), added=[limited])
    whole, _ = files.examine(before.lines, 1)
    assert whole is not None
    now = replace(before, roles={8: "[2]"})
    checked_before = Sound(files, before, whole, yesterday - timedelta(hours=1))
    assert checked_before.with_roles(files, now, 2) is None
    checked_after = Sound(files, before, whole, yesterday + timedelta(hours=1))
    assert checked_after.with_roles(files, now, 2) is not None


def test_it_remembers_nothing_of_the_version_that_it_was_made_of() -> None:
    """Rules that somebody holds are what hand-out asks: `lacks` is of this version, not of that."""
    files = files_of(MODELS["shipped"])
    before, after = stored_of({8: list(KEYS)}, []), stored_of({8: [1]}, [])
    whole, _ = files.examine(before.lines, 1)
    assert whole is not None
    who = Principal(PrincipalKind.USER, 3, 2, frozenset({1}), ("role:8",))
    first = whole.lacks(who.facts)
    made = Sound(files, before, whole, clock.now()).with_roles(files, after, 2)
    assert made is not None
    assert len(made.lacks(who.facts)) > len(first)
    for version in (whole, made):  # what conditions ask
        asked = version.program.function(f"{version.program.subject}.lacks")
        assert asked(who.facts, None, "view") == version.lacks(who.facts)
    assert whole.lacks(who.facts) == first
