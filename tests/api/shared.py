"""What the tests of endpoints have in common."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.databases import Databases
from tests.support import open_app
from tests.world import World


@pytest.fixture(scope="module")
def opened_once(backend: str, databases: Databases) -> Iterator[tuple[Flask, World | None]]:
    """One application for all tests of a module, for modules whose tests store nothing.

    Such a module says `_opened = opened_once`.
    """
    with open_app(databases, backend, with_world=True) as opened:
        yield opened


def names(answer: TestResponse) -> list[str]:
    """The names in a list, sorted."""
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    return sorted(row["name"] for row in answer.json)


def ids(links: list[dict[str, Any]] | None) -> list[int]:
    """The ids of to-many links."""
    return [link["id"] for link in links or []]
