"""Nobody learns anything of a network that their organization has no part in.

Organization `north` is asked everything, before another network is there, while it is there and
changes, and when it has gone: all answers are the same, byte for byte, with the same number of
queries. A third organization, `south`, shares a collaboration with each of the two.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text

from tests.databases import Databases
from tests.realtime.conftest import Audience, serving
from tests.support import Caller, counting, open_app
from tests.tenancy.questions import OTHERS, TEXT, Question, Writer, ask, operations
from tests.world import IMAGE, World
from v6srv import db
from v6srv.model import AlgorithmStore, Rule, Study, StudyMember, User
from v6srv.vocabulary import V3, V4

HERE, THERE = OTHERS[0], OTHERS[1]
SOME = ("local", "north_registry", "container")
"""Who has every right that ends at the own collaborations, of each kind."""
EVERYBODY = (*SOME, "org_admin", "nobody", None)


class Network:
    """The other one: an organization, and all that it has in a collaboration with `south`.

    Made by requests, so that events are sent; the ids are those of `OTHERS`.
    """

    def __init__(self, app: Flask, world: World) -> None:
        self._three, self._four, self._world = Caller(app), Caller(app, "/v4/api"), world
        with app.app_context():
            for table in TABLES:
                db.session.execute(
                    text("UPDATE sqlite_sequence SET seq = :last WHERE name = :table"),
                    {"last": HERE - 1, "table": table},
                )
                known = select(text("name")).select_from(text("sqlite_sequence"))
                if table not in db.session.scalars(known).all():
                    db.session.execute(
                        text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"),
                        {"last": HERE - 1, "table": table},
                    )
            db.session.commit()

    def create(self) -> None:
        """It comes."""
        south = self._world.org.south
        self._post("organization", name=f"{TEXT} hospital", domain=f"{TEXT}.example")
        members = [HERE, south]
        self._post("collaboration", name=f"{TEXT} study", organization_ids=members, encrypted=False)
        person = {name: f"{TEXT}{name}" for name in ("username", "firstname", "lastname")}
        word = secrets.token_urlsafe() + "Aa1!"
        person |= {"email": f"{TEXT}@hidden.example", "password": word}
        self._post("user", **person, organization_id=HERE, roles=[self._world.role.researcher])
        for organization, name in ((HERE, f"{TEXT} node"), (south, f"{TEXT} partner")):
            at = {"organization_id": organization, "collaboration_id": HERE}
            self._post("node", name=name, **at)
        rules = {"rules": [1], "organization_id": HERE}
        self._post("role", name=f"{TEXT} role", description=TEXT, **rules)
        study = {"name": f"{TEXT} part", "collaboration_id": HERE, "organization_ids": members}
        self._done(self._four("root", "POST", "/study", json=study))
        self._task()
        self._report(HERE, f"{TEXT} node", status="active", started_at="2024-03-01T12:00:00")

    def change(self) -> None:
        """It works."""
        named = {"name": f"{TEXT} and renamed"}
        for path in ("organization", "collaboration", "role", "study"):
            self._done(self._four("root", "PATCH", f"/{path}/{HERE}", json=named))
        self._done(self._three("root", "PATCH", f"/node/{THERE}", json=named))
        self._done(self._three("root", "PATCH", f"/user/{HERE}", json={"firstname": TEXT}))
        ended: dict[str, Any] = {
            "result": "aGlkZGVu",
            "log": TEXT,
            "finished_at": "2024-03-01T13:00:00",
        }
        self._report(HERE, f"{TEXT} node", status="completed", **ended)
        self._report(THERE, f"{TEXT} partner", status="failed", log=TEXT)
        self._task()

    def delete(self) -> None:
        """It goes."""
        self._done(self._three("root", "POST", "/kill/task", json={"id": THERE}))
        for path in (
            *(f"/task/{THERE}", f"/task/{HERE}", f"/node/{THERE}", f"/node/{THERE + 1}"),
            *(f"/study/{HERE}", f"/user/{HERE}", f"/role/{HERE}", f"/collaboration/{HERE}"),
            f"/organization/{HERE}",
        ):
            self._done(self._four("root", "DELETE", path))

    def _task(self) -> None:
        targets = [{"id": id, "input": "aGlkZGVu"} for id in (HERE, self._world.org.south)]
        task = {"name": f"{TEXT} task", "image": IMAGE, "collaboration_id": HERE}
        order = {**task, "organizations": targets, "description": TEXT}
        self._done(self._three(f"{TEXT}username", "POST", "/task", json=order))

    def _report(self, id: int, node: str, **body: Any) -> None:
        self._done(self._three(node, "PATCH", f"/result/{id}", json=body))

    def _post(self, path: str, **body: Any) -> None:
        self._done(self._three("root", "POST", f"/{path}", json=body))

    @staticmethod
    def _done(answer: Any) -> None:
        assert answer.status_code < 300, answer.text


TOLD = tuple(f"{base}/token/container" for base in ("/api", "/v4/api"))
"""Where the contract tells a task of others from none (ADR 36)."""

TABLES = (
    *("organization", "collaboration", "authenticatable", "role", "task", "result"),
    *("algorithmport", "study", "algorithmstore"),
)


class House:
    """An application with the world of `north`, and what is asked there."""

    def __init__(self, app: Flask, world: World) -> None:
        with app.app_context():
            self._add_local(world)
        app.extensions["seen"].write = lambda: None  # when the callers were last seen
        self.network = Network(app, world)
        writer, found = Writer(world), operations(app)
        reading = [one for one in found if one.reads]
        self.plain = [each for one in reading for each in writer.plain(one)]
        self.filtered = [each for one in reading for each in writer.filtered(one)]
        self.written = [
            each
            for one in found
            if not one.reads and not one.is_open and one.path not in TOLD
            for each in writer.written(one)
        ]
        self._client = app.test_client()
        callers = {V3: Caller(app), V4: Caller(app, "/v4/api")}
        self._tokens: dict[tuple[str | None, int], str | None] = {}
        for who in (*EVERYBODY, "second_root"):
            for dialect, call in callers.items():
                self._tokens[who, dialect] = who and call.token(_speaking(who, dialect))

    @staticmethod
    def _add_local(world: World) -> None:
        rules = db.session.scalars(select(Rule).where(Rule.scope != "GLOBAL")).all()
        local = User(username="local", email="local@north.example", organization_id=world.org.north)
        local.rules = list(rules)
        at = world.collab.registry
        study = Study(name="own study", collaboration_id=at)
        store = AlgorithmStore(name="own", url="https://store.example", collaboration_id=at)
        db.session.add_all([local, study, store])
        db.session.flush()
        taking_part = {"study_id": study.id, "organization_id": world.org.north}
        db.session.execute(insert(StudyMember), [taking_part])
        db.session.commit()

    def told(
        self, questions: list[Question], callers: tuple[str | None, ...]
    ) -> dict[tuple[Question, str | None], Any]:
        """Everybody's answers, each with how many queries it took."""
        answers = {}
        for question in questions:
            for who in callers:
                with counting() as statements:
                    answer = ask(self._client, self._tokens[who, question.dialect], question)
                answers[question, who] = (*answer, len(statements))
        return answers


def _speaking(who: str, dialect: int) -> str:
    return who if dialect == V3 else f"{who} in {dialect}"


@pytest.fixture
def house(databases: Databases) -> Iterator[House]:
    with open_app(databases, "sqlite", with_world=True) as (app, world):
        assert world is not None
        yield House(app, world)


def test_another_network_is_never_noticed(house: House) -> None:
    """Statuses, headers and bodies are the same; of what reads, also the number of queries."""

    def look() -> dict[Any, Any]:
        return {
            **house.told(house.plain, EVERYBODY),
            **house.told(house.filtered, ("local", "container")),
            **house.told(house.written, ("local", "north_registry")),
        }

    def compare(before: dict[Any, Any], now: dict[Any, Any]) -> None:
        for (question, who), answer in now.items():
            told = answer if question.method == "GET" else answer[:-1]
            assert before[question, who][: len(told)] == told, f"{who} asks {question}"

    before = look()
    assert {answer[0] for answer in before.values()} <= {200, 400, 401, 403, 404, 501}
    house.network.create()
    house.network.change()
    compare(before, look())
    house.network.delete()
    compare(before, house.told(house.plain, SOME))


def test_who_may_see_it_does_notice(house: House) -> None:
    """The same questions, of somebody who may view everything: they can tell."""
    asked = [
        one for one in house.plain if one.path.endswith(("api/organization", f"/node/{THERE}"))
    ]
    before = house.told(asked, ("second_root",))
    house.network.create()
    after = house.told(asked, ("second_root",))
    assert len(asked) == 4
    assert all(before[each] != after[each] for each in before)


def test_nothing_of_it_is_heard(databases: Databases) -> None:
    """On the sockets of `north`, whatever happens there; `south`, which takes part, hears it."""
    with open_app(databases, "sqlite", with_world=True) as (app, world), serving(app) as url:
        assert world is not None
        network, audience = Network(app, world), Audience(url, Caller(app).token)
        ears = [audience(who) for who in ("org_admin", "researcher", "north_registry")]
        partner, root = audience("south_admin"), audience("second_root")
        known = [len(ear.heard) for ear in ears]
        for happens in (network.create, network.change, network.delete):
            happens()
        partner.wait("task_created")
        root.wait("kill_containers")
        assert [ear.heard[number:] for ear, number in zip(ears, known, strict=True)] == [[], [], []]
        audience.close()
