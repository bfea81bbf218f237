"""Lines of the database, in a browser."""

import re

import pytest

from tests.support import counting

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

DENIAL = {
    "ptype": "p",
    "subject": "role:viewer",
    "resource": "task",
    "scope": "global",
    "operation": "view",
    "condition": "",
    "effect": "deny",
    "valid_from": "",
    "valid_until": "2100-01-01",
    "comment": "<b>why</b>",
}


def test_a_line_is_added_changed_and_removed(visit, world, call):
    root = visit("root")
    page = root.sent("/policy/line/new", DENIAL)
    [line] = call("root", "GET", "/policy/line").json
    assert f"{line['origin']} has been added." in page
    assert line["line"] in page
    assert "&lt;b&gt;why&lt;/b&gt;" in page
    assert (line["valid_from"], line["valid_until"][:10]) == (None, "2100-01-02")
    assert call("viewer", "GET", "/task").json == []

    form = root.get(f"/policy/line/{line['id']}/edit")
    sent = dict(re.findall(r'<input id="(\w+)" name="\w+" type="text" value="([^"]*)"', form))
    selected = re.findall(r'<select id="(\w+)".*?<option selected>([^<]+)<', form, re.S)
    assert dict(selected) == {n: DENIAL[n] for n in ("resource", "scope", "operation", "effect")}
    root.sent(f"/policy/line/{line['id']}/edit", {**sent, **dict(selected), "comment": ""})
    [same] = call("root", "GET", "/policy/line").json
    assert same == {**line, "comment": None}  # the form held what there was
    root.sent(f"/policy/line/{line['id']}/edit", {"effect": "allow", "valid_until": ""})
    [changed] = call("root", "GET", "/policy/line").json
    assert (changed["effect"], changed["valid_until"]) == ("allow", None)
    assert call("viewer", "GET", "/task").json != []

    assert "has been removed" in root.sent(f"/policy/line/{line['id']}/delete")
    assert call("root", "GET", "/policy/line").json == []


def test_somebody_is_put_into_a_role(visit, world, call):
    root, member = visit("root"), f"user:{world.user.nobody}"
    assert call("nobody", "GET", "/task").status_code == 403
    root.sent("/policy/line/new", {"ptype": "g", "member": member, "role": "role:viewer"})
    assert call("nobody", "GET", "/task").status_code == 200
    assert "role:viewer" in root.get("/policy/line")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"resource": "tsk"}, "tsk"),
        ({"condition": "r.obj.nothing == 1"}, "condition"),
        ({"valid_until": "soon"}, "Not a date or time"),
        ({"subject": "user:999999"}, "There is no user:999999"),
        ({"subject": ""}, "subject"),
        ({"ptype": "q"}, "ptype"),
        ({"comment": "x" * 20_000}, "comment"),
    ],
)
def test_a_line_that_cannot_be_is_refused_as_by_the_api(visit, world, call, changed, says):
    answer = visit("root").post("/policy/line/new", {**DENIAL, **changed})
    assert answer.status_code == 400
    assert says in answer.text
    assert call("root", "GET", "/policy/line").json == []


def test_who_may_only_look_is_offered_nothing_and_refused(visit, world, call):
    line = {"subject": f"user:{world.user.viewer}", "resource": "policy", "scope": "global"}
    line |= {"operation": "view", "effect": "allow"}
    id = call("root", "POST", "/policy/line", json=line).json["id"]
    viewer = visit("viewer")
    page = viewer.get("/policy/line")
    assert f"user:{world.user.viewer}, policy" in page
    for offer in ("New line", ">Edit<", ">Remove<"):
        assert offer not in page
    viewer.get("/policy/line/new", status=403)
    viewer.get(f"/policy/line/{id}/edit", status=403)
    for path in ("new", f"{id}/edit", f"{id}/delete"):
        assert viewer.post(f"/policy/line/{path}", DENIAL).status_code == 403
    assert len(call("root", "GET", "/policy/line").json) == 1


def test_the_list_costs_as_many_statements_as_that_of_the_api(visit, world, call):
    root = visit("root")
    for operation in ("view", "edit", "delete"):
        root.sent("/policy/line/new", {**DENIAL, "operation": operation, "comment": operation})
    root.get("/policy/line")
    with counting() as pages:
        page = root.get("/policy/line")
    with counting() as api:
        call("root", "GET", "/policy/line", query={"page": 1})
    assert page.count(">Remove<") == 3
    assert len(pages) <= len(api) + 2  # what may be changed, and what removed
