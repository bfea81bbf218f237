"""Fills a prepared database with the size of installation that the targets are about."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, text

from v6srv.model import (
    Account,
    Collaboration,
    Member,
    Node,
    Organization,
    Permission,
    PolicyRevision,
    Result,
    Role,
    RoleRule,
    Rule,
    Run,
    Task,
    User,
)
from v6srv.passwords import hash_password, key_digest

RULES_PER_ROLE = 30

PASSWORD = "B3nch-Passw0rd!"
IMAGE = "registry.example/average:1"
INPUT = "eyJtZXRob2QiOiAiYXZlcmFnZSIsICJtYXN0ZXIiOiBmYWxzZX0="

Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much of everything; as it stands, each organization is in three collaborations."""

    organizations: int = 20
    collaborations: int = 10
    members: int = 6
    """Of each collaboration, with a node each."""
    users: int = 200
    tasks: int = 5000
    results: int = 5
    """Of each task."""
    roles: int = 0
    """Of the first organization, of 30 rules each; nobody has them."""


@dataclass(frozen=True)
class Filled:
    """Who and what the measurements are about."""

    username: str
    """A Researcher, of an organization that is in three collaborations."""
    password: str
    stranger: str
    """A user without any role."""
    collaboration_ids: tuple[int, ...]
    """Those three."""
    organization_id: int
    """The user's own."""
    member_ids: tuple[int, ...]
    """The organizations of the first of them."""
    api_key: str
    """Of the node of the user's organization in the first of them."""
    node_id: int
    """That node."""
    task_ids: tuple[int, ...]
    """That the user may view."""
    node_task_ids: tuple[int, ...]
    """Of the node's collaboration."""
    hidden_task_ids: tuple[int, ...]
    open_result_ids: tuple[int, ...]
    """That this node may change."""
    rule_ids: tuple[int, ...]
    """Of a role."""
    role_ids: tuple[int, ...]
    """Of the first organization."""


def fill(engine: Engine, size: Size = Size()) -> Filled:
    """Add everything in one transaction; the database holds what a fresh server has."""
    password = hash_password(PASSWORD)
    with engine.begin() as connection:
        return _fill(connection, password, size)


def _fill(connection: Connection, password: str, size: Size) -> Filled:
    chance = random.Random(1)
    now = datetime.now(UTC)
    orgs = _add(
        connection,
        Organization,
        [{"name": f"Hospital {i}", "country": "Denmark"} for i in range(size.organizations)],
    )
    collabs = _add(
        connection,
        Collaboration,
        [{"name": f"Study {i}", "encrypted": False} for i in range(size.collaborations)],
    )
    members = {
        collab: [orgs[(i * size.members + j) % size.organizations] for j in range(size.members)]
        for i, collab in enumerate(collabs)
    }
    places = [(org, collab) for collab, those in members.items() for org in those]
    connection.execute(
        insert(Member), [{"organization_id": o, "collaboration_id": c} for o, c in places]
    )
    nodes = _add(connection, Account, [{"type": "node", "status": "offline"} for _ in places])
    keys = {place: f"{i:08x}-0000-4000-8000-000000000000" for i, place in enumerate(places)}
    connection.execute(
        insert(Node.__table__),
        [
            {
                "id": id,
                "name": f"Node {id}",
                "organization_id": place[0],
                "collaboration_id": place[1],
                "key_digest": key_digest(keys[place]),
            }
            for id, place in zip(nodes, places, strict=True)
        ],
    )
    users = _add(connection, Account, [{"type": "user"} for _ in range(size.users)])
    connection.execute(
        insert(User.__table__),
        [
            {
                "id": id,
                "username": f"user{i}",
                "email": f"user{i}@bench.example",
                "password": password,
                "firstname": "Bench",
                "lastname": "User",
                "organization_id": orgs[i % size.organizations],
            }
            for i, id in enumerate(users)
        ],
    )
    roles = dict(connection.execute(select(Role.slug, Role.id)).tuples().all())
    slugs = ("researcher", "viewer", "org_admin", "researcher", "collab_admin")
    connection.execute(
        insert(Permission),
        [
            {"user_id": id, "role_id": roles[slugs[i // size.organizations % len(slugs)]]}
            for i, id in enumerate(users[:-1])
        ],
    )
    rules = list(connection.scalars(select(Rule.id).order_by(Rule.id)))[:RULES_PER_ROLE]
    more = [{"name": f"role {i}", "organization_id": orgs[0]} for i in range(size.roles)]
    custom = _add(connection, Role, more) if more else []
    if custom:
        pairs = [{"role_id": role, "rule_id": rule} for role in custom for rule in rules]
        connection.execute(insert(RoleRule), pairs)
    runs = _add(connection, Run, [{"id": i + 1} for i in range(size.tasks)])
    if connection.dialect.name == "postgresql":  # given ids do not count up the sequence
        connection.execute(select(func.setval(text("'run_id_seq'"), size.tasks)))
    where = [collabs[i % size.collaborations] for i in range(size.tasks)]
    initiators = [chance.choice(members[collab]) for collab in where]
    by_org = {
        org: [users[i] for i in range(size.users) if orgs[i % size.organizations] == org]
        for org in orgs
    }
    tasks = _add(
        connection,
        Task,
        [
            {
                "name": f"Task {i}",
                "description": "Average of a column",
                "image": IMAGE,
                "database": "default",
                "collaboration_id": where[i],
                "initiator_id": initiators[i],
                "init_user_id": chance.choice(by_org[initiators[i]]),
                "run_id": runs[i],
                "created_at": now,
            }
            for i in range(size.tasks)
        ],
    )
    results = []
    for i, task in enumerate(tasks):
        done = i < size.tasks * 4 // 5
        results += [
            {
                "task_id": task,
                "collaboration_id": where[i],
                "organization_id": org,
                "input": INPUT,
                "result": INPUT if done else None,
                "log": "started\nfinished\n" if done else None,
                "assigned_at": now,
                "started_at": now if done else None,
                "finished_at": now if done else None,
                "status": "completed" if done else "pending",
            }
            for org in chance.sample(members[where[i]], size.results)
        ]
    ids = _add(connection, Result, results)
    connection.execute(PolicyRevision.__table__.update().values(members=PolicyRevision.members + 1))
    first, org = collabs[0], orgs[0]
    mine = tuple(collab for collab in collabs if org in members[collab])
    in_first = {task for task, collab in zip(tasks, where, strict=True) if collab == first}
    return Filled(
        username="user0",
        password=PASSWORD,
        stranger=f"user{size.users - 1}",
        collaboration_ids=mine,
        organization_id=org,
        member_ids=tuple(members[first]),
        api_key=keys[org, first],
        node_id=nodes[places.index((org, first))],
        task_ids=tuple(t for t, collab in zip(tasks, where, strict=True) if collab in mine),
        node_task_ids=tuple(sorted(in_first)),
        hidden_task_ids=tuple(
            t for t, collab in zip(tasks, where, strict=True) if collab not in mine
        ),
        rule_ids=tuple(rules),
        role_ids=tuple(custom),
        open_result_ids=tuple(
            id
            for id, row in zip(ids, results, strict=True)
            if row["organization_id"] == org
            and row["task_id"] in in_first
            and row["finished_at"] is None
        ),
    )


def _add(connection: Connection, model: Any, rows: list[Row]) -> list[int]:
    table = model.__table__
    statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, rows).scalars())
