"""docs/reference/writes.md, from v6srv/authz: what decides that a table is written."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from v6srv.authz.changes import FREE, OWNED, SERVERS_ONLY
from v6srv.authz.facts import RESOURCES
from v6srv.authz.fields import field_names
from v6srv.authz.unit_of_work import Cover, ServerWrite

_HEAD = """# What decides that something is written

Generated from `v6srv/authz/changes.py`, `fields.py` and `unit_of_work.py` by `make docs`; do not edit. How it works is in
[How a request is decided](../how-a-request-is-decided.md).

## Rows that are decided

Each row that is made, changed or deleted is decided as `create`, `edit` or `delete` of its resource. `r.sub.changes` holds the names of the fields that
an edit really changes:

| Table | Resource | Fields |
|---|---|---|
"""

_OWNED = """
## Tables that are a field of another row

Who writes to them edits the row that they belong to.

| Table | Is |
|---|---|
"""

_SERVERS = """
## Tables that only the server writes

| Table | Why |
|---|---|
"""

_FREE = """
## Tables in which nothing is decided

| Table | Why |
|---|---|
"""

_REASONS = """
## What the server writes by itself

Inside of `as_server(reason)` nothing is decided. These are all places. Any other statement that writes to a table above, as SQL, in bulk, or through a session of
its own, is refused.

| Reason | | Where |
|---|---|---|
"""

_COVERS = """
## Changes that another decision allows

Inside of `covered_by(reason)` a change needs no allowance of its own; denials hold.

| Reason | | Where |
|---|---|---|
"""

_TOP = Path(__file__).parents[1] / "v6srv"


def places(function: str) -> Mapping[str, list[str]]:
    """The modules that call `as_server` or `covered_by`, by the name of the reason."""
    found: dict[str, list[str]] = {}
    for path in sorted(_TOP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != function:
                continue
            [reason] = node.args
            name = reason.attr if isinstance(reason, ast.Attribute) else ast.unparse(reason)
            module = path.relative_to(_TOP).as_posix()
            if module not in found.setdefault(name, []):
                found[name].append(module)
    return found


def _reasons(words: type[ServerWrite] | type[Cover], function: str) -> Iterator[str]:
    where = places(function)
    for word in words:
        modules = ", ".join(f"`{module}`" for module in where[word.name])
        yield f"| `{word.name}` | {word.value} | {modules} |\n"


def text() -> str:
    """The page."""
    decided = [
        f"| `{model.__tablename__}` | `{resource}` | {', '.join(sorted(field_names(model)))} |\n"
        for model, resource in RESOURCES.items()
    ]
    parts = [_HEAD, *decided]
    for head, tables in ((_OWNED, OWNED), (_SERVERS, SERVERS_ONLY), (_FREE, FREE)):
        parts += [head, *(f"| `{table}` | {why} |\n" for table, why in tables.items())]
    parts += [_REASONS, *_reasons(ServerWrite, "as_server")]
    parts += [_COVERS, *_reasons(Cover, "covered_by")]
    return "".join(parts)
