"""Reading rows of an old database, mending them by fixed rules, and writing them here."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert

from v6srv import names
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Invalid
from v6srv.service.takeover.releases import Release
from v6srv.service.takeover.rights import Change
from v6srv.service.takeover.source import BATCH, rows_of

_SHOWN = 10
"""Ids that a note names before it stops counting them up."""

Row = dict[str, Any]
Pair = tuple[int, int]


@dataclass(slots=True)
class Report:
    """What was taken over, what was mended on the way, and whose rights are different."""

    copied: dict[str, int] = field(default_factory=dict)
    """Rows written, by table."""
    notes: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


class Copy:
    """One take-over. Tables are called what they are here, and in notes what they are there."""

    def __init__(self, source: Connection, release: Release) -> None:
        self.source, self.release = source, release
        self.report = Report()
        self.ids: dict[str, set[int]] = {}
        """Ids that were written, by table: what others may point to."""
        self.highest: dict[str, int] = defaultdict(int)
        """Highest id of the source by table, left out rows too: ids are not used again."""
        self._mended: dict[str, list[str]] = defaultdict(list)

    def has(self, table: str) -> bool:
        """Whether the release has such a table."""
        return table in self.release.tables

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of the source."""
        return rows_of(self.source, self.release.tables[table])

    def entities(self, table: str) -> Iterator[Row]:
        """The rows of the source, whose ids are kept."""
        for row in self.rows(table):
            self.claim(table, row["id"], f"Table {self._there(table)} of the source: the id")
            yield row

    def claim(self, table: str, id_: Any, what: str) -> None:
        """Have no new row of a table get this id. Raises Invalid when there can be no such id."""
        if not isinstance(id_, int) or not 0 < id_ <= LARGEST_ID:
            raise Invalid(f"{what} {id_} cannot be stored")
        self.highest[table] = max(self.highest[table], id_)

    def parts(self, table: str, column: str, owner: str) -> Iterator[Row]:
        """Rows that are nothing without their owner."""
        for row in self.entities(table):
            if row[column] in self.ids[owner]:
                yield row
            else:
                self.leave_out(table, f"without {self._there(owner)}", row["id"])

    def pairs(self, table: str, left: str, right: str) -> list[Pair]:
        """The pairs of an association table whose ends are there, each once, sorted.

        `left` and `right` are the tables of its ends.
        """
        found: set[Pair] = set()
        for row in self.rows(table):
            pair = row[f"{left}_id"], row[f"{right}_id"]
            shown = f"{left} {pair[0]} - {right} {pair[1]}"
            if pair[0] not in self.ids[left] or pair[1] not in self.ids[right]:
                self.leave_out(table, "that pointed to nothing", shown)
            elif pair in found:
                self.mend(f"{table} rows that were there twice are there once", shown)
            else:
                found.add(pair)
        return sorted(found)

    def refer(self, table: str, row: Row, column: str, to: str) -> None:
        """Make a reference to a row that is not there null, and note it."""
        if row[column] is not None and row[column] not in self.ids[to]:
            row[column] = None
            there = self.release.tables[table]
            named = f"{there.name}.{there.c[column].name}"
            self.mend(f"{named} pointed to nothing and is empty now", row["id"])

    def leave_out(self, table: str, which: str, id_: object) -> None:
        """Note a row that has no place here."""
        self.mend(f"{self._there(table)} rows {which} were left out", id_)

    def mend(self, what: str, id_: object) -> None:
        """Note for which row something is not as it was."""
        self._mended[what].append(str(id_))

    def tell_what_was_mended(self) -> None:
        """Make the notes sentences of the report."""
        for what, ids in self._mended.items():
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            self.report.notes.append(f"{what}: {', '.join(ids[:_SHOWN])}{more}")

    def write(self, table: Any, rows: Iterable[Row]) -> None:
        """Insert rows in batches; `table` is a mapped class or a table."""
        target: Table = getattr(table, "__table__", table)
        ids = self.ids.setdefault(target.name, set())
        count, remaining = 0, iter(rows)
        while batch := list(islice(remaining, BATCH)):
            session.execute(insert(target), batch)
            self._tell_what_breaks_a_rule(target.name, batch)
            count += len(batch)
            ids.update(row["id"] for row in batch if "id" in row)
        self.report.copied[target.name] = count

    def _there(self, table: str) -> str:
        return self.release.tables[table].name

    def _tell_what_breaks_a_rule(self, table: str, rows: Iterable[Row]) -> None:
        """People know things by these names: they are kept, and told."""
        for row in rows:
            for column, [fault] in names.faults(table, row).items():
                self.mend(f"{table}.{column} is kept, but a new one is refused: {fault}", row["id"])
