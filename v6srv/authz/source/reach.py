"""Which principals the lines of a subject are about."""

from collections.abc import Iterable, Mapping
from typing import Any

from v6srv.authz.compiler import closure
from v6srv.authz.line import Line
from v6srv.authz.rules import DEFAULT_ROLES
from v6srv.vocabulary import PrincipalKind

_EVERY_KIND = frozenset(PrincipalKind)
DEFAULT = tuple(f"role:{role.slug}" for role in DEFAULT_ROLES)
"""The default roles, as lines call them."""


def is_custom(subject: str) -> bool:
    """A role or rule of the database: people get it there."""
    kind, _, name = subject.partition(":")
    return kind == "rule" or (kind == "role" and name.isascii() and name.isdecimal())


def edges_of(lines: Iterable[Line], graph: str = "g") -> dict[str, list[str]]:
    """What members inherit from directly, or scopes cover (`g2`)."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.ptype == graph and len(line.values) == 2:
            found.setdefault(line.values[0], []).append(line.values[1])
    return found


class Reach:
    """Which principals the lines of a subject are about."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._members: dict[str, list[str]] = {}
        for member, roles in edges_of(lines).items():
            for role in roles:
                self._members.setdefault(role, []).append(member)
        self._kinds: dict[str, frozenset[PrincipalKind]] = {}

    def kinds(self, subject: str) -> frozenset[PrincipalKind]:
        """The kinds of principals that are or can have the subject; empty for nobody."""
        if subject not in self._kinds:
            found: set[PrincipalKind] = set()
            for name in closure(self._members, subject):
                found |= _kinds_called(name)
            self._kinds[subject] = frozenset(found)
        return self._kinds[subject]

    def own_facts(self, subject: str, token: str) -> Mapping[str, Any]:
        """Facts that follow from the subject itself, unless others inherit from it."""
        kind, _, name = subject.partition(":")
        if subject in self._members or kind not in ("user", "node", "org"):
            return {}
        if kind == "org":
            return {f"{token}.group": subject, f"{token}.org": int(name)}
        return {f"{token}.id": subject, f"{token}.account": int(name)}


def _kinds_called(name: str) -> frozenset[PrincipalKind]:
    prefix, _, rest = name.partition(":")
    if prefix == "kind":
        return frozenset({PrincipalKind(rest)})
    if prefix in ("user", "node"):
        return frozenset({PrincipalKind(prefix)})
    if prefix == "org":
        return _EVERY_KIND
    if is_custom(name):
        return frozenset({PrincipalKind.USER})
    # The default roles node and container are for those kinds; people are given the others.
    own = name in DEFAULT and rest not in set(PrincipalKind)
    return frozenset({PrincipalKind.USER}) if own else frozenset()
