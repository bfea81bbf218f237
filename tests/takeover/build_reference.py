"""Build a database with the reference server itself; runs in `.venv-reference`, not in ours.

Usage: build_reference.py DATABASE FACTS. Writes a SQLite file and, as JSON, what the tests need to
know about it: names to ids, passwords, keys, and the rights that the server itself says users have.
"""

import datetime as dt
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from vantage6.server import ServerApp, db
from vantage6.server.model.base import Database, DatabaseSessionManager
from vantage6.server.model.rule import Operation, Scope

PASSWORD = "Old-Passw0rd!"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
KEYS = {
    "north": "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01",
    "south": "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e02",
    "twin": "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e03",
}
AT = dt.datetime(2023, 5, 6, 7, 8, 9)


def main(database: str, facts: str) -> None:
    Database().connect(f"sqlite:///{database}")
    # Registers all resources, which fills the table of rules; start() adds roles and root.
    app = ServerApp(SimpleNamespace(config={"api_path": "/api", "jwt_secret_key": "reference"}))
    app.start()
    found = build()
    found["seen"] = {
        path: seen(app, path)
        for path in (
            *("organization", "collaboration", "node", "user", "role", "task", "result"),
            f"role/{found['ids']['custom']}/rule",
        )
    }
    found["ids"]["node twin"] = twin()
    damage()
    Path(facts).write_text(json.dumps(found))


def build() -> dict:
    """What people and nodes do with a server over the years."""
    north = db.Organization(
        name="North",
        domain="north.example",
        country="NL",
        zipcode="0123",
        _public_key=b"\x00key\xff",
    )
    south = db.Organization(name="South")
    for one in (north, south):
        one.save()
    study = db.Collaboration(name="Study", organizations=[north, south], encrypted=False)
    sealed = db.Collaboration(name="Sealed", organizations=[north], encrypted=True)
    for one in (study, sealed):
        one.save()

    custom = db.Role(
        name="Stopper",
        description="Stops tasks",
        organization=north,
        rules=[
            db.Rule.get_by_("event", Scope.ORGANIZATION, Operation.CREATE),
            db.Rule.get_by_("task", Scope.ORGANIZATION, Operation.VIEW),
        ],
    )
    custom.save()
    # An admin of 3.x could change a default role in the database; here the policy files decide.
    more = db.Rule.get_by_("node", Scope.ORGANIZATION, Operation.DELETE)
    less = db.Rule.get_by_("port", Scope.ORGANIZATION, Operation.VIEW)
    viewer = db.Role.get_by_name("Viewer")
    viewer.rules = [more, *(rule for rule in viewer.rules if rule.id != less.id)]
    viewer.save()

    vera = user("vera", north, [viewer])
    rolf = user(
        "rolf",
        north,
        [db.Role.get_by_name("Researcher"), custom],
        rules=[db.Rule.get_by_("user", Scope.GLOBAL, Operation.VIEW)],
        failed_login_attempts=None,
        last_login_attempt=AT,
    )
    tess = user("tess", south, [db.Role.get_by_name("Organization Admin")], otp_secret=SECRET)
    gone = user("gone", south, [])
    nodes = {
        "north": db.Node(
            name="north", organization=north, collaboration=study, api_key=KEYS["north"]
        ),
        "south": db.Node(
            name="south", organization=south, collaboration=study, api_key=KEYS["south"]
        ),
    }
    for one in nodes.values():
        one.save()
    nodes["north"].status, nodes["north"].ip = "online", "10.76.0.2"
    nodes["north"].config = [db.NodeConfig(key="allowed_users", value="2")]
    nodes["north"].save()

    task = new_task("average", study, rolf, north, None, 7, [north, south])
    child = new_task("partial", study, rolf, north, task, 7, [south])
    alone = new_task("other", sealed, gone, north, None, 9, [north])
    port = db.AlgorithmPort(port=8888, label="http", result=task.results[0])
    port.save()
    gone.delete()  # its task stays, as does the id
    sealed_id, alone_id = sealed.id, alone.id
    sealed.delete()  # its task has no collaboration any more
    return {
        "password": PASSWORD,
        "secret": SECRET,
        "keys": KEYS,
        "run": 9,
        "ids": {
            **{"north": north.id, "south": south.id, "study": study.id, "sealed": sealed_id},
            **{"custom": custom.id, "vera": vera.id, "rolf": rolf.id, "tess": tess.id},
            **{f"node {name}": one.id for name, one in nodes.items()},
            **{"task": task.id, "child": child.id, "alone": alone_id, "port": port.id},
        },
        "rights": {
            one.username: sorted(
                [rule.name, rule.scope.name, rule.operation.name]
                for rule in {*one.rules, *(rule for role in one.roles for rule in role.rules)}
            )
            for one in db.User.get()
        },
    }


def user(name, organization, roles, **more):
    made = db.User(
        username=name,
        password=PASSWORD,
        firstname=name.title(),
        email=f"{name}@example.org",
        organization=organization,
        roles=roles,
        **more,
    )
    made.save()
    return made


def new_task(name, collaboration, who, initiator, parent, run, organizations):
    task = db.Task(
        name=name,
        description="",
        image="registry.example/average:1",
        database="default",
        collaboration=collaboration,
        init_user=who,
        initiator=initiator,
        parent=parent,
        run_id=run,
        created_at=AT,
    )
    task.save()
    for organization in organizations:
        db.Result(
            task=task,
            organization=organization,
            input="aW5wdXQ=",
            result="cmVzdWx0",
            log="done\n",
            assigned_at=AT,
            started_at=AT,
            finished_at=AT,
            status="completed",
        ).save()
    return task


def seen(app, path):
    """A list, as the reference server answers root."""
    client = app.app.test_client()
    login = {"username": "root", "password": "root"}
    token = client.post("/api/token/user", json=login).get_json()["access_token"]
    answer = client.get(f"/api/{path}?per_page=100", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def twin() -> int:
    """A second node of North in the study, as old versions let people make. Lists end with it."""
    DatabaseSessionManager.clear_session()
    first = db.Node.get()[0]
    second = db.Node(
        name="twin",
        organization=first.organization,
        collaboration=first.collaboration,
        api_key=KEYS["twin"],
    )
    second.save()
    return second.id


def damage() -> None:
    """What databases without constraints collect: pairs twice, and rows that point to nothing."""
    DatabaseSessionManager.clear_session()
    with Database().engine.begin() as connection:
        for statement in (
            'INSERT INTO "Member" SELECT * FROM "Member"',
            'INSERT INTO "Permission" SELECT * FROM "Permission"',
            'INSERT INTO "UserPermission" SELECT * FROM "UserPermission"',
            "INSERT INTO role_rule_association SELECT * FROM role_rule_association",
            'INSERT INTO "Member" (organization_id, collaboration_id) VALUES (1, 9001), (NULL, 1)',
            'INSERT INTO "Permission" (role_id, user_id) VALUES (9002, 1), (1, 9003)',
            "INSERT INTO role_rule_association (role_id, rule_id) VALUES (1, 9004)",
            "INSERT INTO nodeconfig (id, node_id, key, value) VALUES (50, NULL, 'a', 'b')",
            "INSERT INTO algorithmport (id, port, result_id) VALUES (60, 1, NULL)",
            "INSERT INTO authenticatable (id, type) VALUES (70, 'node'), (71, 'node')",
            "INSERT INTO node (id, name, organization_id, collaboration_id) "
            "VALUES (71, 'stray', 1, 1)",
            "INSERT INTO result (id, task_id, status) VALUES (80, 9005, NULL)",
        ):
            connection.exec_driver_sql(statement)


if __name__ == "__main__":
    main(*sys.argv[1:])
