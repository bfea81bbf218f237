"""Versions of the policy files: every one that was live is kept, with who made it and why."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer
from sqlalchemy.orm.attributes import set_committed_value

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.source.folder import digest
from v6srv.authz.source.live import store_of
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Conflict, NotFound
from v6srv.model import PolicyVersion

log = logging.getLogger(__name__)

SERVER = "server"
"""Author of versions that the server found in its folder."""


def newest(sess: Session) -> PolicyVersion | None:
    """The version that was recorded last; None before the first start."""
    return sess.scalars(summaries().limit(1)).first()


def summaries() -> Select[PolicyVersion]:
    """All versions, newest first, without the texts of their files."""
    files = defer(PolicyVersion.files, raiseload=True)
    return select(PolicyVersion).options(files).order_by(PolicyVersion.id.desc())


def live(authz: Authorizer) -> dict[str, Any]:
    """The policy that this process decides by, and what is wrong with what could not go live."""
    store = store_of(authz)
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
    """One version. Raises NotFound, and Conflict when it is not what was recorded."""
    found = session.scalar(summaries().where(PolicyVersion.id == min(id, LARGEST_ID)))
    if found is None or id != found.id:
        raise NotFound(f"Policy version id={id} is not found!")
    set_committed_value(found, "files", files_of(session(), found))
    return found


def files_of(sess: Session, version: PolicyVersion) -> dict[str, str]:
    """The files of a version. Raises Conflict when they are not those that were recorded."""
    query = select(PolicyVersion.files).where(PolicyVersion.id == version.id)
    try:
        files = sess.scalar(query)
        if files is not None and digest(files) == version.digest:
            return files
    except (ValueError, TypeError, AttributeError):
        pass  # what is stored is no text by name any more
    raise Conflict(
        f"Policy version {version.id} was changed in the database after it was recorded: its files"
        f" do not have the digest {version.digest[:12]}. Restore the row from a backup"
    )


def is_intact(sess: Session, version: PolicyVersion) -> bool:
    """Whether the files of a version are those that were recorded."""
    try:
        files_of(sess, version)
    except Conflict:
        return False
    return True


def checked(versions: Iterable[PolicyVersion]) -> list[dict[str, Any]]:
    """Summaries of versions, each with whether it is still what was recorded."""
    found = []
    for one in versions:
        time.sleep(0)  # others get their turn: files can be long
        plain = {name: getattr(one, name) for name in _SUMMARY}
        found.append({**plain, "intact": is_intact(session(), one)})
    return found


_SUMMARY = ("id", "created_at", "author", "message", "digest")


def record(
    sess: Session, files: Mapping[str, str], author: str, message: str
) -> PolicyVersion | None:
    """Note in the current transaction that these files are live; None when that is known."""
    known = newest(sess)
    if known is not None and known.digest == digest(files):
        if is_intact(sess, known):
            return None
        log.error("policy version %d was changed in the database: it is noted anew", known.id)
    return add(sess, files, author, message)


def add(sess: Session, files: Mapping[str, str], author: str, message: str) -> PolicyVersion:
    """Note in the current transaction that these files are live from now on."""
    row = PolicyVersion(author=author, message=message, digest=digest(files), files=dict(files))
    sess.add(row)
    sess.flush()
    return row
