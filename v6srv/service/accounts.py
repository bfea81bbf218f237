"""Accounts: who is meant, who is locked out, and what an algorithm may ask for.

Nothing here hashes or signs; `identity` does, and decides when to commit.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, select, update
from sqlalchemy.orm import load_only, undefer

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Invalid, Unauthenticated
from v6srv.model import Node, Permission, Result, Role, Task, User
from v6srv.model.checks import account_of
from v6srv.service.tasks import is_over
from v6srv.vocabulary import Operation, Resource

NOBODY = 0
"""The id that no account has: who asks for it does the work that an account would have cost."""


@dataclass(frozen=True, slots=True)
class LockOut:
    """When wrong passwords and codes lock an account, and for how long (auth.md 4)."""

    max_attempts: int = 5
    minutes: float = 15

    def holds(self, user: User, now: datetime) -> bool:
        """Whether the account is locked at `now`. Attempts while locked do not prolong it."""
        return user.is_blocked(self.max_attempts, self.minutes, now)[0]

    def count(self, user: User, now: datetime, wrong_code: bool = False) -> None:
        """A wrong password, or a wrong code after the right one. While locked only codes count."""
        if not self.holds(user, now):
            attempts = user.failed_login_attempts or 0
            if attempts >= self.max_attempts:
                attempts, user.wrong_codes = 0, 0
            user.failed_login_attempts = attempts + 1
            user.last_login_attempt = now
        if wrong_code:
            user.wrong_codes += 1

    def yields(self, user: User, now: datetime, code_is_right: bool) -> bool:
        """Whether the right password is let in all the same: with a code, or for as long as a lock
        lasts after it was replaced with a mailed token. Strangers who lock an account have neither.

        Not when codes were wrong too often: then somebody knows the password, and guesses.
        """
        recovered = user.recovered_at
        lately = recovered is not None and now - recovered < timedelta(minutes=self.minutes)
        return (lately or code_is_right) and user.wrong_codes < self.max_attempts

    def minutes_left(self, user: User, now: datetime) -> int:
        """Started minutes until the lock ends, at least 1."""
        return max(1, user.minutes_blocked(self.max_attempts, self.minutes, now))

    def must_tell_owner(self, user: User, now: datetime) -> bool:
        """Whether this is the first attempt since the lock began (A8); asked once per lock."""
        told, began = user.blocked_mail_at, user.last_login_attempt
        if told is not None and began is not None and told >= began:
            return False
        user.blocked_mail_at = now
        return True


def find_user(username: str | None, email: str | None = None) -> tuple[int, str | None]:
    """Id and hash of the password: by user name, compared exactly; or by email when no name is
    given, whatever its case. `NOBODY` when there is none, for which the same queries are asked."""
    if username:
        meant = User.username == username
    else:
        meant = User.id == (account_of("email", email or "") or NOBODY)
    found = session.execute(select(User.id, User.password).where(meant)).one_or_none()
    return (found.id, found.password) if found else (NOBODY, None)


def lock_user(user_id: int) -> User | None:
    """The user as it is now; other transactions wait until this one ends."""
    query = select(User).where(User.id == user_id).with_for_update()
    return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()


def write_attempt(user: User | None) -> None:
    """Store what was counted of a failed login. It takes one statement, also when nothing was, or
    when there is no such account (Q-40)."""
    if user is not None and session.is_modified(user):
        session.flush()
    else:
        nothing = update(User).where(User.id == NOBODY).values(failed_login_attempts=0)
        session.execute(nothing, execution_options={"synchronize_session": False})


def role_names(user_id: int, limit: int) -> list[str]:
    """The names of the user's roles, oldest role first, at most `limit`."""
    query = (
        select(Role.name)
        .join(Permission, Permission.c.role_id == Role.id)
        .where(Permission.c.user_id == user_id)
        .order_by(Role.id)
        .limit(limit)
    )
    return [name or "" for name in session.scalars(query)]


def find_node(digest: str) -> Node | None:
    """The node whose API key has this digest: one look-up, however many nodes there are."""
    return session.scalars(select(Node).where(Node.key_digest == digest)).one_or_none()


def legacy_keys() -> list[tuple[int, str]]:
    """Id and bcrypt hash of the nodes that have not logged in since they left a 3.x server."""
    query = select(Node.id, Node.api_key).where(
        Node.key_digest.is_(None), Node.api_key.is_not(None)
    )
    return [(id, key) for id, key in session.execute(query.order_by(Node.id)) if key is not None]


def adopt_key(node_id: int, stored: str, digest: str) -> Node | None:
    """Keep the digest instead of the hash of a 3.x server: the next login is one look-up.

    None when the node is gone or its key was renewed since `stored` was read.
    """
    query = select(Node).where(Node.id == node_id, Node.api_key == stored).with_for_update()
    node = session.scalars(query).one_or_none()
    if node is not None:
        node.key_digest, node.api_key = digest, None
    return node


def container_of(
    who: Principal, authz: Authorizer, task_id: int, image: str
) -> tuple[dict[str, Any], int]:
    """What the token of an algorithm container says (auth.md 2.2), and its node's token version.

    Algorithms of 3.x read `database`, those of 4.x `databases`, and hand them on as they are.
    `who` is the node that is to run it: it may, where it may write the result that its organization
    computes. Raises Invalid for an unknown or finished task, Unauthenticated for another image or
    collaboration, as the contract has it (auth.md 3.3), and Denied.
    """
    own = and_(Result.task_id == Task.id, Result.organization_id == who.organization_id)
    found = session.execute(
        select(Task, Result, Node.token_version.label("version"))
        .outerjoin(Result, own)
        .join(Node, Node.id == who.account_id)
        .options(undefer(Task.unfinished), undefer(Task.status_in_4), load_only(Result.finished_at))
        .where(Task.id == task_id)
        .order_by(Result.finished_at.is_not(None))
    ).first()
    if found is None:
        raise Invalid("Master task does not exist!")
    task: Task = found.Task
    if task.image != image:
        raise Unauthenticated("Image and task do no match")
    if task.collaboration_id not in who.collaboration_ids:
        raise Unauthenticated("You are not within the collaboration")
    result: Result | None = found.Result
    if is_over(task) or (result is not None and result.finished_at is not None):
        raise Invalid("Task is already finished!")
    if result is None:
        raise authz.refusal(who, Resource.RESULT, Operation.EDIT)
    authz.require(who, Operation.EDIT, result)
    return {
        "node_id": who.account_id,
        "organization_id": who.organization_id,
        "collaboration_id": task.collaboration_id,
        "task_id": task.id,
        "image": task.image,
        "database": task.database,
        "databases": [{**json.loads(one.parameters), "label": one.label} for one in task.databases],
        "study_id": task.study_id,
        "store_id": task.algorithm_store_id,
    }, found.version
