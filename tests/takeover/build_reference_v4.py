"""As `build_reference.py`, with the server of 4.15.2; runs in `.venv-client-v4`, not in ours.

Nearly all of it is done through its REST, by the users and nodes themselves.
"""

import base64
import datetime as dt
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from vantage6.server import ServerApp, db
from vantage6.server.model.base import Database, DatabaseSessionManager

PASSWORD = "Old-Passw0rd!"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ROOT = {"username": "root", "password": "root"}
IMAGE = "registry.example/average:1"
LISTED = (
    *("organization", "collaboration", "study", "node", "user", "role", "task", "run", "result"),
    "algorithmstore",
)
RULES = {
    # By each of these one is narrower or wider than by the rule of the same words in 3.x.
    "rolf": [
        *("task|COLLABORATION|CREATE", "task|ORGANIZATION|VIEW", "task|OWN|DELETE"),
        *("run|COLLABORATION|VIEW", "study|ORGANIZATION|VIEW", "collaboration|ORGANIZATION|VIEW"),
        *("event|ORGANIZATION|SEND", "event|COLLABORATION|RECEIVE"),
        *("organization|COLLABORATION|VIEW", "node|COLLABORATION|VIEW"),
    ],
    "cole": ["task|COLLABORATION|VIEW", "run|OWN|VIEW", "study|COLLABORATION|VIEW"],
    "owen": ["task|OWN|VIEW", "task|COLLABORATION|CREATE", "run|OWN|VIEW"],
    "gina": ["user|COLLABORATION|VIEW", "role|COLLABORATION|VIEW", "node|ORGANIZATION|VIEW"],
}


def main(database: str, facts: str) -> None:
    Database().connect(f"sqlite:///{database}")
    # Registers all resources, which fills the table of rules; start() adds roles and root.
    folder = str(Path(database).parent)
    config = {"api_path": "/api", "jwt_secret_key": "reference" * 4}
    app = ServerApp(SimpleNamespace(config=config, name="reference", data_dir=folder))
    app.start()
    found = Site(app.app.test_client()).build()
    damage()
    Path(facts).write_text(json.dumps(found))


class Site:
    """What people and nodes do with a server over the years."""

    def __init__(self, client) -> None:
        self.client = client
        self.tokens = {}
        self.ids = {}
        self.keys = {}

    def build(self) -> dict:
        self.places()
        self.people()
        self.nodes()
        self.work()
        names = ("root", "vera", "adam", "cora", *RULES)
        return {
            "password": PASSWORD,
            "secret": SECRET,
            "keys": self.keys,
            "ids": self.ids,
            "seen": {path: self.all("root", path) for path in LISTED},
            "seen_by": {name: {path: self.ids_in(name, path) for path in LISTED} for name in RULES},
            "rights": {name: self.rights(name) for name in names},
            "jobs": max(task["job_id"] for task in self.all("root", "task")),
        }

    # --- requests

    def call(self, who, method, path, body=None, status=(200, 201)):
        if who not in self.tokens:
            key = self.keys.get(who)
            login = {"username": who, "password": PASSWORD} if who != "root" else ROOT
            kind, login = ("node", {"api_key": key}) if key else ("user", login)
            made = self.client.post(f"/api/token/{kind}", json=login)
            assert made.status_code == 200, (who, made.get_data(as_text=True))
            self.tokens[who] = made.get_json()["access_token"]
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        answer = self.client.open(f"/api/{path}", method=method, json=body, headers=headers)
        said = answer.get_data(as_text=True)
        assert answer.status_code in status, (who, method, path, answer.status_code, said)
        return answer.get_json()

    def make(self, called, kind, who="root", /, **body):
        made = self.call(who, "POST", kind, body)
        self.ids[called] = made["id"]
        return made

    def all(self, who, path):
        return self.call(who, "GET", f"{path}?per_page=1000")["data"]

    def ids_in(self, who, path):
        """None: this user may not ask at all."""
        answer = self.call(who, "GET", f"{path}?per_page=1000", status=(200, 401))
        return sorted(row["id"] for row in answer["data"]) if "data" in answer else None

    def rights(self, who):
        path = f"rule?no_pagination=1&user_id={self.ids.get(who, 1)}"
        rules = self.call("root", "GET", path)["data"]
        return sorted({(rule["name"], rule["operation"], rule["scope"]) for rule in rules})

    # --- rows

    def places(self) -> None:
        key = base64.b64encode(b"\x00key\xff").decode()
        self.make("north", "organization", name="North", domain="n.example", zipcode="0123")
        self.make("south", "organization", name="South", public_key=key)
        self.make("east", "organization", name="East", country="NL")
        north, south, east = (self.ids[name] for name in ("north", "south", "east"))
        for name, members, encrypted in (
            ("hearts", [north, south, east], False),
            ("sealed", [north], True),
            ("closed", [east], False),
        ):
            about = {"organization_ids": members, "encrypted": encrypted}
            self.make(name, "collaboration", name=name.title(), **about)
        for name, members in (("valves", [north, south]), ("rhythm", [south, east])):
            about = {"collaboration_id": self.ids["hearts"], "organization_ids": members}
            self.make(name, "study", name=name.title(), **about)
        for name, collaboration in (("shelf", self.ids["hearts"]), ("library", None)):
            # Through REST the server would ask the store.
            url = f"https://{name}.example/api"
            store = db.AlgorithmStore(name=name.title(), url=url, collaboration_id=collaboration)
            store.save()
            self.ids[name] = store.id

    def people(self) -> None:
        rules = {
            f"{rule['name']}|{rule['scope']}|{rule['operation']}": rule["id"]
            for rule in self.call("root", "GET", "rule?no_pagination=1")["data"]
        }
        roles = {role["name"]: role["id"] for role in self.all("root", "role")}
        north, south = self.ids["north"], self.ids["south"]
        for name, held in RULES.items():
            about = {"description": f"What {name} does", "organization_id": north}
            role = self.make(f"role {name}", "role", name=f"Of {name}", rules=[], **about)
            for rule in held:
                self.call("root", "POST", f"role/{role['id']}/rule/{rules[rule]}")
            self.user(name, north, [role["id"]])
        self.user("vera", north, [roles["Viewer"], roles["Researcher"]])
        extra = [rules["user|GLOBAL|VIEW"], rules["study|GLOBAL|CREATE"]]
        self.user("adam", south, [roles["Organization Admin"]], extra)
        self.user("cora", south, [roles["Collaboration Admin"]])
        self.user("gone", north, [roles["Researcher"]])

    def user(self, name, organization, roles, rules=()) -> None:
        about = {
            "password": PASSWORD,
            "email": f"{name}@example.org",
            "organization_id": organization,
        }
        about |= {"firstname": name.title(), "lastname": "", "roles": roles, "rules": list(rules)}
        self.make(name, "user", username=name, **about)

    def nodes(self) -> None:
        for name, collaboration in (
            ("north", "hearts"),
            ("south", "hearts"),
            ("east", "hearts"),
            ("north", "sealed"),
            ("east", "closed"),
        ):
            place = {"collaboration_id": self.ids[collaboration]}
            key = f"{name} in {collaboration}"
            node = self.make(key, "node", name=key.title(), organization_id=self.ids[name], **place)
            self.keys[key] = node["api_key"]
        one = db.Node.get(self.ids["north in hearts"])
        one.status, one.ip, one.last_seen = "online", "10.76.0.2", dt.datetime(2025, 5, 6, 7, 8, 9)
        one.config = [db.NodeConfig(key="allowed_users", value=str(self.ids["rolf"]))]
        one.save()

    def work(self) -> None:
        databases = [
            {"label": "visits", "query": "SELECT 1", "preprocessing": [{"function": "clean"}]},
            {"label": "blood", "arguments": {"unit": "µmol"}},
        ]
        self.task("average", "rolf", ["north", "south"], "hearts", "valves", databases)
        self.task("other", "vera", ["south"], "hearts", databases=[{"label": "blood"}])
        self.task("single", "owen", ["south"], "hearts")
        self.task("theirs", "cora", ["south", "east"], None, "rhythm")
        task = db.Task.get(self.ids["theirs"])
        task.algorithm_store = db.AlgorithmStore.get(self.ids["shelf"])
        task.save()
        for organization, status in (("north", "completed"), ("south", "crashed")):
            self.answer("average", organization, status)
        self.part()
        self.answer("theirs", "south", "completed")
        runs = self.runs("other")
        runs[self.ids["south"]].cleanup_at = dt.datetime(2025, 6, 1, 2, 3, 4)
        runs[self.ids["south"]].input = ""
        runs[self.ids["south"]].save()
        self.call("root", "DELETE", f"user/{self.ids['gone']}")
        cora = db.User.get(self.ids["cora"])
        cora.otp_secret = SECRET
        cora.save()

    def task(self, name, who, targets, collaboration, study=None, databases=()) -> None:
        about = {"collaboration_id": self.ids.get(collaboration), "study_id": self.ids.get(study)}
        about = {key: id for key, id in about.items() if id}
        order = base64.b64encode(b'{"method": "mean"}').decode()
        organizations = [{"id": self.ids[one], "input": order} for one in targets]
        about |= {"databases": list(databases), "organizations": organizations}
        self.make(name, "task", who, name=name, description="", image=IMAGE, **about)

    def runs(self, task):
        return {run.organization_id: run for run in db.Task.get(self.ids[task]).runs}

    def answer(self, task, organization, status) -> None:
        """What a node reports, a port it opened included."""
        node, run = f"{organization} in hearts", self.runs(task)[self.ids[organization]]
        port = {"port": 8888, "run_id": run.id, "label": "http"}
        self.make(f"port {task} {organization}", "port", node, **port)
        times = {
            f"{what}_at": f"2025-05-06T07:08:0{at}.5+00:00"
            for at, what in enumerate(("started", "finished"))
        }
        report = {"status": status, "log": "done\n", "result": "cmVzdWx0", **times}
        self.call(node, "PATCH", f"run/{run.id}", report)

    def part(self) -> None:
        """A subtask, by an algorithm that runs."""
        self.task("central", "rolf", ["north"], "hearts")
        node, task = "north in hearts", {"task_id": self.ids["central"], "image": IMAGE}
        made = self.call(node, "POST", "token/container", task)
        self.tokens["algorithm"] = made["container_token"]
        self.task("part", "algorithm", ["south"], "hearts", databases=[{"label": "blood"}])


def damage() -> None:
    """What databases without constraints collect: pairs twice, and rows that point to nothing."""
    DatabaseSessionManager.clear_session()
    with Database().engine.begin() as connection:
        for statement in (
            'INSERT INTO "StudyMember" SELECT * FROM "StudyMember"',
            'INSERT INTO "StudyMember" (study_id, organization_id) VALUES (1, 9001), (9002, 1), (1, 1)',
            "INSERT INTO study (id, name, collaboration_id) VALUES (40, 'Lost', 9003)",
            "INSERT INTO algorithmstore (id, name, url, collaboration_id) "
            "VALUES (50, 'Lost', 'https://lost.example', 9004)",
            "INSERT INTO taskdatabase (id, task_id, database, parameters) "
            "VALUES (60, 9005, 'a', '{}'), (61, 1, NULL, '{}'), (62, 70, 'odd', '[1'), "
            "(63, 70, 'b', NULL)",
            "INSERT INTO task (id, name, collaboration_id, init_org_id, init_user_id, study_id, "
            "algorithm_store_id) VALUES (70, 'odd', 9010, 1, 9007, 9008, 9009)",
            "INSERT INTO run (id, task_id, status, blob_storage_used) VALUES (80, 9006, NULL, 1)",
            "INSERT INTO algorithmport (id, port, run_id) VALUES (90, 1, NULL)",
        ):
            connection.exec_driver_sql(statement)


if __name__ == "__main__":
    main(*sys.argv[1:])
