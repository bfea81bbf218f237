"""What 4.x programs are shown: the complete objects of the recorded session, at one base path."""

from collections.abc import Callable
from typing import Any

from tests.scenario.actors import IMAGE, Scenario, a_link, a_naive_time
from tests.scenario.ears import Actor, JsonObject, shows

P = "eyJtZXRob2QiOiAicGFydGlhbCIsICJhcmdzIjogW10sICJrd2FyZ3MiOiB7fX0="
OUTPUT = "eyJuIjogMX0="
METHODS = {
    "organization": {"GET", "PATCH", "DELETE"},
    "run": {"GET", "PATCH"},
    "result": {"GET", "PATCH"},
    "task": {"GET", "DELETE"},
    "study": {"GET", "PATCH", "DELETE"},
    "node": {"GET", "PATCH", "DELETE"},
    "collaboration": {"GET", "PATCH", "DELETE"},
    "user": {"GET", "PATCH", "DELETE"},
}
ALPHA = {
    "name": "Alpha",
    "domain": "alpha.example",
    "address1": "Main street 1",
    "address2": "",
    "zipcode": "1000",
    "country": "NL",
}
BETA = {**ALPHA, "name": "Beta", "domain": "beta.example"}
ORDER = {
    "name": "mean",
    "image": IMAGE,
    "description": "demo",
    "collaboration_id": 1,
    "databases": [{"label": "default"}],
}


def order(name: str, *organizations: int, **more: Any) -> JsonObject:
    """What programs send to start a task."""
    targets = [{"id": id, "input": P} for id in organizations]
    return {**ORDER, "name": name, "organizations": targets, **more}


class Scenario4(Scenario):
    """The scenario as programs of 4.x play it."""

    concerned = ()

    def at(self, resource: str, id: int) -> Callable[[Any], bool]:
        """A check for the link `@resource/id`."""
        return a_link(self.base, resource, id, METHODS[resource])

    def is_(self, step: str, answer: Any, expected: Any) -> None:
        """The answer is that, with no other keys."""
        shows(step, answer, expected, exactly=True)

    def gets(self, step: str, actor: Actor, path: str, expected: Any) -> None:
        """GET is answered with that, with no other keys."""
        self.is_(step, actor.call(step, 200, "GET", path), expected)

    def lists(
        self, step: str, actor: Actor, path: str, *rows: Any, links: JsonObject | None = None
    ) -> None:
        """A list has these rows, in an envelope; `links` are all that it has."""
        answer = actor.call(step, 200, "GET", path)
        assert answer.keys() == {"data", "links"}, step
        self.is_(step, answer["data"], [*rows])
        assert "next" not in answer["links"], step
        if links is not None:
            below = {name: self.base + link for name, link in links.items()}
            assert answer["links"] == below, step

    def hear_all4(self, step: str, *events: tuple[str, Any]) -> None:
        """All four who listen hear these events in this order, and nothing else."""
        for actor in (self.node1, self.node2, self.rita, self.root):
            assert actor.ears is not None
            actor.ears.hears(step, *events)

    def links(self, **paths: str) -> JsonObject:
        """The URLs of lists."""
        return {name: f"{self.base}/{path}" for name, path in paths.items()}

    def organization(self, id: int, **changes: Any) -> JsonObject:
        """An organization."""
        lists = self.links(
            collaborations=f"collaboration?organization_id={id}",
            nodes=f"node?organization_id={id}",
            users=f"user?organization_id={id}",
            tasks=f"task?init_org_id={id}",
            runs=f"run?organization_id={id}",
            studies=f"study?organization_id={id}",
        )
        return {"id": id, **(ALPHA if id == 2 else BETA), "public_key": "", **lists, **changes}

    @property
    def members(self) -> list[JsonObject]:
        """Both organizations."""
        return [self.organization(2), self.organization(3)]

    @property
    def collaboration(self) -> JsonObject:
        """The one collaboration."""
        lists = self.links(
            organizations="organization?collaboration_id=1",
            nodes="node?collaboration_id=1",
            tasks="task?collaboration_id=1",
            studies="study?collaboration_id=1",
            algorithm_stores="algorithmstore?collaboration_id=1",
        )
        return {"id": 1, "name": "Study", "encrypted": False, **lists}

    @property
    def study(self) -> JsonObject:
        """The one study."""
        lists = self.links(organizations="organization?study_id=1", tasks="task?study_id=1")
        return {"id": 1, "name": "Pilot", "collaboration": self.at("collaboration", 1), **lists}

    def node(self, id: int, **changes: Any) -> JsonObject:
        """A node, as it is before its program came."""
        return {
            "id": id,
            "type": "node",
            "name": f"{'Alpha' if id == 2 else 'Beta'} - Study Node",
            "status": "offline",
            "ip": None,
            "last_seen": None,
            "config": [],
            "organization": self.at("organization", id),
            "collaboration": self.at("collaboration", 1),
            **changes,
        }

    def user(self, id: int, name: str, last: str, org: int, **changes: Any) -> JsonObject:
        """A user, before the first login; of what upstream always has as null nothing is shown."""
        return {
            "id": id,
            "type": "user",
            "username": name,
            "firstname": name.capitalize(),
            "lastname": last,
            "email": f"{name}@{'alpha' if org == 2 else 'beta'}.example",
            "status": None,
            "ip": None,
            "last_seen": None,
            "organization": self.at("organization", org),
            **self.links(roles=f"role?user_id={id}", rules=f"rule?user_id={id}"),
            **changes,
        }

    def task(self, id: int, job: int, name: str, **changes: Any) -> JsonObject:
        """A task of rita's that waits."""
        return {
            "id": id,
            "name": name,
            "description": "demo",
            "image": IMAGE,
            "job_id": job,
            "created_at": a_naive_time,
            "status": "pending",
            "finished_at": None,
            "collaboration": self.at("collaboration", 1),
            "study": None,
            "algorithm_store": None,
            "parent": None,
            "init_org": self.at("organization", 2),
            "init_user": self.at("user", 4),
            "databases": [{"label": "default", "parameters": "{}"}],
            **self.links(
                runs=f"run?task_id={id}",
                results=f"result?task_id={id}",
                children=f"task?parent_id={id}",
            ),
            **changes,
        }

    def in_run(self, task: JsonObject) -> JsonObject:
        """A task as a run shows it."""
        return {key: value for key, value in task.items() if key != "runs"}

    def run(self, id: int, organization: int, task: Any, **changes: Any) -> JsonObject:
        """A run that waits; `task` is one, or the id of the one that is linked."""
        return {
            "id": id,
            "input": P,
            "status": "pending",
            "log": None,
            "assigned_at": a_naive_time,
            "started_at": None,
            "finished_at": None,
            "cleanup_at": None,
            "blob_storage_used": False,
            "organization": self.at("organization", organization),
            "task": self.at("task", task) if isinstance(task, int) else self.in_run(task),
            "results": self.at("result", id),
            "node": {
                "id": organization,
                "ip": None,
                "status": "online",
                "name": f"{'Alpha' if organization == 2 else 'Beta'} - Study Node",
            },
            "ports": [],
            **changes,
        }

    def result(self, id: int, task: int, output: str | None = OUTPUT) -> JsonObject:
        """What came of a run."""
        return {
            "id": id,
            "result": output,
            "run": self.at("run", id),
            "task": self.at("task", task),
            "cleanup_at": None,
            "blob_storage_used": False,
        }
