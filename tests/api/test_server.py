"""/version and /health (rest.md 3.1), and what is common to all bodies."""

import re

import pytest
import schemathesis
from flask import Flask

from tests.support import database_away
from tests.world import PASSWORD
from v6srv.api import openapi
from v6srv.api.blueprint import Blueprint


def test_the_version_is_one_of_the_contract(call):
    assert call(None, "GET", "/version").json == {"version": "3.11.1"}


def test_a_healthy_server(call):
    answer = call(None, "GET", "/health")
    assert (answer.status_code, answer.json) == (200, {"database": True})


def test_a_server_without_its_database_is_not_healthy(call):
    """Q-67"""

    with database_away():
        answer = call(None, "GET", "/health")
    assert answer.status_code == 503
    assert answer.json == {"database": False, "problems": ["the database cannot be reached"]}
    assert call(None, "GET", "/health").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"data": "{", "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "application/json"},
        {"data": "", "content_type": "application/json"},
        {"data": "[]", "content_type": "application/json"},
        {"data": "null", "content_type": "application/json"},
        {"data": '"text"', "content_type": "application/json"},
        {"data": "[" * 100_000, "content_type": "application/json"},
        {"data": '{"a":' * 50_000, "content_type": "application/json"},
        {"data": '{"name": "x"}', "content_type": "text/plain"},
        {"data": {"name": "x"}},  # a form
        {},
    ],
)
def test_what_is_no_json_object_is_a_bad_request(call, world, body):
    answer = call("root", "POST", "/organization", **body)
    assert answer.status_code == 400
    assert isinstance(answer.json["msg"], str)


def test_json_of_another_kind_and_repeated_keys_are_fine(call, world):
    body = {"data": '{"name": "x", "name": "y"}', "content_type": "application/vnd.x+json"}
    assert call("root", "POST", "/organization", **body).json["name"] == "y"


def test_a_body_that_is_too_large_is_refused(call, world):
    call.app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = call("root", "POST", "/organization", json={"name": "x" * 2000})
    assert answer.status_code == 413
    assert isinstance(answer.json["msg"], str)


@pytest.mark.parametrize("path", ["/nowhere", "/task/", "/task/x", "/task/-1", "/stats"])
def test_an_unknown_path_is_a_json_object_too(call, world, path):
    answer = call("root", "GET", path)
    assert answer.status_code == 404
    assert isinstance(answer.json["msg"], str)


def test_the_documentation_names_filters_paging_and_refusals(call):
    document = call.app.test_client().get("/apispec_1.json").json
    operation = document["paths"]["/api/task"]["get"]
    parameters = [parameter["name"] for parameter in operation["parameters"]]
    assert {"status", "result_id", "page", "per_page"} <= set(parameters)
    assert parameters.count("include") == 1
    for status in ("400", "401", "403", "422"):
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorOut"}
    assert set(document["components"]["schemas"]["ErrorOut"]["required"]) == {
        "msg",
        "code",
        "status",
        "errors",
        "message",
    }


def test_the_documentation_is_valid_and_names_every_operation(call):
    document = call.app.test_client().get("/apispec_1.json").json
    schemathesis.openapi.from_dict(document).validate()
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
    ]
    assert len(ids) == len(set(ids)) > 80
    assert {"getTasks", "postTasks", "getTask", "deleteTask", "postUserToken"} <= set(ids)
    assert all(name.isascii() and name.isidentifier() for name in ids)


def test_what_could_not_be_described_is_not_left_out(monkeypatch):
    """Whoever asks after a failure is told of it, too, or gets all of the document."""
    app = Flask(__name__)
    app.config.update(openapi.configuration({3: "/api"}))
    api, fails = openapi.Api(app, 3), iter((True, False))

    def describe(blueprint, *arguments, **options):
        if blueprint.name == "second" and next(fails):
            raise RuntimeError("cannot be described")

    monkeypatch.setattr(Blueprint, "register_views_in_doc", describe)
    for name in ("first", "second", "third"):
        api.register_blueprint(Blueprint(name, name, description=name))
    client = app.test_client()
    assert client.get("/apispec_1.json").status_code == 500
    tags = client.get("/apispec_1.json").json["tags"]
    assert [tag["name"] for tag in tags] == ["first", "second", "third"]


def test_the_documentation_says_where_it_is_and_where_a_token_comes_from(call):
    """What it says works as it stands."""
    client = call.app.test_client()
    document = client.get("/apispec_1.json").json
    assert [server["url"] for server in document["servers"]] == ["/"]
    described = document["components"]["securitySchemes"]["bearer"]["description"]
    [path] = re.findall(r"`POST (\S+)`", described)
    assert path in document["info"]["description"]
    body = {"username": "root", "password": PASSWORD}
    token = client.post(path, json=body).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/user/1", headers=headers).status_code == 200


def test_the_address_alone_leads_somewhere(call):
    client = call.app.test_client()
    for accept in (None, "*/*", "application/json"):
        places = client.get("/", headers={"Accept": accept} if accept else {}).json
        for name in ("health", "documentation", "openapi"):
            assert client.get(places[name], follow_redirects=True).status_code == 200
        assert places["api"] == "/api"
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Location"]) == (302, "console/")
    assert client.post("/").status_code == 405
    robots = client.get("/robots.txt")
    assert robots.text.splitlines() == ["User-agent: *", "Disallow: /"]
