"""What /collaboration shows and refuses (rest.md 3.5, permissions.md 4.3)."""

import pytest

from tests.api.shared import names, opened_once
from tests.support import database_digest

_opened = opened_once


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ["nothing", "registry", "trial"]),
        ("collab_admin", ["nothing", "registry", "trial"]),
        ("viewer", ["registry"]),
        ("south_viewer", ["registry", "trial"]),
        ("east_viewer", []),
        ("north_registry", ["registry"]),
        ("south_trial", ["trial"]),  # not the other one of its organization
    ],
)
def test_a_list_shows_what_the_caller_may_view(call, world, who, seen):
    assert names(call(who, "GET", "/collaboration")) == seen


@pytest.mark.parametrize("who", ["nobody", "analyst", "container"])
def test_the_list_is_for_users_with_a_view_rule_and_nodes(call, world, who):
    assert call(who, "GET", "/collaboration").status_code == 403


@pytest.mark.parametrize("spelled", ["True", "true", "TRUE", "1"])
def test_a_filter_understands_every_spelling_of_true(call, world, spelled):
    """Q-11"""
    assert names(call("root", "GET", "/collaboration", query={"encrypted": spelled})) == ["trial"]


@pytest.mark.parametrize("spelled", ["False", "false", "0"])
def test_a_filter_understands_every_spelling_of_false(call, world, spelled):
    """Q-11"""
    answer = call("root", "GET", "/collaboration", query={"encrypted": spelled})
    assert names(answer) == ["nothing", "registry"]


def test_filters_narrow_the_list(call, world):
    assert names(call("root", "GET", "/collaboration", query={"name": "%r%"})) == [
        "registry",
        "trial",
    ]
    assert call("root", "GET", "/collaboration", query={"encrypted": "perhaps"}).status_code == 400


def test_the_collaborations_of_another_organization_are_for_those_who_view_all(call, world):
    of_south = {"organization_id": world.org.south}
    assert names(call("root", "GET", "/collaboration", query=of_south)) == ["registry", "trial"]
    assert call("viewer", "GET", "/collaboration", query=of_south).status_code == 403
    of_north = {"organization_id": world.org.north}
    assert names(call("viewer", "GET", "/collaboration", query=of_north)) == ["registry"]


@pytest.mark.parametrize(
    ("who", "collab", "status"),
    [
        ("root", "trial", 200),
        ("viewer", "registry", 200),
        ("viewer", "trial", 403),
        ("north_registry", "registry", 200),
        ("north_registry", "trial", 403),
        ("container", "registry", 200),
        ("container", "trial", 403),
        ("container:running@south_registry", "trial", 403),  # its organization is a member
        ("nobody", "registry", 403),
    ],
)
def test_one_collaboration(call, world, who, collab, status):
    answer = call(who, "GET", f"/collaboration/{getattr(world.collab, collab)}")
    assert answer.status_code == status
    if status == 200:
        assert answer.json["encrypted"] is (collab == "trial")


def new(world, **changes):
    return {"name": "new", "organization_ids": [world.org.north, world.org.east], **changes}


@pytest.mark.parametrize("who", ["viewer", "org_admin", "collab_admin", "north_registry"])
def test_only_who_may_create_creates(call, world, who):
    # Nobody without the right learns which names exist.
    answer = call(who, "POST", "/collaboration", json=new(world, name="trial"))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"name": "trial"}, 400, "name"),
        ({"name": ""}, 400, "name"),
        ({"name": None}, 400, "name"),
        ({"organization_ids": []}, 400, "organization_ids"),
        ({"organization_ids": None}, 400, "organization_ids"),
        ({"organization_ids": ["x"]}, 400, "organization_ids"),
        ({"encrypted": "perhaps"}, 400, "encrypted"),
        ({"organization_ids": [9999]}, 404, None),  # not dropped silently
    ],
)
def test_a_bad_collaboration_is_refused_and_not_stored(call, world, changes, status, field):
    call("root", "GET", "/collaboration")
    before = database_digest()
    answer = call("root", "POST", "/collaboration", json=new(world, **changes))
    assert answer.status_code == status
    assert field is None or field in answer.json["errors"]
    assert database_digest() == before


@pytest.mark.parametrize("who", ["viewer", "org_admin", "north_registry"])
def test_only_who_may_edit_edits(call, world, who):
    path = f"/collaboration/{world.collab.registry}"
    assert call(who, "PATCH", path, json={"name": "mine"}).status_code == 403


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "registry"}, 400),
        ({"name": ""}, 400),
        ({"encrypted": "perhaps"}, 400),
        ({"organization_ids": [1, 9999]}, 404),
        ({"organization_ids": "x"}, 400),
    ],
)
def test_a_bad_change_is_refused_and_nothing_of_it_stored(call, world, changes, status):
    call("root", "GET", "/collaboration")
    before = database_digest()
    body = {"encrypted": False, **changes}
    answer = call("root", "PATCH", f"/collaboration/{world.collab.trial}", json=body)
    assert answer.status_code == status
    assert database_digest() == before


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("root", 200),
        ("viewer", 200),
        ("container", 200),
        ("north_registry", 200),
        ("west_researcher", 403),
        ("nobody", 403),
    ],
)
def test_who_may_view_a_collaboration_may_view_its_members(call, world, who, status):
    answer = call(who, "GET", f"/collaboration/{world.collab.registry}/organization")
    assert answer.status_code == status
    if status == 200:
        assert names(answer) == ["north", "south"]
        assert answer.headers["total-count"] == "2"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_bad_changes_of_members(call, world, method):
    path = f"/collaboration/{world.collab.registry}/organization"
    call("root", "GET", path)
    before = database_digest()
    assert call("root", method, path, json={"id": 9999}).status_code == 404
    for body in ({}, {"id": None}, {"id": "x"}, {"id": True}, {"id": 2**40}, []):
        assert call("root", method, path, json=body).status_code == 400
    assert call("org_admin", method, path, json={"id": world.org.east}).status_code == 403
    assert call("north_registry", method, path, json={"id": world.org.east}).status_code == 403
    if method == "DELETE":
        assert call("root", method, path, json={"id": world.org.east}).status_code == 400
    assert database_digest() == {**before}


def test_who_may_view_a_collaboration_may_view_its_nodes(call, world):
    path = f"/collaboration/{world.collab.registry}/node"
    answer = call("viewer", "GET", path)
    assert names(answer) == ["north_registry", "south_registry"]
    assert set(answer.json[0]) == {
        "id",
        "name",
        "status",
        "ip",
        "last_seen",
        "organization",
        "config",
    }
    assert names(call("north_registry", "GET", path)) == ["north_registry", "south_registry"]
    for who in ("west_trial", "container", "west_researcher"):
        assert call(who, "GET", path).status_code == 403


@pytest.mark.parametrize(
    ("node", "status"),
    [
        ("north_registry", 400),  # here already
        ("south_trial", 400),  # its organization has another node here
        ("west_trial", 400),  # its organization is no member
        (None, 404),
    ],
)
def test_a_node_that_does_not_fit_stays_where_it_is(call, world, node, status):
    path = f"/collaboration/{world.collab.registry}/node"
    call("root", "GET", path)
    before = database_digest()
    id = getattr(world.node, node) if node else world.user.viewer  # an account, but no node
    assert call("root", "POST", path, json={"id": id}).status_code == status
    assert call("org_admin", "POST", path, json={"id": id}).status_code == 403
    assert database_digest() == before


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("root", 200),
        ("viewer", 200),
        ("analyst", 200),  # task view is all it takes
        ("north_registry", 200),
        ("west_researcher", 403),
        ("container", 403),
        ("nobody", 403),
    ],
)
def test_the_tasks_of_a_collaboration(call, world, who, status):
    answer = call(who, "GET", f"/collaboration/{world.collab.registry}/task")
    assert answer.status_code == status
    if status == 200:
        assert [row["name"] for row in answer.json] == ["finished", "running", "failed", "subtask"]
