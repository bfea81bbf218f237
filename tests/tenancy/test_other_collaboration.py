"""A node learns nothing of another collaboration of the same partners, unless a setting says so.

Every operation of both documents is asked, before there is another collaboration and while it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.databases import Databases
from tests.support import Caller, open_app
from tests.tenancy.questions import Question, Writer, ask, operations
from tests.world import IMAGE, World
from v6srv.vocabulary import V3, V4

NODE = "north_registry"


class House:
    """A server on which `north` and `south` work together once, and then twice."""

    def __init__(self, app: Any, world: World) -> None:
        self.world = world
        self.call = Caller(app, "/v4/api")
        writer = Writer(world)
        self.asked = [
            question
            for operation in operations(app)
            if operation.reads and not operation.is_open
            for question in (*writer.plain(operation), *writer.filtered(operation))
        ]
        self.tokens = {V3: self.call.token(NODE), V4: self.call.token(f"{NODE} in 4")}

    def told(self, questions: list[Question]) -> dict[Question, Any]:
        client = self.call.client
        return {one: ask(client, self.tokens[one.dialect], one)[::2] for one in questions}

    def root(self, path: str, body: dict[str, Any], who: str = "second_root") -> Any:
        answer = self.call(who, "POST", path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json["id"]

    def begin_another(self) -> None:
        """The same partners, and a third: a study, nodes, and a task with results and a port."""
        org = self.world.org
        partners = [org.north, org.south, org.west]
        body = {"name": "hidden", "organization_ids": partners, "encrypted": False}
        self.collaboration = self.root("/collaboration", body)
        place = {"collaboration_id": self.collaboration}
        for one in partners:
            self.root("/node", {**place, "organization_id": one, "name": f"hidden {one}"})
        self.root("/study", {**place, "name": "hidden", "organization_ids": partners})
        task = {
            **place,
            "name": "hidden",
            "image": IMAGE,
            "databases": [],
            "organizations": [{"id": one, "input": "aGlkZGVu"} for one in partners],
        }
        self.task = self.root("/task", task, "org_admin")


@contextmanager
def house(databases: Databases, **settings: Any) -> Iterator[House]:
    with open_app(databases, "sqlite", True, **settings) as (app, world):
        assert world is not None
        yield House(app, world)


def test_a_node_learns_nothing_of_another_collaboration(databases: Databases) -> None:
    """Statuses and bodies of all that it can read are the same."""
    with house(databases) as opened:
        opened.call(f"{NODE} in 4", "GET", "/organization")  # it is noted when it was seen
        before = opened.told(opened.asked)
        assert len(before) > 200
        assert sum(answer[0] == 200 for answer in before.values()) > 50
        opened.begin_another()
        after = opened.told(opened.asked)
        for question, answer in before.items():
            assert after[question] == answer, question
        # Its ids are known to nobody, but numbers are easily guessed.
        for path in (f"/task/{opened.task}", f"/collaboration/{opened.collaboration}"):
            assert opened.call(f"{NODE} in 4", "GET", path).status_code == 403


def test_a_setting_shows_nodes_what_the_reference_shows(databases: Databases) -> None:
    """And gives nobody else anything; what a node may change is what it was."""
    with house(databases, between_collaborations="reference") as opened:
        opened.begin_another()
        call, node = opened.call, f"{NODE} in 4"
        assert call(node, "GET", f"/task/{opened.task}").status_code == 200
        listed = call(node, "GET", f"/run?task_id={opened.task}").json["data"]
        assert len(listed) == 3
        assert listed[0]["input"] == "aGlkZGVu"
        assert call("container in 4", "GET", f"/task/{opened.task}").status_code == 403
        path = f"/run/{listed[0]['id']}"
        assert call(node, "PATCH", path, json={"log": "x"}).status_code == 403


@pytest.mark.parametrize("setting", ["strict", "reference"])
def test_commands_know_of_the_setting(databases: Databases, setting: str) -> None:
    from v6srv.policy import ask as words
    from v6srv.policy.explain.explanation import explain
    from v6srv.vocabulary import Operation

    with house(databases, between_collaborations=setting) as opened:
        opened.begin_another()
        app = opened.call.app
        with app.app_context():
            policy = app.extensions["authz"].policy
            who = words.named(policy, f"node:{opened.world.node.north_registry}", None)
            found = explain(policy, who, Operation.VIEW, words.thing(f"task:{opened.task}", None))
        assert found.allowed is (setting == "reference")
