"""All lines of the live policy, from files and database, in forms that can be read again."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import OnlyOfWhatIsThere, parse, tokens_to_names
from v6srv.authz.line import Line
from v6srv.authz.source.language import spoken
from v6srv.errors import Invalid

_BREAKS = re.compile(r"[\r\n]")
"""Only between words: no text of a condition can hold one."""


def lines(enforcer: Enforcer) -> list[Line]:
    """The lines in the order they are read, time limits beside conditions and not part of them.

    A line that says the same as one before it is left out: files must not repeat lines.
    """
    found: dict[tuple[str, tuple[str, ...]], Line] = {}
    for line in enforcer.lines:
        found.setdefault((line.ptype, line.values), _without_limits(enforcer, line))
    return list(found.values())


def _without_limits(enforcer: Enforcer, line: Line) -> Line:
    """The line as it was written: `with_limits` the other way round."""
    at = enforcer.definition.condition_at
    if (line.valid_from, line.valid_until) == (None, None) or at is None:
        return line
    time = f"timeMatch('{clock.write(line.valid_from)}', '{clock.write(line.valid_until)}')"
    merged = line.values[at]
    given = "True" if merged == time else merged.removeprefix(f"{time} && (").removesuffix(")")
    return replace(line, values=(*line.values[:at], given, *line.values[at + 1 :]))


def in_force(line: Line) -> bool:
    """Whether it counts now, by its time limits."""
    now = clock.now()
    begun = line.valid_from is None or line.valid_from <= now
    return begun and (line.valid_until is None or now < line.valid_until)


def as_csv(enforcer: Enforcer) -> Iterator[str]:
    """The lines of a policy file that, beside the same model.conf, is the same policy.

    Comments say where lines came from.
    """
    yield f"# Policy {enforcer.version}"
    before = ""
    for line in lines(enforcer):
        source = line.origin.rpartition(":")[0]
        if source != before:
            yield f"# --- {source}"
        before = source
        limits = {"valid_from": line.valid_from, "valid_until": line.valid_until}
        fields = [_BREAKS.sub(" ", value) for value in line.values]
        fields += [f"{name}={clock.write(at)}" for name, at in limits.items() if at is not None]
        yield ", ".join((line.ptype, *fields))


def for_casbin(enforcer: Enforcer) -> dict[str, str]:
    """The files, by name, of which stock Casbin makes an enforcer that decides the same.

    It needs our functions, and the roles of who asks (docs/reference/casbin.md). Time limits are
    part of conditions. Raises Invalid for a line that Casbin cannot read from a file.
    """
    at = enforcer.definition.condition_at
    said = []
    for ptype, values in dict.fromkeys((line.ptype, line.values) for line in enforcer.lines):
        fields = list(values)
        if ptype == "p" and at is not None:
            fields[at] = _for_stock(fields[at])
        said.append(", ".join((ptype, *fields)))
    return {"model.conf": enforcer.definition.text, "policy.csv": "\n".join(said) + "\n"}


_TEXT = re.compile(r"""'[^']*'|"[^"]*\"""")
_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def _for_stock(condition: str) -> str:
    """A condition that means in stock Casbin what it means here, in brackets if it has a comma."""
    if any(set("()[]") & set(text) for text in _TEXT.findall(condition)):
        raise Invalid(f"Casbin cannot read brackets in a text from a file: {condition}")
    tree = parse(tokens_to_names(condition))
    ordered = any(
        isinstance(n, ast.Compare) and isinstance(n.ops[0], _ORDERS) for n in ast.walk(tree)
    )
    if ordered or re.search(r"\b(keyMatch2?|globMatch)\s*\(", condition):
        tree = OnlyOfWhatIsThere().visit(tree)
        for node in ast.walk(tree):  # not in the text, which may quote the same words
            if isinstance(node, ast.Name):
                node.id = spoken(node.id)
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.IsNot):
                node.ops = [ast.NotEq()]
        condition = ast.unparse(ast.fix_missing_locations(tree))
    return f"({condition})" if "," in condition else condition


def as_data(enforcer: Enforcer) -> dict[str, Any]:
    """Everything about the policy, for JSON: the model and each line with its place and limits."""
    names = [name.removeprefix("p_") for name in enforcer.definition.policy]
    return {
        "policy": enforcer.version,
        "revision": enforcer.revision,
        "at": clock.now().isoformat(),
        "model": enforcer.definition.text,
        "lines": [_plain(line, names) for line in lines(enforcer)],
    }


def _plain(line: Line, names: list[str]) -> dict[str, Any]:
    fields = names if line.ptype == "p" else ["member", "role"]
    return {
        "ptype": line.ptype,
        "origin": line.origin,
        **dict(zip(fields, line.values, strict=True)),
        "valid_from": line.valid_from and line.valid_from.isoformat(),
        "valid_until": line.valid_until and line.valid_until.isoformat(),
        "in_force": in_force(line),
    }
