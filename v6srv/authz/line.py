"""One line of policy, and where it stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

DATABASE = "db:"
"""How the origin of every line begins that no file holds."""
ASKED_FOR = re.compile(r"""(?<=['"])role:\w+(?=['"])""")
"""A role in a condition."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of policy."""

    ptype: str
    """`p`, `g` or `g2`."""
    values: tuple[str, ...]
    origin: str
    columns: tuple[int, ...] = ()
    """Where each value starts in its line of a file, from 1; empty for lines of the database."""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    """When the line counts: from the first moment on, until just before the other."""
    column: int = 0
    """Where the line itself starts in its line of a file, from 1; 0 for lines of the database."""

    @property
    def place(self) -> str:
        """The place of the line as a whole: `file:line:column`."""
        return f"{self.origin}:{self.column}" if self.column else self.origin

    @property
    def asked_for(self) -> Iterator[str]:
        """The roles that its condition asks for."""
        for value in self.values:
            if "role:" in value:
                yield from ASKED_FOR.findall(value)

    def at(self, index: int) -> str:
        """The place of one value: `file:line:column`."""
        return f"{self.origin}:{self.columns[index]}" if index < len(self.columns) else self.origin

    def __str__(self) -> str:
        return ", ".join((self.ptype, *self.values))
