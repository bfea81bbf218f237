"""What lint found, as text for people, as data, and in the forms that code hosts show in place."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from v6srv.authz.source.codes import CODES, Severity
from v6srv.authz.source.problems import Problem


@dataclass(frozen=True)
class Findings:
    """What was found in a folder."""

    problems: Sequence[Problem]
    folder: Path
    """As its reader knows it: relative to where the reader is, where that is possible."""
    _texts: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False)

    def path(self, problem: Problem) -> str:
        """The file of a problem; empty for what no file holds."""
        return (self.folder / problem.file).as_posix() if problem.file else ""

    def source(self, problem: Problem) -> str:
        """The line of the file as it is; empty when there is none."""
        if not problem.line:
            return ""
        if problem.file not in self._texts:
            try:
                text = (self.folder / problem.file).read_text(encoding="utf-8", errors="replace")
            except OSError:
                text = ""
            self._texts[problem.file] = text.split("\n")
        lines = self._texts[problem.file]
        return lines[problem.line - 1] if problem.line <= len(lines) else ""

    def count(self, severity: Severity) -> int:
        """How many there are of one severity."""
        return sum(problem.code.severity is severity for problem in self.problems)


def as_text(findings: Findings, show_source: bool = False, version: str = "") -> str:
    """`file:line:column: severity code: message`, one in a line, and how many there are."""
    lines: list[str] = []
    for problem in findings.problems:
        place = ":".join(
            str(part) for part in (findings.path(problem), problem.line, problem.column) if part
        )
        code = f"{problem.code.severity} {problem.code}"
        lines.append(f"{place or problem.origin}: {code}: {problem.message}")
        if show_source:
            lines += _shown(findings.source(problem), problem.column)
    lines.append(_summary(findings))
    return "\n".join(lines)


def _shown(source: str, column: int) -> list[str]:
    """A line of a file, with a caret below the column (0: without)."""
    if not source:
        return []
    before = "".join(char if char == "\t" else " " for char in source[: column - 1])
    return [f"    {source}", *([f"    {before}^"] if column else [])]


def _summary(findings: Findings) -> str:
    if not findings.problems:
        return "Nothing found"
    counts = ((findings.count(severity), severity) for severity in Severity)
    return ", ".join(f"{n} {severity}{'s' if n > 1 else ''}" for n, severity in counts if n)


def as_json(findings: Findings, show_source: bool = False, version: str = "") -> str:
    """A list of findings; `line` and `column` are null when it is about more than that."""
    return json.dumps(
        [
            {
                "file": findings.path(problem) or None,
                "line": problem.line or None,
                "column": problem.column or None,
                "origin": problem.origin,
                "severity": problem.code.severity,
                "code": problem.code.slug,
                "message": problem.message,
                "suggestion": problem.suggestion or None,
            }
            for problem in findings.problems
        ],
        indent=2,
        ensure_ascii=False,
    )


def as_github(findings: Findings, show_source: bool = False, version: str = "") -> str:
    """Workflow commands: the code host shows each finding beside its line."""
    return "\n".join(_command(findings, problem) for problem in findings.problems)


def _command(findings: Findings, problem: Problem) -> str:
    given = {
        "file": findings.path(problem),
        "line": problem.line or "",
        "col": problem.column or "",
        "title": problem.code.slug,
    }
    properties = ",".join(f"{name}={_property(str(v))}" for name, v in given.items() if v)
    message = problem.message if problem.file else str(problem)
    level = "notice" if problem.code.severity is Severity.NOTE else problem.code.severity
    return f"::{level} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(findings: Findings, show_source: bool = False, version: str = "") -> str:
    """SARIF 2.1.0: what code scanners exchange."""
    driver = {"name": "v6srv policy lint", "rules": [_rule(slug) for slug in CODES]}
    if version:
        driver["version"] = version
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(findings, problem) for problem in findings.problems],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _rule(slug: str) -> dict[str, Any]:
    code = CODES[slug]
    return {
        "id": slug,
        "shortDescription": {"text": code.title},
        "fullDescription": {"text": code.why},
        "help": {"text": code.mend},
        "defaultConfiguration": {"level": code.severity.value},
    }


def _result(findings: Findings, problem: Problem) -> dict[str, Any]:
    return {
        "ruleId": problem.code.slug,
        "ruleIndex": list(CODES).index(problem.code.slug),
        "level": problem.code.severity.value,
        "message": {"text": problem.message},
        "locations": [_location(findings, problem)],
    }


def _location(findings: Findings, problem: Problem) -> dict[str, Any]:
    path = findings.path(problem)
    if not path:
        return {"logicalLocations": [{"fullyQualifiedName": problem.origin}]}
    uri = quote(path)
    place: dict[str, Any] = {
        "artifactLocation": {"uri": f"file://{uri}" if path.startswith("/") else uri}
    }
    if problem.line:
        region = {"startLine": problem.line, "startColumn": problem.column}
        place["region"] = {name: number for name, number in region.items() if number}
    return {"physicalLocation": place}


FORMATS: Mapping[str, Callable[..., str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}
"""Each form by its name; they take the findings, whether to show the source, and the version."""
