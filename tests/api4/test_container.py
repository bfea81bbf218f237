"""What algorithms of 4.x are told of their task, and until when (auth.md 3)."""

import pytest

from tests.api4.shared import refused
from tests.api4.test_task import order
from tests.world import IMAGE
from v6srv import db
from v6srv.identity import tokens
from v6srv.model import Task


@pytest.fixture
def made_by_4(app, world):
    with app.app_context():
        db.session.get(Task, world.task.running).dialect = 4
        db.session.commit()


def ask(call, task, node="north_registry", image=IMAGE):
    return call(node, "POST", "/token/container", json={"task_id": task, "image": image})


@pytest.mark.parametrize("dialect", ["3", "4"])
def test_a_token_has_the_databases_of_its_task(call, call4, world, app, dialect):
    databases = [{"label": "default", "arguments": {"a": 1}}, {"label": "other"}]
    task = call4("researcher", "POST", "/task", json=order(world, "north", databases=databases))
    answer = ask(call if dialect == "3" else call4, task.json["id"])
    assert answer.status_code == 200
    with app.app_context():
        container = tokens.read_bearer(f"Bearer {answer.json['container_token']}").container
    assert container["databases"] == databases
    assert container["database"] == "default"
    assert (container["study_id"], container["store_id"]) == (None, None)


def test_what_is_wrong_is_said(call4, world):
    refused(call4("north_registry", "POST", "/token/container", json={}), "task_id", "image")
    assert ask(call4, 999999).status_code == 400
    assert ask(call4, world.task.running, image="other").status_code == 401
    assert ask(call4, world.task.waiting).status_code == 401
    assert ask(call4, world.task.finished).status_code == 400


def test_a_task_of_4_x_is_given_up_when_a_run_fails(call4, world, made_by_4):
    south = f"/run/{world.result['running', 'south']}"
    subtask = order(world, "north")
    assert ask(call4, world.task.running).status_code == 200
    assert call4("container", "POST", "/task", json=subtask).status_code == 201
    call4("south_registry", "PATCH", south, json={"status": "crashed", "log": "x"})
    assert ask(call4, world.task.running).status_code == 400
    assert call4("container", "POST", "/task", json=subtask).status_code == 401
    own = f"/run/{world.result['running', 'north']}"
    assert call4("container", "GET", own).json["status"] == "active"


def test_a_task_of_3_x_goes_on_elsewhere(call4, world):
    south = f"/run/{world.result['running', 'south']}"
    call4("south_registry", "PATCH", south, json={"status": "crashed", "log": "x"})
    assert ask(call4, world.task.running).status_code == 200
    assert call4("container", "POST", "/task", json=order(world, "north")).status_code == 201
