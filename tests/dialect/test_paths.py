"""Base paths: `/v3/api` and `/v4/api` are exact, `/api` is for both."""

import pytest

from tests.support import Caller, open_app
from tests.world import PASSWORD
from v6srv.identity import tokens
from v6srv.settings import Settings

AGENTS = {3: "python-requests/2.31.0", 4: "python-requests/2.33.1"}
VERSIONS = {3: "3.11.1", 4: "4.15.2"}


def version(client, base, agent="", host="localhost"):
    headers = {"User-Agent": agent, "Host": host}
    return client.get(f"{base}/version", headers=headers).json["version"]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_exact_paths_are_what_they_say_whoever_asks(call):
    client = call.app.test_client()
    for agent in AGENTS.values():
        assert version(client, "/v3/api", agent) == VERSIONS[3]
        assert version(client, "/v4/api", agent) == VERSIONS[4]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_common_path_asks_the_library(call):
    client = call.app.test_client()
    for dialect, agent in AGENTS.items():
        assert version(client, "/api", agent) == VERSIONS[dialect]
    assert version(client, "/api") == VERSIONS[3]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("base", ["/api", "/v3/api", "/v4/api"])
def test_links_and_the_way_to_refresh_stay_below_the_path_that_was_asked(call, world, base):
    client = call.app.test_client()
    body = {"username": "root", "password": PASSWORD}
    answer = client.post(f"{base}/token/user", json=body).json
    assert answer["refresh_url"] == f"{base}/token/refresh"
    assert answer["user_url"] == f"{base}/user/{world.user.root}"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_pages_of_3x_below_its_exact_path(app, world):
    below = Caller(app, "/v3/api")
    answer = below("root", "GET", "/task", query={"page": 1, "per_page": 1, "include": "metadata"})
    assert answer.json["links"]["next"].startswith("/v3/api/task?page=2")
    assert answer.json["data"][0]["collaboration"]["link"].startswith("/v3/api/collaboration/")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "path",
    ["/v4/apix/version", "/v4/api/nothing", "/v4/api", "/v3", "/apiversion", "/v5/api/version"],
)
def test_what_is_not_there_is_404_in_json(call, path):
    answer = call.app.test_client().get(path)
    assert (answer.status_code, type(answer.json["msg"])) == (404, str)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_settings_name_paths_and_hosts(databases, backend):
    dialects = {"/api": "auto", "/old": "3", "/hospital/api": "4", "new.example": "4"}
    with open_app(databases, backend, True, dialects=dialects) as (app, _world):
        client = app.test_client()
        assert version(client, "/old", AGENTS[4]) == VERSIONS[3]
        assert version(client, "/hospital/api") == VERSIONS[4]
        assert version(client, "/api", host="new.example:5000") == VERSIONS[4]
        assert version(client, "/api", host="NEW.example") == VERSIONS[4]
        assert version(client, "/v3/api", host="new.example") == VERSIONS[3]
        assert version(client, "/api", host="old.example") == VERSIONS[3]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_network_of_one_generation_says_so(databases, backend):
    with open_app(databases, backend, True, dialects={"/api": "3"}) as (app, _world):
        assert version(app.test_client(), "/api", AGENTS[4]) == VERSIONS[3]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"api_path": "/v4/api"}, "leave out api_path"),
        ({"dialects": {"/v3/api": 4}}, "generation it names"),
        ({"dialects": {"/a b": 4}}, "letters, digits"),
        ({"dialects": {"host.example": "auto"}}, "one generation"),
        ({"dialects": {"/api": 5}}, "auto"),
    ],
)
def test_names_that_cannot_be(tmp_path, values, problem):
    with pytest.raises(ValueError, match=problem):
        Settings(instance=tmp_path, **values)


def test_dialects_in_a_variable(tmp_path):
    settings = Settings(instance=tmp_path, dialects="/api=3, new.example=4")
    assert settings.base_paths == {"/api": 3, "/v3/api": 3, "/v4/api": 4, "new.example": 4}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_session_that_was_taken_for_the_wrong_generation_is_corrected(call, world):
    client = call.app.test_client()
    body = {"username": "root", "password": PASSWORD}
    login = client.post("/api/token/user", json=body, headers={"User-Agent": AGENTS[3]}).json
    auth = {"Authorization": f"Bearer {login['access_token']}"}
    assert client.get("/api/version", headers=auth).json["version"] == VERSIONS[3]
    client.get(f"/api/task/{world.task.running}/status", headers=auth)  # only 4.x asks for this
    assert client.get("/api/version", headers=auth).json["version"] == VERSIONS[4]
    renewal = {"Authorization": f"Bearer {login['refresh_token']}"}
    renewed = client.post(login["refresh_url"], headers=renewal).json["access_token"]
    with call.app.app_context():
        assert tokens.read_bearer(f"Bearer {renewed}").dialect == 4
