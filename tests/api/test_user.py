"""/user: lists, single users, and nobody gives away or takes over what is not his (rest.md 3.8)."""

import pytest

from tests.world import PASSWORD
from v6srv import db
from v6srv.model import User

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

NEW = {
    "username": "rita",
    "firstname": "Rita",
    "lastname": "Researcher",
    "password": "Rita-pass-1",
    "email": "rita@north.example",
}


@pytest.fixture
def users(app):
    """What is stored of a user: `users(id)`; None when there is none."""

    def read(id):
        with app.app_context():
            user = db.session.get(User, id)
            if user is None:
                return None
            return {
                "username": user.username,
                "firstname": user.firstname,
                "email": user.email,
                "roles": sorted(role.id for role in user.roles),
                "rules": sorted(rule.id for rule in user.rules),
            }

    return read


def names(answer):
    return sorted(user["username"] for user in answer.json)


# --- view


def test_a_user_has_the_form_of_the_contract(call, world):
    answer = call("viewer", "GET", f"/user/{world.user.researcher}")
    assert answer.status_code == 200
    body = answer.json
    assert body["created_tasks"] == [
        world.task.finished,
        world.task.running,
        world.task.subtask,
    ]
    for link in (body["organization"], *body["roles"]):
        link["methods"] = sorted(link["methods"])
    assert body == {
        "id": world.user.researcher,
        "username": "researcher",
        "firstname": "Researcher",
        "lastname": "Example",
        "email": "researcher@north.example",
        "type": "user",
        "status": None,
        "ip": None,
        "last_seen": None,
        "organization": {
            "id": world.org.north,
            "link": f"{call.base}/organization/{world.org.north}",
            "methods": ["GET", "PATCH"],
        },
        "roles": [
            {
                "id": world.role.researcher,
                "link": f"{call.base}/role/{world.role.researcher}",
                "methods": ["DELETE", "GET", "PATCH"],
            }
        ],
        "rules": None,
        "created_tasks": body["created_tasks"],
    }


@pytest.mark.parametrize(
    ("who", "target", "status"),
    [
        ("viewer", "researcher", 200),  # a colleague
        ("viewer", "south_viewer", 403),  # of another organization
        ("nobody", "nobody", 200),  # oneself, without any rule
        ("nobody", "viewer", 403),
        ("extra", "viewer", 200),  # by an extra rule
        ("collab_admin", "east_viewer", 200),  # global view
        ("collab_admin", "none", 404),
        ("viewer", "none", 403),  # no telling which ids exist
        ("north_registry", "viewer", 403),  # users only
        ("container", "viewer", 403),
        (None, "viewer", 401),
    ],
)
@SQLITE
def test_who_sees_whom(call, world, who, target, status):
    id = getattr(world.user, target, 9999)
    assert call(who, "GET", f"/user/{id}").status_code == status


def test_a_list_holds_the_users_that_each_may_see(call, world):
    assert names(call("south_viewer", "GET", "/user")) == [
        "south_admin",
        "south_researcher",
        "south_viewer",
    ]
    assert len(call("collab_admin", "GET", "/user").json) == 17
    # To see oneself is not enough for the list.
    assert call("nobody", "GET", "/user").status_code == 403


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"username": "west%"}, ["west_researcher"]),
        ({"username": "west"}, []),
        ({"firstname": "East_Viewer"}, ["east_viewer"]),
        ({"lastname": "Root"}, []),
        ({"email": "%@east.example"}, ["east_admin", "east_viewer"]),
        ({"organization_id": "west"}, ["west_researcher"]),
        ({"role_id": "analysts"}, ["analyst"]),
        ({"rule_id": ("task", "GLOBAL", "VIEW")}, ["extra"]),
        ({"rule_id": ("task", "GLOBAL", "CREATE")}, []),
        ({"last_seen_from": "2024-01-01"}, ["extra"]),
        ({"last_seen_till": "2024-01-01"}, ["viewer"]),
        ({"last_seen_from": "2020-01-01", "last_seen_till": "2021-01-01"}, []),
    ],
)
def test_filters_narrow_the_list(call, world, app, query, found):
    with app.app_context(), db.writing():
        for name, year in (("viewer", 2023), ("extra", 2025)):
            seen = db.utcnow().replace(year=year)
            db.session.get(User, getattr(world.user, name)).last_seen = seen
        db.session.commit()
    meaning = {
        "organization_id": lambda name: getattr(world.org, name),
        "role_id": lambda name: getattr(world.role, name),
        "rule_id": lambda key: world.rule[key],
    }
    sent = {name: meaning.get(name, str)(value) for name, value in query.items()}
    answer = call("root", "GET", "/user", query=sent)
    assert answer.status_code == 200
    assert [name for name in names(answer) if name != "root"] == found


@pytest.mark.parametrize(
    "query", [{"organization_id": "x"}, {"role_id": "1.5"}, {"last_seen_from": "x"}]
)
@SQLITE
def test_filters_that_mean_nothing_are_400(call, world, query):
    assert call("root", "GET", "/user", query=query).status_code == 400


def test_the_number_of_queries_does_not_depend_on_the_number_of_users(call, world, count_queries):
    call("collab_admin", "GET", "/user")
    counts = []
    for size in (2, 17):
        with count_queries() as statements:
            page = {"page": 1, "per_page": size}
            assert len(call("collab_admin", "GET", "/user", query=page).json) == size
        counts.append(len(statements))
    assert counts[0] == counts[1]


# --- create


def test_a_new_user_can_log_in(call, world):
    rules = [world.rule["task", "ORGANIZATION", "VIEW"]]
    body = {**NEW, "roles": [world.role.researcher], "rules": rules}
    answer = call("org_admin", "POST", "/user", json=body)
    assert answer.status_code == 201
    assert answer.json["organization"]["id"] == world.org.north
    assert [role["id"] for role in answer.json["roles"]] == [world.role.researcher]
    assert [rule["id"] for rule in answer.json["rules"]] == rules
    assert "password" not in answer.json
    login = {"username": "rita", "password": "Rita-pass-1"}
    assert call(None, "POST", "/token/user", json=login).status_code == 200
    assert call("rita", "GET", "/task").status_code == 200


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("root", {"organization_id": "west"}, 201),
        ("collab_admin", {"organization_id": "west"}, 201),
        ("org_admin", {"organization_id": None, "roles": None, "rules": None}, 201),
        ("org_admin", {"organization_id": "north", "roles": ["viewer"]}, 201),
        ("org_admin", {"organization_id": "south"}, 403),  # another organization
        ("researcher", {}, 403),  # no create rule
        ("north_registry", {}, 403),
        (None, {}, 401),
        ("root", {"organization_id": 9999}, 404),
        ("root", {"roles": [9999]}, 404),
        ("root", {"rules": [9999]}, 404),
        ("root", {"roles": ["root"]}, 201),
        ("org_admin", {"roles": ["root"]}, 403),  # has rules that the caller lacks
        ("org_admin", {"roles": ["collab_admin"]}, 403),
        ("org_admin", {"roles": ["analysts"]}, 201),
        ("root", {"roles": ["helpers"]}, 403),  # a role of another organization
        ("root", {"organization_id": "south", "roles": ["helpers"]}, 201),
        ("org_admin", {"rules": [("task", "GLOBAL", "VIEW")]}, 403),
        ("org_admin", {"rules": [("task", "ORGANIZATION", "VIEW")]}, 201),
        ("collab_admin", {"rules": [("collaboration", "GLOBAL", "EDIT")]}, 201),
        # global does not stand in for what is not held exactly
        ("collab_admin", {"rules": [("collaboration", "GLOBAL", "CREATE")]}, 403),
    ],
)
@SQLITE
def test_who_may_create_whom(call, world, users, who, body, status):
    organization = body.get("organization_id")
    sent = {
        **NEW,
        **body,
        "roles": [getattr(world.role, str(name), name) for name in body.get("roles") or []],
        "rules": [world.rule.get(key, key) for key in body.get("rules") or []],
    }
    if isinstance(organization, str):
        sent["organization_id"] = getattr(world.org, organization)
    answer = call(who, "POST", "/user", json=sent)
    assert answer.status_code == status
    found = call("root", "GET", "/user", query={"username": "rita"}).json
    assert len(found) == (status == 201)


@pytest.mark.parametrize(
    "change",
    [
        {"username": "viewer"},
        {"username": "VIEWER"},
        {"email": "viewer@north.example"},
        {"email": "Viewer@North.example"},
        {"username": ""},
        {"username": None},
        {"username": "  "},
        {"username": "ri\nta"},
        {"firstname": None},
        {"lastname": ["x"]},
        {"email": ""},
        {"email": "no address"},
        {"email": "a@b\r\nBcc: c@d"},
        {"password": "weak"},
        {"password": None},
        {"password": 123456789},
        {"organization_id": "x"},
        {"roles": "x"},
        {"rules": [{}]},
        {"username": "x" * 1000},
    ],
)
@SQLITE
def test_what_is_not_valid_is_400_and_stores_nothing(call, world, change):
    before = len(call("root", "GET", "/user").json)
    answer = call("root", "POST", "/user", json={**NEW, **change})
    assert answer.status_code == 400
    assert isinstance(answer.json["msg"], str)
    assert len(call("root", "GET", "/user").json) == before


@pytest.mark.parametrize("missing", NEW)
@SQLITE
def test_every_field_is_needed(call, world, missing):
    body = {name: value for name, value in NEW.items() if name != missing}
    answer = call("root", "POST", "/user", json=body)
    assert answer.status_code == 400
    assert missing in answer.json["errors"]


# --- change


def test_only_the_fields_given_change(call, world, users):
    before = users(world.user.viewer)
    body = {"firstname": "Vera", "lastname": None, "organization_id": world.org.west}
    answer = call("org_admin", "PATCH", f"/user/{world.user.viewer}", json=body)
    assert answer.status_code == 200
    assert answer.json["firstname"] == "Vera"
    assert answer.json["lastname"] == "Example"
    assert answer.json["organization"]["id"] == world.org.north
    assert users(world.user.viewer) == {**before, "firstname": "Vera"}


def test_roles_and_rules_replace_the_whole_set_and_null_leaves_them(call, world, users):
    rule = world.rule["task", "ORGANIZATION", "VIEW"]
    path = f"/user/{world.user.researcher}"
    body = {"roles": [world.role.viewer, world.role.analysts], "rules": [rule]}
    answer = call("org_admin", "PATCH", path, json=body)
    assert answer.status_code == 200
    assert [role["id"] for role in answer.json["roles"]] == [
        world.role.viewer,
        world.role.analysts,
    ]
    call("org_admin", "PATCH", path, json={"roles": None, "rules": None, "firstname": "R"})
    assert users(world.user.researcher)["rules"] == [rule]
    answer = call("org_admin", "PATCH", path, json={"roles": [], "rules": []})
    assert (answer.json["roles"], answer.json["rules"]) == (None, None)
    assert call("researcher", "GET", "/task").status_code == 403  # at once


@pytest.mark.parametrize(
    ("who", "target", "body", "status"),
    [
        ("viewer", "viewer", {"firstname": "V"}, 200),  # the own account
        ("viewer", "viewer", {"username": "vera"}, 200),
        ("viewer", "researcher", {"firstname": "R"}, 403),
        ("nobody", "nobody", {"firstname": "N"}, 403),  # no rule, not even for oneself
        ("org_admin", "viewer", {"firstname": "V"}, 200),
        ("org_admin", "south_viewer", {"firstname": "V"}, 403),
        ("collab_admin", "south_viewer", {"firstname": "V"}, 200),
        ("org_admin", "none", {"firstname": "V"}, 403),
        ("root", "none", {"firstname": "V"}, 404),
        ("org_admin", "viewer", {"username": "vera"}, 400),  # only by oneself
        ("org_admin", "viewer", {"username": "viewer", "firstname": "V"}, 200),
        ("viewer", "viewer", {"username": "researcher"}, 400),  # taken
        ("viewer", "viewer", {"email": "researcher@north.example"}, 400),
        ("viewer", "viewer", {"username": ""}, 400),
        ("viewer", "viewer", {"email": ""}, 400),
        ("viewer", "viewer", {"email": "nonsense"}, 400),
        ("viewer", "viewer", {"password": "N3w-Password!"}, 400),
        ("viewer", "viewer", {"password": "", "firstname": "V"}, 200),
        # Whoever changes the address can take the account over.
        ("viewer", "viewer", {"email": "vera@north.example"}, 200),
        ("org_admin", "viewer", {"email": "vera@north.example"}, 200),
        ("org_admin", "collab_admin", {"email": "mine@north.example"}, 403),
        ("org_admin", "second_root", {"email": "mine@north.example"}, 403),
        ("org_admin", "second_root", {"firstname": "S"}, 200),
        ("collab_admin", "root", {"email": "mine@north.example"}, 403),
        ("org_admin", "extra", {"email": "mine@north.example"}, 403),  # task view global
        ("root", "second_root", {"email": "other@north.example"}, 200),
        # Roles and rules.
        ("org_admin", "org_admin", {"roles": ["viewer"]}, 403),  # never one's own
        ("root", "root", {"rules": []}, 200),  # no change
        ("org_admin", "viewer", {"roles": ["researcher"]}, 200),
        ("org_admin", "viewer", {"roles": ["root"]}, 403),
        ("org_admin", "viewer", {"roles": ["viewer", 9999]}, 404),
        ("root", "viewer", {"roles": ["helpers"]}, 403),  # of another organization
        ("org_admin", "second_root", {"roles": []}, 403),  # takes away what is not held
        ("org_admin", "extra", {"rules": []}, 403),
        ("org_admin", "viewer", {"rules": [("task", "GLOBAL", "VIEW")]}, 403),
        ("org_admin", "viewer", {"rules": [("task", "ORGANIZATION", "VIEW")]}, 200),
        ("org_admin", "viewer", {"rules": [9999]}, 404),
        ("root", "extra", {"rules": []}, 200),
        ("viewer", "viewer", {"roles": "x"}, 400),
        ("viewer", "org_admin", {"roles": "x"}, 403),  # decided before it is read
        ("north_registry", "viewer", {"firstname": "V"}, 403),
        (None, "viewer", {"firstname": "V"}, 401),
    ],
)
@SQLITE
def test_who_may_change_what(call, world, users, who, target, body, status):
    id = getattr(world.user, target, 9999)
    before = users(id)
    sent = dict(body)
    if isinstance(sent.get("roles"), list):
        sent["roles"] = [getattr(world.role, str(name), name) for name in sent["roles"]]
    if isinstance(sent.get("rules"), list):
        sent["rules"] = [world.rule.get(key, key) for key in sent["rules"]]
    if status != 200 and "firstname" not in sent:
        sent["firstname"] = "Mallory"  # must not be stored either
    answer = call(who, "PATCH", f"/user/{id}", json=sent)
    assert answer.status_code == status
    if status != 200:
        assert users(id) == before


# --- delete


@pytest.mark.parametrize(
    ("who", "target", "status"),
    [
        ("viewer", "viewer", 200),  # the own account
        ("nobody", "nobody", 403),
        ("researcher", "viewer", 403),
        ("org_admin", "viewer", 200),
        ("org_admin", "extra", 403),  # holds one rule that the caller lacks
        ("org_admin", "second_root", 403),  # a more powerful account
        ("org_admin", "south_viewer", 403),
        ("collab_admin", "viewer", 200),
        ("collab_admin", "south_viewer", 403),  # no global delete
        ("root", "south_viewer", 200),
        ("root", "none", 404),
        ("org_admin", "none", 403),
        ("north_registry", "viewer", 403),
        (None, "viewer", 401),
    ],
)
@SQLITE
def test_who_may_delete_whom(call, world, users, who, target, status):
    id = getattr(world.user, target, 9999)
    before = users(id)
    answer = call(who, "DELETE", f"/user/{id}")
    assert answer.status_code == status
    assert isinstance(answer.json["msg"], str)
    assert users(id) == (None if status == 200 else before)


def test_a_deleted_users_tasks_stay_and_the_tokens_end(call, world):
    token = call.token("researcher")
    assert call("org_admin", "DELETE", f"/user/{world.user.researcher}").status_code == 200
    headers = {"Authorization": f"Bearer {token}"}
    assert call(None, "GET", "/rule", headers=headers).status_code == 401
    login = {"username": "researcher", "password": PASSWORD}
    assert call(None, "POST", "/token/user", json=login).status_code == 401
    task = call("root", "GET", f"/task/{world.task.running}")
    assert task.status_code == 200
    assert task.json["init_user"] is None
