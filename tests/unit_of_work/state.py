"""A whole database as plain rows, and the facts of its rows and callers, computed from them.

Nothing of the package is asked: tables are read column by column, and what a policy may ask of a
row or of a caller is said once more, in the simplest way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

Row = dict[str, Any]
Key = tuple[Any, ...]
Facts = dict[str, Any]

TABLES: Mapping[str, str] = {
    "organization": "organization",
    "collaboration": "collaboration",
    "node": "node",
    "user": "user",
    "role": "role",
    "task": "task",
    "result": "result",
    "port": "algorithmport",
    "policy": "casbin_rule",
}
"""The table of each resource."""
PAIRS: Mapping[str, tuple[str, str]] = {
    "Member": ("organization_id", "collaboration_id"),
    "Permission": ("user_id", "role_id"),
    "UserPermission": ("user_id", "rule_id"),
    "role_rule_association": ("role_id", "rule_id"),
}
"""The columns, and the key, of the association tables."""
ACCOUNTS = ("user", "node")
"""Resources whose rows are in two tables."""


class Reader:
    """Reads all tables of a database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        known = inspect(engine)
        self._keys = {
            name: PAIRS.get(name) or known.get_pk_constraint(name)["constrained_columns"]
            for name in known.get_table_names()
        }

    def read(self) -> State:
        """Every row as it is stored now."""
        with self.engine.connect() as connection:
            return State(
                {name: self._rows(connection, name) for name in self._keys},
                {name: self._next_id(connection, TABLES[name]) for name in TABLES},
            )

    def _rows(self, connection: Connection, table: str) -> dict[Key, Row]:
        found = connection.execute(text(f'SELECT * FROM "{table}"'))
        rows = [dict(zip(found.keys(), row, strict=True)) for row in found]
        return {tuple(row[column] for column in self._keys[table]): row for row in rows}

    def _next_id(self, connection: Connection, table: str) -> int:
        """The id that the next row will have."""
        table = "authenticatable" if table in ACCOUNTS else table
        if self.engine.dialect.name == "sqlite":
            query = text("SELECT seq + 1 FROM sqlite_sequence WHERE name = :table")
            return int(connection.execute(query, {"table": table}).scalar() or 1)
        query = text(
            f"SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM {table}_id_seq"
        )
        return int(connection.execute(query).scalar_one())


@dataclass
class State:
    """All rows of a database, by table and primary key."""

    tables: dict[str, dict[Key, Row]]
    next_id: dict[str, int]
    """Of the next row of each resource."""

    def copy(self) -> State:
        """The same rows, to be changed."""
        tables = {
            name: {key: dict(row) for key, row in rows.items()}
            for name, rows in self.tables.items()
        }
        return State(tables, dict(self.next_id))

    def row(self, resource: str, id: int | None) -> Row | None:
        """One row; of an account with what users and nodes have in common."""
        row = self.tables[TABLES[resource]].get((id,))
        if row is not None and resource in ACCOUNTS:
            return {**self.tables["authenticatable"][id,], **row}
        return row

    def ids(self, resource: str) -> list[int]:
        """The ids of all rows of a resource."""
        return sorted(id for (id,) in self.tables[TABLES[resource]])

    def pairs(self, table: str, **where: int | None) -> Iterator[Row]:
        """The rows of an association table that have these values."""
        for row in self.tables[table].values():
            if all(row[name] == value for name, value in where.items()):
                yield row

    # --- what belongs together

    def members_of(self, collaboration: int | None) -> frozenset[int]:
        """The organizations of a collaboration."""
        found = self.pairs("Member", collaboration_id=collaboration)
        return frozenset(row["organization_id"] for row in found)

    def collaborations_of(self, organization: int | None) -> frozenset[int]:
        """The collaborations of an organization."""
        found = self.pairs("Member", organization_id=organization)
        return frozenset(row["collaboration_id"] for row in found)

    def tree(self, task: int) -> set[int]:
        """A task and everything below it."""
        found = {task}
        while True:
            rows = self.tables["task"].values()
            more = {row["id"] for row in rows if row["parent_id"] in found}
            if more <= found:
                return found
            found |= more

    def rules_in(self, role: int) -> frozenset[int]:
        """The rules of a role."""
        return frozenset(
            row["rule_id"] for row in self.pairs("role_rule_association", role_id=role)
        )

    def roles_of(self, user: int) -> frozenset[int]:
        """The roles of a user."""
        return frozenset(row["role_id"] for row in self.pairs("Permission", user_id=user))

    def extra_rules_of(self, user: int) -> frozenset[int]:
        """The rules of a user that are of no role."""
        return frozenset(row["rule_id"] for row in self.pairs("UserPermission", user_id=user))

    def words_of(self, rules: Iterable[int]) -> frozenset[str]:
        """What lines call these rules."""
        rows = (self.tables["rule"][id,] for id in rules)
        words = ((row["name"], row["scope"], row["operation"]) for row in rows)
        return frozenset(":".join(one).lower() for one in words)

    # --- facts

    def facts(self, resource: str, id: int, as_: str = "") -> Facts:
        """`r.obj` of a row; `as_` is the resource it is decided as, if not its own."""
        row = self.row(resource, id)
        assert row is not None
        return {**_FACTS[resource](self, row), "type": as_ or resource, "id": row["id"]}

    def _encrypted(self, collaboration: int | None) -> bool | None:
        row = self.row("collaboration", collaboration)
        value = row["encrypted"] if row else None
        return None if value is None else bool(value)


def _one(value: int | None) -> frozenset[int]:
    return frozenset() if value is None else frozenset({value})


def _sets(**sets: frozenset[Any]) -> Facts:
    nobody: frozenset[Any] = frozenset()
    return dict.fromkeys(("owners", "owner_orgs", "orgs", "collabs"), nobody) | sets


def _organization(state: State, row: Row) -> Facts:
    return {
        "org": row["id"],
        "country": row["country"],
        "domain": row["domain"],
        **_sets(
            owner_orgs=_one(row["id"]),
            orgs=_one(row["id"]),
            collabs=state.collaborations_of(row["id"]),
        ),
    }


def _collaboration(state: State, row: Row) -> Facts:
    return {
        "org": None,
        "encrypted": state._encrypted(row["id"]),
        **_sets(orgs=state.members_of(row["id"]), collabs=_one(row["id"])),
    }


def _node(state: State, row: Row) -> Facts:
    collab, org = row["collaboration_id"], row["organization_id"]
    return {
        "org": org,
        "status": row["status"],
        "encrypted": state._encrypted(collab),
        **_sets(
            owners=frozenset({f"node:{row['id']}"}),
            owner_orgs=_one(org),
            orgs=_one(org),
            collabs=_one(collab),
        ),
    }


def _user(state: State, row: Row) -> Facts:
    org = row["organization_id"]
    roles = [state.tables["role"][id,] for id in state.roles_of(row["id"])]
    in_roles = frozenset[int]().union(*(state.rules_in(role["id"]) for role in roles))
    return {
        "foreign_roles": any(role["organization_id"] not in (None, org) for role in roles),
        "org": org,
        **_sets(
            owners=frozenset({f"user:{row['id']}"}),
            owner_orgs=_one(org),
            orgs=_one(org),
            collabs=state.collaborations_of(org),
            rules=state.words_of(state.extra_rules_of(row["id"])),
            role_rules=state.words_of(in_roles),
        ),
    }


def _role(state: State, row: Row) -> Facts:
    org = row["organization_id"]
    orgs, collabs = _one(org), state.collaborations_of(org)
    if org is None and row["slug"] is not None:  # a default role is everybody's
        orgs = frozenset(state.ids("organization"))
        collabs = frozenset(state.ids("collaboration"))
    having = state.pairs("Permission", role_id=row["id"])
    return {
        "org": org,
        "default": row["slug"] is not None,
        **_sets(
            owners=frozenset(f"user:{one['user_id']}" for one in having),
            owner_orgs=_one(org),
            orgs=orgs,
            collabs=collabs,
            rules=state.words_of(state.rules_in(row["id"])),
        ),
    }


def _of_task(state: State, row: Row) -> Facts:
    """What results and ports have of their task."""
    collab, user = row["collaboration_id"], row["init_user_id"]
    return {
        "run": row["run_id"],
        "image": row["image"],
        "encrypted": state._encrypted(collab),
        **_sets(
            owners=frozenset() if user is None else frozenset({f"user:{user}"}),
            owner_orgs=_one(row["initiator_id"]),
            orgs=state.members_of(collab),
            collabs=_one(collab),
        ),
    }


def _task(state: State, row: Row) -> Facts:
    own = {"org": row["initiator_id"], "parent": row["parent_id"], "database": row["database"]}
    addressed = {one["organization_id"] for one in state.pairs("result", task_id=row["id"])}
    nodes = [
        node["id"]
        for node in state.pairs("node", collaboration_id=row["collaboration_id"])
        if node["organization_id"] in addressed
    ]
    refused = {
        f"user:{user}"
        for user in state.ids("user")
        if not all(_takes_tasks_of(state, node, user) for node in nodes)
    }
    return {**_of_task(state, row), **own, "refused": frozenset(refused)}


def _takes_tasks_of(state: State, node: int, user: int) -> bool:
    """Whether what a node shares lets a user send tasks to it: an id, or a name that is no number
    and that no other organization has."""
    shared = [(one["key"], one["value"]) for one in state.pairs("nodeconfig", node_id=node)]
    known = state.tables["user"][user,]
    names = [one["name"] for one in state.tables["organization"].values()]
    allowed = {("allowed_users", str(user)), ("allowed_orgs", str(known["organization_id"]))}
    if not known["username"].isdigit():
        allowed.add(("allowed_users", known["username"]))
    if known["organization_id"] is not None:
        name = state.tables["organization"][known["organization_id"],]["name"]
        if names.count(name) == 1 and not name.isdigit():
            allowed.add(("allowed_orgs", name))
    limits = [one for one in shared if one[0] in ("allowed_users", "allowed_orgs")]
    return not limits or not allowed.isdisjoint(limits)


def _result(state: State, row: Row) -> Facts:
    task = state.row("task", row["task_id"])
    assert task is not None
    own = {"org": row["organization_id"], "status": row["status"]}
    return {**_of_task(state, task), **own}


def _port(state: State, row: Row) -> Facts:
    result = state.row("result", row["result_id"])
    assert result is not None
    facts = _result(state, result)
    return {name: facts[name] for name in ("org", "run", "owners", "owner_orgs", "orgs", "collabs")}


def _study(state: State, row: Row) -> Facts:
    members = state.pairs("StudyMember", study_id=row["id"])
    return {
        "org": None,
        **_sets(
            orgs=frozenset(one["organization_id"] for one in members),
            collabs=_one(row["collaboration_id"]),
        ),
    }


def _policy(_state: State, _row: Row) -> Facts:
    return {"org": None, **_sets()}


_FACTS = {
    "organization": _organization,
    "collaboration": _collaboration,
    "node": _node,
    "user": _user,
    "role": _role,
    "task": _task,
    "result": _result,
    "port": _port,
    "study": _study,
    "policy": _policy,
}


@dataclass(frozen=True)
class Who:
    """`r.sub`: a caller as the database knows it before its request."""

    kind: str
    account: int
    """Of a container that of its node."""
    org: int | None
    collabs: frozenset[int]
    roles: frozenset[str] = frozenset()
    """Roles and extra rules, as lines call them."""
    task: int | None = None
    run: int | None = None
    image: str | None = None

    @property
    def id(self) -> str:
        """As lines call this one caller."""
        return f"{self.kind}:{self.account if self.task is None else self.task}"

    @property
    def names(self) -> frozenset[str]:
        """Everything that lines may call this caller directly."""
        return self.roles | {self.id, f"kind:{self.kind}", f"org:{self.org}"}

    @property
    def facts(self) -> Facts:
        """The words that conditions have for these."""
        return {
            "id": self.id,
            "kind": f"kind:{self.kind}",
            "group": f"org:{self.org}",
            "account": self.account,
            "org": self.org,
            "collabs": self.collabs,
            "roles": frozenset(role for role in self.roles if role.startswith("role:")),
            "task": self.task,
            "run": self.run,
            "image": self.image,
        }


def caller(state: State, kind: str, account: int, task: int | None = None) -> Who:
    """A user, a node, or the container of a task at a node."""
    if kind == "user":
        row = state.row("user", account)
        assert row is not None
        roles = [state.tables["role"][id,] for id in state.roles_of(account)]
        names = {f"role:{role['slug'] or role['id']}" for role in roles}
        names |= {f"rule:{id}" for id in state.extra_rules_of(account)}
        org = row["organization_id"]
        return Who(kind, account, org, state.collaborations_of(org), frozenset(names))
    node = state.row("node", account)
    assert node is not None
    org, collab = node["organization_id"], _one(node["collaboration_id"])
    if task is None:
        return Who(kind, account, org, collab)
    own = state.row("task", task)
    assert own is not None
    return Who(kind, account, org, collab, task=task, run=own["run_id"], image=own["image"])
