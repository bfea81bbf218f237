"""Whose pages may call the server: the same for REST and for sockets."""

from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from tests.databases import Databases
from tests.support import open_app

UI, OTHER = "https://ui.example", "https://evil.example"
PATHS = ("/api/version", "/v4/api/user", "/socket.io/?EIO=4&transport=polling")


@pytest.fixture(scope="module")
def opened(databases: Databases) -> Iterator[Client]:
    with open_app(databases, "sqlite", with_world=False, cors_origins=(UI,)) as (app, _):
        yield app.test_client()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "origin", [OTHER, "null", f"{UI}.evil.example", UI.replace("https", "http"), f"{UI}:8443"]
)
def test_pages_of_other_origins_read_nothing(opened: Client, path: str, origin: str) -> None:
    answer = opened.get(path, headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_those_that_are_named_may_also_with_credentials(opened: Client, path: str) -> None:
    answer = opened.get(path, headers={"Origin": UI})
    assert answer.headers["Access-Control-Allow-Origin"] == UI
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_who_is_no_page_is_not_told_which_there_are(opened: Client) -> None:
    assert UI not in str(opened.get("/api/version").headers)


@pytest.mark.parametrize("origins", [("*",), (UI, "*"), ()])
def test_all_and_credentials_do_not_go_together(
    databases: Databases, origins: tuple[str, ...]
) -> None:
    """And if there are none, only pages of this server's own address may ask."""
    with open_app(databases, "sqlite", with_world=False, cors_allowed_origins=origins) as (app, _):
        for path in PATHS:
            answer = app.test_client().get(path, headers={"Origin": OTHER})
            allowed = answer.headers.get("Access-Control-Allow-Origin")
            assert allowed in (("*", OTHER) if origins else (None,))
            if origins:
                assert "Access-Control-Allow-Credentials" not in answer.headers
