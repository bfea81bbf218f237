"""Versions of the policy files: every one that was live is kept, with who made it and why."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from v6srv.authz.decide import Authorizer
from v6srv.authz.folder import digest
from v6srv.db import LARGEST_ID, session
from v6srv.errors import NotFound
from v6srv.model import PolicyVersion

SERVER = "server"
"""Author of versions that the server found in its folder."""


def newest(sess: Session) -> PolicyVersion | None:
    """The version that was recorded last; None before the first start."""
    return sess.scalars(history().limit(1)).first()


def history() -> Select[PolicyVersion]:
    """All versions, newest first."""
    return select(PolicyVersion).order_by(PolicyVersion.id.desc())


def summaries() -> Select[PolicyVersion]:
    """All versions, newest first, without the texts of their files."""
    return history().options(defer(PolicyVersion.files, raiseload=True))


def live(authz: Authorizer) -> dict[str, Any]:
    """The policy that this process decides by, and what is wrong with what could not go live."""
    store = authz.store
    shadow = None
    if store.shadow is not None or store.shadow_problems:
        shadow = {
            "version": store.shadow and store.shadow.version,
            "problems": store.shadow_problems,
            "disagreements": authz.shadow.disagreements.count if authz.shadow else 0,
        }
    return {
        "version": store.live.version,
        "revision": store.live.revision,
        "lines": len(store.live.lines),
        "problems": store.problems,
        "shadow": shadow,
    }


def version(id: int) -> PolicyVersion:
    """One version. Raises NotFound."""
    found = session.get(PolicyVersion, id) if 0 < id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"Policy version id={id} is not found!")
    return found


def record(
    sess: Session, files: Mapping[str, str], author: str, message: str
) -> PolicyVersion | None:
    """Note in the current transaction that these files are live; None when that is known."""
    known = newest(sess)
    if known is not None and known.digest == digest(files):
        return None
    row = PolicyVersion(author=author, message=message, digest=digest(files), files=dict(files))
    sess.add(row)
    sess.flush()
    return row
