"""What the policy says, asked in a browser: the answers of the API, as pages and as files."""

import csv
import html
import io
import re
from xml.etree import ElementTree

import pytest

from tests.support import counting, store
from v6srv.policy.who.abilities import Somebody, Way, WhoCan
from v6srv.policy.who.spreadsheet import of_who_can

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

QUESTIONS = (
    "/policy",
    "/policy/version",
    "/policy/version/1",
    "/policy/line",
    "/policy/line/new",
    "/policy/explain",
    "/policy/who-can",
    "/policy/who-can.csv?operation=view&resource=task",
    "/policy/can",
    "/policy/can.csv?as=viewer",
    "/policy/matrix",
    "/policy/matrix.csv",
    "/policy/matrix.svg",
    "/policy/matrix/cell?role=viewer&resource=task&operation=view",
    "/policy/decision",
    "/policy/socket",
    "/policy/socket/1",
)


def test_who_may_not_view_the_policy_sees_nothing_of_it(visit, world):
    admin, root = visit("org_admin"), visit("root")
    for path in QUESTIONS:
        admin.get(path, status=403)
        root.get(path)
    assert '/console/policy"' not in admin.get("/")
    assert '/console/policy"' in root.get("/")


def test_a_denial_is_explained_as_the_api_does(visit, world, call):
    query = {
        "principal": f"user:{world.user.viewer}",
        "operation": "delete",
        "resource": "user",
        "id": world.user.org_admin,
    }
    page = html.unescape(visit("root").get("/policy/explain", **query))
    found = call("root", "GET", "/policy/explain", query=query).json
    assert not found["allowed"]
    assert f"may not delete user: user:{world.user.org_admin}" in page
    assert found["reason"] in page
    for line in found["lines"]:
        assert f"<code>{line['line']}</code> <small>{line['origin']}</small>" in page
        assert all(term["words"] in page for term in line["terms"])
    assert found["fix"]["line"] in page
    assert all(role["subject"] in page for role in found["fix"]["roles"])


def test_somebody_who_does_not_exist_is_explained(visit, world):
    root = visit("root")
    page = root.get(
        "/policy/explain", **{"as": "role:researcher, org:3"}, operation="create", resource="task"
    )
    assert "user:0 may create task" in page
    assert "matches some rows, <strong>decides</strong>" in page


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"as": "<b>x</b>"}, "&lt;b&gt;x&lt;/b&gt;"),
        ({"principal": "user:0"}, "There is no user:0"),
        ({"principal": "user:1", "id": "x"}, "id"),
        ({"principal": "user:1", "row": "{"}, "not valid JSON"),
        ({"principal": "user:1", "at": "soon"}, "no date or time"),
    ],
)
def test_what_cannot_be_asked_is_said(visit, world, query, says):
    asked = {"operation": "view", "resource": "task", **query}
    answer = visit("root").client.get("/console/policy/explain", query_string=asked)
    assert answer.status_code in (400, 404)
    assert says in answer.text
    assert "<b>x" not in answer.text


def test_who_can_is_what_the_api_says(visit, world, call):
    query = {"operation": "edit", "resource": "user", "id": world.user.viewer}
    root = visit("root")
    page = root.get("/policy/who-can", **query)
    found = call("root", "GET", "/policy/who-can", query=query).json
    assert found["ways"]
    assert f"{found['users']} users, {found['nodes']} nodes" in page
    rows = list(csv.DictReader(io.StringIO(root.get("/policy/who-can.csv", **query))))
    expected = [
        (who["subject"], who["name"], way["held"])
        for way in found["ways"]
        for who in way["principals"]
    ]
    assert [(row["subject"], row["name"], row["held"]) for row in rows] == expected
    for subject, _, held in expected:
        assert f">{subject}</a>" in page
        assert held in page


def test_what_can_is_what_the_api_says(visit, world, call):
    query = {"principal": f"user:{world.user.researcher}", "rows": "true", "limit": 3}
    root = visit("root")
    page, found = (
        root.get("/policy/can", **query),
        call("root", "GET", "/policy/can", query=query).json,
    )
    rows = list(csv.DictReader(io.StringIO(root.get("/policy/can.csv", **query))))
    assert len(rows) == len(found["abilities"]) == page.count('<th scope="row">')
    for row, one in zip(rows, found["abilities"], strict=True):
        assert (row["resource"], row["operation"]) == (
            one["reach"]["resource"],
            one["reach"]["operation"],
        )
        assert row["ids"] == " ".join(map(str, (one["rows"] or {"ids": []})["ids"]))


def test_no_spreadsheet_computes_the_name_of_a_user(visit, world):
    names = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", 'a","=1', "a\n=1"]
    people = tuple(Somebody("user", n, name) for n, name in enumerate(names))
    found = WhoCan("view", "task", "task", "", None, (Way("role:x", "-", (), people),), 7, 0, 0)
    rows = list(csv.DictReader(io.StringIO(of_who_can(found), newline="")))
    assert [row["name"] for row in rows] == [f"'{name}" for name in names[:5]] + names[5:]
    assert {row["role"] for row in rows} == {"-"}  # alone it is no formula
    store("user", world.user.viewer, username="=1+1")
    answer = visit("root").client.get(
        "/console/policy/who-can.csv", query_string={"operation": "view", "resource": "task"}
    )
    assert ",'=1+1," in answer.text
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_the_access_map_says_what_the_matrix_says(visit, world, call):
    root, found = visit("root"), call("root", "GET", "/policy/matrix").json["roles"]
    page = root.get("/policy/matrix", resource="task,user")
    [table] = re.findall(r"<table>.*?</table>", page, re.S)
    told = set(
        re.findall(r'cell\?role=([^&"]+)&amp;resource=(\w+)&amp;operation=(\w+)">([^<]+)<', table)
    )
    assert told
    for role, resource, operation, words in told:
        [row] = [one for one in found if one["holder"]["subject"] == role]
        [cell] = [
            c for c in row["cells"] if (c["resource"], c["operation"]) == (resource, operation)
        ]
        assert (words == "forbidden") == cell["forbidden"]
        assert (words == "nothing") == (
            not (cell["scope"] or cell["conditional"] or cell["denials"])
        )
        assert cell["scope"] is None or words.startswith(cell["scope"].replace("_", " "))
        assert ("under a condition" in words) == bool(cell["conditional_scope"])
    picture = ElementTree.fromstring(root.get("/policy/matrix.svg", resource="task,user"))
    titles = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(found) * 8
    assert {
        f"{role} {operation} {resource}: {words}" for role, resource, operation, words in told
    } <= {*titles}
    assert not list(picture.iter("{http://www.w3.org/2000/svg}a"))


def test_behind_a_cell_are_its_lines(visit, world, call):
    root = visit("root")
    line = {"subject": "role:viewer", "resource": "task", "scope": "own", "operation": "delete"}
    assert call("root", "POST", "/policy/line", json={**line, "effect": "deny"}).status_code == 201
    page = root.get("/policy/matrix/cell", role="viewer", resource="task", operation="delete")
    assert "some of it forbidden" in page
    assert "<small>db:casbin_rule:" in page
    assert "no role" in root.get(
        "/policy/matrix/cell", role="<b>", resource="task", operation="view", status=400
    )


def test_roles_of_the_map_come_in_parts(visit, world, monkeypatch):
    from v6srv.console import policy_question

    monkeypatch.setattr(policy_question, "ROLES", 5)
    root = visit("root")
    first, second = root.get("/policy/matrix"), root.get("/policy/matrix", page=2)
    assert "Roles 1 to 5" in first
    assert "Next roles" in first
    assert "Roles 6 to 10" in second
    assert "Roles 500" not in root.get("/policy/matrix", page=100)


def test_the_map_costs_as_many_statements_as_the_matrix(visit, world, call):
    root = visit("root")
    root.get("/policy/matrix")
    with counting() as pages:
        root.get("/policy/matrix")
    with counting() as api:
        call("root", "GET", "/policy/matrix")
    assert len(pages) <= len(api) + 3
