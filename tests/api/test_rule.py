"""/rule: what can be granted (rest.md 3.9, rules.csv)."""

import csv
from pathlib import Path

import pytest

RULES = Path(__file__).parents[1] / "contract" / "rules.csv"


def keys(answer):
    return [(rule["name"], rule["scope"], rule["operation"]) for rule in answer.json]


def test_every_user_reads_the_rules_of_the_contract_in_their_order(call, world):
    answer = call("nobody", "GET", "/rule")
    assert answer.status_code == 200
    with RULES.open() as file:
        rows = enumerate(csv.DictReader(file), start=1)
        expected = [(id, row["resource"], row["scope"], row["operation"]) for id, row in rows]
    assert [
        (rule["id"], rule["name"], rule["scope"], rule["operation"]) for rule in answer.json
    ] == expected
    assert set(answer.json[0]) == {"id", "name", "scope", "operation", "description", "users"}


def test_a_rule_names_the_users_that_hold_it_as_an_extra_rule(call, world):
    id = world.rule["task", "GLOBAL", "VIEW"]
    answer = call("viewer", "GET", f"/rule/{id}")
    assert answer.status_code == 200
    assert [user["id"] for user in answer.json["users"]] == [world.user.extra]
    other = world.rule["task", "GLOBAL", "CREATE"]
    assert call("viewer", "GET", f"/rule/{other}").json["users"] is None
    assert call("nobody", "GET", f"/rule/{id}").json["users"] is None  # may view itself only


def test_filters_narrow_the_list(call, world):
    query = {"name": "task", "scope": "GLOBAL", "operation": "VIEW"}
    assert keys(call("nobody", "GET", "/rule", query=query)) == [("task", "GLOBAL", "VIEW")]
    for nothing in ({"scope": "global"}, {"operation": "LOOK"}, {"name": "x"}):
        answer = call("nobody", "GET", "/rule", query=nothing)
        assert (answer.status_code, answer.json) == (200, [])
    query = {"role_id": world.role.helpers}
    assert keys(call("south_admin", "GET", "/rule", query=query)) == [
        ("user", "ORGANIZATION", "VIEW"),
        ("user", "ORGANIZATION", "EDIT"),
    ]
    assert keys(call("nobody", "GET", "/rule", query=query)) == []  # may not view that role


def test_rules_of_resources_that_3x_does_not_know_are_shown_when_asked_for(call, world):
    shown = {name for name, _, _ in keys(call("nobody", "GET", "/rule"))}
    assert "policy" not in shown
    found = call("nobody", "GET", "/rule", query={"name": "policy"})
    assert keys(found) == [
        ("policy", "GLOBAL", operation) for operation in ("VIEW", "CREATE", "EDIT", "DELETE")
    ]
    assert found.json[0]["id"] == 54
    assert call("nobody", "GET", "/rule/54").json["name"] == "policy"


def test_the_list_comes_in_pages(call, world):
    answer = call("nobody", "GET", "/rule", query={"page": 6, "include": "metadata"})
    assert len(answer.json["data"]) == 3
    assert answer.headers["total-count"] == "53"


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("north_registry", "/rule", 403),  # users only
        ("container", "/rule/1", 403),
        (None, "/rule", 401),
        ("nobody", "/rule/9999", 404),
        ("nobody", "/rule?role_id=x", 400),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_does_not_read_them(call, world, who, path, status):
    path, _, query = path.partition("?")
    assert call(who, "GET", path, query=query or None).status_code == status
