"""What answers tell browsers and caches, and that nobody is led elsewhere by what was sent."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import Client

import v6srv
from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import World
from v6srv.wire.browser_headers import DATA, EVERY, NOT_KEPT, PAGE


@pytest.fixture(scope="module")
def house(databases: Databases) -> Iterator[tuple[Flask, World]]:
    with open_app(databases, "sqlite", with_world=True) as (app, world):
        assert world is not None
        yield app, world


@pytest.fixture
def client(house: tuple[Flask, World]) -> Client:
    return house[0].test_client()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/robots.txt", 200),
        ("/api/version", 200),
        ("/v4/api/version", 200),
        ("/api/user", 401),
        ("/nowhere", 404),
        ("/apispec_1.json", 200),
        ("/api//version", 308),
        ("/socket.io/?EIO=4&transport=polling", 200),
        ("/socket.io/?EIO=4&transport=none", 400),
    ],
)
def test_data_is_not_kept_and_is_no_page(client: Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    told = list(answer.headers)
    assert set(told) >= {*EVERY, NOT_KEPT}
    assert [one for one in told if one in (DATA, PAGE)] == [PAGE if status == 308 else DATA]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_nor_is_what_somebody_may_see(house: tuple[Flask, World], method: str) -> None:
    """Also when it is refused, or was changed."""
    app, world = house
    answer = Caller(app)("researcher", method, f"/organization/{world.org.north}", json={})
    assert answer.headers.getlist("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("path", ["/apidocs", "/v4/apidocs"])
def test_the_page_is_of_files_of_this_server_only(client: Client, path: str) -> None:
    """With a policy that allows nothing inline: neither scripts nor styles nor handlers."""
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert [one for one in answer.headers if one in (DATA, PAGE)] == [PAGE]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.text)
    named = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert len(named) == 4
    for each in named:
        assert each.startswith("/static/")
        file = client.get(each)
        assert file.status_code == 200
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" not in file.headers["Cache-Control"]
    [spec] = re.findall(r'data-url="([^"]*)"', answer.text)
    assert client.get(spec).json["openapi"]


def test_the_documentation_asks_nobody_else() -> None:
    start = Path(v6srv.__file__).parent / "static" / "swagger-ui" / "start.js"
    assert "http" not in start.read_text()


# --- methods


@pytest.mark.parametrize("how", ["header", "query", "form"])
@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "_method"])
def test_the_method_is_that_of_the_request(house: tuple[Flask, World], how: str, name: str) -> None:
    app, world = house
    call, path = Caller(app), f"/role/{world.role.empty}"
    sent = {
        "header": {"headers": {name: "DELETE"}},
        "query": {"query": {name: "DELETE"}},
        "form": {"data": {name: "DELETE"}},
    }[how]
    assert call("org_admin", "POST", path, **sent).status_code == 405
    assert call("org_admin", "GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/user", "/apidocs", "/nowhere"])
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_refused_and_repeat_nothing(
    client: Client, path: str, method: str
) -> None:
    answer = client.open(path, method=method, headers={"Authorization": "Bearer secret"})
    assert answer.status_code in (404, 405)
    assert "secret" not in answer.text


def test_head_is_get_without_a_body_and_asks_for_the_same_rights(
    house: tuple[Flask, World],
) -> None:
    app, world = house
    call = Caller(app)
    for who, path in (
        (None, "/user"),
        ("viewer", f"/user/{world.user.south_viewer}"),
        ("viewer", f"/organization/{world.org.south}"),
    ):
        get, head = (call(who, method, path) for method in ("GET", "HEAD"))
        assert head.status_code == get.status_code
        assert head.data == b""


def test_options_say_which_methods_there_are_and_nothing_else(
    house: tuple[Flask, World],
) -> None:
    """To anybody: browsers ask without a token. The answer is that for a row that is not there."""
    app, world = house
    here, gone = (
        app.test_client().options(f"/api/organization/{id}") for id in (world.org.north, 999999)
    )
    assert (here.status_code, here.data) == (gone.status_code, gone.data) == (200, b"")
    assert here.headers["Allow"] == gone.headers["Allow"]


# --- where one is led


@pytest.mark.parametrize(
    "path",
    [
        "/api//version",
        "//api/version",
        "//evil.example/api/version",
        "/\\evil.example//api/version",
        "/api/version/",
        "//evil.example/%2e%2e",
        "/apidocs//",
        "/static//swagger-ui/swagger-ui.css",
    ],
)
@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-Original-URL", "Forwarded"])
def test_nobody_is_led_to_another_server(client: Client, path: str, name: str) -> None:
    value = "host=evil.example" if name == "Forwarded" else "evil.example"
    answer = client.get("/", environ_overrides={"PATH_INFO": path}, headers={name: value})
    assert answer.status_code in (200, 302, 308, 404)
    place = answer.headers.get("Location", "")
    assert "evil.example" not in place
    assert not place.startswith(("//", "/\\", "http"))


def test_a_made_up_host_is_in_no_answer(house: tuple[Flask, World]) -> None:
    """Links are paths. Where this server is only the metadata of AuthZEN say: to who asked, and
    kept by nobody."""
    app, world = house
    call, headers = Caller(app), {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    for path in ("/organization?page=1", f"/task/{world.task.running}", "/collaboration"):
        answer = call("researcher", "GET", path, headers=headers)
        assert answer.status_code == 200
        assert "evil.example" not in answer.text + str(answer.headers)
    described = app.test_client().get("/.well-known/authzen-configuration", headers=headers)
    assert described.headers["Cache-Control"] == "no-store"


def test_mails_have_no_links() -> None:
    """So none of them can be made to lead to the host of a request: a code is typed in."""
    mails = Path(v6srv.__file__).parent / "templates" / "mail"
    for file in mails.iterdir():
        assert not re.search(r'href="(?!mailto:)|https?:', file.read_text()), file.name
