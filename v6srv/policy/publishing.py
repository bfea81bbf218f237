"""A candidate becomes the live policy: checked, tested, compared, approved, recorded; and back.

The files of the policy folder are what servers follow; the database keeps every version.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from v6srv.authz.folder import read_files, write_files
from v6srv.authz.snapshot import build
from v6srv.authz.store import database_lines
from v6srv.db import session, writing
from v6srv.errors import Conflict
from v6srv.model import PolicyVersion
from v6srv.policy.diff import Change, PolicyDiff, compare_stored
from v6srv.policy.lint import lint_stored
from v6srv.policy.testing import failures
from v6srv.service import policy_versions, setup


@dataclass(frozen=True, slots=True)
class Review:
    """What stands against a candidate, and what it would change."""

    errors: Sequence[str] = ()
    """What keeps it from going live, as `file:line:column: message`."""
    failing: Sequence[str] = ()
    """Its tests that fail."""
    difference: PolicyDiff | None = None
    """Against the live policy; None when the candidate cannot be built."""

    @property
    def gains(self) -> Sequence[Change]:
        """What somebody could do with it and cannot do now: to be approved."""
        return self.difference.gains if self.difference else ()

    @property
    def sound(self) -> bool:
        """Whether it may go live once its gains are approved."""
        return not self.errors and not self.failing


def review(live: Path, candidate: Path) -> Review:
    """Check a folder of policies with the lines and principals of the database; changes nothing."""
    errors = [str(problem) for problem in lint_stored(candidate) if problem.is_error]
    if errors:
        return Review(errors)
    lines = database_lines()
    old, new = build(live, lines), build(candidate, lines)
    return Review((), failures(candidate), compare_stored(old, new))


def publish(live: Path, candidate: Path, author: str, message: str) -> PolicyVersion:
    """Make the files of the candidate the live ones, and record them as a version.

    To be reviewed first. Every server that uses the folder follows within a second. Raises Conflict
    when these files are live already, PolicyError when they are not valid, OSError when they cannot
    be written; nothing has changed then.
    """
    files = read_files(candidate)
    build(candidate, database_lines())
    session.rollback()
    with writing():
        before = read_files(live)
        policy_versions.record(session(), before, policy_versions.SERVER, "found at publication")
        version = policy_versions.record(session(), files, author, message)
        if version is None:
            session.rollback()
            raise Conflict("These files are the live version already")
        write_files(live, files)
        try:
            session.commit()
        except BaseException:
            session.rollback()
            write_files(live, before)
            raise
    setup.follow_policy_files(live)
    return version


@contextmanager
def unpacked(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with the files of a version, for as long as it is looked at."""
    with tempfile.TemporaryDirectory(prefix="v6srv-policy-") as folder:
        write_files(Path(folder), files)
        yield Path(folder)
