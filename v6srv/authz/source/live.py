"""Where the live policy is: files and database in, one enforcer out, swapped in one assignment.

A change is built and validated beside the live enforcer. Readers never lock and never see half a
policy. What is live holds no grant but those of the last valid files and of the database as it is
now: files that are not valid leave the files before them in force, and lines of the database that
cannot go live are held back, but what was taken away there is gone. `problem` says what is wrong.
"""

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path

from v6srv import meters, problems
from v6srv.authz import clock, long_work
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.definition import Definition
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import DATABASE, Line
from v6srv.authz.revision import current_revision
from v6srv.authz.source.adapter import ADDED, Stored, stored
from v6srv.authz.source.check_lines import origins
from v6srv.authz.source.folder import SHADOW, Stamp, read_texts, stamp
from v6srv.authz.source.load import assemble, build, examine, give_up, parse_files, with_limits
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.db import let_go, session
from v6srv.vocabulary import Effect

log = logging.getLogger(__name__)

TELL_AFTER_S = 1.0
"""How long edited files may be checked without a word."""
_SLOW = "check of policy files"


@dataclass(frozen=True, slots=True)
class Files:
    """The policy files of one moment, read and with what is wrong with them by themselves."""

    texts: Mapping[str, str]
    definition: Definition
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Files":
        """The files as they are now. Raises PolicyError when nothing can be said of their lines."""
        texts, unread = read_texts(folder)
        definition, lines, wrong = parse_files(texts, unread)
        return cls(texts, definition, tuple(lines), tuple(wrong))

    @property
    def digest(self) -> str:
        """SHA-256 of the model and the lines, without those of the database: the same in all
        processes that decide by the same files."""
        limits = ((line, line.valid_from, line.valid_until) for line in self.lines)
        texts = (self.definition.text, *(" ".join(map(str, one)) for one in limits))
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def examine(self, rows: Iterable[Line], revision: int) -> tuple[Enforcer | None, list[Problem]]:
        """With these lines of the database, as `load.examine`."""
        return examine(self.definition, self.lines, rows, revision, self.problems)

    def assemble(self, rows: Iterable[Line], revision: int) -> Enforcer:
        """With these lines of the database. Raises PolicyError."""
        return assemble(self.definition, self.lines, rows, revision, self.problems)

    def is_denial(self, line: Line) -> bool:
        """Whether a line takes something away."""
        fields = self.definition.fields
        at = fields.index("eft") if "eft" in fields else len(line.values)
        return line.ptype == "p" and line.values[at : at + 1] == (Effect.DENY,)


@dataclass(frozen=True, slots=True)
class Sound:
    """A version with which nothing is wrong, and what it was made of."""

    files: Files
    stored: Stored
    enforcer: Enforcer
    checked_at: datetime
    """When all of its lines were checked."""

    def is_of(self, files: Files, lines: Sequence[Line]) -> bool:
        """Whether it was made of these lines of the database, and a check says the same now."""
        same = files is self.files and list(lines) == self.stored.lines
        return same and not self.enforcer.turned_since(self.checked_at)

    def with_roles(self, files: Files, now: Stored, revision: int) -> Enforcer | None:
        """The version that this has become, if only rules of custom roles are others now.

        None when it has to be made of all lines: something else has changed, or a check could say
        something else now. No check asks for the subject of lines that no other line speaks of.
        """
        before, live = self.stored, self.enforcer
        names = self.stored.roles.keys() | now.roles.keys()
        changed = [id for id in names if before.roles.get(id) != now.roles.get(id)]
        if (
            files is not self.files
            or (before.rules, before.added) != (now.rules, now.added)
            or not live.program.finds_by_subject
            or live.turned_since(self.checked_at)
            or any(_speaks_of(id, files, now) for id in changed)
        ):
            return None
        return live.having(now.of_roles(changed), revision)


def _speaks_of(role: int, files: Files, now: Stored) -> bool:
    """Whether a role is named somewhere else than in its own lines."""
    name = re.compile(rf"role:{role}(?![0-9])")
    lines = chain(files.lines, now.added)
    return name.search(files.definition.text) is not None or any(
        name.search(value) for line in lines for value in line.values
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """Valid files that are not live yet."""

    seen: Stamp
    files: Files
    enforcer: Enforcer
    wrong_rows: tuple[Problem, ...]


class PolicyStore:
    """The live policy of this process."""

    def __init__(self, folder: Path) -> None:
        """Load `folder` and the database; raises PolicyError when the policy is not valid."""
        self.folder = folder
        self.shadow: Enforcer | None = None
        """The candidate in the folder `shadow`: asked beside the live policy, never obeyed."""
        self.shadow_problems: tuple[Problem, ...] = ()
        """Why there is no candidate although its folder has files."""
        self._refused = 0
        """The last revision that could not go live whole: it is not tried at every request."""
        self._changing = threading.Lock()
        self.seen = stamp(folder)
        """The files as they were when they went live, or were refused."""
        self._shadow_seen: object = None
        """The candidate's files as they were when it was built last."""
        self._wrong_files: tuple[Problem, ...] = ()
        self._wrong_rows: tuple[Problem, ...] = ()
        self._sound: Sound | None = None
        """The last version with which nothing was wrong."""
        self._files: Files
        self.live: Enforcer
        self._files = Files.read(self.folder)
        self.live, self._wrong_rows = self._with_database(self._files)
        self.follow_shadow()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why the newest version is not live; empty when it is."""
        return tuple(dict.fromkeys((*self._wrong_files, *self._wrong_rows)))

    @property
    def problem(self) -> str | None:
        """All `problems` in one text; None when the newest version is live."""
        return "\n".join(map(str, self.problems)) or None

    @property
    def texts(self) -> Mapping[str, str]:
        """The very files that are live, and the tests beside them: their text by their path."""
        return self._files.texts

    @property
    def files_digest(self) -> str:
        """That of the files that are live."""
        return self._files.digest

    def _with_database(
        self, files: Files, *, in_background: bool = False
    ) -> tuple[Enforcer, tuple[Problem, ...]]:
        """A version of these files with as much of the database as may go live.

        Returns what is wrong with the rest, too. Raises PolicyError when the files themselves are
        wrong, or no part of the database fits them.
        """
        # The revision first: what is committed in between is read again, not passed over.
        revision, now = current_revision(), stored()
        if in_background:
            let_go()  # the database ends a transaction in which nothing happens for long
        checked_at, last = clock.now(), self._sound
        made = last.with_roles(files, now, revision) if last else None
        if last and made:
            self._sound = Sound(files, now, made, last.checked_at)
            return made, ()
        rows = now.lines
        enforcer, found = files.examine(rows, revision)
        if found:
            bad = {problem.origin for problem in found if problem.origin.startswith(ADDED)}
            sound = [row for row in rows if row.origin not in bad]
            enforcer, again = files.examine(sound, revision) if bad else (None, found)
            if again:
                enforcer, again = files.examine(self._held_back(files, rows, found), revision)
            if again or enforcer is None:
                raise PolicyError(found)
        assert enforcer is not None
        if not found:
            self._sound = Sound(files, now, enforcer, checked_at)
        return enforcer, tuple(found)

    def _held_back(
        self, files: Files, rows: Iterable[Line], problems: Sequence[Problem]
    ) -> list[Line]:
        """Of the lines of the database now: those that are live already, and sound denials."""
        rows, live = list(rows), _of_database(self.live) if hasattr(self, "live") else ()
        wrong = origins(problems, rows)
        return [
            row
            for row in rows
            for line in with_limits(files.definition, [row])[0]
            if (line.ptype, line.values) in live
            or (row.origin not in wrong and files.is_denial(line))
        ]

    def candidate(
        self, lines: Sequence[Line], before: Sequence[Line], changed: str | None = None
    ) -> Enforcer:
        """The live files with other lines of the database; nothing goes live.

        Rows of `casbin_rule` that are bad already among the lines `before` the change are left out,
        but for the one whose origin is `changed`. Raises PolicyError.
        """
        try:
            return self._files.assemble(lines, self.live.revision)
        except PolicyError:
            bad = self._bad_rows(before) - {changed}
            if not bad:
                raise
            kept = [line for line in lines if line.origin not in bad]
            return self._files.assemble(kept, self.live.revision)

    def with_role(self, role: int, rules: Collection[int]) -> Enforcer:
        """The live version in which a custom role has these rules, by id; nothing goes live.

        Raises PolicyError.
        """
        now = stored()
        then = replace(now, roles={**now.roles, role: json.dumps(sorted(rules))})
        sound, revision = self._sound, self.live.revision
        made = sound.with_roles(self._files, then, revision) if sound else None
        return made or self.candidate(then.lines, now.lines)

    def _bad_rows(self, lines: Sequence[Line]) -> set[str]:
        if self._sound and self._sound.is_of(self._files, lines):
            return set()
        try:
            self._files.assemble(lines, self.live.revision)
        except PolicyError as error:
            return {p.origin for p in error.problems if p.origin.startswith(ADDED)}
        return set()

    def check_files(
        self, reason: str, still_wanted: Callable[[], None] = lambda: None
    ) -> Edit | None:
        """The files as they are now, if they are valid; requests go on meanwhile.

        None, and a problem, when they are not, or when it takes too long; None also when somebody
        changes them while they are read: the next look sees it. What `still_wanted` raises ends the
        check, and nothing is said of the files.
        """
        seen, began = stamp(self.folder), time.monotonic()

        def at_turn(used_s: float) -> None:
            if time.monotonic() - began > TELL_AFTER_S:
                problems.begin(_SLOW, "changed policy files are still being checked")
            still_wanted()
            give_up(used_s)

        try:
            with long_work.in_turns(at_turn, in_background=True):
                files = Files.read(self.folder)
                if stamp(self.folder) != seen:
                    return None
                return Edit(seen, files, *self._with_database(files, in_background=True))
        except PolicyError as error:
            self._refuse(seen, error.problems, reason)
            return None
        finally:
            problems.end(_SLOW)

    def take_up(self, edit: Edit, reason: str) -> bool:
        """Let checked files go live, with the database of now; False, and a problem, if they do not
        fit it any more."""
        let_go()  # what was seen of the database before the check is old
        session.connection()  # first: those who wait for `_changing` have theirs
        with self._changing:
            enforcer, wrong_rows = edit.enforcer, edit.wrong_rows
            if enforcer.revision < max(current_revision(), self.live.revision):
                try:
                    enforcer, wrong_rows = self._with_database(edit.files)
                except PolicyError as error:
                    self._refuse(edit.seen, error.problems, reason)
                    return False
            self.seen, self._refused, self._wrong_files = edit.seen, 0, ()
            self._swap(reason, edit.files, enforcer, wrong_rows)
            return True

    def refuse(self, edit: Edit, problem: Problem, reason: str) -> None:
        """Keep what is live instead of these files, and say why."""
        self._refuse(edit.seen, (problem,), reason)

    def _refuse(self, seen: Stamp, found: tuple[Problem, ...], reason: str) -> None:
        self.seen, self._refused, self._wrong_files = seen, 0, found
        meters.RELOADS.labels("refused").inc()
        log.error("policy %s stays live (%s): %s", self.live.version, reason, PolicyError(found))

    def _swap(
        self, reason: str, files: Files, enforcer: Enforcer, wrong_rows: tuple[Problem, ...]
    ) -> None:
        log.info("policy %s is live (%s), was %s", enforcer.version, reason, self.live.version)
        self._files, self.live, self._wrong_rows = files, enforcer, wrong_rows
        meters.RELOADS.labels("partial" if self.problems else "live").inc()
        if self.problems:
            log.error(
                "policy %s is live, without what is wrong: %s", self.live.version, self.problem
            )
        self.shadow, self._shadow_seen = None, None  # of another database: `follow_shadow`

    def follow(self, revision: int) -> Enforcer:
        """The enforcer of at least this revision of the database, loaded now if need be.

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
            made, wrong = self._with_database(self._files)
        except PolicyError as error:
            # Valid or not, what was taken away is gone: a part of what is live is still live.
            rows = with_limits(
                self._files.definition,
                self._held_back(self._files, stored().lines, error.problems),
            )[0]
            lines = [*self._files.lines, *rows]
            made = Enforcer(self._files.definition, lines, self.live.revision)
            wrong = error.problems
        if wrong:
            self._refused = revision
        if wrong and made.version == self.live.version:
            self._wrong_rows = wrong
            meters.RELOADS.labels("refused").inc()
            log.error("policy %s stays live (%s): %s", made.version, reason, self.problem)
        else:
            self._swap(reason, self._files, made, wrong)

    def follow_shadow(self) -> None:
        """Build the candidate when its files or what is live have changed; requests go on."""
        seen, live = stamp(self.folder / SHADOW), self.live
        if seen == self._shadow_seen:
            return
        candidate, found = self._build_shadow() if seen else (None, ())
        with self._changing:
            if self.live is live:  # last: what the database interrupts is tried again
                self.shadow, self.shadow_problems, self._shadow_seen = candidate, found, seen

    def _build_shadow(self) -> tuple[Enforcer | None, tuple[Problem, ...]]:
        """The candidate's files with the lines of the database, or what is wrong with them."""
        folder = self.folder / SHADOW
        try:
            with long_work.in_turns(give_up, in_background=True):
                return build(folder, stored().lines, self.live.revision), ()
        except PolicyError as error:
            log.error("the policy in shadow cannot be asked: %s", error)
            return None, error.problems


def _of_database(enforcer: Enforcer) -> frozenset[tuple[str, tuple[str, ...]]]:
    """The lines of a version that no file holds, whatever row they come from."""
    lines = (line for line in enforcer.lines if line.origin.startswith(DATABASE))
    return frozenset((line.ptype, line.values) for line in lines)


def store_of(authz: Authorizer) -> PolicyStore:
    """Where the versions come from that an Authorizer asks."""
    if not isinstance(authz.store, PolicyStore):
        raise TypeError(f"{authz.store!r} is not made of policy files")
    return authz.store
