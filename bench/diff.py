"""How long it takes to compare two versions of a policy: 500 users, 60 nodes and 320 lines.

Without a database: everybody is made up here, with the rooms of 10 collaborations. Every number is
the median of some runs, each with enforcers that have not been asked anything before.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from v6srv.authz.definition import Definition
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.rules import RULES
from v6srv.authz.source.load import read_folder
from v6srv.authz.source.model_conf import define
from v6srv.policy.diff.audience import imagined
from v6srv.policy.diff.compare import compare
from v6srv.vocabulary import PrincipalKind

POLICIES = Path(__file__).parents[1] / "policies"
CONDITIONS = (
    "glob(r.obj.image, 'harbor/*')",
    "r.obj.org == r.sub.org",
    "3 in r.obj.collabs",
    "!glob(r.obj.image, 'harbor/test/*')",
)
DEFAULT = ("role:viewer", "role:researcher", "role:org_admin", "role:collab_admin")
Change = Callable[[Definition, list[Line]], tuple[Definition, list[Line]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--lines", type=int, default=320)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    chance = random.Random(1)
    definition = define((POLICIES / "model.conf").read_text())
    lines = list(_lines(chance, options.lines))
    people = list(_people(chance, options.users))
    rooms = [(c, o) for c in range(1, 11) for o in (None, c, c + 5)]
    print(f"{len(people)} principals, {len(lines)} lines, {len(rooms)} rooms")
    for name, change in CHANGES.items():
        changed = change(definition, list(lines))
        times = []
        for _ in range(options.runs):
            old, new = Enforcer(definition, lines, 0), Enforcer(*changed, 0)
            started = time.perf_counter()
            found = compare(old, new, [*people, *imagined((old, new), people)], rooms)
            times.append(time.perf_counter() - started)
        print(f"{statistics.median(times):7.3f} s  {len(found.changes):5} changes  {name}")


def _lines(chance: random.Random, number: int) -> Iterator[Line]:
    shipped = read_folder(POLICIES)[1]
    yield from shipped
    seen = set()
    while len(seen) < number - len(shipped):
        rule = chance.choice(RULES)
        condition = "True"
        if rule.resource == "task" and chance.random() < 0.5:
            condition = chance.choice(CONDITIONS)
        role = f"role:{10 + len(seen) % 20}"
        effect = "deny" if condition != "True" and chance.random() < 0.2 else "allow"
        values = (role, *rule.key, condition, effect)
        if values not in seen:
            seen.add(values)
            yield Line("p", values, f"db:role:{len(seen)}")


def _people(chance: random.Random, users: int) -> Iterator[Principal]:
    collabs = {org: frozenset(chance.sample(range(1, 11), 2)) for org in range(1, 21)}
    roles = [*DEFAULT, *(f"role:{number}" for number in range(10, 30))]
    for id in range(1, users + 1):
        org = chance.randint(1, 20)
        held = tuple(chance.sample(roles, chance.choice((1, 1, 1, 2, 3))))
        yield Principal(PrincipalKind.USER, id, org, collabs[org], held)
    for number in range(1, 61):
        org = chance.randint(1, 20)
        collab = frozenset({min(collabs[org])})
        yield Principal(PrincipalKind.NODE, users + number, org, collab)


def _scope(definition: Definition, lines: list[Line]) -> tuple[Definition, list[Line]]:
    at = next(i for i, one in enumerate(lines) if one.values[:2] == ("role:viewer", "task"))
    values = list(lines[at].values)
    values[2] = "global"
    lines[at] = replace(lines[at], values=tuple(values))
    return definition, lines


def _edge(definition: Definition, lines: list[Line]) -> tuple[Definition, list[Line]]:
    gone = ("role:researcher", "role:viewer")
    return definition, [one for one in lines if one.values != gone]


def _matcher(definition: Definition, lines: list[Line]) -> tuple[Definition, list[Line]]:
    old, new = "r_sub.org in r_obj.orgs", "r_sub.org == r_obj.org"
    matchers = {name: text.replace(old, new) for name, text in definition.matchers.items()}
    assert matchers != definition.matchers
    return replace(definition, matchers=matchers, text=f"{definition.text}\n# changed"), lines


def _everything(definition: Definition, lines: list[Line]) -> tuple[Definition, list[Line]]:
    """Every allowance of every role is global."""
    wide = [
        replace(one, values=(*one.values[:2], "global", *one.values[3:]))
        if one.ptype == "p" and one.values[0].startswith("role:")
        else one
        for one in lines
    ]
    return definition, wide


CHANGES: dict[str, Change] = {
    "nothing": lambda definition, lines: (definition, lines),
    "the scope of one line": _scope,
    "a role no longer inherits": _edge,
    "another matcher": _matcher,
    "all lines of all roles": _everything,
}


if __name__ == "__main__":
    main()
