"""Where the live policy is: files and database in, one snapshot out, swapped in one assignment.

A change is built and validated beside the live snapshot. Readers never lock and never see half a
policy; what is invalid leaves the old snapshot live and is kept in `problem`.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from v6srv.authz.snapshot import Snapshot, build
from v6srv.authz.source import Line, PolicyError
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
    rules = {
        rule.id: (rule.name, rule.scope.value, rule.operation.value, "True", "allow")
        for rule in session.execute(select(Rule.id, Rule.name, Rule.scope, Rule.operation))
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
        self.problem: str | None = None
        """Why the newest version is not live; None when it is."""
        self._changing = threading.Lock()
        self._seen = self._stamp()
        self.live: Snapshot = self._build()

    def _stamp(self) -> tuple[tuple[str, int, int], ...]:
        files = sorted([*self.folder.glob("*.conf"), *self.folder.glob("*.csv")])
        stats = ((path, path.stat()) for path in files)
        return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)

    def _build(self) -> Snapshot:
        return build(self.folder, database_lines(), _revision())

    def _build_without_bad_rows(self) -> tuple[Snapshot, str | None]:
        """As `_build`, but rows of `casbin_rule` that are wrong by themselves are left out.

        They have never been live, so nothing is lost; and a bad row must not keep a right alive
        that is taken away elsewhere. Returns what is wrong with them, too.
        """
        lines = database_lines()
        try:
            return build(self.folder, lines, _revision()), None
        except PolicyError as error:
            bad = {p.origin for p in error.problems if p.origin.startswith(ADDED)}
            if not bad:
                raise
            kept = [line for line in lines if line.origin not in bad]
            return build(self.folder, kept, _revision()), str(error)

    def reload(self, reason: str) -> bool:
        """Build a new snapshot and swap it in; False when it is not valid and the old one stays."""
        with self._changing:
            self._seen = self._stamp()
            return self._swap(reason, lambda: (self._build(), None))

    def _swap(self, reason: str, make: Callable[[], tuple[Snapshot, str | None]]) -> bool:
        try:
            snapshot, problem = make()
        except PolicyError as error:
            self.problem = str(error)
            log.error("policy %s stays live (%s): %s", self.live.version, reason, error)
            return False
        log.info("policy %s is live (%s), was %s", snapshot.version, reason, self.live.version)
        if problem:
            log.error("policy %s is live without bad rows: %s", snapshot.version, problem)
        self.live, self.problem = snapshot, problem
        return True

    def follow(self, revision: int) -> Snapshot:
        """The snapshot of at least this revision of the database, loaded now if need be."""
        if revision > self.live.revision:
            with self._changing:
                if revision > self.live.revision:
                    self._swap(f"revision {revision}", self._build_without_bad_rows)
        return self.live

    def poll_files(self) -> bool:
        """Reload when a file of the folder has changed; True when a new snapshot went live."""
        try:
            changed = self._stamp() != self._seen
        except OSError:
            return False  # replaced just now; the next poll sees it
        return changed and self.reload("files changed")


def note_lines_changed() -> None:
    """Say, in the current transaction, that what roles or admin lines grant has changed."""
    PolicyRevision.raise_(PolicyRevision.lines)


def note_members_changed() -> None:
    """Say, in the current transaction, that who has what or who is where has changed."""
    PolicyRevision.raise_(PolicyRevision.members)
