"""A collaboration goes with all that hangs on it when that is said, also for programs of 3.x."""

import pytest
from sqlalchemy import func, select

from tests.api.test_policy_line_rest import add, line
from tests.support import database_digest
from v6srv import db
from v6srv.model import Collaboration, Node, Result, Task

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
ALL = {"delete_dependents": "true"}


def left(app, id):
    """How much there is of a collaboration."""
    with app.app_context():
        counts = [
            db.session.scalar(select(func.count()).where(column == id))
            for column in (Collaboration.id, Node.collaboration_id, Task.collaboration_id)
        ]
        counts.append(db.session.scalar(select(func.count()).where(Result.collaboration_id == id)))
        db.session.remove()
    return counts


def test_the_refusal_says_how_many_and_what_to_do(call, world):
    id = world.collab.registry
    call("root", "GET", "/collaboration")
    before = database_digest()
    for query in ({}, {"delete_dependents": "false"}):
        answer = call("root", "DELETE", f"/collaboration/{id}", query=query)
        assert answer.status_code == 409
        assert answer.json["msg"] == (
            f"Collaboration id={id} still has 4 tasks and 2 nodes: delete them first, or all at once"
            " with ?delete_dependents=true"
        )
    answer = call("root", "DELETE", f"/collaboration/{id}", query={"delete_dependents": "perhaps"})
    assert answer.status_code == 400
    assert database_digest() == before


def test_all_of_it_goes(call, app, world):
    id = world.collab.registry
    others = left(app, world.collab.trial)
    node = f"/node/{world.node.north_registry}"
    assert call("north_registry", "GET", node).status_code == 200
    answer = call("root", "DELETE", f"/collaboration/{id}", query=ALL)
    assert answer.status_code == 200
    assert answer.json["msg"] == f"collaboration id={id} successfully deleted"
    assert left(app, id) == [0, 0, 0, 0]
    assert left(app, world.collab.trial) == others
    assert call("root", "GET", f"/task/{world.task.subtask}").status_code == 404
    assert call("north_registry", "GET", node).status_code == 401


def test_what_the_web_interface_of_3_x_leaves_can_go(call, app, world):
    """It deletes the nodes, and then finds tasks in the way."""
    id = world.collab.registry
    for node in (world.node.north_registry, world.node.south_registry):
        assert call("root", "DELETE", f"/node/{node}").status_code == 200
    answer = call("root", "DELETE", f"/collaboration/{id}")
    assert answer.status_code == 409
    assert "still has 4 tasks: delete them first" in answer.json["msg"]
    assert call("root", "DELETE", f"/collaboration/{id}", query=ALL).status_code == 200
    assert left(app, id) == [0, 0, 0, 0]


@pytest.mark.parametrize("resource", ["task", "node"])
def test_each_is_decided_by_the_policy(call, world, resource):
    add(call, line(f"user:{world.user.root}", resource, "delete", "True", effect="deny"))
    before = database_digest()
    answer = call("root", "DELETE", f"/collaboration/{world.collab.registry}", query=ALL)
    assert answer.status_code == 403
    assert database_digest() == before


def test_who_says_so_goes_on_in_the_words_of_its_generation(call, world):
    """At `/api`, the query alone is no sign of a program of 4.x."""
    assert call("root", "DELETE", f"/collaboration/{world.collab.registry}", query=ALL).json
    assert isinstance(call("root", "GET", "/collaboration").json, list)
