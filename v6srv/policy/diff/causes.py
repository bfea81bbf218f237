"""Which lines make two versions of a policy decide differently."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from v6srv.authz.answer import Asked
from v6srv.authz.compiler import Plan, Remainder, closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.policy.diff.cases import Pair, assigned
from v6srv.vocabulary import Effect


@dataclass(frozen=True, slots=True)
class Cause:
    """A line that only one version has, or `model.conf`."""

    text: str
    old: str | None
    new: str | None
    """Where it is, in each version that has it: `file:line`, `db:table:id` or a file name."""

    def __str__(self) -> str:
        return self.new if self.new is not None else f"{self.old} (removed)"

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {"line": self.text, "old": self.old, "new": self.new}


MODEL = Cause("model.conf", "model.conf", "model.conf")


@dataclass(frozen=True, slots=True)
class _Version:
    """A policy, by the texts of its lines."""

    policy: Enforcer
    lines: Mapping[str, Line]
    names: Mapping[str, Line]
    """Its lines of type g."""


Matched = Mapping[Effect, Mapping[str, Line]]


class Causes:
    """Finds causes in two versions. Lines are the same by their text, wherever they are."""

    def __init__(self, old: Enforcer, new: Enforcer) -> None:
        self._versions = [_version(old), _version(new)]

    def of_case(
        self,
        who: Principal,
        plans: Sequence[Plan],
        pair: Pair,
        answers: Mapping[str, bool],
        *,
        gained: bool,
    ) -> tuple[Cause, ...]:
        """Of a case, by what the atoms of both plans are in it."""
        matched = [
            _by_effect(
                rest
                for rest in plan.remainders
                if assigned(pair.formula(rest.tree, version.policy.program, note=False), answers)
                is True
            )
            for plan, version in zip(plans, self._versions, strict=True)
        ]
        return self.of(who, matched, gained=gained)

    def of_hand_out(
        self, who: Principal, rule: object, asked: Sequence[Asked], *, gained: bool
    ) -> tuple[Cause, ...]:
        """Of whether `who` may hand out a rule."""
        matched = [_by_effect(one.matching(rule)) for one in asked]
        return self.of(who, matched, gained=gained)

    def of(self, who: Principal, matched: Sequence[Matched], *, gained: bool) -> tuple[Cause, ...]:
        """Of the lines that match in each version, those that match in one only."""
        old, new = matched
        sides = (
            (0, old, new, Effect.DENY if gained else Effect.ALLOW),
            (1, new, old, Effect.ALLOW if gained else Effect.DENY),
        )
        found: dict[Cause, None] = {}
        for at, here, there, effect in sides:
            for text, line in here[effect].items():
                if text not in there[effect]:
                    found.update(dict.fromkeys(self._why(who, at, line)))
        return tuple(found) or (MODEL,)

    def _why(self, who: Principal, at: int, line: Line) -> list[Cause]:
        """Why a line matches in this version and not in the other."""
        here, there = self._versions[at], self._versions[1 - at]
        if str(line) not in there.lines:
            return [_cause(line, at)]
        edges = [edge for text, edge in here.names.items() if text not in there.names]
        on_path = [edge for edge in edges if _leads(here.policy, who, edge, line)]
        if on_path:
            return [_cause(edge, at) for edge in on_path]
        if here.policy.definition.text != there.policy.definition.text:
            return [MODEL]
        gone = [edge for text, edge in there.names.items() if text not in here.names]
        return [
            *(_cause(edge, at) for edge in edges),
            *(_cause(edge, 1 - at) for edge in gone),
        ]


def _version(policy: Enforcer) -> _Version:
    graphs = policy.graphs
    lines = {str(line): line for line in reversed(policy.lines)}
    return _Version(
        policy, lines, {text: line for text, line in lines.items() if line.ptype in graphs}
    )


def _cause(line: Line, at: int) -> Cause:
    return Cause(str(line), None if at else line.origin, line.origin if at else None)


def _by_effect(matching: Iterable[Remainder]) -> Matched:
    found: dict[Effect, dict[str, Line]] = {effect: {} for effect in Effect}
    for rest in matching:
        found[rest.effect][str(rest.line)] = rest.line
    return found


def _leads(policy: Enforcer, who: Principal, edge: Line, line: Line) -> bool:
    """Whether an edge is on the way from a principal to the subject of a line."""
    if edge.ptype != "g":
        return False
    edges = policy.graphs["g"]
    member, role = edge.values
    facts = who.facts
    names = closure(edges, facts.id, who.roles) | closure(edges, facts.kind)
    names |= closure(edges, facts.group)
    return member in names and bool(closure(edges, role) & set(line.values))
