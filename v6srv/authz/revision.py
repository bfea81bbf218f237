"""Which revision of what the database grants is current, and that it has changed."""

from sqlalchemy import select

from v6srv.db import session
from v6srv.model import PolicyRevision


def current_revision() -> int:
    """The revision of the lines of the database, in the current transaction."""
    return session.scalar(select(PolicyRevision.lines).where(PolicyRevision.id == 1)) or 0


def note_lines_changed() -> None:
    """Say, in the current transaction, that what roles or admin lines grant has changed."""
    PolicyRevision.raise_(PolicyRevision.lines)


def note_members_changed() -> None:
    """Say, in the current transaction, that who has what or who is where has changed."""
    PolicyRevision.raise_(PolicyRevision.members)
