"""What is wrong with a policy, and where."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from v6srv.authz.source import codes
from v6srv.authz.source.codes import Code, Severity
from v6srv.errors import Invalid

WHOLE = "policy"
"""Where it is what is wrong with all of a policy."""

LIKE_POLICY = r".+\.(?:csv|conf)(?:\.txt|\.csv|\.conf)?"
_FILE = re.compile(
    rf"(?P<file>{LIKE_POLICY}|.+\.ya?ml)(?::(?P<line>\d+))?(?::(?P<column>\d+))?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a policy."""

    origin: str
    """`file:line:column`, `file:line`, a file name, `db:table:id` or `policy` (as a whole)."""
    message: str
    code: Code = codes.INVALID
    suggestion: str = ""
    """The word that was probably meant, as it would be written; empty when nobody can tell."""

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"

    @property
    def is_error(self) -> bool:
        """Whether it keeps the policy from going live."""
        return self.code.severity is Severity.ERROR

    @property
    def file(self) -> str:
        """Name of the file; empty for what no file holds."""
        return self._place("file") or ""

    @property
    def line(self) -> int:
        """Line of the file, from 1; 0 when it is about no single line."""
        return int(self._place("line") or 0)

    @property
    def column(self) -> int:
        """Column of the line in characters, from 1; 0 when it is about the whole line."""
        return int(self._place("column") or 0)

    def _place(self, part: str) -> str | None:
        found = _FILE.fullmatch(self.origin)
        return found[part] if found else None


class PolicyError(Invalid):
    """A policy that must not go live; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
