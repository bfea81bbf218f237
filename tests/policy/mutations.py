"""Random small changes of a policy."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from v6srv.authz.line import Line
from v6srv.vocabulary import Operation, Resource, Scope

ANY = (
    "True",
    "r.obj.org == r.sub.org",
    "r.obj.org != r.sub.org",
    "!meets(r.sub.collabs, r.obj.collabs)",
    "1 in r.obj.collabs || 2 in r.obj.orgs",
    "!(r.sub.id in r.obj.owners)",
    "r.sub.org in r.obj.orgs && r.sub.account > 12",
    "r.obj.id != r.sub.account",
    "r.obj.id in (4, 5)",
    "meets(r.obj.orgs, (1, 9)) && !(4 in r.obj.collabs)",
    "r.obj.org == None",
    "meets(r.sub.changes, ('roles', 'ip'))",
    "timeMatch('2000-01-01 00:00:00', '2001-01-01 00:00:00')",
)
OF = {
    "task": (
        "glob(r.obj.image, 'harbor/*')",
        "!glob(r.obj.image, 'other/a_?') || r.obj.org == r.sub.org",
        "r.obj.image == r.sub.image",
        "!(r.obj.image == 'harbor/a:1') && glob(r.obj.image, 'harbor/*')",
        "r.obj.run != r.sub.run",
        "r.obj.parent == r.sub.task",
    ),
    "result": ("r.obj.status == 'completed'", "!(r.obj.status == 'completed')"),
    "collaboration": ("r.obj.encrypted == True", "r.obj.encrypted != True"),
    "organization": ("r.obj.country == 'NL'", "!(r.obj.country == 'NL')"),
}
SUBJECTS = (
    "role:viewer",
    "role:researcher",
    "role:org_admin",
    "role:everyone",
    "role:node",
    "role:12",
    "rule:3",
    "kind:user",
    "kind:node",
    "kind:container",
    "user:11",
    "user:13",
    "node:21",
    "org:1",
)

RICHER = (
    "p, role:12, task, organization, view, glob(r.obj.image, 'harbor/*'), allow",
    "p, role:12, *, organization, view, r.obj.id != r.sub.account, allow",
    "p, rule:3, result, global, view, True, allow",
    "p, user:11, task, own, delete, True, allow",
    "p, user:13, task, global, view, 1 in r.obj.collabs || 2 in r.obj.orgs, deny",
    "p, org:1, collaboration, global, view, r.obj.encrypted == True, deny",
    "p, kind:user, result, global, view, r.obj.status == 'completed', deny",
    "p, node:21, event, organization, create, True, allow",
    "p, role:everyone, organization, global, view, !(r.obj.country == 'NL'), allow",
    "p, role:everyone, role, global, view, meets(r.obj.orgs, (1, 9)), deny",
    "g, role:12, role:researcher",
    "g, org:1, role:viewer",
)


def line(text: str, origin: str) -> Line:
    """A line as files hold it; commas within brackets do not split."""
    from v6srv.authz.source.lines import split

    ptype, *values = (value for value, _ in split(text))
    return Line(ptype, tuple(values), origin)


def mutated(chance: random.Random, lines: list[Line]) -> tuple[str, list[Line]]:
    """What was done, and the lines after it."""
    change = chance.choice(_CHANGES)
    return change.__name__, change(chance, list(lines))


def _policy_line(chance: random.Random, lines: list[Line]) -> int:
    return chance.choice([at for at, one in enumerate(lines) if one.ptype == "p"])


def _drop(chance: random.Random, lines: list[Line]) -> list[Line]:
    del lines[_policy_line(chance, lines)]
    return lines


def _flip(chance: random.Random, lines: list[Line]) -> list[Line]:
    return _with(chance, lines, 5, lambda values: "deny" if values[5] == "allow" else "allow")


def _scope(chance: random.Random, lines: list[Line]) -> list[Line]:
    return _with(chance, lines, 2, lambda _: chance.choice(tuple(Scope)).value)


def _resource(chance: random.Random, lines: list[Line]) -> list[Line]:
    return _with(chance, lines, 1, lambda _: chance.choice((*Resource, "*")))


def _operation(chance: random.Random, lines: list[Line]) -> list[Line]:
    return _with(chance, lines, 3, lambda _: chance.choice((*Operation, "*")))


def _subject(chance: random.Random, lines: list[Line]) -> list[Line]:
    return _with(chance, lines, 0, lambda _: chance.choice(SUBJECTS))


def _condition(chance: random.Random, lines: list[Line]) -> list[Line]:
    return _with(chance, lines, 4, lambda values: _any_condition(chance, values[1]))


def _add(chance: random.Random, lines: list[Line]) -> list[Line]:
    resource = chance.choice((*Resource, "*"))
    values = (
        chance.choice(SUBJECTS),
        str(resource),
        chance.choice(tuple(Scope)).value,
        str(chance.choice((*Operation, "*"))),
        _any_condition(chance, resource),
        chance.choice(("allow", "allow", "deny")),
    )
    return [*lines, Line("p", values, "added:1")]


def _edge(chance: random.Random, lines: list[Line]) -> list[Line]:
    edges = [one for one in lines if one.ptype == "g"]
    if chance.random() < 0.6:
        lines.remove(chance.choice(edges))
        return lines
    member, role = chance.choice(SUBJECTS[:6]), chance.choice(("role:viewer", "role:node"))
    return [*lines, Line("g", (member, role), "added:2")] if member != role else lines


_CHANGES = (_drop, _flip, _scope, _resource, _operation, _subject, _condition, _add, _edge)
KINDS = {change.__name__ for change in _CHANGES}
"""What can be done to a policy."""


def _any_condition(chance: random.Random, resource: str) -> str:
    return chance.choice((*ANY, *OF.get(resource, ()), *OF.get(resource, ())))


def _with(
    chance: random.Random,
    lines: list[Line],
    field: int,
    value: Callable[[tuple[str, ...]], str],
) -> list[Line]:
    """One field of one line is another; a condition that no longer fits the resource goes."""
    at = _policy_line(chance, lines)
    values = list(lines[at].values)
    values[field] = str(value(lines[at].values))
    if values[4] not in (*ANY, *OF.get(values[1], ())) and values[1] != lines[at].values[1]:
        values[4] = "True"
    lines[at] = replace(lines[at], values=tuple(values))
    return lines
