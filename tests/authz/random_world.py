"""Random databases and policies, with every fact computed once more in plain Python.

The Python facts and the oracle share nothing with the package but the words: they say again, in
the simplest way, what the SQL facts and the compiled matcher are meant to say.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from sqlalchemy.orm import Session

from v6srv.authz.line import Line
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.model import (
    Collaboration,
    Node,
    Organization,
    Port,
    Result,
    Role,
    Run,
    Study,
    Task,
    User,
)
from v6srv.vocabulary import Operation, PrincipalKind, Resource, Scope

IMAGES = ("harbor/a:1", "harbor/b:2", "HARBOR/a:1", "other/a_1", "other/a%1", None)
COUNTRIES = ("NL", "DE", None)


@dataclass
class World:
    """Rows of one random database, by table, and their facts."""

    rows: dict[Resource, list[object]] = field(default_factory=dict)
    facts: dict[tuple[Resource, int], SimpleNamespace] = field(default_factory=dict)
    principals: list[Principal] = field(default_factory=list)


def make_world(chance: random.Random, session: Session) -> World:
    """Fill the database; the caller rolls back."""
    orgs = [
        Organization(name=f"o{i}", country=chance.choice(COUNTRIES))
        for i in range(chance.randint(2, 4))
    ]
    collaborations = [
        Collaboration(
            name=f"c{i}-{chance.random()}",
            encrypted=chance.choice((True, False)),
            organizations=chance.sample(orgs, chance.randint(0, len(orgs))),
        )
        for i in range(chance.randint(1, 3))
    ]
    roles = [
        Role(name=f"r{i}", organization=chance.choice((*orgs, None)))
        for i in range(chance.randint(1, 2))
    ]
    roles += [Role(name="default", slug=f"default-{i}") for i in range(chance.randint(0, 2))]
    users = [
        User(
            username=f"u{i}-{chance.random()}",
            organization=chance.choice((*orgs, None)) if i else orgs[0],
            roles=chance.sample(roles, chance.randint(0, len(roles))),
        )
        for i in range(chance.randint(2, 4))
    ]
    pairs = [(o, c) for c in collaborations for o in c.organizations]
    nodes = [
        Node(
            name="n",
            organization=o,
            collaboration=chance.choice((c, c, c, None)),
            status=chance.choice(("online", "offline", None)),
        )
        for o, c in chance.sample(pairs, chance.randint(0, len(pairs)))
    ]
    session.add_all([*orgs, *collaborations, *roles, *users, *nodes])
    runs = [Run() for _ in range(2)]
    session.add_all(runs)
    session.flush()
    tasks: list[Task] = []
    for _ in range(chance.randint(1, 5)):
        tasks.append(
            Task(
                image=chance.choice(IMAGES),
                run_id=chance.choice(runs).id,
                collaboration=chance.choice((*collaborations, None)),
                initiator=chance.choice((*orgs, None)),
                init_user=chance.choice((*users, None)),
                parent=chance.choice((*tasks, None)) if tasks else None,
            )
        )
    results = [
        Result(
            task=chance.choice(tasks),
            organization=chance.choice(orgs),
            status=chance.choice(("pending", "completed", None)),
        )
        for _ in range(chance.randint(1, 5))
    ]
    ports = [
        Port(port=i, result_row=chance.choice((*results, None)))
        for i in range(chance.randint(0, 3))
    ]
    studies = [
        Study(
            name=f"s{i}-{chance.random()}",
            collaboration=chance.choice(collaborations),
            organizations=chance.sample(orgs, chance.randint(0, len(orgs))),
        )
        for i in range(chance.randint(0, 2))
    ]
    session.add_all([*tasks, *results, *ports, *studies])
    session.flush()
    world = World(
        {
            Resource.ORGANIZATION: list(orgs),
            Resource.COLLABORATION: list(collaborations),
            Resource.NODE: list(nodes),
            Resource.USER: list(users),
            Resource.ROLE: list(roles),
            Resource.TASK: list(tasks),
            Resource.RESULT: list(results),
            Resource.PORT: list(ports),
            Resource.STUDY: list(studies),
        }
    )
    _describe(world, (_ids(orgs), _ids(collaborations)))
    _people(world, chance, users, nodes, tasks)
    return world


def _describe(world: World, every: tuple[frozenset[int], frozenset[int]]) -> None:
    """`every`: all organizations, and all collaborations."""
    for resource, rows in world.rows.items():
        for row in rows:
            known = _FACTS[resource](row, every)
            world.facts[resource, row.id] = SimpleNamespace(  # type: ignore[attr-defined]
                type=resource.value,
                id=row.id,  # type: ignore[attr-defined]
                **known,
            )


def _ids(rows: object) -> frozenset[int]:
    return frozenset(row.id for row in rows)  # type: ignore[attr-defined]


def _maybe(value: object) -> frozenset[object]:
    return frozenset() if value is None else frozenset((value,))


def _of_task(task: Task | None) -> dict[str, object]:
    if task is None:
        return dict.fromkeys(("owners", "owner_orgs", "orgs", "collabs"), frozenset())
    return {
        "owner_orgs": _maybe(task.initiator_id),
        "owners": _maybe(task.init_user and f"user:{task.init_user.id}"),
        "orgs": _ids(task.collaboration.organizations) if task.collaboration else frozenset(),
        "collabs": _maybe(task.collaboration and task.collaboration.id),
    }


_FACTS: dict[Resource, Callable[..., dict[str, object]]] = {
    Resource.ORGANIZATION: lambda o, _: {
        "owners": frozenset(),
        "org": o.id,
        "owner_orgs": frozenset((o.id,)),
        "orgs": frozenset((o.id,)),
        "collabs": _ids(o.collaborations),
        "country": o.country,
    },
    Resource.COLLABORATION: lambda c, _: {
        "owners": frozenset(),
        "org": None,
        "owner_orgs": frozenset(),
        "orgs": _ids(c.organizations),
        "collabs": frozenset((c.id,)),
        "encrypted": c.encrypted,
    },
    Resource.NODE: lambda n, _: {
        "owners": frozenset((f"node:{n.id}",)),
        "org": n.organization_id,
        "owner_orgs": _maybe(n.organization_id),
        "orgs": _maybe(n.organization_id),
        "collabs": _maybe(n.collaboration_id),
        "status": n.status,
        "encrypted": n.collaboration.encrypted if n.collaboration else None,
    },
    Resource.USER: lambda u, _: {
        "owners": frozenset((f"user:{u.id}",)),
        "org": u.organization_id,
        "owner_orgs": _maybe(u.organization_id),
        "orgs": _maybe(u.organization_id),
        "collabs": _ids(u.organization.collaborations) if u.organization else frozenset(),
    },
    Resource.ROLE: lambda r, every: {
        "owners": frozenset(f"user:{u.id}" for u in r.users),
        "org": r.organization_id,
        "owner_orgs": _maybe(r.organization_id),
        "orgs": frozenset(every[0]) if r.slug else _maybe(r.organization_id),
        "collabs": frozenset(every[1])
        if r.slug
        else _ids(r.organization.collaborations)
        if r.organization
        else frozenset(),
    },
    Resource.TASK: lambda t, _: {
        "org": t.initiator_id,
        "image": t.image,
        "run": t.run_id,
        "parent": t.parent_id,
        "encrypted": t.collaboration.encrypted if t.collaboration else None,
        **_of_task(t),
    },
    Resource.RESULT: lambda r, _: {
        "org": r.organization_id,
        "status": r.status,
        "image": r.task.image,
        "run": r.task.run_id,
        "encrypted": r.task.collaboration.encrypted if r.task.collaboration else None,
        **_of_task(r.task),
    },
    Resource.STUDY: lambda s, _: {
        "owners": frozenset(),
        "owner_orgs": frozenset(),
        "org": None,
        "orgs": _ids(s.organizations),
        "collabs": frozenset((s.collaboration_id,)),
    },
    Resource.PORT: lambda p, _: {
        "org": p.result_row.organization_id if p.result_row else None,
        "run": p.result_row.task.run_id if p.result_row else None,
        **_of_task(p.result_row.task if p.result_row else None),
    },
}


def _people(
    world: World,
    chance: random.Random,
    users: list[User],
    nodes: list[Node],
    tasks: list[Task],
) -> None:
    for user in users:
        collaborations = user.organization.collaborations if user.organization else []
        extra = chance.sample(["role:root", "role:a", "role:b", "rule:1"], chance.randint(0, 2))
        world.principals.append(
            Principal(
                PrincipalKind.USER,
                user.id,
                user.organization_id,
                _ids(collaborations),
                (*(f"role:{role.id}" for role in user.roles), *extra),
            )
        )
    for node in nodes:
        collabs = _maybe(node.collaboration_id)
        world.principals.append(
            Principal(PrincipalKind.NODE, node.id, node.organization_id, collabs)
        )
        task = chance.choice(tasks)
        world.principals.append(
            Principal(
                PrincipalKind.CONTAINER,
                node.id,
                node.organization_id,
                collabs,
                task_id=task.id,
                run_id=task.run_id,
                image=task.image,
            )
        )


# --- policies

Condition = Callable[[SubjectFacts, SimpleNamespace], bool]

CONDITIONS: dict[str, tuple[tuple[str, Condition], ...]] = {
    "": (
        ("True", lambda s, o: True),
        ("False", lambda s, o: False),
        ("r.obj.org == r.sub.org", lambda s, o: o.org == s.org),
        ("r.obj.org != r.sub.org", lambda s, o: o.org != s.org),
        ("r.obj.org == None", lambda s, o: o.org is None),
        ("!meets(r.sub.collabs, r.obj.collabs)", lambda s, o: not s.collabs & o.collabs),
        ("1 in r.obj.collabs || 2 in r.obj.orgs", lambda s, o: 1 in o.collabs or 2 in o.orgs),
        ("!(r.sub.id in r.obj.owners)", lambda s, o: s.id not in o.owners),
        (
            "r.sub.org in r.obj.orgs && r.sub.account > 2",
            lambda s, o: s.org in o.orgs and s.account > 2,
        ),
        ("r.obj.id != r.sub.account", lambda s, o: o.id != s.account),
        ("r.obj.id in (1, 2, 3)", lambda s, o: o.id in (1, 2, 3)),
        ("r.obj.org in (r.sub.org, 1)", lambda s, o: o.org in (s.org, 1)),
        ("!(r.obj.org in (None, 2))", lambda s, o: o.org not in (None, 2)),
        ("r.obj.org not in (r.sub.org, None)", lambda s, o: o.org not in (s.org, None)),
        ("r.sub.org in r.obj.owner_orgs", lambda s, o: s.org in o.owner_orgs),
        (
            "2 in r.obj.owner_orgs || r.obj.org == 1",
            lambda s, o: 2 in o.owner_orgs or o.org == 1,
        ),
        ("'user:01' in r.obj.owners", lambda s, o: "user:01" in o.owners),
        ("!('user:99999999999999999999' in r.obj.owners)", lambda s, o: True),
        (
            "timeMatch('2000-01-01 00:00:00', '2001-01-01 00:00:00')",
            lambda s, o: False,
        ),
        ("'role:a' in r.sub.roles", lambda s, o: "role:a" in s.roles),
        (
            "!meets(r.sub.roles, ('role:1', 'rule:1')) && r.obj.id != 2",
            lambda s, o: "role:1" not in s.roles and o.id != 2,
        ),
        ("r.obj.id in r.sub.collabs", lambda s, o: o.id in s.collabs),
        ("g(r.sub.id, 'role:b')", lambda s, o: "role:b" in o.held),
        (
            "!g(r.sub.id, 'role:c') && r.obj.id != 1",
            lambda s, o: "role:c" not in o.held and o.id != 1,
        ),
    ),
    "*": (
        ("r.obj.type == 'task'", lambda s, o: o.type == "task"),
        (
            "r.obj.type != 'result' && r.act in ('view', 'edit')",
            lambda s, o: o.type != "result" and o.act in ("view", "edit"),
        ),
    ),
    "task": (
        ("glob(r.obj.image, 'harbor/*')", lambda s, o: (o.image or "").startswith("harbor/")),
        ("!glob(r.obj.image, 'other/a_?')", lambda s, o: not _matches_a(o.image)),
        ("keyMatch(r.obj.image, 'other/a*')", lambda s, o: (o.image or "").startswith("other/a")),
        (
            "!keyMatch2(r.obj.image, ':from/a:1')",  # `:1` stands for anything, too
            lambda s, o: not re.fullmatch("[^/]+/a[^/]+", o.image or ""),
        ),
        ("globMatch(r.obj.image, 'har*/a:1')", lambda s, o: o.image == "harbor/a:1"),
        ("r.obj.image == r.sub.image", lambda s, o: o.image == s.image),
        ("r.obj.run != r.sub.run", lambda s, o: o.run != s.run),
        ("!(r.obj.image == 'harbor/a:1')", lambda s, o: o.image != "harbor/a:1"),
        ("r.obj.parent == r.sub.task", lambda s, o: o.parent == s.task),
        ("r.obj.encrypted != True", lambda s, o: o.encrypted is not True),
        ("r.obj.parent in (None, 2)", lambda s, o: o.parent in (None, 2)),
        ("!(r.obj.image in (r.sub.image, 'x'))", lambda s, o: o.image not in (s.image, "x")),
    ),
    "result": (
        ("r.obj.status == 'completed'", lambda s, o: o.status == "completed"),
        ("!(r.obj.status == 'completed')", lambda s, o: o.status != "completed"),
        ("r.obj.run == r.sub.run", lambda s, o: o.run == s.run),
        ("!glob(r.obj.image, '*a*')", lambda s, o: "a" not in (o.image or "")),
        ("!(r.obj.encrypted == False)", lambda s, o: o.encrypted is not False),
    ),
    "collaboration": (("r.obj.encrypted == True", lambda s, o: o.encrypted is True),),
    "node": (
        ("r.obj.encrypted == True", lambda s, o: o.encrypted is True),
        # Its column is in the table that nodes share with users.
        ("r.obj.status == 'online'", lambda s, o: o.status == "online"),
        ("!(r.obj.status == 'offline')", lambda s, o: o.status != "offline"),
    ),
    "organization": (("!(r.obj.country == 'NL')", lambda s, o: o.country != "NL"),),
}


def _matches_a(image: str | None) -> bool:
    return image is not None and len(image) == 9 and image.startswith("other/a_")


BY_TEXT = {text: check for group in CONDITIONS.values() for text, check in group}

SUBJECTS = ("role:a", "role:b", "role:1", "role:2", "role:3", "role:everyone", "kind:node")
MORE_SUBJECTS = ("kind:container", "user:1", "user:2", "org:1", "org:2", "rule:1", "role:c")
EDGES = (
    ("kind:user", "role:everyone"),
    ("role:a", "role:b"),
    ("role:b", "role:c"),
    ("kind:container", "role:a"),
    ("user:2", "role:c"),
)


def make_lines(chance: random.Random, conditional: bool = True) -> list[Line]:
    """A random policy that is valid: root keeps everything, each subject has a line."""
    texts = {("role:root", "*", "global", "*", "True", "allow")}
    for subject in ("role:a", "role:b", "role:c", "role:everyone"):
        texts.add(_line(chance, subject, conditional))
    for _ in range(chance.randint(5, 40)):
        texts.add(_line(chance, chance.choice(SUBJECTS + MORE_SUBJECTS), conditional))
    lines = [Line("p", values, f"random:{i}") for i, values in enumerate(sorted(texts))]
    lines += [Line("g", edge, f"edge:{i}") for i, edge in enumerate(EDGES) if chance.random() < 0.7]
    lines += [
        Line("g2", pair, "scope")
        for pair in (
            ("global", "collaboration"),
            ("collaboration", "organization"),
            ("organization", "own_organization"),
            ("own_organization", "own"),
        )
    ]
    return lines


def _line(chance: random.Random, subject: str, conditional: bool) -> tuple[str, ...]:
    resource = chance.choice((*Resource, "*"))
    pool = CONDITIONS[""] + 5 * CONDITIONS.get(str(resource), ())
    condition = chance.choice(pool)[0] if conditional and chance.random() < 0.5 else "True"
    effect = "deny" if chance.random() < 0.25 else "allow"
    scope = chance.choice(tuple(Scope))
    if subject == "role:everyone" and effect == "allow" and scope is Scope.GLOBAL:
        scope = Scope.OWN  # a policy that lets strangers do everything is refused
    return (
        subject,
        str(resource),
        scope.value,
        chance.choice((*(o.value for o in Operation), "*")),
        condition,
        effect,
    )


# --- the oracle: the shipped matcher, said again in plain Python


def oracle(who: Principal, facts: SimpleNamespace, operation: Operation, lines: list[Line]) -> bool:
    """The decision by the shipped model, without Casbin, compiler or SQL."""
    subject = who.facts
    names = _with_inherited({who.id, subject.kind, subject.group, *who.roles}, lines)
    held = _with_inherited({who.id, *who.roles}, lines)
    facts = SimpleNamespace(**vars(facts), held=held, act=operation.value)
    effects = {
        line.values[5]
        for line in lines
        if line.ptype == "p"
        and line.values[0] in names
        and line.values[1] in (facts.type, "*")
        and line.values[3] in (operation.value, "*")
        and in_scope(line.values[2], subject, facts)
        and BY_TEXT[line.values[4]](subject, facts)
    }
    return "allow" in effects and "deny" not in effects


def _with_inherited(names: set[str], lines: list[Line]) -> set[str]:
    while True:
        more = {line.values[1] for line in lines if line.ptype == "g" and line.values[0] in names}
        if more <= names:
            return names
        names = names | more


def in_scope(scope: str, subject: SubjectFacts, facts: SimpleNamespace) -> bool:
    """Whether a row is in a scope of a principal."""
    return {
        "global": True,
        "collaboration": bool(subject.collabs & facts.collabs)
        or (facts.type == "organization" and subject.org == facts.id),
        "organization": subject.org in facts.orgs,
        "own_organization": subject.org in facts.owner_orgs,
        "own": subject.id in facts.owners,
    }[scope]


# --- made-up rows and strangers, for what is asked of everybody

_ORGS, _COLLABS = (1, 2, 3, 51, 52), (1, 2, 61, 62)
_IDS, _RUNS = (1, 2, 3, 71, 72, 81), (1, 2, 91, None)


def make_strangers(chance: random.Random) -> list[Principal]:
    """One of each kind, without roles, whom no condition of `CONDITIONS` means by a number."""
    org = chance.choice((51, 52))
    collabs = frozenset(chance.sample((61, 62), chance.randint(0, 2)))
    homeless = chance.random() < 0.2
    return [
        Principal(PrincipalKind.USER, 71, None if homeless else org, collabs),
        Principal(PrincipalKind.NODE, 72, org, collabs),
        Principal(
            PrincipalKind.CONTAINER,
            72,
            org,
            collabs,
            task_id=81,
            run_id=91,
            image=chance.choice(IMAGES),
        ),
    ]


def make_row(chance: random.Random, resource: Resource) -> SimpleNamespace:
    """A row as there could be one, in no database."""
    id, org, collab = chance.choice(_IDS), chance.choice(_ORGS), chance.choice(_COLLABS)
    some_org, user = chance.choice((org, org, None)), f"user:{chance.choice((1, 2, 71))}"
    collabs = frozenset(chance.sample(_COLLABS, chance.randint(0, 2)))
    nobody: frozenset[str] = frozenset()
    members = frozenset(chance.sample(_ORGS, chance.randint(0, 3)))
    started = _maybe(chance.choice((*_ORGS, None)))
    encrypted = chance.choice((True, False, None))
    of_task = {
        "owners": chance.choice((nobody, frozenset((user,)))),
        "owner_orgs": _maybe(some_org),
        "org": some_org,
        "orgs": members,
        "collabs": frozenset((collab,)),
        "run": chance.choice(_RUNS),
    }
    facts: dict[str, object] = {
        Resource.ORGANIZATION: {
            "id": org,
            "owners": nobody,
            "org": org,
            "owner_orgs": frozenset((org,)),
            "orgs": frozenset((org,)),
            "collabs": collabs,
            "country": chance.choice(COUNTRIES),
        },
        Resource.COLLABORATION: {
            "id": collab,
            "owners": nobody,
            "org": None,
            "owner_orgs": frozenset(),
            "orgs": members,
            "collabs": frozenset((collab,)),
            "encrypted": encrypted,
        },
        Resource.NODE: {
            "id": id,
            "owners": frozenset((f"node:{id}",)),
            "org": some_org,
            "owner_orgs": _maybe(some_org),
            "orgs": _maybe(some_org),
            "collabs": frozenset((collab,)),
            "encrypted": encrypted,
            "status": {True: "online", False: "offline", None: None}[encrypted],
        },
        Resource.USER: {
            "id": id,
            "owners": frozenset((f"user:{id}",)),
            "org": some_org,
            "owner_orgs": _maybe(some_org),
            "orgs": _maybe(some_org),
            "collabs": collabs if some_org else frozenset(),
        },
        Resource.ROLE: {
            "id": id,
            "owners": frozenset((user,)),
            "org": some_org,
            "owner_orgs": _maybe(some_org),
            "orgs": frozenset((some_org,)) if some_org else frozenset(_ORGS),
            "collabs": collabs if some_org else frozenset(_COLLABS),
        },
        Resource.TASK: {
            "id": id,
            **of_task,
            "image": chance.choice(IMAGES),
            "parent": chance.choice((None, 1, 2, 81)),
            "encrypted": encrypted,
        },
        Resource.RESULT: {
            "id": id,
            **of_task,
            "owner_orgs": started,
            "image": chance.choice(IMAGES),
            "status": chance.choice(("pending", "completed", None)),
            "encrypted": encrypted,
        },
        Resource.PORT: {"id": id, **of_task, "owner_orgs": started},
        Resource.STUDY: {
            "id": id,
            "owners": nobody,
            "owner_orgs": frozenset(),
            "org": None,
            "orgs": members,
            "collabs": frozenset((collab,)),
        },
        Resource.EVENT: {
            **{name: value for name, value in of_task.items() if name != "run"},
            "id": chance.choice((None, id)),
        },
        Resource.POLICY: {
            "id": id,
            "owners": nobody,
            "org": None,
            "owner_orgs": frozenset(),
            "orgs": frozenset(),
            "collabs": frozenset(),
        },
    }[resource]
    return SimpleNamespace(type=resource.value, **facts)


_OWNED_BY_NONE = (Resource.COLLABORATION, Resource.STUDY, Resource.POLICY)


def loose_row(chance: random.Random, resource: Resource) -> SimpleNamespace:
    """A row of which each fact is by itself: what is certain of one fact, and nothing else."""
    row = make_row(chance, resource)
    for name, value in vars(row).items():
        if name == "id" and value is not None:
            row.id = chance.choice((*_IDS, 51, 61))
        elif name == "owner_orgs" and resource not in _OWNED_BY_NONE:
            row.owner_orgs = frozenset(chance.sample(_ORGS, chance.randint(0, 2)))
        elif name in ("org", "orgs") and resource not in _OWNED_BY_NONE:
            orgs = frozenset(chance.sample(_ORGS, chance.randint(0, 2)))
            setattr(row, name, orgs if name == "orgs" else chance.choice((*_ORGS, None)))
        elif name == "collabs" and value:
            row.collabs = frozenset(chance.sample(_COLLABS, chance.randint(0, 2)))
        elif name == "owners" and value:
            kind = "node" if resource is Resource.NODE else "user"
            row.owners = frozenset(f"{kind}:{id}" for id in chance.sample(_IDS, 2))
    return row


def make_lines_for_kinds(chance: random.Random) -> list[Line]:
    """A random policy about every user, node and container, some of it meant."""
    kinds = ("kind:user", "kind:node", "kind:container", "role:everyone", "role:a")
    meant = ("role:any_user", "role:any_node")
    texts = {("role:root", "*", "global", "*", "True", "allow")}
    texts |= {_line(chance, role, False) for role in (*kinds, *meant)}
    texts |= {_line(chance, chance.choice(kinds + meant), True) for _ in range(6)}
    edges = (*EDGES[:1], EDGES[3], ("kind:user", "role:any_user"), ("kind:node", "role:any_node"))
    return [
        *(Line("p", values, f"random:{i}") for i, values in enumerate(sorted(texts))),
        *(Line("g", edge, f"edge:{i}") for i, edge in enumerate(edges)),
    ]
