"""Pages of collaborations."""

import re

import pytest

from tests.api.test_policy_line_rest import add, line
from v6srv.model import Collaboration, Node

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def _names(call, who, path):
    return {row["name"] for row in call(who, "GET", path).json}


@pytest.mark.parametrize("who", ["viewer", "collab_admin", "root"])
def test_the_list_has_what_rest_answers(visit, world, call, who):
    page = visit(who).get("/collaboration")
    assert set(re.findall(r"/collaboration/\d+\">([^<]+)<", page)) == _names(
        call, who, "/collaboration"
    )
    assert ("New collaboration" in page) == (who == "root")
    assert "1 of 2 online" in page


@SQLITE
def test_who_may_view_none_is_refused(visit, world):
    assert "decision" in visit("nobody").get("/collaboration", status=403)


def test_a_page_says_who_is_there_and_who_has_no_node(visit, world, call):
    path = f"/collaboration/{world.collab.registry}"
    page = visit("viewer").get(path)
    shown = re.findall(r'class="node state \w+"[^>]*>(\w+) · ', page)
    assert shown == [node["name"] for node in call("viewer", "GET", f"{path}/node").json]
    assert "1 of 2 nodes online" in page
    assert f'hx-get="/console{path}/node"' in page
    assert "1 of 2 nodes online" in visit("viewer").get(f"{path}/node")
    assert "north_registry · online" in page
    assert "south_registry · offline" in page
    assert f"/node/{world.node.north_registry}" in page
    assert f"/node/{world.node.south_registry}" not in page
    assert "nothing can be computed" not in page
    page = visit("root").get(f"/collaboration/{world.collab.nothing}")
    assert "0 of 0 nodes online" in page
    assert re.search(r"nothing can be computed there:\s+west\.", page)
    assert "Register a node" in page


@SQLITE
def test_what_is_not_allowed_is_neither_offered_nor_done(visit, world, app):
    viewer, path = visit("viewer"), f"/collaboration/{world.collab.registry}"
    page = viewer.get(path)
    for offered in ("Edit", "Delete", "Take out", "Add as a member", "New study", "Register"):
        assert offered not in page
    member = {"id": world.org.east}
    viewer.get(f"{path}/edit", status=403)
    viewer.get(f"{path}/delete", status=403)
    viewer.get("/collaboration/new", status=403)
    assert viewer.post(f"{path}/edit", {"name": "mine"}).status_code == 403
    assert viewer.post(f"{path}/member", member).status_code == 403
    assert viewer.post(f"{path}/member/remove", {"id": world.org.south}).status_code == 403
    assert viewer.post(f"{path}/delete", {"delete_dependents": "true"}).status_code == 403
    form = {"name": "x", "encrypted": "true", "organization_ids": [world.org.north]}
    assert viewer.post("/collaboration/new", form).status_code == 403
    with app.app_context():
        row = Collaboration.get(world.collab.registry)
        assert (row.name, len(row.organizations)) == ("registry", 2)


@SQLITE
def test_one_is_added_changed_and_removed(visit, world, app):
    root = visit("root")
    form = {
        "name": '<b>Far & "Away"</b>',
        "encrypted": "true",
        "organization_ids": [world.org.north, world.org.east],
    }
    page = root.sent("/collaboration/new", form)
    assert "<b>Far" not in page
    assert "readable at both ends only" in page
    with app.app_context():
        id = Collaboration.find_by_name(form["name"]).id
    page = root.sent(f"/collaboration/{id}/edit", {"name": "Near", "encrypted": "false"})
    assert "Near has been changed" in page
    assert "readable at both ends only" not in page
    page = root.sent(f"/collaboration/{id}/member", {"id": world.org.south})
    assert "that you may view (3)" in page
    page = root.sent(f"/collaboration/{id}/member/remove", {"id": world.org.east})
    assert "that you may view (2)" in page
    assert "Nothing else goes with it" in root.get(f"/collaboration/{id}/delete")
    assert "Near has been removed" in root.sent(f"/collaboration/{id}/delete")
    root.get(f"/collaboration/{id}", status=404)


@SQLITE
def test_a_form_cannot_replace_all_members_at_once(visit, world, app):
    path = f"/collaboration/{world.collab.registry}/edit"
    visit("root").sent(path, {"name": "registry", "organization_ids": [world.org.east]})
    with app.app_context():
        members = Collaboration.get(world.collab.registry).get_organization_ids()
    assert members == [world.org.north, world.org.south]


def test_what_goes_with_it_is_counted_and_goes_only_when_told(visit, world, app):
    root, path = visit("root"), f"/collaboration/{world.collab.trial}/delete"
    page = root.get(path)
    assert "2 tasks" in page
    assert "2 nodes" in page
    assert "of which you may delete" not in page
    assert "still has 2 tasks and 2 nodes" in root.sent(path, status=409)
    with app.app_context():
        assert Collaboration.get(world.collab.trial) is not None
    assert "trial has been removed" in root.sent(path, {"delete_dependents": "true"})
    with app.app_context():
        assert Node.get(world.node.west_trial) is None


@SQLITE
def test_who_may_not_delete_all_of_it_is_told_before(visit, world, call):
    for operation in ("view", "delete"):
        add(call, line(f"user:{world.user.analyst}", "collaboration", operation, effect="allow"))
    page = visit("analyst").get(f"/collaboration/{world.collab.registry}/delete")
    assert "nodes that you may not view" in page
    assert "none of which you may delete" in page


def test_a_page_costs_no_more_with_more_rows(visit, world, count_queries):
    root = visit("root")
    few, many = f"/collaboration/{world.collab.nothing}", f"/collaboration/{world.collab.trial}"
    root.get(few)
    costs = []
    for path in (few, many):
        with count_queries() as statements:
            root.get(path)
        costs.append(len(statements))
    assert costs[0] + 1 >= costs[1]


@SQLITE
def test_the_list_costs_as_much_as_that_of_rest(visit, world, call, count_queries):
    root = visit("root")
    root.get("/collaboration")
    call("root", "GET", "/collaboration", query={"page": 1})
    with count_queries() as of_page:
        root.get("/collaboration")
    with count_queries() as of_rest:
        call("root", "GET", "/collaboration", query={"page": 1})
    assert len(of_page) <= len(of_rest) + 1  # how many nodes are online


@SQLITE
def test_what_is_read_for_a_page_does_not_grow_with_the_tasks(visit, world, count_queries):
    """The page asks again every few seconds; of 3.x it would read the id of every task."""
    root = visit("root")
    with count_queries() as statements:
        root.get("/collaboration")
        root.get(f"/collaboration/{world.collab.registry}")
    assert not [one for one in statements if re.search(r"(FROM|JOIN) (task|result)\b", one)]
