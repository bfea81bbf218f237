"""Take over the database of a 3.x or 4.x server: every row with its id and its hashes.

The source is only read. Everything is written in one transaction, or nothing: what cannot be kept
as it is (rows that point to nothing, pairs stored twice) is mended by fixed rules and reported, and
what cannot be mended is refused.
"""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, delete, func, select, text

from v6srv.authz.source.load import declared_grants
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import session, transaction
from v6srv.errors import Conflict
from v6srv.model import (
    Account,
    AlgorithmStore,
    CasbinRule,
    Collaboration,
    Node,
    Organization,
    Permission,
    Result,
    Role,
    RoleRule,
    SocketConnection,
    Task,
    User,
    UserPermission,
)
from v6srv.service.setup import ROOT, complete_roles
from v6srv.service.takeover import people, work
from v6srv.service.takeover.copying import Copy, Report
from v6srv.service.takeover.releases import Release
from v6srv.service.takeover.rights import differences

_COUNTED = (
    "authenticatable",
    "organization",
    "collaboration",
    "nodeconfig",
    "role",
    "run",
    "study",
    "algorithmstore",
    "task",
    "result",
    "algorithmport",
)
"""Tables whose ids the database gives."""


def take_over(
    source: Connection, release: Release, policies: Path, *, dry_run: bool = False
) -> Report:
    """Copy the source (`open_source`) into the database of this instance, in one transaction.

    The target must be migrated and hold nothing but its seed, whose user and organization `root`
    are replaced by those of the source. `policies` is the folder of the instance. With `dry_run`
    everything is done and then taken back. Raises Conflict when the target is in use, or when a
    user would have other rights than before for no known reason, and Invalid when the source holds
    what cannot be stored; nothing is written then.
    """
    grants = declared_grants(policies)
    with as_server(ServerWrite.COMMAND), transaction(keep=not dry_run) as sess:
        sess.expunge_all()
        version = _require_seed_only(release)
        _remove_seed()
        copy = Copy(source, release)
        members = people.organizations_and_collaborations(copy)
        people.accounts(copy, members, version + 1)
        rights, pairs, defaults = people.roles_and_rights(copy)
        if copy.has("study"):
            work.studies(copy, members)
            work.stores(copy)
        work.tasks(copy)
        _advance_ids(copy.highest)
        complete_roles(sess, grants)
        copy.tell_what_was_mended()
        copy.report.changes = differences(rights, pairs, defaults)
        return copy.report


def _require_seed_only(release: Release) -> int:
    """Raise Conflict unless only the seed is there; its highest token version otherwise."""
    strangers = {
        "users": select(User.id).where(User.username.is_distinct_from(ROOT)),
        "organizations": select(Organization.id).where(
            Organization.name.is_distinct_from(ROOT)
            | (Organization.id > select(func.min(Organization.id)).scalar_subquery())
        ),
        "custom roles": select(Role.id).where(Role.slug.is_(None)),
        "collaborations": select(Collaboration.id),
        "nodes": select(Node.id),
        "tasks": select(Task.id),
        "results": select(Result.id),
        "extra rules of users": select(UserPermission.c.user_id),
        "algorithm stores": select(AlgorithmStore.id),
        "policy lines of admins": select(CasbinRule.id),
        "live connections": select(SocketConnection.account_id),
    }
    found = {
        name: session.scalar(select(func.count()).select_from(query.subquery())) or 0
        for name, query in strangers.items()
    }
    used = [f"{count} {name}" for name, count in found.items() if count]
    if used:
        raise Conflict(
            f"The database of this instance is in use: a {release.name} database can only be taken "
            f"over into a new one\nIt holds {', '.join(used)}"
        )
    return session.scalar(select(func.max(Account.token_version))) or 0


def _remove_seed() -> None:
    for table in (Permission, RoleRule, User, Account, Role, Organization):
        session.execute(delete(getattr(table, "__table__", table)))


def _advance_ids(ids: Mapping[str, int]) -> None:
    """New rows get ids beyond those of the source, also those of rows that were left out."""
    postgres = session.get_bind().dialect.name == "postgresql"
    for name in _COUNTED:
        highest = ids.get(name)
        if not highest:
            continue
        if postgres:
            # Never back: the seed has used ids as well.
            session.execute(
                text(
                    "SELECT setval(pg_get_serial_sequence(:name, 'id'), greatest(:highest, "
                    "nextval(pg_get_serial_sequence(:name, 'id'))))"
                ),
                {"name": name, "highest": highest},
            )
            continue
        values = {"name": name, "highest": highest}
        raised = session.execute(
            text("UPDATE sqlite_sequence SET seq = max(seq, :highest) WHERE name = :name"),
            values,
        )
        if not raised.rowcount:  # type: ignore[attr-defined]
            session.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :highest)"), values)
