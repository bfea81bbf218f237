"""Where the live policy is: files and database in, one snapshot out, swapped in one assignment.

A change is built and validated beside the live snapshot. Readers never lock and never see half a
policy; what is invalid leaves the old snapshot live and is kept in `problem`.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from v6srv.authz.folder import SHADOW, reading
from v6srv.authz.snapshot import Snapshot, assemble, build
from v6srv.authz.source import DATABASE, Line, PolicyError, Problem
from v6srv.db import session
from v6srv.model import CasbinRule, PolicyRevision, Role, RoleRule, Rule

log = logging.getLogger(__name__)

ADDED = "db:casbin_rule:"
"""Origin of the lines that admins add, followed by the id of the row."""


def database_lines() -> list[Line]:
    """What the tables of the contract and admins add to the files, in the current transaction.

    A line `p, rule:<id>` for each rule, which extra rules of users point to; a line for each rule
    of each custom role; and the lines of `casbin_rule`. Fields are taken as stored, never parsed.
    """
    # In a fixed order: the version of the policy is the same on every process and database.
    declared = select(Rule.id, Rule.name, Rule.scope, Rule.operation).order_by(Rule.id)
    rules = {
        rule.id: (rule.name, rule.scope.value, rule.operation.value, "True", "allow")
        for rule in session.execute(declared)
    }
    lines = [Line("p", (f"rule:{id}", *values), f"db:rule:{id}") for id, values in rules.items()]
    custom = (
        select(RoleRule.c.role_id, RoleRule.c.rule_id)
        .join(Role, Role.id == RoleRule.c.role_id)
        .where(Role.slug.is_(None))
        .order_by(RoleRule.c.role_id, RoleRule.c.rule_id)
    )
    lines += [
        Line("p", (f"role:{role}", *rules[rule]), f"db:role:{role}")
        for role, rule in session.execute(custom)
    ]
    added = select(CasbinRule.__table__).order_by(CasbinRule.id)
    lines += [line_of(row) for row in session.execute(added)]
    return lines


def line_of(row: Row[Any] | CasbinRule) -> Line:
    """The line that a row of `casbin_rule` is."""
    values = (row.v0, row.v1, row.v2, row.v3, row.v4, row.v5)
    given = tuple(value for value in values if value is not None)
    return Line(
        row.ptype or "",
        given,
        f"{ADDED}{row.id}",
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )


def _revision() -> int:
    return session.scalar(select(PolicyRevision.lines).where(PolicyRevision.id == 1)) or 0


class PolicyStore:
    """The live policy of this process."""

    def __init__(self, folder: Path) -> None:
        """Load `folder` and the database; raises PolicyError when the policy is not valid."""
        self.folder = folder
        self.shadow: Snapshot | None = None
        """The candidate in the folder `shadow`: asked beside the live policy, never obeyed."""
        self.shadow_problems: tuple[Problem, ...] = ()
        """Why there is no candidate although its folder has files."""
        self._refused = 0
        """The last revision that could not go live: it is not tried at every request."""
        self._changing = threading.Lock()
        self._seen = self._stamp(folder)
        self._shadow_seen = self._stamp(folder / SHADOW)
        self._looked: object = None
        """The files at the last look of `watch_files`."""
        self._wrong_files: tuple[Problem, ...] = ()
        self._wrong_rows: tuple[Problem, ...] = ()
        self.live: Snapshot
        self.live, self._wrong_rows = self._from_files()
        self._build_shadow()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why the newest version is not live; empty when it is."""
        return tuple(dict.fromkeys((*self._wrong_files, *self._wrong_rows)))

    @property
    def problem(self) -> str | None:
        """All `problems` in one text; None when the newest version is live."""
        return "\n".join(map(str, self.problems)) or None

    @staticmethod
    def _stamp(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
        files = sorted([*folder.glob("*.conf"), *folder.glob("*.csv")])
        stats = ((path, path.stat()) for path in files)
        return tuple(
            (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size) for path, stat in stats
        )

    def _build_shadow(self) -> None:
        """Build the candidate anew, from its files and the lines of the database."""
        folder = self.folder / SHADOW
        self.shadow, self.shadow_problems = None, ()
        if not self._shadow_seen:
            return
        try:
            with reading(folder):
                self.shadow = build(folder, database_lines(), self.live.revision)
        except PolicyError as error:
            self.shadow_problems = error.problems
            log.error("the policy in shadow cannot be asked: %s", error)

    def _from_files(self) -> tuple[Snapshot, tuple[Problem, ...]]:
        """The files as they are now, with the lines of the database."""
        with reading(self.folder):
            return self._without_bad_rows(lambda lines: build(self.folder, lines, _revision()))

    @staticmethod
    def _without_bad_rows(
        make: Callable[[Sequence[Line]], Snapshot],
    ) -> tuple[Snapshot, tuple[Problem, ...]]:
        """What `make` makes of the lines of the database, without rows that are wrong themselves.

        They have never been live, so nothing is lost; and a bad row must not keep a right alive
        that is taken away elsewhere. Returns what is wrong with them, too. Raises PolicyError.
        """
        lines = database_lines()
        try:
            return make(lines), ()
        except PolicyError as error:
            bad = {p.origin for p in error.problems if p.origin.startswith(ADDED)}
            if not bad:
                raise
            wrong = tuple(p for p in error.problems if p.origin in bad)
            return make([line for line in lines if line.origin not in bad]), wrong

    def _with_live_files(self, lines: Iterable[Line], revision: int) -> Snapshot:
        live = self.live
        from_files = [line for line in live.lines if not line.origin.startswith(DATABASE)]
        return assemble(live.definition, from_files, lines, revision)

    def candidate(
        self, lines: Sequence[Line], before: Sequence[Line], changed: str | None = None
    ) -> Snapshot:
        """The live files with other lines of the database; nothing goes live.

        Rows of `casbin_rule` that are bad already among the lines `before` the change are left out,
        but for the one whose origin is `changed`. Raises PolicyError.
        """
        try:
            return self._with_live_files(lines, self.live.revision)
        except PolicyError:
            bad = self._bad_rows(before) - {changed}
            if not bad:
                raise
            kept = [line for line in lines if line.origin not in bad]
            return self._with_live_files(kept, self.live.revision)

    def _bad_rows(self, lines: Sequence[Line]) -> set[str]:
        try:
            self._with_live_files(lines, self.live.revision)
        except PolicyError as error:
            return {p.origin for p in error.problems if p.origin.startswith(ADDED)}
        return set()

    def reload(self, reason: str) -> bool:
        """Build a new snapshot of the files and swap it in.

        False when it is not valid, or when the files changed while they were read: the old one
        stays, and the next look sees them.
        """
        with self._changing:
            self._seen, self._refused = self._stamp(self.folder), 0
            try:
                snapshot, wrong_rows = self._from_files()
            except PolicyError as error:
                self._wrong_files = error.problems
                log.error("policy %s stays live (%s): %s", self.live.version, reason, error)
                return False
            if self._stamp(self.folder) != self._seen:
                return False
            self._wrong_files = ()
            self._swap(reason, snapshot, wrong_rows)
            return True

    def _swap(self, reason: str, snapshot: Snapshot, wrong_rows: tuple[Problem, ...]) -> None:
        log.info("policy %s is live (%s), was %s", snapshot.version, reason, self.live.version)
        self.live, self._wrong_rows = snapshot, wrong_rows
        if self.problems:
            log.error(
                "policy %s is live, without what is wrong: %s", self.live.version, self.problem
            )
        self._build_shadow()

    def follow(self, revision: int) -> Snapshot:
        """The snapshot of at least this revision of the database, loaded now if need be.

        Of the files it has what is live: they are taken up when nobody is writing them.
        """
        if revision > max(self.live.revision, self._refused):
            with self._changing:
                if revision > max(self.live.revision, self._refused):
                    self._follow(revision)
        return self.live

    def _follow(self, revision: int) -> None:
        reason = f"revision {revision}"
        try:
            now = _revision()
            made = self._without_bad_rows(lambda lines: self._with_live_files(lines, now))
        except PolicyError as error:
            self._refused, self._wrong_rows = revision, error.problems
            log.error("policy %s stays live (%s): %s", self.live.version, reason, error)
        else:
            self._swap(reason, *made)

    def watch_files(self) -> bool:
        """`poll_files`, for a loop: once nothing has changed since the last look.

        Somebody may still be writing, and half of a file can be a valid policy without its denials.
        """
        try:
            looked = self._stamp(self.folder), self._stamp(self.folder / SHADOW)
        except OSError:
            return False  # replaced just now
        settled, self._looked = looked == self._looked, looked
        return settled and self.poll_files()

    def poll_files(self) -> bool:
        """Reload when a file of the folder has changed; True when a new snapshot went live."""
        try:
            changed = self._stamp(self.folder) != self._seen
            candidate = self._stamp(self.folder / SHADOW)
        except OSError:
            return False  # replaced just now; the next poll sees it
        if candidate != self._shadow_seen:
            with self._changing:
                self._shadow_seen = candidate
                self._build_shadow()
        return changed and self.reload("files changed")


def note_lines_changed() -> None:
    """Say, in the current transaction, that what roles or admin lines grant has changed."""
    PolicyRevision.raise_(PolicyRevision.lines)


def note_members_changed() -> None:
    """Say, in the current transaction, that who has what or who is where has changed."""
    PolicyRevision.raise_(PolicyRevision.members)
