"""Which revision of what the database grants is current, and that it has changed."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from v6srv.db import session
from v6srv.model import PolicyRevision


def current_revision() -> int:
    """The revision of the lines of the database, in the current transaction."""
    return session.scalar(select(PolicyRevision.lines).where(PolicyRevision.id == 1)) or 0


def lock_lines() -> None:
    """Until the current transaction ends, who else changes lines waits here."""
    PolicyRevision.lock(session())


def raise_revisions(sess: Session, names: Collection[str]) -> None:
    """Say, in the transaction of this session, that `lines` or `members` have changed."""
    if names:
        PolicyRevision.raise_(sess, *(getattr(PolicyRevision, name) for name in sorted(names)))
