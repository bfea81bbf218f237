"""Write docs/policies.md from code and policies. `--check` only says whether it is up to date."""

import sys
from pathlib import Path

from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.principal import SUBJECT_FACTS
from v6srv.authz.rules import DEFAULT_ROLES, RULES
from v6srv.authz.snapshot import declared_grants
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "policies.md"

_HEAD = """# Policies: reference

Generated from the code and `policies/` by `make docs`; do not edit.

A line of a CSV file grants or denies:

```
p, subject, resource, scope, operation, condition, effect
g, member, role
```

A subject is `role:<name>` (default and file roles), `role:<id>` (custom roles), `rule:<id>` (an
extra rule), `user:<id>`, `node:<id>`, `org:<id>` or `kind:<user|node|container>`. What a line means
is said by the matcher in `model.conf`. A matching `deny` beats every `allow`; nothing matching is a
denial. Changed files go live by themselves when they are valid; otherwise the old policy stays, and
the log says what is wrong, with file, line and column.
"""


def _words() -> str:
    rows = [
        ("resource", [*Resource, "*"]),
        ("scope", list(Scope)),
        ("operation", [*Operation, "*"]),
        ("effect", list(Effect)),
        ("kind", list(PrincipalKind)),
    ]
    lines = ["## Words", "", "| field | words |", "|---|---|"]
    lines += [f"| {name} | {', '.join(f'`{word}`' for word in words)} |" for name, words in rows]
    return "\n".join(lines)


def _name(type_: type) -> str:
    return {int: "number", str: "text", bool: "true or false", frozenset: "set of numbers"}[type_]


def _facts() -> str:
    lines = ["## Facts of the caller", "", "| fact | type |", "|---|---|"]
    lines += [f"| `r.sub.{name}` | {_name(type_)} |" for name, type_ in SUBJECT_FACTS.items()]
    lines += ["", "## Facts of rows", "", "| resource | one value | sets |", "|---|---|---|"]
    for resource in Resource:
        if resource not in MODELS:
            lines.append(f"| {resource} | as the task, node or room it is about | |")
            continue
        table = TABLES[MODELS[resource]]
        scalars = [f"`{name}` ({_name(s.type)})" for name, s in table.scalars.items()]
        sets = [f"`{name}` (of {_name(s.type)}s)" for name, s in table.sets.items()]
        lines.append(f"| {resource} | {', '.join(scalars)} | {', '.join(sets)} |")
    lines += [
        "",
        "Rows are compared with `==`, `!=`, `in` and `not in`; terms are joined by `&&`, `||` and"
        " `!`. Functions: " + ", ".join(f"`{name}`" for name in FUNCTIONS) + ".",
    ]
    return "\n".join(lines)


def _matrix() -> str:
    grants = declared_grants(ROOT / "policies")
    names = " | ".join(role.name for role in DEFAULT_ROLES)
    lines = [
        "## Default roles",
        "",
        f"| resource | operation | {names} |",
        "|---|---|" + "---|" * len(DEFAULT_ROLES),
    ]
    pairs = dict.fromkeys((rule.resource, rule.operation) for rule in RULES)
    for resource, operation in pairs:
        cells = []
        for role in DEFAULT_ROLES:
            held = [s for s in reversed(Scope) if (resource, s, operation) in grants[role.slug]]
            cells.append(", ".join(held))
        lines.append(f"| {resource} | {operation} | {' | '.join(cells)} |")
    return "\n".join(lines)


def text() -> str:
    """The whole page."""
    return "\n\n".join((_HEAD.strip(), _words(), _facts(), _matrix())) + "\n"


if __name__ == "__main__":
    fresh = text()
    if "--check" in sys.argv:
        sys.exit(TARGET.read_text() != fresh and "docs/policies.md is stale: run make docs")
    TARGET.write_text(fresh)
