"""Running policy tests with the real engine, and which lines they reach."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

from v6srv.authz import clock
from v6srv.authz.answer import Asked
from v6srv.authz.attempt import why
from v6srv.authz.compiler import closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.line import Line
from v6srv.authz.source import codes
from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.policy.testing.files import FOLDER, Case, read_tests, stamp_of_tests
from v6srv.vocabulary import Effect


@dataclass(frozen=True, slots=True)
class Considered:
    """One line that could have matched, and whether it did."""

    line: Line
    effect: Effect
    matched: bool
    remaining: str
    """What the line asked of the row, in the engine's words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the policy says to a case."""

    case: Case
    found: Effect
    error: str | None
    """Why the decision could not be made; such a decision is a denial, and the test fails."""
    considered: tuple[Considered, ...]

    @property
    def deciding(self) -> tuple[Considered, ...]:
        """The lines that made the effect what it is; empty when nothing grants."""
        return tuple(one for one in self.considered if one.matched and one.effect is self.found)

    @property
    def passed(self) -> bool:
        """Whether the effect is the one expected, for the reason expected."""
        return self.error is None and self.found is self.case.expected and self.reasoned

    @property
    def mismatch(self) -> str:
        """What was expected and what was found, for a test that failed."""
        case = self.case
        if self.error is not None:
            return f"expected {case.expected}, {self.error}"
        if self.found is case.expected:
            return f"{self.found}, as expected, but not because of: {case.because or 'no line'}"
        return f"expected {case.expected}, found {self.found}"

    @property
    def reasoned(self) -> bool:
        """Whether a line that decided says what the test wants it to say."""
        wanted = self.case.because
        if wanted is None:
            return True
        said = [_words(str(one.line)) for one in self.deciding]
        return any(_words(wanted) in text for text in said) if wanted else not said


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which lines the tests reach."""

    lines: tuple[Line, ...]
    uncovered: tuple[Line, ...]

    @property
    def percent(self) -> float:
        """100 for all, and when there is no line."""
        return percent(len(self.lines) - len(self.uncovered), len(self.lines))


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of every case."""

    policy: str
    """Version of the policy."""
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """What did not come out as expected."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)


def run_folder(folder: Path, pattern: str | None = None) -> Report:
    """Run the tests of a folder of policies.

    Raises PolicyError when the policy is not valid, a test cannot be read, or none is chosen.
    """
    enforcer = build(folder)
    return run(enforcer, read_cases(folder, enforcer, pattern))


def failures(folder: Path) -> list[Problem]:
    """What is wrong with a folder of valid policies, by its tests; nothing when it has none.

    A problem for each test that fails, or each that a test which cannot be read has.
    """
    if not stamp_of_tests(folder):
        return []
    try:
        enforcer = build(folder)
        failed = [one for one in read_cases(folder, enforcer) if not passes(enforcer, one)]
    except PolicyError as error:
        return list(error.problems)
    return [
        Problem(case.origin, f"{case.title}: {outcome(enforcer, case).mismatch}", codes.TESTS_FAIL)
        for case in failed
    ]


def read_cases(folder: Path, enforcer: Enforcer, pattern: str | None = None) -> list[Case]:
    """The cases of a folder; with a pattern, those with it in their title (`*` and `?` count).

    Raises PolicyError.
    """
    now = clock.now()
    cases = [
        case if case.at else replace(case, at=now)
        for suite in read_tests(folder, enforcer)
        for case in suite.cases
    ]
    if pattern is not None:
        sought = f"*{pattern.lower()}*"
        cases = [case for case in cases if fnmatchcase(case.title.lower(), sought)]
        if not cases:
            raise PolicyError([Problem(FOLDER, f"no test has {pattern!r} in its name")])
    return cases


def run(enforcer: Enforcer, cases: Iterable[Case]) -> Report:
    """The outcome of every case under this policy."""
    return Report(enforcer.version, tuple(outcome(enforcer, case) for case in cases))


def outcome(enforcer: Enforcer, case: Case) -> Outcome:
    """The decision on a case, with every line considered."""
    asked, about = _put(enforcer, case)
    with clock.stopped(case.at or clock.now()):
        answer, true = asked.of(about), asked.matching(about)
    considered = tuple(
        Considered(rest.line, rest.effect, rest in true, rest.text)
        for rest in asked.plan.remainders
    )
    message = f"the decision failed: {why(answer.failure)}" if answer.failure else None
    return Outcome(case, answer.effect, message, considered)


def passes(enforcer: Enforcer, case: Case) -> bool:
    """Whether a case comes out as expected; quicker than its outcome."""
    if case.because is not None:
        return outcome(enforcer, case).passed
    asked, about = _put(enforcer, case)
    with clock.stopped(case.at or clock.now()):
        answer = asked.of(about)
    return answer.failure is None and answer.effect is case.expected


def _put(enforcer: Enforcer, case: Case) -> tuple[Asked, object]:
    """The question of a case, and what it is about."""
    if case.row is None:
        rule = SimpleNamespace(res=case.resource.value, scope=case.scope, act=case.operation.value)
        return enforcer.handing_out(case.subject, rule), rule
    table = TABLES[MODELS[case.resource]] if case.resource in MODELS else None
    return enforcer.asked(case.subject, case.resource, case.operation, table), case.row


def _words(text: str) -> str:
    """A line's text without the blanks that align it."""
    return ", ".join(part.strip() for part in text.split(","))


def percent(part: int, whole: int) -> float:
    """A share in percent; of nothing, it is everything."""
    return 100.0 if whole == 0 else 100 * part / whole


# --- coverage


def coverage(enforcer: Enforcer, report: Report) -> Coverage:
    """Which lines are covered.

    A `p` line: it matched in a decision on a row. A line of a role definition (`g`, `g2`): without
    it other lines would have matched in some decision.
    """
    matched = {
        one.line
        for outcome in report.outcomes
        if outcome.case.row is not None
        for one in outcome.considered
        if one.matched
    }
    edges = [line for line in enforcer.lines if line.ptype != "p"]
    needed = {line for line in edges if _needed(enforcer, line, report.outcomes)}
    uncovered = [line for line in enforcer.lines if line not in matched | needed]
    return Coverage(enforcer.lines, tuple(uncovered))


def _needed(enforcer: Enforcer, edge: Line, outcomes: Sequence[Outcome]) -> bool:
    reached = [one for one in outcomes if reaches(enforcer, one, edge)]
    if not reached:
        return False
    rest = [line for line in enforcer.lines if line != edge]
    without = Enforcer(enforcer.definition, rest, enforcer.revision)
    return any(_matched(one) != _matched(outcome(without, one.case)) for one in reached)


def _matched(found: Outcome) -> set[Line]:
    return {one.line for one in found.considered if one.matched}


def reaches(enforcer: Enforcer, found: Outcome, edge: Line) -> bool:
    """Whether a line of a role definition can mean anything to a case."""
    if edge.ptype != "g" or any("g(" in one.remaining for one in found.considered):
        return True
    subject, graph = found.case.subject, enforcer.graphs["g"]
    own = closure(graph, subject.id, subject.membership)
    return edge.values[0] in own.union(closure(graph, subject.kind), closure(graph, subject.group))


__all__ = [
    "Considered",
    "Coverage",
    "Outcome",
    "Report",
    "coverage",
    "failures",
    "outcome",
    "passes",
    "percent",
    "reaches",
    "read_cases",
    "run",
    "run_folder",
]
