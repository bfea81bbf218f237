"""Lines that change nothing: shadowed by another of the same effect, or always denied."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from v6srv.authz.compiler import Remainder, closure
from v6srv.authz.enforcer import Enforcer, Thing
from v6srv.authz.line import Line
from v6srv.authz.source import codes
from v6srv.authz.source.check_policy import operations_of, resources_of
from v6srv.authz.source.problems import Problem
from v6srv.authz.source.reach import Reach
from v6srv.authz.theory.knowledge import known_of, stranger
from v6srv.authz.theory.satisfiability import implies
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource

_MOST_COMPARED = 40
"""Different remainders of one subject, resource and operation that are compared as logic; more are
only compared as text."""
_FIRST = 3
"""Lines of the same text that are kept then: one of them may be the line itself."""

_Key = tuple[str, str, str, Effect]
"""Subject, resource, operation, effect."""


def overlapping(
    enforcer: Enforcer, lines: Sequence[Line], now: datetime, shipped: Collection[Line] = ()
) -> Iterator[Problem]:
    """A warning for each of these lines that another line makes superfluous or void.

    Of the `shipped` lines only those that are so by themselves: what an admin adds on top of them
    is meant to change what they say.
    """
    finder = _Finder(enforcer, now, shipped)
    for line in lines:
        found = finder.problem(line)
        if found:
            yield found


class _Finder:
    def __init__(self, enforcer: Enforcer, now: datetime, shipped: Collection[Line]) -> None:
        self.program, self.now = enforcer.program, now
        self._shipped = frozenset(shipped)
        self.edges = enforcer.graphs.get("g", {})
        self.reach = Reach(enforcer.lines)
        fields = enforcer.definition.fields
        self.subject, self.resource, self.operation = map(fields.index, ("sub", "res", "act"))
        self._nobody = stranger()
        self._order = {id(line): number for number, line in enumerate(self.program.lines)}
        self._by_key: dict[_Key, list[Line]] = {}
        self._by_text: dict[tuple[_Key, tuple[Resource, Operation]], dict[str, list[Line]]] = {}
        for line in self.program.lines:
            self._by_key.setdefault(self._key(line), []).append(line)
        self.scope = fields.index("scope") if "scope" in fields else None
        self._implied: dict[tuple[str, str, Resource, Operation, PrincipalKind, bool], bool] = {}
        self._names: dict[str, frozenset[str]] = {}

    def _key(self, line: Line) -> _Key:
        values = line.values
        return (
            values[self.subject],
            values[self.resource],
            values[self.operation],
            self.program.effect_of(line),
        )

    def problem(self, line: Line) -> Problem | None:
        """What makes the line superfluous, the first that is found."""
        effect = self.program.effect_of(line)
        if effect is Effect.ALLOW:
            denial = self._covering(line, Effect.DENY)
            if denial:
                message = f"{denial.origin} denies all that this line allows: {denial}"
                return Problem(line.place, message, codes.DENIED_LINE)
        wider = self._covering(line, effect)
        if wider is None:
            return None
        does = "allows" if effect is Effect.ALLOW else "denies"
        message = f"{wider.origin} {does} all that this line {does}: {wider}"
        return Problem(line.place, message, codes.SHADOWED_LINE)

    def _covering(self, line: Line, effect: Effect) -> Line | None:
        for other in self._candidates(line, effect):
            if other is line or (line in self._shipped and other not in self._shipped):
                continue
            if self._covers(other, line):
                twins = effect is self.program.effect_of(line) and self._covers(line, other)
                if not twins or self._came_before(other, line):
                    return other
        return None

    def _came_before(self, one: Line, other: Line) -> bool:
        ranks = [(line not in self._shipped, self._order[id(line)]) for line in (one, other)]
        return ranks[0] < ranks[1]

    def _candidates(self, line: Line, effect: Effect) -> Iterator[Line]:
        """Lines about all the principals, resources and operations that the line is about."""
        values = line.values
        resources = dict.fromkeys((values[self.resource], "*"))
        operations = dict.fromkeys((values[self.operation], "*"))
        for name in self._held_by(values[self.subject]):
            for resource, operation in itertools.product(resources, operations):
                key = (name, resource, operation, effect)
                found = self._by_key.get(key, ())
                if len(found) <= _MOST_COMPARED:
                    yield from found
                elif found:
                    yield from self._alike(key, line)

    def _alike(self, key: _Key, line: Line) -> Iterator[Line]:
        """Of lines that are too many for logic, the first with the same text and the first wide."""
        request = next(self._requests(line))
        if (key, request) not in self._by_text:
            firsts: dict[str, list[Line]] = {}
            for other in self._by_key[key]:
                alike = firsts.setdefault(self._remainder(other, *request).text, [])
                alike += [other] * (len(alike) < _FIRST)
            self._by_text[key, request] = firsts
        firsts = self._by_text[key, request]
        yield from firsts.get("True", ())
        yield from firsts.get(self._remainder(line, *request).text, ())

    def _held_by(self, subject: str) -> frozenset[str]:
        """All that whoever has the subject surely has too."""
        if subject not in self._names:
            names = closure(self.edges, subject)
            kinds = self.reach.kinds(subject)
            if len(kinds) == 1:
                names |= closure(self.edges, f"kind:{next(iter(kinds))}")
            self._names[subject] = names
        return self._names[subject]

    def _covers(self, wide: Line, narrow: Line) -> bool:
        of_wide, of_narrow = self._key(wide), self._key(narrow)
        if of_wide[0] not in self._held_by(of_narrow[0]):
            return False
        if any(of_wide[at] not in (of_narrow[at], "*") for at in (1, 2)):
            return False
        kinds = self.reach.kinds(narrow.values[self.subject])
        # Rules are handed out scope by scope: a line of another scope is superfluous only where its
        # words say so, not where it depends on what rows are like.
        related = self.scope is None or wide.values[self.scope] == narrow.values[self.scope]
        return bool(kinds) and all(
            self._implies(narrow, wide, request, kind, related)
            for request in self._requests(narrow)
            for kind in kinds
        )

    def _requests(self, line: Line) -> Iterator[tuple[Resource, Operation]]:
        return itertools.product(
            resources_of(line.values[self.resource]), operations_of(line.values[self.operation])
        )

    def _remainder(self, line: Line, resource: Resource, operation: Operation) -> Remainder:
        key = self.program.key_of(self._nobody, Thing(resource.value), operation.value)
        return self.program.remainder(line, key)

    def _implies(
        self,
        narrow: Line,
        wide: Line,
        request: tuple[Resource, Operation],
        kind: PrincipalKind,
        related: bool,
    ) -> bool:
        one, other = self._remainder(narrow, *request), self._remainder(wide, *request)
        if other.text in ("True", one.text):
            return True
        key = (one.text, other.text, *request, kind, related)
        if key not in self._implied:
            known = known_of(self.program, kind, *request, since=self.now, related=related)
            self._implied[key] = implies(one.tree, other.tree, known)
        return self._implied[key]
