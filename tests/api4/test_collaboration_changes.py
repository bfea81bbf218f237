"""How collaborations of 4.x come, change and go (rest.md 3.3 of the 4.x contract)."""

import pytest
from sqlalchemy import select

from tests.api.test_policy_line_rest import add, line
from tests.api4.shared import data, names, refused
from tests.support import database_digest, store
from v6srv import db
from v6srv.model import AlgorithmStore, Collaboration, Node, Result, Task

ALL = ["nothing", "registry", "trial"]


@pytest.fixture
def stores(world):
    """The ids of a store of the trial, and of one for all."""
    rows = [
        AlgorithmStore(name="own", url="https://own.example", collaboration_id=world.collab.trial),
        AlgorithmStore(name="common", url="https://common.example"),
    ]
    db.session.add_all(rows)
    db.session.commit()
    return [row.id for row in rows]


def test_members_are_embedded_when_asked_for(call4, world):
    whole = {
        row["id"]: row
        for row in data(call4("root", "GET", "/organization", query={"per_page": 99}))
    }
    query = {"include": "organizations,other"}
    [trial] = data(call4("root", "GET", "/collaboration", query=query | {"name": "trial"}))
    assert trial["organizations"] == [whole[world.org.south], whole[world.org.west]]
    one = call4("root", "GET", f"/collaboration/{world.collab.trial}", query=query).json
    assert one == trial
    # Who may view a collaboration does not see more of the organizations than anywhere.
    add(call4, line("kind:user", "organization", "view", "r.obj.country == 'Denmark'"))
    path = f"/collaboration/{world.collab.registry}"
    seen = call4("viewer", "GET", path, query=query).json["organizations"]
    assert [row["name"] for row in seen] == ["north"]


def test_what_an_algorithm_store_is_for(call4, world, stores):
    own, common = stores

    def ask(who, id):
        return call4(who, "GET", "/collaboration", query={"algorithm_store_id": id})

    assert names(ask("root", own)) == ["trial"]
    assert names(ask("root", common)) == ALL
    assert names(ask("south_viewer", own)) == ["trial"]
    assert names(ask("viewer", common)) == ["registry"]
    assert ask("viewer", own).status_code == ask("viewer", 9999).status_code == 403
    assert ask("root", 9999).status_code == 404


# --- make and change


def test_a_new_one(call4, world):
    body = {"name": "new", "organization_ids": [world.org.north, world.org.east], "encrypted": True}
    answer = call4("root", "POST", "/collaboration", json=body)
    assert (answer.status_code, answer.json["encrypted"]) == (200, True)
    members = call4("root", "GET", answer.json["organizations"].removeprefix("/v4/api"))
    assert names(members) == ["east", "north"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": "12"}, ["name"]),
        ({"name": "x" * 129}, ["name"]),
        ({"name": "trial"}, ["name"]),
        ({"organization_ids": []}, ["organization_ids"]),
        ({"organization_ids": [1, 1]}, ["organization_ids"]),
        ({"encrypted": None}, ["encrypted"]),
        ({"encrypted": "perhaps", "name": None}, ["encrypted", "name"]),
    ],
)
def test_what_a_new_one_needs(call4, world, change, fields):
    call4("root", "GET", "/organization")
    before = database_digest()
    body = {"name": "new", "organization_ids": [world.org.north], "encrypted": False} | change
    refused(call4("root", "POST", "/collaboration", json=body), *fields)
    assert database_digest() == before


def test_an_unknown_member(call4, world):
    body = {"name": "new", "organization_ids": [9999], "encrypted": False}
    assert call4("root", "POST", "/collaboration", json=body).status_code == 404


@pytest.mark.parametrize("name", ["", "12", "trial", ["x"]])
def test_a_changed_name_is_a_new_one(call4, world, name):
    path = f"/collaboration/{world.collab.registry}"
    refused(call4("root", "PATCH", path, json={"name": name}), "name")
    body = {"name": "registry", "encrypted": True}
    assert call4("root", "PATCH", path, json=body).json["encrypted"] is True


def test_a_number_that_is_there_may_stay(call4, world):
    id = world.collab.registry
    store("collaboration", id, name="12")
    answer = call4("root", "PATCH", f"/collaboration/{id}", json={"name": "12", "encrypted": True})
    assert (answer.status_code, answer.json["name"]) == (200, "12")


def test_all_members_at_once_are_for_those_who_may_edit_every_collaboration(call4, world):
    subject = f"user:{world.user.viewer}"
    scoped = line(subject, "collaboration", "edit", "True", "collaboration", effect="allow")
    add(call4, scoped)
    path = f"/collaboration/{world.collab.registry}"
    both = [world.org.north, world.org.south]
    for members in (both, [world.org.north], [*both, world.org.east]):
        answer = call4("viewer", "PATCH", path, json={"organization_ids": members})
        assert answer.status_code == 403
    assert call4("viewer", "PATCH", path, json={"name": "other"}).status_code == 200
    trial = f"/collaboration/{world.collab.trial}"
    assert call4("viewer", "PATCH", trial, json={"name": "third"}).status_code == 403
    # One by one it is an edit as any other; who is not seen is not there.
    invited = {"id": world.org.east}
    assert call4("viewer", "POST", f"{path}/organization", json=invited).status_code == 404
    add(call4, line(subject, "organization", "view", "True", "global", effect="allow"))
    answer = call4("viewer", "POST", f"{path}/organization", json=invited)
    assert [row["name"] for row in answer.json] == ["north", "south", "east"]
    answer = call4("root", "PATCH", path, json={"organization_ids": both})
    assert answer.status_code == 200


# --- members and nodes


def test_members_come_and_go(call4, world):
    path = f"/collaboration/{world.collab.registry}/organization"
    for _ in range(2):  # once is enough
        answer = call4("collab_admin", "POST", path, json={"id": world.org.east})
        assert answer.status_code == 200
        assert [row["name"] for row in answer.json] == ["north", "south", "east"]
        assert "studies" in answer.json[0]
    answer = call4("collab_admin", "DELETE", path, json={"id": world.org.south})
    assert [row["name"] for row in answer.json] == ["north", "east"]
    assert call4("collab_admin", "POST", path, json={"id": 9999}).status_code == 404
    refused(call4("collab_admin", "POST", path, json={}), "id")
    assert call4("org_admin", "POST", path, json={"id": world.org.west}).status_code == 403


def test_nodes_come_and_go(call4, world):
    path = f"/collaboration/{world.collab.registry}/node"
    gone = call4("collab_admin", "DELETE", path, json={"id": world.node.south_registry})
    assert (gone.status_code, gone.json.keys()) == (200, {"msg"})
    answer = call4("collab_admin", "POST", path, json={"id": world.node.south_registry})
    assert answer.status_code == 201
    north, south = answer.json
    config = [{"key": "encryption", "value": "False"}]
    assert (north["config"], south["status"]) == (config, "offline")
    shown = {"id", "name", "status", "ip", "last_seen", "organization", "config"}
    assert north.keys() == south.keys() == shown
    again = call4("collab_admin", "POST", path, json={"id": world.node.south_registry})
    assert again.status_code == 400
    outside = call4("collab_admin", "POST", path, json={"id": world.node.west_trial})
    assert outside.status_code == 400
    assert call4("org_admin", "DELETE", path, json={"id": 1}).status_code == 403


@pytest.mark.parametrize("below", ["organization", "node", "task"])
def test_what_3x_lists_below_is_a_filter(call4, world, below):
    path = f"/collaboration/{world.collab.registry}/{below}"
    answer = call4("root", "GET", path)
    assert answer.status_code == (404 if below == "task" else 405)
    assert isinstance(answer.json["msg"], str)


# --- deletion


def test_what_hangs_on_a_collaboration_is_in_the_way(call4, world):
    call4("root", "GET", "/organization")
    before = database_digest()
    path = f"/collaboration/{world.collab.registry}"
    for query in ({}, {"delete_dependents": "False"}):
        text = refused(call4("root", "DELETE", path, query=query), "delete_dependents")
        assert "4 tasks and 2 nodes" in text
    assert database_digest() == before


def test_studies_are_in_the_way_or_go_with_it(call, call4, world):
    for collab, members in (("registry", ["north"]), ("nothing", ["west"])):
        body = {
            "name": f"study of {collab}",
            "collaboration_id": getattr(world.collab, collab),
            "organization_ids": [getattr(world.org, member) for member in members],
        }
        assert call4("root", "POST", "/study", json=body).status_code == 201
    path = f"/collaboration/{world.collab.registry}"
    text = refused(call4("root", "DELETE", path), "delete_dependents")
    assert "4 tasks, 2 nodes and 1 study" in text
    assert call("root", "DELETE", path).status_code == 409
    path = f"/collaboration/{world.collab.nothing}"
    text = refused(call4("root", "DELETE", path), "delete_dependents")
    assert text.startswith(f"Collaboration id={world.collab.nothing} still has 1 study: ")
    scoped = line(f"user:{world.user.viewer}", "collaboration", "delete", effect="allow")
    add(call4, scoped)
    query = {"delete_dependents": "true"}
    assert call4("viewer", "DELETE", path, query=query).status_code == 403  # not that of a study
    assert call4("root", "DELETE", path, query=query).status_code == 200
    assert names(call4("root", "GET", "/study")) == ["study of registry"]


def test_what_hangs_on_a_collaboration_goes_with_it(call4, world):
    id, query = world.collab.registry, {"delete_dependents": "true"}
    assert call4("root", "DELETE", f"/collaboration/{id}", query=query).status_code == 200
    assert db.session.get(Collaboration, id) is None
    tasks = db.session.scalars(select(Task.name).order_by(Task.name)).all()
    assert tasks == ["killed", "waiting"]
    assert set(db.session.scalars(select(Result.task_id))) == {
        world.task.killed,
        world.task.waiting,
    }
    nodes = db.session.scalars(select(Node.name).order_by(Node.name)).all()
    assert nodes == ["south_trial", "west_trial"]


def test_each_deletion_is_decided(call4, world):
    scoped = line(f"user:{world.user.viewer}", "collaboration", "delete", effect="allow")
    add(call4, scoped)
    call4("viewer", "GET", "/organization")
    before = database_digest()
    path, query = f"/collaboration/{world.collab.registry}", {"delete_dependents": "true"}
    assert call4("viewer", "DELETE", path, query=query).status_code == 403
    assert database_digest() == before
    path = f"/collaboration/{world.collab.nothing}"
    assert call4("viewer", "DELETE", path).status_code == 200
