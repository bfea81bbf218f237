"""A candidate becomes the live policy: checked, tested, compared, approved, recorded; and back.

The files of the policy folder are what servers follow; the database keeps every version.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.source.adapter import ADDED, database_lines
from v6srv.authz.source.folder import Stamp, digest, read_texts, replacing, stamp, write_files
from v6srv.authz.source.load import Parsed, build, examine, grants_of, parse_files
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.db import let_go, session
from v6srv.errors import Conflict, Invalid
from v6srv.model import PolicyRevision, PolicyVersion
from v6srv.policy.diff.compare import APPROVAL, PolicyDiff, compare_stored
from v6srv.policy.lint.folder import lint, stored_subjects
from v6srv.policy.testing.run import failures
from v6srv.service import policy_versions, setup


@dataclass(frozen=True, slots=True)
class Standing:
    """The policy in force: what candidates are compared with, and what cannot go live beside it."""

    policy: Enforcer | None
    """That of the folder, or the last valid version; None when no version is valid."""
    rows: Sequence[Line]
    """The lines of the database that can be live with it."""
    remarks: Sequence[str] = ()
    """What is wrong with the folder or the database, and what is done about it."""
    broken: bool = False
    """Whether the files of the folder are not valid."""

    def or_nothing(self, candidate: Enforcer) -> Enforcer:
        """The policy in force; where there is none, one that grants nothing, to compare with."""
        return self.policy or Enforcer(candidate.definition, (), 0)


def standing(live: Path) -> Standing:
    """What is in force by a folder and the database; never fails for what either of them holds."""
    rows = database_lines()
    try:
        return _standing(parse_files(*read_texts(live)), rows)
    except PolicyError as error:
        remarks = [f"The policy folder is broken: {problem}" for problem in error.problems]
    for version in session.scalars(policy_versions.summaries()):
        try:
            files = policy_versions.files_of(session(), version)
            found = _standing(parse_files(files), rows)
        except PolicyError:
            continue
        except Conflict as error:
            remarks.append(str(error))
            continue
        remarks.append(f"It is compared with version {version.id}, the last valid one")
        return Standing(found.policy, found.rows, [*remarks, *found.remarks], broken=True)
    remarks.append("No version of the history is valid: everything counts as a gain")
    return Standing(None, rows, remarks, broken=True)


def _standing(files: Parsed, rows: Sequence[Line]) -> Standing:
    """Files with those lines of the database that may go live, much as servers do."""
    definition, lines, problems = files
    policy, found = examine(definition, lines, rows, 0, problems)
    if not found:
        return Standing(policy, rows)
    bad = {problem.origin for problem in found}
    for fewer in (
        [row for row in rows if not (row.origin in bad and row.origin.startswith(ADDED))],
        [row for row in rows if not row.origin.startswith(ADDED)],  # no single one is to blame
    ):
        if len(fewer) < len(rows):
            policy, again = examine(definition, lines, fewer, 0, problems)
            if not again:
                return Standing(policy, fewer, [f"Not live with the database: {p}" for p in found])
    raise PolicyError(found)


State = tuple[Stamp, int, int]
"""The live files, and the revisions of lines and of members: what a comparison depends on."""


def _state(live: Path) -> State:
    query = select(PolicyRevision.lines, PolicyRevision.members).where(PolicyRevision.id == 1)
    row = session.execute(query).one_or_none()
    return (stamp(live), *(row or (0, 0)))


@dataclass(frozen=True, slots=True)
class Review:
    """A candidate, what stands against it, and what it would change."""

    files: Mapping[str, str]
    """The very texts that were looked at, and that go live."""
    state: State
    standing: Standing
    errors: Sequence[str] = ()
    """What keeps it from going live, as `file:line:column: message`."""
    failing: Sequence[str] = ()
    """Its tests that fail."""
    difference: PolicyDiff | None = None
    """Against the policy in force; None when the candidate cannot be built, or not be compared."""
    incomparable: str = ""
    """Why it cannot be told what it would change."""
    approval: str | None = None
    """What approves this: what is gained, or that it cannot be told. None: nothing is gained."""
    problems: Sequence[Problem] = ()
    """All that is wrong with it, errors and less."""

    @property
    def sound(self) -> bool:
        """Whether it may go live once its gains are approved."""
        return not self.errors and not self.failing

    def approved_by(self, given: str | None) -> bool:
        """Whether this approves just what is gained, if anything is."""
        return self.approval in (None, given)


def review(live: Path, files: Mapping[str, str]) -> Review:
    """Check the files of a policy with the lines and principals of the database; changes nothing.

    What is broken but the candidate itself does not count against it.
    """
    let_go()
    state = _state(live)
    now = standing(live)
    with unpacked(files) as folder:
        problems = lint(folder, now.rows, stored_subjects())
        errors = [str(problem) for problem in problems if problem.is_error]
        if errors:
            return Review(files, state, now, errors, problems=problems)
        new = build(folder, now.rows)
        failing, old = [*map(str, failures(folder))], now.or_nothing(new)
    try:
        found = compare_stored(old, new)
    except Invalid as error:  # going back must be possible from a policy that is like that
        approval = digest({"old": old.version, "new": digest(files)})[:APPROVAL]
        return Review(files, state, now, (), failing, None, str(error), approval, problems)
    gains = found.gains_digest
    return Review(files, state, now, (), failing, found, "", gains, problems)


_CHANGED = (
    "Somebody else changed the policy, or who it is about, while this was compared: look again at"
    " what it changes"
)


@dataclass(frozen=True, slots=True)
class Published:
    """What went live."""

    version: PolicyVersion
    replaced: Path | None = None
    """Where the files are that were there before, when they could not be recorded."""


def publish(
    live: Path, reviewed: Review, author: str, message: str, approved: str | None = None
) -> Published:
    """Make the files of a reviewed candidate the live ones, and record them as a version.

    Every server that uses the folder follows within a second. Raises Conflict when its gains are
    not those that were approved, when something changed since it was reviewed, and when these files
    are live already; OSError when they cannot be written. Nothing has changed then.
    """
    if not reviewed.sound or not reviewed.approved_by(approved):
        raise Conflict("It is not approved")
    grants, broken = grants_of(parse_files(reviewed.files)), reviewed.standing.broken
    with ExitStack() as on_failure, setup.declaring() as sess:
        if _state(live) != reviewed.state:
            raise Conflict(_CHANGED)
        before, unread = read_texts(live)
        if not broken:
            if before == reviewed.files:
                raise Conflict("These files are the live version already")
            policy_versions.record(sess, before, policy_versions.SERVER, "found at publication")
        version = policy_versions.add(sess, reviewed.files, author, message)
        setup.declare(sess, grants)
        keep = broken or bool(unread)
        # Aside, a relative link leads nowhere; but what it led to stays where it is.
        linked = {name: text for name, text in before.items() if (live / name).is_symlink()}
        # The files are replaced before the version is stored, and are back if it cannot be.
        replaced = on_failure.enter_context(replacing(live, reviewed.files, keep=keep))
        # Files know no lock: an editor may have saved just now.
        if linked | read_texts(replaced)[0] != before:
            raise Conflict(_CHANGED)
    return Published(version, replaced if keep else None)


@contextmanager
def unpacked(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with the files of a version, for as long as it is looked at."""
    with tempfile.TemporaryDirectory(prefix="v6srv-policy-") as folder:
        write_files(Path(folder), files)
        yield Path(folder)
