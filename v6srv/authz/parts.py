"""The lines of a version of the policy, in parts: those of a custom role can be replaced."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

from v6srv.authz.line import DATABASE, Line
from v6srv.authz.long_work import step

OF_ROLE = f"{DATABASE}role:"
"""How the origin of the lines of a custom role begins, followed by its id."""

Place = tuple[int, int, int]
"""Where a line stands among all lines."""
Roles = Mapping[int, Sequence[Line]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Lines in their order: what comes before those of custom roles, these by id, what follows."""

    before: Sequence[Line]
    roles: Roles
    after: Sequence[Line]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "Parts":
        """Lines in any order; unless those of roles are together, by id, no part is of a role."""
        lines = list(lines)
        runs = [(id, list(run)) for id, run in groupby(lines, _role_of)]
        before = runs.pop(0)[1] if runs and runs[0][0] is None else []
        after = runs.pop()[1] if runs and runs[-1][0] is None else []
        roles = {id: run for id, run in runs if id is not None}
        if [*roles] != sorted(roles) or len(roles) < len(runs):
            return cls(lines, {}, ())
        return cls(before, roles, after)

    def __iter__(self) -> Iterator[Line]:
        return chain(self.before, *(self.roles[id] for id in sorted(self.roles)), self.after)

    def placed(self) -> Iterator[tuple[Place, Line]]:
        """Every line with its place, in no order of roles."""
        for number, line in enumerate(self.before):
            yield (0, 0, number), line
        for id, lines in self.roles.items():
            yield from placed_of_role(id, lines)
        for number, line in enumerate(self.after):
            yield (2, 0, number), line

    def having(self, roles: Roles) -> "Parts":
        """The same with other lines of these roles; none: the role has no line any more."""
        merged = {**self.roles, **roles}
        return replace(self, roles={id: lines for id, lines in merged.items() if lines})


def placed_of_role(id: int, lines: Iterable[Line]) -> Iterator[tuple[Place, Line]]:
    """The lines of one role with their places."""
    for number, line in enumerate(lines):
        yield (1, id, number), line


def _role_of(line: Line) -> int | None:
    step()
    return int(line.origin[len(OF_ROLE) :]) if line.origin.startswith(OF_ROLE) else None


@dataclass(frozen=True, slots=True)
class Texts:
    """The same parts as one text each, of which the name of a version is made."""

    before: bytes
    roles: Mapping[int, bytes]
    after: bytes

    @classmethod
    def of(cls, parts: Parts) -> "Texts":
        """The texts of all parts."""
        roles = {id: _text(lines) for id, lines in parts.roles.items()}
        return cls(_text(parts.before), roles, _text(parts.after))

    def having(self, roles: Roles) -> "Texts":
        """As `Parts.having`."""
        merged = {**self.roles, **{id: _text(lines) for id, lines in roles.items()}}
        return replace(self, roles=merged)

    def digest(self, model: str) -> str:
        """The name of the version with this model."""
        digest = hashlib.sha256(model.encode())
        for text in (self.before, *(self.roles[id] for id in sorted(self.roles)), self.after):
            digest.update(text)
        return digest.hexdigest()[:12]


def _text(lines: Iterable[Line]) -> bytes:
    found = []
    for line in lines:
        step()
        found.append(f"\n{line}")
    return "".join(found).encode()
