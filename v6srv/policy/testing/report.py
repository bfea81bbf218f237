"""What a run of policy tests found, as text, JSON and JUnit XML."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from v6srv.authz.line import Line
from v6srv.policy.testing.mutation import Mutation, Score
from v6srv.policy.testing.run import Considered, Coverage, Outcome, Report


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was asked for; None: it was not."""

    report: Report
    coverage: Coverage | None = None
    mutation: Mutation | None = None
    shortfalls: Sequence[str] = ()
    """Which wanted percentages were missed."""

    @property
    def good(self) -> bool:
        """Every test passed, and what was wanted was reached."""
        return not self.report.failed and not self.shortfalls


def as_text(findings: Findings) -> str:
    """For people: what failed and why, then the numbers."""
    report = findings.report
    lines = [line for outcome in report.failed for line in _failure(outcome)]
    tests = f"{len(report.outcomes)} tests, {len(report.failed) or 'none'} failed"
    lines.append(f"{tests} (policy {report.policy})")
    if findings.coverage is not None:
        covered = findings.coverage
        lines.append(f"coverage: {covered.percent:.1f} % of {len(covered.lines)} lines")
        lines += [f"  not reached: {line.origin}  {line}" for line in covered.uncovered]
    if findings.mutation is not None:
        lines += _score("lines dropped or flipped", findings.mutation.lines)
        lines += _score("scopes widened or narrowed", findings.mutation.scopes)
    lines += findings.shortfalls
    return "\n".join(lines)


def _failure(outcome: Outcome) -> Iterator[str]:
    case = outcome.case
    yield f"FAILED {case.origin}  {case.title}"
    yield f"  {outcome.mismatch}"
    if not outcome.considered:
        yield "  no line speaks of this principal, resource and operation"
    for one in outcome.considered:
        matched = "matched" if one.matched else "did not match"
        yield f"  {one.line.origin}  {one.effect}, {matched}: {one.line}"
        if not one.matched:
            yield f"      it asks: {spoken(one)}"


def spoken(one: Considered) -> str:
    """What a line asked of the row, in the words of policies (`r.sub.org in r.obj.orgs`)."""
    return re.sub(r"\b(r2?)_", r"\1.", one.remaining)


def _score(what: str, score: Score) -> Iterator[str]:
    yield f"mutation: {score.percent:.1f} % of {score.total} noticed ({what})"
    for mutant in score.survivors:
        yield f"  not noticed: {mutant.line.origin}  {mutant}"


def as_data(findings: Findings) -> dict[str, Any]:
    """For scripts: one object for JSON."""
    report = findings.report
    data: dict[str, Any] = {
        "policy": report.policy,
        "passed": len(report.outcomes) - len(report.failed),
        "failed": len(report.failed),
        "tests": [_test(outcome) for outcome in report.outcomes],
    }
    if findings.coverage is not None:
        data["coverage"] = {
            "percent": findings.coverage.percent,
            "lines": len(findings.coverage.lines),
            "uncovered": [_line(line) for line in findings.coverage.uncovered],
        }
    if findings.mutation is not None:
        for name, score in (
            ("mutation", findings.mutation.lines),
            ("scope_mutation", findings.mutation.scopes),
        ):
            data[name] = {
                "percent": score.percent,
                "mutants": score.total,
                "survivors": [
                    {"change": mutant.change, **_line(mutant.line)} for mutant in score.survivors
                ],
            }
    return {**data, "shortfalls": list(findings.shortfalls)}


def _test(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "suite": case.suite,
        "name": case.name,
        "origin": case.origin,
        "passed": outcome.passed,
        "expected": case.expected.value,
        "found": outcome.found.value,
        "error": outcome.error,
        "because": case.because,
        "lines": [
            {
                **_line(one.line),
                "effect": one.effect.value,
                "matched": one.matched,
                "asks": spoken(one),
            }
            for one in outcome.considered
        ],
    }


def _line(line: Line) -> dict[str, str]:
    return {"origin": line.origin, "line": str(line)}


_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(findings: Findings) -> str:
    """For CI: a test suite for each file of tests."""
    root = ET.Element("testsuites", name="policy tests")
    suites: dict[str, list[Outcome]] = {}
    for outcome in findings.report.outcomes:
        suites.setdefault(outcome.case.suite, []).append(outcome)
    for name, outcomes in suites.items():
        failed = sum(not outcome.passed for outcome in outcomes)
        suite = ET.SubElement(
            root, "testsuite", name=name, tests=str(len(outcomes)), failures=str(failed)
        )
        for outcome in outcomes:
            _testcase(suite, outcome)
    if findings.shortfalls:
        suite = ET.SubElement(root, "testsuite", name="thresholds", tests="1", failures="1")
        case = ET.SubElement(suite, "testcase", classname="thresholds", name="wanted percentages")
        ET.SubElement(case, "failure", message=findings.shortfalls[0]).text = "\n".join(
            findings.shortfalls
        )
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", xml_declaration=False)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'


def _testcase(suite: ET.Element, outcome: Outcome) -> None:
    case = outcome.case
    file, line, _ = case.origin.rsplit(":", 2)
    element = ET.SubElement(
        suite,
        "testcase",
        classname=_NO_XML.sub("?", case.suite),
        name=_NO_XML.sub("?", case.name),
        file=file,
        line=line,
    )
    if not outcome.passed:
        failure = ET.SubElement(element, "failure", message=_NO_XML.sub("?", outcome.mismatch))
        failure.text = _NO_XML.sub("?", "\n".join(_failure(outcome)))


__all__ = ["Findings", "as_data", "as_junit", "as_text", "spoken"]
