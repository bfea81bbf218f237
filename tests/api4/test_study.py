"""/study (rest.md 3.4 of the 4.x contract)."""

import pytest
from sqlalchemy import select

from tests.api4.shared import data, names, refused
from v6srv.db import session, transaction
from v6srv.model import Organization, Study, Task


@pytest.fixture
def study(app, world):
    """The ids of studies by name: of both members of `registry`, of one, and one of `trial`."""
    members = {
        "pilot": ("registry", ("north", "south")),
        "alone": ("registry", ("south",)),
        "other": ("trial", ("west",)),
    }
    with app.app_context(), transaction() as sess:
        rows = {}
        for name, (collaboration, organizations) in members.items():
            found = [sess.get_one(Organization, getattr(world.org, one)) for one in organizations]
            rows[name] = Study(
                name=name,
                collaboration_id=getattr(world.collab, collaboration),
                organizations=found,
            )
        sess.add_all(rows.values())
    return {name: row.id for name, row in rows.items()}


def _body(world, **more):
    members = [world.org.north, world.org.south]
    return {
        "name": "new",
        "collaboration_id": world.collab.registry,
        "organization_ids": members,
        **more,
    }


def _members(app, id):
    with app.app_context():
        return sorted(one.name for one in session.get_one(Study, id).organizations)


# --- read


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ["alone", "other", "pilot"]),
        ("viewer", ["pilot"]),
        ("collab_admin", ["alone", "pilot"]),
        ("south_viewer", ["alone", "pilot"]),
        ("west_researcher", ["other"]),
        ("east_viewer", []),
        ("north_registry", ["pilot"]),
        ("container", ["pilot"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, study, who, seen):
    assert names(call4(who, "GET", "/study")) == seen
    for name, id in study.items():
        found = call4(who, "GET", f"/study/{id}").status_code
        assert found == (200 if name in seen else 403)


def test_the_form_is_that_of_the_contract(call4, world, study):
    id, collaboration = study["pilot"], world.collab.registry
    plain = call4("root", "GET", f"/study/{id}").json
    link = plain.pop("collaboration")
    assert (link["id"], link["link"]) == (collaboration, f"/v4/api/collaboration/{collaboration}")
    assert plain == {
        "id": id,
        "name": "pilot",
        "organizations": f"/v4/api/organization?study_id={id}",
        "tasks": f"/v4/api/task?study_id={id}",
    }
    with_members = {"include": "organizations"}
    by_id = call4("root", "GET", f"/study/{id}", query=with_members).json
    [listed] = data(call4("root", "GET", "/study", query={**with_members, "name": "pilot"}))
    assert by_id == listed
    assert [one["name"] for one in by_id["organizations"]] == ["north", "south"]
    assert (
        by_id["organizations"][0] == call4("root", "GET", f"/organization/{world.org.north}").json
    )


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"name": "p%"}, ["pilot"]),
        ({"organization_id": "south"}, ["alone", "pilot"]),
        ({"collaboration_id": "trial"}, ["other"]),
        ({"sort": "-name", "per_page": 1}, ["pilot"]),
    ],
)
def test_the_list_is_filtered(call4, world, study, query, seen):
    places = {**vars(world.org), **vars(world.collab)}
    asked = {name: places.get(value, value) for name, value in query.items()}
    assert names(call4("root", "GET", "/study", query=asked)) == seen


def test_a_filter_by_a_collaboration_that_one_may_not_view(call4, world, study):
    def of(who, id):
        return call4(who, "GET", "/study", query={"collaboration_id": id}).status_code

    assert of("viewer", world.collab.trial) == 403
    assert of("root", 99) == 400


def test_other_lists_are_filtered_by_a_study(call4, world, study):
    for path, seen in (("/organization", ["south"]), ("/node", ["south_registry"])):
        query = {"study_id": study["alone"]}
        assert names(call4("root", "GET", path, query=query)) == seen
        assert call4("viewer", "GET", path, query=query).status_code == 403
        assert call4("root", "GET", path, query={"study_id": 99}).status_code == 400
    asked = {"study_id": study["pilot"]}
    assert names(call4("container", "GET", "/organization", query=asked)) == ["north", "south"]


# --- make


@pytest.mark.parametrize("who", ["root", "collab_admin"])
def test_a_study_is_made(app, call4, world, who):
    made = call4(who, "POST", "/study", json=_body(world))
    assert made.status_code == 201, made.json
    assert [one["name"] for one in made.json["organizations"]] == ["north", "south"]
    assert made.json["collaboration"]["id"] == world.collab.registry
    assert _members(app, made.json["id"]) == ["north", "south"]


@pytest.mark.parametrize("who", ["viewer", "researcher", "north_registry", "container"])
def test_who_may_not_make_studies(call4, world, who):
    assert call4(who, "POST", "/study", json=_body(world)).status_code == 403


def test_a_study_of_a_collaboration_that_is_not_the_own(call4, world):
    trial = _body(world, collaboration_id=world.collab.trial)
    assert call4("collab_admin", "POST", "/study", json=trial).status_code == 403
    unknown = _body(world, collaboration_id=99)
    assert call4("collab_admin", "POST", "/study", json=unknown).status_code == 403
    assert call4("root", "POST", "/study", json=unknown).status_code == 404


def test_members_are_members_of_the_collaboration(call4, world):
    body = _body(world, organization_ids=[world.org.north, world.org.west, 99])
    said = refused(call4("collab_admin", "POST", "/study", json=body))
    assert f"{world.org.west}, 99" in said


def test_names_are_taken_once(call4, world, study):
    assert refused(call4("root", "POST", "/study", json=_body(world, name="other")), "name")
    path = f"/study/{study['pilot']}"
    assert refused(call4("root", "PATCH", path, json={"name": "other"}), "name")
    assert refused(call4("root", "PATCH", path, json={"name": "12"}), "name")
    assert call4("root", "PATCH", path, json={"name": "pilot"}).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", ""),
        ("name", "123"),
        ("collaboration_id", None),
        ("collaboration_id", "x"),
        ("organization_ids", None),
        ("organization_ids", []),
        ("organization_ids", [2, 2]),
        ("organization_ids", "x"),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(call4, world, field, value):
    refused(call4("root", "POST", "/study", json=_body(world, **{field: value})), field)


# --- change


def test_what_is_given_changes(app, call4, world, study):
    path = f"/study/{study['pilot']}"
    changed = call4("collab_admin", "PATCH", path, json={"name": "renamed"})
    assert (changed.status_code, changed.json["name"]) == (200, "renamed")
    assert len(changed.json["organizations"]) == 2
    members = {"organization_ids": [world.org.south], "name": None}
    fewer = call4("root", "PATCH", path, json=members)
    assert [one["name"] for one in fewer.json["organizations"]] == ["south"]
    assert (fewer.json["name"], _members(app, study["pilot"])) == ("renamed", ["south"])
    strangers = {"organization_ids": [world.org.west]}
    assert call4("root", "PATCH", path, json=strangers).status_code == 400
    assert _members(app, study["pilot"]) == ["south"]


@pytest.mark.parametrize("who", ["viewer", "researcher", "north_registry"])
def test_who_may_not_change_studies(app, call4, world, study, who):
    id = study["pilot"]
    for method, path, body in (
        ("PATCH", f"/study/{id}", {"name": "x"}),
        ("DELETE", f"/study/{id}", None),
        ("POST", f"/study/{id}/organization", {"id": world.org.north}),
        ("DELETE", f"/study/{id}/organization", {"id": world.org.north}),
    ):
        assert call4(who, method, path, json=body).status_code == 403
    assert _members(app, id) == ["north", "south"]


def test_organizations_come_and_go(app, call4, world, study):
    id = study["alone"]
    path = f"/study/{id}/organization"
    for _ in range(2):
        all_ = call4("collab_admin", "POST", path, json={"id": world.org.north})
        assert (all_.status_code, [one["name"] for one in all_.json]) == (200, ["north", "south"])
    left = call4("collab_admin", "DELETE", path, json={"id": world.org.south})
    assert [one["name"] for one in left.json] == ["north"]
    assert _members(app, id) == ["north"]
    assert call4("root", "DELETE", path, json={"id": world.org.south}).status_code == 404
    assert call4("root", "POST", path, json={"id": world.org.west}).status_code == 400
    assert call4("root", "POST", path, json={"id": 99}).status_code == 404
    assert call4("root", "POST", "/study/99/organization", json={"id": 1}).status_code == 404


# --- remove


def test_a_study_goes(app, call4, study):
    gone = call4("collab_admin", "DELETE", f"/study/{study['pilot']}")
    assert (gone.status_code, isinstance(gone.json["msg"], str)) == (200, True)
    assert call4("root", "GET", f"/study/{study['pilot']}").status_code == 404


def test_a_study_with_tasks_goes_only_with_them(app, call4, world, study):
    with app.app_context(), transaction() as sess:
        sess.get_one(Task, world.task.finished).study_id = study["pilot"]
    path = f"/study/{study['pilot']}"
    assert "delete_dependents" in refused(call4("root", "DELETE", path), "delete_dependents")
    gone = call4("root", "DELETE", path, query={"delete_dependents": "True"})
    assert gone.status_code == 200, gone.json
    with app.app_context():
        kept = session.scalars(select(Task.id)).all()
        assert world.task.finished not in kept
        assert world.task.running in kept
