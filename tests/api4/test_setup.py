"""The set-up that was recorded with programs of 4.15.2 (scenario.md A), on an empty database."""

from uuid import UUID

from tests.api4.shared import data
from tests.world import PASSWORD


def _link(resource, id):
    methods = ["GET", "PATCH", "DELETE"]
    return {"id": id, "link": f"/v4/api/{resource}/{id}", "methods": methods}


def _url(path):
    return f"/v4/api/{path}"


def _organization(id, name, **more):
    fields = ("domain", "address1", "address2", "zipcode", "country", "public_key")
    return {
        "id": id,
        "name": name,
        **{field: more.get(field, "") for field in fields},
        "collaborations": _url(f"collaboration?organization_id={id}"),
        "nodes": _url(f"node?organization_id={id}"),
        "users": _url(f"user?organization_id={id}"),
        "tasks": _url(f"task?init_org_id={id}"),
        "runs": _url(f"run?organization_id={id}"),
        "studies": _url(f"study?organization_id={id}"),
    }


def test_an_empty_server_is_set_up(app, call4):
    def send(method, path, body=None, status=200, **query):
        answer = call4("root", method, f"/{path}", json=body, query=query)
        assert answer.status_code == status, answer.json
        return answer.json

    assert send("GET", "version") == {"version": "4.15.2"}
    root = send("GET", "user/1")
    assert (root["username"], root["organization"]) == ("root", _link("organization", 1))
    assert (root["roles"], root["rules"]) == (_url("role?user_id=1"), _url("rule?user_id=1"))
    assert send("GET", "organization/1")["id"] == 1

    given = {
        "name": "Alpha",
        "address1": "Main street 1",
        "address2": "",
        "zipcode": "1000",
        "country": "NL",
        "domain": "alpha.example",
    }
    alpha = send("POST", "organization", given, 201)
    assert alpha == _organization(2, **given)
    beta = send("POST", "organization", {"name": "Beta"}, 201)
    assert beta["id"] == 3

    roles = send("GET", "role", page=1, per_page=20)["data"]
    assert [(role["id"], role["name"]) for role in roles][::4] == [(1, "Root"), (5, "Researcher")]
    assert len(roles) == 7
    assert all(role["is_default_role"] and role["organization"] is None for role in roles)

    new = {"name": "Study", "organization_ids": [2, 3], "encrypted": False}
    collaboration = send("POST", "collaboration", new)
    assert collaboration == {
        "id": 1,
        "name": "Study",
        "encrypted": False,
        "organizations": _url("organization?collaboration_id=1"),
        "nodes": _url("node?collaboration_id=1"),
        "tasks": _url("task?collaboration_id=1"),
        "studies": _url("study?collaboration_id=1"),
        "algorithm_stores": _url("algorithmstore?collaboration_id=1"),
    }
    assert send("GET", "collaboration/1") == collaboration

    new = {"name": "Pilot", "organization_ids": [2, 3], "collaboration_id": 1}
    study = {"id": 1, "name": "Pilot", "collaboration": _link("collaboration", 1)}
    study["tasks"] = _url("task?study_id=1")
    assert send("POST", "study", new, 201) == study | {"organizations": [alpha, beta]}

    node = send("POST", "node", {"organization_id": 2, "collaboration_id": 1}, 201)
    assert UUID(node.pop("api_key"))
    assert node == {
        "id": 2,
        "type": "node",
        "name": "Alpha - Study Node",
        "status": "offline",
        "ip": None,
        "last_seen": None,
        "config": [],
        "organization": _link("organization", 2),
        "collaboration": _link("collaboration", 1),
    }
    assert send("POST", "node", {"organization_id": 3, "collaboration_id": 1}, 201)["id"] == 3

    rita = {
        "username": "rita",
        "firstname": "Rita",
        "lastname": "Researcher",
        "password": PASSWORD,
        "email": "rita@alpha.example",
        "organization_id": 2,
        "roles": [5],
        "rules": [],
    }
    assert send("POST", "user", rita, 201)["id"] == 4

    here = _url("collaboration?page=1&per_page=20&organization_id=1")
    query = {"page": 1, "per_page": 20, "organization_id": 1}
    assert send("GET", "collaboration", **query) == {
        "data": [],
        "links": {"first": here, "self": here},
    }
    here = _url("organization?collaboration_id=1&page=1")
    assert send("GET", "organization", collaboration_id=1) == {
        "data": [alpha, beta],
        "links": {"first": here, "self": here, "last": here},
    }
    assert send("GET", "study/1") == study | {"organizations": _url("organization?study_id=1")}
    rule = send("GET", "rule/1")
    assert (rule["name"], rule["operation"], rule["scope"]) == ("node", "VIEW", "GLOBAL")

    # What hangs on something is reached by the addresses that it shows.
    for row in (alpha, collaboration, root):
        for path in [value for value in row.values() if str(value).startswith("/v4/api/")]:
            data(call4("root", "GET", path.removeprefix("/v4/api")))
