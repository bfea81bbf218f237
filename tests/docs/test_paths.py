"""Paths of the REST interface that the documentation names exist, and stand there as one calls them."""

import re

import pytest
from flask import Flask

from tests.databases import Databases
from tests.docs.pages import PAGES, ROOT, name_of, without_blocks
from tests.support import open_app

_NAMED = re.compile(r"`(?:(GET|POST|PATCH|PUT|DELETE) )?(/[\w./<>{}-]*)(?:\?[^`]*)?`")
_PLACE = re.compile(r"<[^>]*>|\{[^}]*\}|(?<=/)\d+")
WITHOUT_BASE = ROOT / "docs" / "reference" / "seed-map.md"
"""Says so."""


@pytest.fixture(scope="module")
def routes(databases: Databases) -> set[tuple[str, str]]:
    provider = {
        "issuer": "https://login.example",
        "client_id": "v6srv",
        "callback_url": "https://v6.example/api/oidc/callback",
    }
    all_there_is = {"metrics": True, "oidc": provider}
    with open_app(databases, "sqlite", with_world=False, **all_there_is) as (app, _):
        return _routes(app)


def _routes(app: Flask) -> set[tuple[str, str]]:
    found = set()
    for rule in app.url_map.iter_rules():
        path = _PLACE.sub("<>", rule.rule)
        found |= {(method, path) for method in rule.methods or ()} | {("", path)}
    return found


def test_paths_exist(routes: set[tuple[str, str]]) -> None:
    below = {path.split("/")[2] for _, path in routes if path.startswith("/api/")}
    wrong = []
    for page in PAGES:
        if page == WITHOUT_BASE:
            continue
        for method, path in _NAMED.findall(without_blocks(page)):
            plain = _PLACE.sub("<>", path)
            first = path.split("/")[1]
            ours = plain.startswith(("/api/", "/access/"))
            if (ours and (method, plain) not in routes) or first in below:
                wrong.append(f"{name_of(page)}: {method} {path}".strip())
    assert wrong == []
