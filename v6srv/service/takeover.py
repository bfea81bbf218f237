"""Take over the database of a 3.x server (models.md): every row with its id and its hashes.

The source is only read. Everything is written in one transaction, or nothing: what cannot be kept
as it is (rows that point to nothing, pairs stored twice) is mended by fixed rules and reported, and
what cannot be mended is refused.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from v6srv import names
from v6srv.authz.rules import DEFAULT_ROLES
from v6srv.authz.source.load import declared_grants
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import LARGEST_ID, session, transaction, utcnow
from v6srv.errors import Conflict, Invalid
from v6srv.model import (
    Account,
    AlgorithmStore,
    CasbinRule,
    Collaboration,
    Member,
    Node,
    NodeConfig,
    Organization,
    Permission,
    Port,
    Result,
    Role,
    RoleRule,
    Run,
    SocketConnection,
    Task,
    TaskDatabase,
    User,
    UserPermission,
)
from v6srv.model.checks import complete_keys
from v6srv.service import takeover_source as tables
from v6srv.service.setup import ROOT, complete_roles
from v6srv.service.takeover_rights import Change, Right, differences, rules_here
from v6srv.service.takeover_source import BATCH, closing_circles, require_unique, rows_of
from v6srv.vocabulary import Operation, Scope

_SHOWN = 10
"""Ids that a note names before it stops counting them up."""

_COUNTED = (
    "authenticatable",
    "organization",
    "collaboration",
    "nodeconfig",
    "role",
    "run",
    "task",
    "result",
    "algorithmport",
)
"""Tables whose ids the database gives."""

Row = dict[str, Any]


@dataclass(slots=True)
class Report:
    """What was taken over, what was mended on the way, and whose rights are different."""

    copied: dict[str, int] = field(default_factory=dict)
    """Rows written, by table."""
    notes: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def take_over(source: Connection, policies: Path, *, dry_run: bool = False) -> Report:
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
        return _TakeOver(source, grants).run()


class _TakeOver:
    def __init__(
        self, source: Connection, grants: Mapping[str, Collection[tuple[str, Scope, Operation]]]
    ) -> None:
        self.source, self.grants = source, grants
        self.report = Report()
        self._ids: dict[str, set[int]] = {}
        """Ids that were written, by table: what others may point to."""
        self._members: set[tuple[int, int]] = set()
        """Organizations in collaborations."""
        self._highest: dict[str, int] = defaultdict(int)
        """Highest id of the source by table, left out rows too: ids are not used again."""
        self._mended: dict[str, list[str]] = defaultdict(list)
        self._rules: dict[int, Right] = {}
        """The rights behind the rule ids of the source; their own words when unknown here."""

    def run(self) -> Report:
        version = self._require_seed_only()
        self._remove_seed()
        self._organizations_and_collaborations()
        self._accounts(version + 1)
        defaults = self._roles()
        self._rules = self._rules_of_source()
        pairs = self._associations(defaults)
        self._tasks()
        self._advance_ids()
        complete_roles(session(), self.grants)
        self._tell_what_was_mended()
        self.report.changes = differences(self._rules, pairs, defaults)
        return self.report

    # --- the target

    def _require_seed_only(self) -> int:
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
                "The database of this instance is in use: a 3.x database can only be taken over "
                f"into a new one\nIt holds {', '.join(used)}"
            )
        return session.scalar(select(func.max(Account.token_version))) or 0

    def _remove_seed(self) -> None:
        for table in (Permission, RoleRule, User, Account, Role, Organization):
            session.execute(delete(getattr(table, "__table__", table)))

    def _advance_ids(self) -> None:
        """New rows get ids beyond those of the source, also those of rows that were left out."""
        postgres = session.get_bind().dialect.name == "postgresql"
        for name in _COUNTED:
            highest = self._highest[name]
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
                session.execute(
                    text("INSERT INTO sqlite_sequence VALUES (:name, :highest)"), values
                )

    # --- reading and mending

    def _read_entities(self, table: Table) -> Iterator[Row]:
        for row in rows_of(self.source, table):
            self._claim(table.name, row["id"])
            yield row

    def _claim(self, table: str, id_: Any) -> None:
        if not isinstance(id_, int) or not 0 < id_ <= LARGEST_ID:
            raise Invalid(f"Table {table} of the source: the id {id_} cannot be stored")
        self._highest[table] = max(self._highest[table], id_)

    def _refer(self, row: Row, column: str, table: str, of: str) -> None:
        """Make a reference to a row that is not there null, and note it."""
        if row[column] is not None and row[column] not in self._ids[table]:
            row[column] = None
            self._mend(f"{of}.{column} pointed to nothing and is empty now", row["id"])

    def _mend(self, what: str, id_: object) -> None:
        self._mended[what].append(str(id_))

    def _tell_what_was_mended(self) -> None:
        for what, ids in self._mended.items():
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            self.report.notes.append(f"{what}: {', '.join(ids[:_SHOWN])}{more}")

    def _write(self, table: Any, rows: Iterable[Row]) -> None:
        """Insert rows in batches; `table` is a mapped class or a table."""
        target: Table = getattr(table, "__table__", table)
        ids = self._ids.setdefault(target.name, set())
        count, remaining = 0, iter(rows)
        while batch := list(islice(remaining, BATCH)):
            session.execute(insert(target), batch)
            self._tell_what_breaks_a_rule(target.name, batch)
            count += len(batch)
            if "id" in target.c:
                ids.update(row["id"] for row in batch)
        self.report.copied[target.name] = count

    def _tell_what_breaks_a_rule(self, table: str, rows: Iterable[Row]) -> None:
        """People know things by these names: they are kept, and told."""
        for row in rows:
            for column, [fault] in names.faults(table, row).items():
                self._mend(
                    f"{table}.{column} is kept, but a new one is refused: {fault}", row["id"]
                )

    # --- the tables

    def _organizations_and_collaborations(self) -> None:
        self._write(Organization, self._read_entities(tables.ORGANIZATION))
        rows = list(self._read_entities(tables.COLLABORATION))
        require_unique(rows, "collaboration", "name")
        self._write(Collaboration, rows)
        pairs = self._pairs(tables.MEMBER, "organization_id", "organization", "collaboration_id")
        self._members.update(pairs)
        self._write(
            Member, [{"organization_id": one, "collaboration_id": two} for one, two in pairs]
        )

    def _accounts(self, version: int) -> None:
        """Users and nodes. Tokens of the seed's root must not speak for whoever has its id now:
        all accounts begin with a later token version.
        """
        accounts = {row["id"]: row for row in self._read_entities(tables.ACCOUNT)}
        users = [
            row for row in self._read_entities(tables.USER) if self._known(row, accounts, "user")
        ]
        nodes = [
            row for row in self._read_entities(tables.NODE) if self._known(row, accounts, "node")
        ]
        both = {row["id"] for row in users} & {row["id"] for row in nodes}
        if both:
            raise Invalid(f"Both a user and a node of the source have the id {min(both)}")
        for column in ("username", "email"):
            require_unique(users, "user", column)
        kinds = {row["id"]: "user" for row in users} | {row["id"]: "node" for row in nodes}
        for id_ in sorted(accounts.keys() - kinds.keys()):
            self._mend("authenticatable rows without user or node were left out", id_)
        self._write(
            Account,
            [
                {
                    **accounts[id_],
                    "type": kind,
                    "status": accounts[id_]["status"] and "offline",  # nobody is connected here
                    "token_version": version,
                }
                for id_, kind in sorted(kinds.items())
            ],
        )
        self._write(User, [self._user(row) for row in users])
        for clash in complete_keys(session()):
            self._mend(
                f"user.{clash.column} is kept, but a new one is refused: it differs from another"
                " user's by case only",
                f"{clash.id} (as {clash.other_id})",
            )
        self._write(Node, self._nodes(nodes))
        self._write(NodeConfig, self._parts(tables.NODECONFIG, "node_id", "node"))

    def _known(self, row: Row, accounts: Collection[int], kind: str) -> bool:
        self._claim("authenticatable", row["id"])
        if row["id"] in accounts:
            return True
        self._mend(f"{kind} rows without authenticatable row were left out", row["id"])
        return False

    def _user(self, row: Row) -> Row:
        self._refer(row, "organization_id", "organization", "user")
        secret = row["otp_secret"] or None
        if secret and len(secret) != 32:
            self._mend("users whose 2FA secret cannot be used have to reset it", row["id"])
        attempt = row["last_login_attempt"]
        if attempt is not None:
            # 3.x stored the local time of the server: from east of Greenwich it would be in the
            # future, and lock the user out for longer than anybody asked for.
            attempt = min(_aware(attempt), utcnow())
        return {
            **row,
            "failed_login_attempts": row["failed_login_attempts"] or 0,
            "last_login_attempt": attempt,
            "otp_secret": secret,
            "otp_confirmed": secret is not None,
        }

    def _nodes(self, rows: Iterable[Row]) -> Iterator[Row]:
        """A node is in a collaboration of its organization, and its only one there: policies are
        checked and compared as if it was so. Others are taken out, of two the later one.
        """
        taken: dict[tuple[int, int], int] = {}
        for row in rows:
            self._refer(row, "organization_id", "organization", "node")
            self._refer(row, "collaboration_id", "collaboration", "node")
            place = row["organization_id"], row["collaboration_id"]
            if place[1] is not None and place not in self._members:
                row["collaboration_id"] = None
                self._mend(
                    f"organization {place[0]} is not in collaboration {place[1]}, its nodes were "
                    "taken out of it",
                    row["id"],
                )
            elif None not in place and taken.setdefault(place, row["id"]) != row["id"]:
                row["collaboration_id"] = None
                self._mend(
                    f"node {taken[place]} is the node of organization {place[0]} in collaboration "
                    f"{place[1]}, others were taken out of it",
                    row["id"],
                )
            yield {**row, "key_digest": None}

    def _parts(self, table: Table, column: str, owner: str) -> Iterator[Row]:
        """Rows that are nothing without their owner."""
        for row in self._read_entities(table):
            if row[column] in self._ids[owner]:
                yield row
            else:
                self._mend(f"{table.name} rows without {owner} were left out", row["id"])

    def _roles(self) -> dict[int, str]:
        """Write all roles; the names of those that are default roles, by id."""
        slugs = {role.name: role.slug for role in DEFAULT_ROLES}
        defaults: dict[int, str] = {}
        rows = []
        for row in self._read_entities(tables.ROLE):
            slug = slugs.get(row["name"]) if row["organization_id"] is None else None
            if slug and row["name"] in defaults.values():
                self._mend(
                    f"there is a second role {row['name']}, kept as a custom role", row["id"]
                )
                slug = None
            elif slug:
                defaults[row["id"]] = row["name"]
            if row["organization_id"] is not None and row["name"] in slugs:
                self._mend("role.name is kept, but is reserved for a default role", row["id"])
            self._refer(row, "organization_id", "organization", "role")
            rows.append({**row, "slug": slug})
        self._write(Role, rows)
        return defaults

    def _rules_of_source(self) -> dict[int, Right]:
        return {
            row["id"]: (
                row["name"] or "",
                _word(Scope, row["scope"]),
                _word(Operation, row["operation"]),
            )
            for row in rows_of(self.source, tables.RULE)
        }

    def _associations(self, defaults: Collection[int]) -> dict[str, list[tuple[int, int]]]:
        """Write all pairs once; those of the source that decide about rights, by table.

        What default roles hold is not copied: the policy files say it.
        """
        ours = rules_here()
        self._ids["rule"] = set(self._rules)
        held = self._pairs(tables.PERMISSION, "user_id", "user", "role_id")
        self._write(Permission, [{"user_id": one, "role_id": two} for one, two in held])
        extra = self._pairs(tables.USER_PERMISSION, "user_id", "user", "rule_id")
        self._write(UserPermission, _mapped(extra, "user_id", self._rules, ours))
        granted = self._pairs(tables.ROLE_RULE, "role_id", "role", "rule_id")
        custom = [pair for pair in granted if pair[0] not in defaults]
        self._write(RoleRule, _mapped(custom, "role_id", self._rules, ours))
        return {"held": held, "extra": extra, "granted": granted}

    def _pairs(self, table: Table, left: str, kind: str, right: str) -> list[tuple[int, int]]:
        """The pairs of an association table whose ends are there, each once, sorted."""
        other = right.removesuffix("_id")
        found: set[tuple[int, int]] = set()
        for row in rows_of(self.source, table):
            pair = row[left], row[right]
            shown = f"{kind} {pair[0]} - {other} {pair[1]}"
            if pair[0] not in self._ids[kind] or pair[1] not in self._ids[other]:
                self._mend(f"{table.name} rows that pointed to nothing were left out", shown)
            elif pair in found:
                self._mend(f"{table.name} rows that were there twice are there once", shown)
            found.add(pair)
        return sorted(
            pair for pair in found if pair[0] in self._ids[kind] and pair[1] in self._ids[other]
        )

    def _tasks(self) -> None:
        rows = list(self._read_entities(tables.TASK))
        runs = {row["run_id"] for row in rows if row["run_id"] is not None}
        for run in runs:
            self._claim("run", run)
        self._write(Run, [{"id": run} for run in sorted(runs)])
        self._ids["task"] = {row["id"] for row in rows}
        for row in rows:
            for column, table in (
                ("collaboration_id", "collaboration"),
                ("parent_id", "task"),
                ("initiator_id", "organization"),
                ("init_user_id", "user"),
            ):
                self._refer(row, column, table, "task")
        parents = {row["id"]: row["parent_id"] for row in rows if row["parent_id"] is not None}
        for id_ in closing_circles(parents):
            del parents[id_]
            self._mend("tasks that were their own ancestors have no parent now", id_)
        # A parent may be written after its child.
        self._write(Task, ({**row, "parent_id": None} for row in rows))
        task = Task.__table__.c
        if parents:
            session.connection().execute(
                update(Task)
                .where(task.id == bindparam("child"))
                .values(parent_id=bindparam("parent")),
                [{"child": child, "parent": parent} for child, parent in parents.items()],
            )
        labels = select(task.id, task.database).where(task.database != "")
        session.execute(insert(TaskDatabase).from_select(["task_id", "label"], labels))
        self._write(Result, self._results())
        self._write(Port, self._parts(tables.PORT, "result_id", "result"))

    def _results(self) -> Iterator[Row]:
        for row in self._read_entities(tables.RESULT):
            self._refer(row, "task_id", "task", "result")
            self._refer(row, "organization_id", "organization", "result")
            yield row


def _mapped(
    pairs: Iterable[tuple[int, int]],
    column: str,
    rules: Mapping[int, Right],
    ours: Mapping[Right, int],
) -> list[Row]:
    """Pairs of an owner and a rule of the source, with the ids that rules have here."""
    found = {(owner, ours[rules[rule]]) for owner, rule in pairs if rules[rule] in ours}
    return [{column: owner, "rule_id": rule} for owner, rule in sorted(found)]


def _word(words: type[StrEnum], name: str | None) -> str:
    """Our word for the name of a member of an enumeration; the name itself when there is none."""
    return str(words[name].value) if name and name in words.__members__ else str(name)


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
