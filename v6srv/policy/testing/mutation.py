"""Would the tests notice? Each line is changed in turn; a test has to fail.

`drop`: the line is missing. `flip`: allow becomes deny, or the other way. `widen` and `narrow`: the
scope is the next one up or down; these are counted apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.fact_types import Fact
from v6srv.authz.facts import facts_of
from v6srv.authz.line import Line
from v6srv.policy.testing.files import Case
from v6srv.policy.testing.run import Outcome, Report, passes, percent, reaches
from v6srv.vocabulary import Effect, Resource, Scope

PRESENCE = ("drop", "flip")
SCOPES = ("widen", "narrow")
_FACTS = {Scope.OWN: "owners", Scope.OWN_ORGANIZATION: "owner_orgs"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A policy in which one line is different."""

    line: Line
    """As it is."""
    change: str
    changed: Line | None
    """As it would be; None when it is missing."""

    def __str__(self) -> str:
        return f"{self.change} {self.line}"


@dataclass(frozen=True, slots=True)
class Score:
    """How many mutants made a test fail, and those that did not."""

    killed: int
    survivors: tuple[Mutant, ...]

    @property
    def total(self) -> int:
        """All mutants."""
        return self.killed + len(self.survivors)

    @property
    def percent(self) -> float:
        """100 for all killed, and when there was none."""
        return percent(self.killed, self.total)


@dataclass(frozen=True, slots=True)
class Mutation:
    """The scores: of lines dropped and flipped, and apart from that of scopes."""

    lines: Score
    scopes: Score


def mutate(enforcer: Enforcer, report: Report) -> Mutation:
    """Which changes of single lines the passing tests of a report notice."""
    passing = [outcome for outcome in report.outcomes if outcome.passed]
    survivors: list[Mutant] = []
    made = dict.fromkeys((*PRESENCE, *SCOPES), 0)
    for mutant in mutants(enforcer):
        made[mutant.change] += 1
        if not _killed(enforcer, mutant, passing):
            survivors.append(mutant)
    return Mutation(*(_score(changes, made, survivors) for changes in (PRESENCE, SCOPES)))


def _score(changes: Sequence[str], made: dict[str, int], survivors: Sequence[Mutant]) -> Score:
    alive = tuple(mutant for mutant in survivors if mutant.change in changes)
    return Score(sum(made[change] for change in changes) - len(alive), alive)


def mutants(enforcer: Enforcer) -> Iterator[Mutant]:
    """Every change of one line that is tried."""
    fields = {token.removeprefix("p_"): at for at, token in enumerate(enforcer.definition.policy)}
    present = {line.values for line in enforcer.lines if line.ptype == "p"}
    for line in enforcer.lines:
        yield Mutant(line, "drop", None)
        if line.ptype != "p":
            continue
        if "eft" in fields:
            effect = line.values[fields["eft"]]
            other = Effect.DENY if effect == Effect.ALLOW else Effect.ALLOW
            yield Mutant(line, "flip", _with(line, fields["eft"], other))
        if "scope" in fields:
            for change, scope in _neighbours(line, fields):
                changed = _with(line, fields["scope"], scope)
                if changed.values not in present:  # else it is as if the line was missing
                    yield Mutant(line, change, changed)


def _neighbours(line: Line, fields: Mapping[str, int]) -> Iterator[tuple[str, Scope]]:
    """The next scopes; of two that say the same, the one that the line has.

    A scope that no row can be in is the same as no line.
    """
    scope = Scope(line.values[fields["scope"]])
    facts: Mapping[str, Fact] = {}
    if "res" in fields and line.values[fields["res"]] in tuple(Resource):
        facts = facts_of(Resource(line.values[fields["res"]]))
    other = {one for one, name in _FACTS.items() if name in facts and facts[name].never}
    if facts and _has_what_is_its(facts["orgs"], facts["owner_orgs"]):
        alike = {Scope.ORGANIZATION, Scope.OWN_ORGANIZATION}
        other |= alike if scope not in alike else alike - {scope}
    ordered = [one for one in Scope if one is scope or one not in other]
    at = ordered.index(scope)
    if at + 1 < len(ordered):
        yield "widen", ordered[at + 1]
    if at > 0:
        yield "narrow", ordered[at - 1]


def _has_what_is_its(orgs: Fact, owner_orgs: Fact) -> bool:
    """Whether organizations have of a resource only what belongs to them."""
    return orgs.same is not None and orgs.same == owner_orgs.same and not orgs.or_all


def _with(line: Line, at: int, value: str) -> Line:
    return replace(line, values=(*line.values[:at], str(value), *line.values[at + 1 :]))


def _killed(enforcer: Enforcer, mutant: Mutant, passing: Sequence[Outcome]) -> bool:
    cases = _concerned(enforcer, mutant, passing)
    if not cases:
        return False
    lines = [mutant.changed if line == mutant.line else line for line in enforcer.lines]
    kept = [line for line in lines if line is not None]
    changed = Enforcer(enforcer.definition, kept, enforcer.revision)
    return any(not passes(changed, case) for case in cases)


def _concerned(enforcer: Enforcer, mutant: Mutant, passing: Sequence[Outcome]) -> list[Case]:
    """The cases that can come out otherwise, first those whose decision the line had a part in."""
    if mutant.line.ptype != "p":
        return [one.case for one in passing if reaches(enforcer, one, mutant.line)]
    matched: list[Case] = []
    considered: list[Case] = []
    others: list[Case] = []
    for one in passing:
        own = [c for c in one.considered if c.line == mutant.line]
        kind = others if not own else matched if any(c.matched for c in own) else considered
        kind.append(one.case)
    return [*matched, *considered, *(others if _found_anew(enforcer, mutant) else ())]


def _found_anew(enforcer: Enforcer, mutant: Mutant) -> bool:
    """Whether the changed line could be a candidate where the line is none."""
    if mutant.changed is None:
        return False
    if enforcer.definition.allow_only:  # where denials are no lines to begin with
        return True
    pairs = zip(mutant.line.values, mutant.changed.values, strict=True)
    fields = {at for at, (before, after) in enumerate(pairs) if before != after}
    programs = (enforcer.program, enforcer.hand_out)
    return any(program is not None and fields & program.indexed for program in programs)


__all__ = ["Mutant", "Mutation", "Score", "mutants", "mutate"]
