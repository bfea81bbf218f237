"""A small world that the tests of endpoints, lists and rooms happen in.

Three organizations work together in two collaborations that overlap in one of them; a fourth is
alone. Ids are attributes: `world.org.north`, `world.task.running`.

    registry   north + south    nodes north_registry, south_registry
    trial      south + west     nodes south_trial, west_trial (encrypted)
    nothing    west             no nodes, no tasks
               east             member of nothing
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from v6srv.model import (
    Collaboration,
    Node,
    NodeConfig,
    Organization,
    Port,
    Result,
    Role,
    Rule,
    Run,
    Task,
    User,
)
from v6srv.passwords import key_digest

IMAGE = "registry.example/average:1"
PASSWORD = "Str0ng-Pass!"
"""Of every user; hash it with `passwords.configure(rounds=4)`."""

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
"""When everything in the world was created."""

ORGANIZATIONS = ("north", "south", "west", "east")

COLLABORATIONS: Mapping[str, tuple[str, ...]] = {
    "registry": ("north", "south"),
    "trial": ("south", "west"),
    "nothing": ("west",),
}

NODES: Mapping[str, tuple[str, str, str | None]] = {
    "north_registry": ("north", "registry", "online"),
    "south_registry": ("south", "registry", "offline"),
    "south_trial": ("south", "trial", None),
    "west_trial": ("west", "trial", "online"),
}
"""Organization, collaboration, status."""

USERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "viewer": ("north", ("Viewer",)),
    "researcher": ("north", ("Researcher",)),
    "org_admin": ("north", ("Organization Admin",)),
    "collab_admin": ("north", ("Collaboration Admin",)),
    "second_root": ("north", ("Root",)),
    "node_role": ("north", ("node",)),
    "container_role": ("north", ("container",)),
    "nobody": ("north", ()),
    "extra": ("north", ()),
    "analyst": ("north", ("analysts",)),
    "south_viewer": ("south", ("Viewer",)),
    "south_researcher": ("south", ("Researcher",)),
    "south_admin": ("south", ("Organization Admin",)),
    "west_researcher": ("west", ("Researcher",)),
    "east_viewer": ("east", ("Viewer",)),
    "east_admin": ("east", ("Organization Admin",)),
}
"""Organization and roles. `extra` has no role but two extra rules; `nobody` has nothing."""

EXTRA_RULES = (("user", "ORGANIZATION", "VIEW"), ("task", "GLOBAL", "VIEW"))

ROLES: Mapping[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    "analysts": (
        "north",
        (
            ("task", "ORGANIZATION", "VIEW"),
            ("task", "ORGANIZATION", "CREATE"),
            ("result", "ORGANIZATION", "VIEW"),
        ),
    ),
    "helpers": ("south", (("user", "ORGANIZATION", "VIEW"), ("user", "ORGANIZATION", "EDIT"))),
    "empty": ("north", ()),
}
"""Custom roles: organization and rules."""

TASKS: Mapping[str, tuple[str, str, str, dict[str, str | None]]] = {
    "finished": ("registry", "researcher", "", {"north": "completed", "south": "completed"}),
    "running": ("registry", "researcher", "", {"north": "active", "south": "pending"}),
    "failed": ("registry", "south_researcher", "", {"north": "crashed", "south": "initializing"}),
    "subtask": ("registry", "researcher", "running", {"south": "pending"}),
    "waiting": ("trial", "south_researcher", "", {"south": "pending", "west": "pending"}),
    "killed": ("trial", "west_researcher", "", {"west": "killed by user"}),
}
"""Collaboration, initiating user, parent task, status of the result of each organization."""

FINISHED = ("completed", "crashed", "killed by user")

Ids = SimpleNamespace


@dataclass(frozen=True)
class World:
    """The ids of everything, by name."""

    org: Ids
    collab: Ids
    node: Ids
    user: Ids
    role: Ids
    task: Ids
    result: Mapping[tuple[str, str], int]
    """By task and organization."""
    port: Mapping[str, int]
    """By label."""
    rule: Mapping[tuple[str, str, str], int]
    """By resource, scope and operation, as in `rules.csv`."""

    def container(self, task: str = "running", node: str = "north_registry") -> str:
        """The name by which `call` knows the container of a task at a node."""
        return f"container:{task}@{node}"


def average(world: World, *organizations: str) -> dict[str, Any]:
    """The body of a new task for these organizations, in the collaboration `registry`."""
    return {
        "name": "average",
        "image": IMAGE,
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": getattr(world.org, each), "input": ""} for each in organizations],
    }


def api_key(node: str) -> str:
    """The API key of a node of the world."""
    return f"00000000-0000-4000-8000-{sum(map(ord, node)):012x}"


def build(sess: Session, password_hash: str) -> World:
    """Fill a seeded database; commits."""
    rules = {
        (rule.name, rule.scope.name, rule.operation.name): rule
        for rule in sess.scalars(select(Rule).order_by(Rule.id))
    }
    orgs = {
        name: Organization(
            name=name,
            domain=f"{name}.example",
            address1="Harbour Road 12",
            zipcode="10115",
            country="Denmark" if name == "south" else "Germany",
        )
        for name in ORGANIZATIONS
    }
    orgs["north"].public_key = "bm9ydGg="
    _store(sess, orgs)
    collabs = {
        name: Collaboration(
            name=name,
            encrypted=name == "trial",
            organizations=[orgs[member] for member in members],
        )
        for name, members in COLLABORATIONS.items()
    }
    _store(sess, collabs)
    nodes = {
        name: Node(
            name=name,
            organization=orgs[org],
            collaboration=collabs[collab],
            status=status,
            key_digest=key_digest(api_key(name)),
            ip="10.0.0.7" if status == "online" else None,
        )
        for name, (org, collab, status) in NODES.items()
    }
    nodes["north_registry"].config = [NodeConfig(key="encryption", value="False")]
    _store(sess, nodes)
    roles = {
        name: Role(
            name=name,
            description=f"What {name} may do",
            organization=orgs[org],
            rules=[rules[key] for key in keys],
        )
        for name, (org, keys) in ROLES.items()
    }
    _store(sess, roles)
    default_roles = {
        role.name: role for role in sess.scalars(select(Role).where(Role.slug.is_not(None)))
    }
    users = {
        name: User(
            username=name,
            firstname=name.title(),
            lastname="Example",
            email=f"{name}@{org}.example",
            password=password_hash,
            organization=orgs[org],
            roles=[roles.get(role) or default_roles[role] for role in held],
        )
        for name, (org, held) in USERS.items()
    }
    users["extra"].rules = [rules[key] for key in EXTRA_RULES]
    _store(sess, users)
    tasks = {name: _task(sess, name, orgs, collabs, users) for name in TASKS}
    results = {
        (name, result.organization.name): result
        for name, task in tasks.items()
        for result in task.results
    }
    ports = {
        "first": Port(port=1111, label="first", result_row=results["running", "north"]),
        "second": Port(port=2222, label="second", result_row=results["running", "north"]),
        "trial": Port(port=3333, label="trial", result_row=results["waiting", "west"]),
    }
    _store(sess, ports)
    root = sess.scalars(select(User).where(User.username == "root")).one()
    root.password = password_hash
    world = World(
        org=Ids(**_ids(orgs), root=root.organization_id),
        collab=Ids(**_ids(collabs)),
        node=Ids(**_ids(nodes)),
        user=Ids(**_ids(users), root=root.id),
        role=Ids(**_ids(roles), **{str(role.slug): role.id for role in default_roles.values()}),
        task=Ids(**_ids(tasks)),
        result={key: result.id for key, result in results.items()},
        port=_ids(ports),
        rule={key: rule.id for key, rule in rules.items()},
    )
    sess.commit()
    return world


def _task(
    sess: Session,
    name: str,
    orgs: Mapping[str, Organization],
    collabs: Mapping[str, Collaboration],
    users: Mapping[str, User],
) -> Task:
    collab, user, parent_name, statuses = TASKS[name]
    parent = None
    if parent_name:
        parent = sess.scalars(select(Task).where(Task.name == parent_name)).one()
    run_id = parent.run_id if parent else _next_run(sess)
    task = Task(
        name=name,
        description=f"The task called {name}",
        image=IMAGE,
        database="default",
        collaboration=collabs[collab],
        initiator=users[user].organization,
        init_user=users[user],
        parent=parent,
        run_id=run_id,
        created_at=NOON,
    )
    for org, status in statuses.items():
        finished = status in FINISHED
        task.results.append(
            Result(
                organization=orgs[org],
                input="aW5wdXQ=",
                result="cmVzdWx0" if status == "completed" else None,
                log="done" if finished else None,
                assigned_at=NOON,
                started_at=NOON + timedelta(minutes=1) if status != "pending" else None,
                finished_at=NOON + timedelta(minutes=2) if finished else None,
                status=status,
            )
        )
    sess.add(task)
    sess.flush()
    return task


def _next_run(sess: Session) -> int:
    run = Run()
    sess.add(run)
    sess.flush()
    return run.id


def _store(sess: Session, rows: Mapping[str, Any]) -> None:
    sess.add_all(rows.values())
    sess.flush()


def _ids(rows: Mapping[str, Any]) -> dict[str, int]:
    return {name: row.id for name, row in rows.items()}
