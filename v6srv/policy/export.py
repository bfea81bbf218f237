"""All lines of the live policy, from files and database, in forms that can be read again."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.source import Line

_BREAKS = re.compile(r"[\r\n]")
"""Only between words: no text of a condition can hold one."""


def lines(snapshot: Enforcer) -> list[Line]:
    """The lines in the order they are read, time limits beside conditions and not part of them.

    A line that says the same as one before it is left out: files must not repeat lines.
    """
    found: dict[tuple[str, tuple[str, ...]], Line] = {}
    for line in snapshot.lines:
        found.setdefault((line.ptype, line.values), _without_limits(snapshot, line))
    return list(found.values())


def _without_limits(snapshot: Enforcer, line: Line) -> Line:
    """The line as it was written: `with_limits` the other way round."""
    policy = snapshot.definition.policy
    if (line.valid_from, line.valid_until) == (None, None) or "p_cond" not in policy:
        return line
    at = policy.index("p_cond")
    time = f"timeMatch('{clock.write(line.valid_from)}', '{clock.write(line.valid_until)}')"
    merged = line.values[at]
    given = "True" if merged == time else merged.removeprefix(f"{time} && (").removesuffix(")")
    return replace(line, values=(*line.values[:at], given, *line.values[at + 1 :]))


def in_force(line: Line) -> bool:
    """Whether it counts now, by its time limits."""
    now = clock.now()
    begun = line.valid_from is None or line.valid_from <= now
    return begun and (line.valid_until is None or now < line.valid_until)


def as_csv(snapshot: Enforcer) -> Iterator[str]:
    """The lines of a policy file that, beside the same model.conf, is the same policy.

    Comments say where lines came from.
    """
    yield f"# Policy {snapshot.version}"
    before = ""
    for line in lines(snapshot):
        source = line.origin.rpartition(":")[0]
        if source != before:
            yield f"# --- {source}"
        before = source
        limits = {"valid_from": line.valid_from, "valid_until": line.valid_until}
        fields = [_BREAKS.sub(" ", value) for value in line.values]
        fields += [f"{name}={clock.write(at)}" for name, at in limits.items() if at is not None]
        yield ", ".join((line.ptype, *fields))


def as_data(snapshot: Enforcer) -> dict[str, Any]:
    """Everything about the policy, for JSON: the model and each line with its place and limits."""
    names = [name.removeprefix("p_") for name in snapshot.definition.policy]
    return {
        "policy": snapshot.version,
        "revision": snapshot.revision,
        "at": clock.now().isoformat(),
        "model": snapshot.definition.text,
        "lines": [_plain(line, names) for line in lines(snapshot)],
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
