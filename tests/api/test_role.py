"""/role and the rules of a role (rest.md 3.9, permissions.md 5.2 and 5.3)."""

import pytest

from v6srv import db
from v6srv.model import Role

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
DEFAULTS = [
    "Root",
    "container",
    "node",
    "Viewer",
    "Researcher",
    "Organization Admin",
    "Collaboration Admin",
]
NEW = {"name": "auditors", "description": "Look only"}


@pytest.fixture
def stored(app):
    """What is stored of a role: name, description and rule ids; None when there is none."""

    def read(id):
        with app.app_context():
            role = db.session.get(Role, id)
            return role and (role.name, role.description, sorted(rule.id for rule in role.rules))

    return read


def names(answer):
    return [role["name"] for role in answer.json]


# --- view


def test_a_role_has_the_form_of_the_contract(call, world):
    answer = call("root", "GET", f"/role/{world.role.analysts}")
    assert answer.status_code == 200
    assert set(answer.json) == {"id", "name", "description", "organization", "rules", "users"}
    assert answer.json["organization"]["id"] == world.org.north
    assert [rule["id"] for rule in answer.json["rules"]] == sorted(
        world.rule[key]
        for key in (
            ("task", "ORGANIZATION", "VIEW"),
            ("task", "ORGANIZATION", "CREATE"),
            ("result", "ORGANIZATION", "VIEW"),
        )
    )
    assert [user["id"] for user in answer.json["users"]] == [world.user.analyst]
    server_wide = call("root", "GET", f"/role/{world.role.root}").json
    assert server_wide["organization"] is None
    assert len(server_wide["rules"]) == 53
    assert call("root", "GET", f"/role/{world.role.empty}").json["rules"] is None


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", [*DEFAULTS, "analysts", "helpers", "empty"]),
        ("viewer", [*DEFAULTS, "analysts", "empty"]),  # own organization and server-wide
        ("south_viewer", [*DEFAULTS, "helpers"]),
        ("analyst", ["analysts"]),  # without a view rule: the own roles
        ("nobody", []),  # never refused
    ],
)
def test_a_list_holds_the_roles_that_each_may_see(call, world, who, seen):
    answer = call(who, "GET", "/role")
    assert answer.status_code == 200
    assert names(answer) == seen


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [
        ("root", "helpers", 200),
        ("viewer", "analysts", 200),
        ("viewer", "helpers", 403),
        ("analyst", "analysts", 200),  # one's own
        ("analyst", "empty", 403),
        ("nobody", "analysts", 403),
        ("root", "none", 404),
        ("north_registry", "node", 403),  # users only
        ("container", "container", 403),
        (None, "viewer", 401),
    ],
)
@SQLITE
def test_who_sees_which_role(call, world, who, role, status):
    id = getattr(world.role, role, 9999)
    assert call(who, "GET", f"/role/{id}").status_code == status


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "anal%"}, ["analysts"]),
        ({"name": ["analysts", "Viewer"]}, ["Viewer", "analysts"]),
        ({"name": "anal"}, []),
        ({"description": "%helpers%"}, ["helpers"]),
        ({"organization_id": ["north"]}, ["analysts", "empty"]),
        ({"organization_id": ["north", "south"]}, ["analysts", "helpers", "empty"]),
        ({"organization_id": ["south"], "include_root": "True"}, [*DEFAULTS, "helpers"]),
        ({"organization_id": ["south"], "include_root": "False"}, ["helpers"]),
        ({"include_root": "True", "name": "helpers"}, ["helpers"]),
        ({"rule_id": ("task", "ORGANIZATION", "CREATE"), "name": "a%"}, ["analysts"]),
        ({"user_id": "analyst"}, ["analysts"]),
        ({"user_id": "nobody"}, []),
    ],
)
def test_filters_narrow_the_list(call, world, query, found):
    sent = dict(query)
    if "organization_id" in sent:
        sent["organization_id"] = [getattr(world.org, name) for name in sent["organization_id"]]
    if "rule_id" in sent:
        sent["rule_id"] = world.rule[sent["rule_id"]]
    if "user_id" in sent:
        sent["user_id"] = getattr(world.user, sent["user_id"])
    assert names(call("root", "GET", "/role", query=sent)) == found


@pytest.mark.parametrize(
    "query", [{"organization_id": "x"}, {"rule_id": "x"}, {"include_root": "x"}]
)
@SQLITE
def test_filters_that_mean_nothing_are_400(call, world, query):
    assert call("root", "GET", "/role", query=query).status_code == 400


# --- create


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("root", {"organization_id": "west", "rules": [("node", "GLOBAL", "VIEW")]}, 201),
        ("org_admin", {"rules": [("task", "ORGANIZATION", "VIEW")]}, 201),
        ("org_admin", {"organization_id": None, "rules": None}, 201),
        ("org_admin", {"organization_id": 0}, 201),
        ("org_admin", {"organization_id": "north"}, 201),
        ("org_admin", {"organization_id": "south"}, 403),  # another organization
        ("org_admin", {"rules": [("task", "GLOBAL", "VIEW")]}, 403),  # not held
        ("researcher", {}, 403),
        ("north_registry", {}, 403),
        (None, {}, 401),
        ("root", {"rules": [9999]}, 404),
        ("root", {"organization_id": 9999}, 404),
        ("root", {"name": "Viewer"}, 400),  # reserved
        ("root", {"name": "node"}, 400),
        ("root", {"name": ""}, 400),
        ("root", {"name": None}, 400),
        ("root", {"description": None}, 400),
        ("root", {"rules": "x"}, 400),
        ("root", {"organization_id": "x"}, 400),
    ],
)
@SQLITE
def test_who_may_create_which_role(call, world, who, body, status):
    sent = {**NEW, **body}
    if isinstance(sent.get("organization_id"), str):
        sent["organization_id"] = getattr(world.org, sent["organization_id"], "x")
    if isinstance(sent.get("rules"), list):
        sent["rules"] = [world.rule.get(key, key) for key in sent["rules"]]
    answer = call(who, "POST", "/role", json=sent)
    assert answer.status_code == status
    assert names(call("root", "GET", "/role", query={"name": "auditors"})) == (
        ["auditors"] if status == 201 else []
    )
    if status == 201:
        assert answer.json["organization"]["id"] == (
            (body.get("organization_id") and (sent["organization_id"])) or world.org.north
        )


def test_a_new_role_works_at_once(call, world):
    rule = world.rule["task", "ORGANIZATION", "VIEW"]
    assert call("nobody", "GET", "/task").status_code == 403
    role = call("org_admin", "POST", "/role", json={**NEW, "rules": [rule]}).json["id"]
    user = {"roles": [role]}
    assert call("org_admin", "PATCH", f"/user/{world.user.nobody}", json=user).status_code == 200
    assert call("nobody", "GET", "/task").status_code == 200
    assert call("org_admin", "PATCH", f"/role/{role}", json={"rules": []}).status_code == 200
    assert call("nobody", "GET", "/task").status_code == 403


# --- change


@pytest.mark.parametrize(
    ("who", "role", "body", "status"),
    [
        ("org_admin", "analysts", {"name": "analysers"}, 200),
        ("org_admin", "analysts", {"name": None, "description": None, "rules": None}, 200),
        ("org_admin", "analysts", {"rules": [("task", "ORGANIZATION", "VIEW")]}, 200),
        ("org_admin", "analysts", {"rules": []}, 200),
        ("org_admin", "analysts", {"rules": [("task", "GLOBAL", "VIEW")]}, 403),
        ("org_admin", "analysts", {"rules": [9999]}, 404),
        ("org_admin", "analysts", {"rules": "x"}, 400),
        ("org_admin", "analysts", {"name": ""}, 400),
        ("org_admin", "analysts", {"name": "Root"}, 400),  # reserved
        ("org_admin", "helpers", {"name": "x"}, 403),  # of another organization
        ("root", "helpers", {"name": "x"}, 200),
        ("researcher", "analysts", {"name": "x"}, 403),
        ("analyst", "analysts", {"name": "x"}, 403),
        ("root", "none", {"name": "x"}, 404),
        ("root", "viewer", {"description": "x"}, 400),  # default roles stay as they are
        ("root", "root", {"rules": []}, 400),
        ("org_admin", "viewer", {"description": "x"}, (400, 403)),
        (None, "analysts", {"name": "x"}, 401),
    ],
)
@SQLITE
def test_who_may_change_which_role(call, world, stored, who, role, body, status):
    id = getattr(world.role, role, 9999)
    before = stored(id)
    sent = dict(body)
    if isinstance(sent.get("rules"), list):
        sent["rules"] = [world.rule.get(key, key) for key in sent["rules"]]
    if status != 200:
        sent.setdefault("description", "must not be stored")
    answer = call(who, "PATCH", f"/role/{id}", json=sent)
    assert answer.status_code in (status if isinstance(status, tuple) else (status,))
    name, description, rules = before or (None, None, None)
    if status == 200:
        name = sent.get("name") or name
        rules = rules if sent.get("rules") is None else sorted(sent["rules"])
        assert stored(id) == (name, description, rules)
    else:
        assert stored(id) == before


# --- delete


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [
        ("org_admin", "analysts", 200),
        ("root", "helpers", 200),
        ("org_admin", "helpers", 403),
        ("researcher", "analysts", 403),
        ("root", "node", 400),  # default roles stay
        ("root", "viewer", 400),
        ("root", "none", 404),
        (None, "analysts", 401),
    ],
)
@SQLITE
def test_who_may_delete_which_role(call, world, stored, who, role, status):
    id = getattr(world.role, role, 9999)
    before = stored(id)
    answer = call(who, "DELETE", f"/role/{id}")
    assert answer.status_code == status
    assert isinstance(answer.json["msg"], str)
    assert stored(id) == (None if status == 200 else before)


def test_who_had_a_deleted_role_loses_what_it_granted(call, world):
    assert call("analyst", "GET", "/task").status_code == 200
    assert call("org_admin", "DELETE", f"/role/{world.role.analysts}").status_code == 200
    assert call("analyst", "GET", "/task").status_code == 403
    assert call("analyst", "GET", f"/user/{world.user.analyst}").json["roles"] is None


# --- rules of a role


def test_the_rules_of_a_role_are_listed(call, world):
    answer = call("viewer", "GET", f"/role/{world.role.analysts}/rule")
    assert answer.status_code == 200
    assert [(rule["name"], rule["scope"], rule["operation"]) for rule in answer.json] == [
        ("task", "ORGANIZATION", "VIEW"),
        ("task", "ORGANIZATION", "CREATE"),
        ("result", "ORGANIZATION", "VIEW"),
    ]
    assert answer.headers["total-count"] == "3"
    assert call("viewer", "GET", f"/role/{world.role.helpers}/rule").status_code == 403
    assert call("root", "GET", "/role/9999/rule").status_code == 404


def test_a_rule_is_put_in_once_and_taken_out(call, world, stored):
    rule = world.rule["user", "ORGANIZATION", "VIEW"]
    path = f"/role/{world.role.empty}/rule/{rule}"
    for _ in range(2):
        answer = call("org_admin", "POST", path)
        assert answer.status_code == 201
        assert [row["id"] for row in answer.json] == [rule]
    assert stored(world.role.empty)[2] == [rule]
    answer = call("org_admin", "DELETE", path)
    assert (answer.status_code, answer.json) == (200, [])
    assert stored(world.role.empty)[2] == []
    assert call("org_admin", "DELETE", path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("who", "role", "rule", "status"),
    [
        ("org_admin", "analysts", ("task", "GLOBAL", "VIEW"), 403),  # not held
        ("org_admin", "helpers", ("user", "ORGANIZATION", "VIEW"), 403),
        ("researcher", "analysts", ("task", "ORGANIZATION", "VIEW"), 403),
        ("root", "none", ("task", "ORGANIZATION", "VIEW"), 404),
        ("root", "analysts", 9999, 404),
        ("root", "viewer", ("task", "ORGANIZATION", "VIEW"), 400),  # a default role
        ("north_registry", "node", ("node", "ORGANIZATION", "VIEW"), 403),
        (None, "analysts", ("task", "ORGANIZATION", "VIEW"), 401),
    ],
)
@SQLITE
def test_who_may_not_move_which_rule(call, world, stored, method, who, role, rule, status):
    id = getattr(world.role, role, 9999)
    before = stored(id)
    path = f"/role/{id}/rule/{world.rule.get(rule, rule)}"
    assert call(who, method, path).status_code == status
    assert stored(id) == before
