"""Which principals a change of lines can concern at all, before any plan is made.

A line that both versions have decides the same in both, for everybody whose roles have not changed.
Only where the matcher itself is another one, everybody has to be looked at.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from v6srv.authz.compiler import Program, closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import names_in
from v6srv.authz.principal import Principal

_Touched = frozenset[str]


class Affected:
    """Groups the principals of whom some decision can change, by the lines that apply to them.

    `matcher` names the question in model.conf: `m`, or `m2`.
    """

    def __init__(
        self,
        old: Enforcer,
        new: Enforcer,
        principals: Sequence[Principal],
        matcher: str = "m",
    ) -> None:
        self._principals = principals
        sides = [(policy, _program(policy, matcher)) for policy in (old, new)]
        self._programs = [program for _, program in sides if program is not None]
        self._edges = [policy.graphs.get("g", {}) for policy in (old, new)]
        self._all_words = frozenset(
            word for policy in (old, new) for line in policy.lines for word in line.values
        )
        self._everybody = len(self._programs) == 1 or not _comparable(old, new, self._programs)
        texts = [{str(line) for line in program.lines} for program in self._programs]
        self._changed: list[Program] = []
        self._words = self._all_words
        if self._programs and not self._everybody:
            here, there = self._programs
            self._changed = [_only(here, texts[1]), _only(there, texts[0])]
            lines = (line for program in self._changed for line in program.lines)
            self._words = frozenset(word for line in lines for word in line.values)
        self._others = self._with_other_roles()
        self._touched: dict[str, _Touched] = {}
        self._alike: list[list[list[Principal]]] | None = None
        self._roles = {
            who: frozenset[str]().union(*map(self._touches, who.roles)) for who in principals
        }

    @property
    def nobody(self) -> bool:
        """Whether no decision can change."""
        if not self._programs:
            return True
        lines = any(program.lines for program in self._changed)
        return not (self._everybody or lines or self._others)

    def _with_other_roles(self) -> frozenset[str]:
        """Names that inherit differently in both versions."""
        old, new = self._edges
        if old == new:
            return frozenset()
        return frozenset(name for name in {*old, *new} if closure(old, name) != closure(new, name))

    def _touches(self, name: object) -> _Touched:
        """What a name reaches that has changed."""
        if not isinstance(name, str):
            return frozenset()
        found = self._touched.get(name)
        if found is None:
            reached = closure(self._edges[0], name) | closure(self._edges[1], name)
            found = self._touched[name] = reached & (self._words | self._others)
        return found

    # --- groups

    def groups(self, *request: object) -> Iterator[list[Principal]]:
        """Those of whom the decision on a request can change, together when the same lines apply.

        `request` is all of it but the principal.
        """
        if self.nobody:
            return
        if self._alike is None:  # the rest of a request tells nobody apart: it is one for all
            self._alike = [*self._grouped(request)]
        for groups in self._alike:
            if self._everybody or self._concerned(groups[0][0], request):
                yield from groups

    def _grouped(self, request: Sequence[object]) -> Iterator[list[list[Principal]]]:
        """Everybody: together by what has changed of their lines, and in there by their lines."""
        if self._everybody:
            yield self._by_names(self._principals, request)
            return
        for group in self._by(self._touches, self._roles, self._principals, request):
            yield self._by_names(group, request)

    def _concerned(self, who: Principal, request: Sequence[object]) -> bool:
        facts = who.facts
        if self._others and not self._others.isdisjoint((facts.id, facts.kind, facts.group)):
            return True
        if not self._others.isdisjoint(self._roles[who]):
            return True
        return any(
            program.candidates(program.key_of(facts, *request), facts.membership)
            for program in self._changed
        )

    def _by_names(
        self, principals: Sequence[Principal], request: Sequence[object]
    ) -> list[list[Principal]]:
        words = self._all_words
        roles = {who: words.intersection(who.roles) for who in principals}
        return self._by(lambda name: name if name in words else None, roles, principals, request)

    def _by(
        self,
        told: Any,
        roles: dict[Principal, frozenset[str]],
        principals: Iterable[Principal],
        request: Sequence[object],
    ) -> list[list[Principal]]:
        groups: dict[Any, list[Principal]] = {}
        for who in principals:
            names = [
                told(name)
                for program in self._programs
                for name in program.key_of(who.facts, *request)
            ]
            groups.setdefault((roles[who], *names), []).append(who)
        return [*groups.values()]


def _program(policy: Enforcer, matcher: str) -> Program | None:
    return policy.program if matcher == "m" else policy.hand_out


def _comparable(old: Enforcer, new: Enforcer, programs: Sequence[Program]) -> bool:
    """Whether what a line says depends on nothing but the line, and the same in both versions."""
    if not programs:
        return True
    here, there = programs
    if (here.request, here.policy, ast.dump(here.tree)) != (
        there.request,
        there.policy,
        ast.dump(there.tree),
    ):
        return False
    if old.definition.allow_only is not new.definition.allow_only:
        return False
    if old.graphs == new.graphs:
        return True
    rest = {name: edges for name, edges in old.graphs.items() if name != "g"}
    if rest != {name: edges for name, edges in new.graphs.items() if name != "g"}:
        return False
    return not any(_asks_roles(policy, here) for policy in (old, new))


def _asks_roles(policy: Enforcer, program: Program) -> bool:
    """Whether it is asked who is in a role in a way that depends on other lines."""
    for node in ast.walk(program.tree):
        asked = isinstance(node, ast.Call) and names_in(node.func) == {"g"} and node.args[0]
        if asked and not names_in(asked) <= {program.subject}:
            return True
    return any(names_in(tree) & policy.graphs.keys() for tree in policy.conditions)


def _only(program: Program, others: set[str]) -> Program:
    """The program with those of its lines that the other version does not have."""
    return program.over([line for line in program.lines if str(line) not in others])
