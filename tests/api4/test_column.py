"""POST /column (rest.md 3.11 of 4.x)."""

import pytest

from tests.api4.shared import refused
from tests.api4.test_task import INPUT
from v6srv import db
from v6srv.model import Node, NodeConfig


@pytest.fixture
def ask(call4, world):
    def send(label, who="researcher", organization="north", **more):
        body = {
            "db_label": label,
            "collaboration_id": world.collab.registry,
            "organizations": [{"id": getattr(world.org, organization), "input": INPUT}],
        }
        return call4(who, "POST", "/column", json=body | more)

    return send


@pytest.fixture
def share(app, world):
    """A connected node shares values."""

    def write(node, key, *values):
        with app.app_context():
            id = getattr(world.node, node)
            for value in values:
                db.session.add(NodeConfig(node_id=id, key=key, value=value))
            db.session.commit()

    return write


def test_columns_that_a_node_shares_are_told(ask, share):
    share("north_registry", "columns_default", "age", "height")
    share("north_registry", "columns_other", "x")
    answer = ask("default")
    assert (answer.status_code, answer.json) == (200, {"columns": ["age", "height"]})
    body = [{"id": 1}]
    assert ask("default", organizations=body).json == {"columns": ["age", "height"]}


def test_the_first_node_of_the_collaboration_that_one_may_view_counts(ask, share, call4):
    share("south_trial", "columns_default", "other collaboration")
    share("south_registry", "columns_default", "of south")
    assert ask("default", who="root").json == {"columns": ["of south"]}
    share("north_registry", "columns_default", "of north")
    assert ask("default", who="root").json == {"columns": ["of north"]}


def test_what_nobody_shares_is_read_by_a_task(ask, call4, world, app):
    answer = ask("default", sheet_name="s", query=None)
    assert answer.status_code == 201
    task = answer.json
    assert task["name"] == "get_column_names"
    assert task["image"] == app.config["SETTINGS"].column_image
    assert task["databases"] == [{"label": "default", "parameters": '{"sheet_name":"s"}'}]
    assert call4("researcher", "GET", f"/task/{task['id']}").json == task
    run = call4("researcher", "GET", "/run", query={"task_id": task["id"]}).json["data"][0]
    assert (run["organization"]["id"], run["input"]) == (world.org.north, INPUT)


def test_only_nodes_of_4_x_know_the_image(ask, app, world):
    with app.app_context():
        db.session.get(Node, world.node.north_registry).generation = 3
        db.session.commit()
    answer = ask("default")
    assert answer.status_code == 400
    assert "north" in answer.json["msg"]


def test_what_is_wrong_is_refused(ask, share, world):
    share("north_registry", "columns_default", "age")
    refused(ask("", collaboration_id="x"), "db_label", "collaboration_id")
    refused(ask(None), "db_label")
    assert ask("default", who="viewer").status_code == 403
    assert ask("default", who="north_registry").status_code == 403
    assert ask("default", collaboration_id=world.collab.trial).status_code == 403
    assert ask("default", collaboration_id=999999).status_code == 403
    assert ask("default", who="west_researcher").status_code == 403
    assert ask("other", organization="west").status_code == 400
