"""Databases, applications and callers for all tests.

A test that asks for `world` gets the small world of tests/world.py in its database; without it the
database holds only what a fresh server has. Every test has a database of its own, on SQLite and on
PostgreSQL: the schema is migrated once per process, after that files and databases are copied.
Pick one kind with `@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)`.

The application is imported by the fixtures that need it: tests of a part do without the whole.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests import memory, postgres
from v6srv import problems
from v6srv.engine import outages

if TYPE_CHECKING:
    from flask import Flask

    from tests.databases import Databases
    from tests.support import Caller
    from tests.world import World

BACKENDS = ("sqlite", "postgresql")
WAITING = ("wire_v4", "wire", "serving", "realtime", "outages", "serve", "scenario")
"""Folders of tests that mostly wait for sockets, processes and clocks; the longest files first, so
that no worker is left alone with one at the end."""

_services = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """One PostgreSQL server for all workers; without one, the tests that need it fail.

    Where tests play programs of 3.x they name the HTTP library of these: at `/api` it tells.
    """
    requests.utils.default_user_agent = lambda name="python-requests": f"{name}/2.31.0"
    _keep_what_is_compiled()
    if hasattr(config, "workerinput"):
        return
    _services.enter_context(memory.temporary_files())
    try:
        os.environ[postgres.ENVIRONMENT] = _services.enter_context(postgres.server())
    except postgres.NoPostgres as error:
        os.environ[postgres.ENVIRONMENT] = f"none: {error}"


def _keep_what_is_compiled() -> None:
    """Whatever the environment says: each of hundreds of processes would compile all of v6srv."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_unconfigure() -> None:
    _services.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the files whose tests mostly wait among those that compute: workers share cores."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    top = config.rootpath / "tests"
    folder = {path: path.relative_to(top).parts[0] for path in files}
    waiting = [path for name in WAITING for path in files if folder[path] == name]
    computing = [path for path in files if folder[path] not in WAITING]
    each = len(computing) // (len(waiting) + 1) + 1
    order: list[Path] = []
    for number, path in enumerate(computing):
        order += [waiting.pop(0), path] if waiting and number % each == 0 else [path]
    items[:] = [item for path in (*order, *waiting) for item in files[path]]


def pytest_collection_finish() -> None:
    """What is there now stays, and is never garbage: to look through it again and again was an
    eighth of all computing. Applications that tests leave behind are not many megabytes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    from tests.databases import Databases

    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.drop_all()


@pytest.fixture
def database_uri(backend: str, databases: Databases) -> Iterator[str]:
    """An empty database of its own for this test."""
    uri = databases.empty(backend)
    yield uri
    databases.drop(uri)


@pytest.fixture
def _opened(
    request: pytest.FixtureRequest, backend: str, databases: Databases
) -> Iterator[tuple[Flask, World | None]]:
    from tests.support import open_app

    with open_app(databases, backend, "world" in request.fixturenames) as opened:
        yield opened


@pytest.fixture
def app(_opened: tuple[Flask, World | None]) -> Flask:
    """The application, with what a fresh server has in its database."""
    return _opened[0]


@pytest.fixture
def world(_opened: tuple[Flask, World | None]) -> World:
    """The ids of tests/world.py, in the database of `app`."""
    assert _opened[1] is not None
    return _opened[1]


@pytest.fixture
def call(app: Flask, backend: str) -> Caller:
    """Send a request: `call("viewer", "GET", "/task", query={"page": 1})`.

    Below the path for all programs on SQLite, and the one for 3.x alone on PostgreSQL: what is
    tested on both databases is tested below both.
    """
    from tests.support import Caller

    return Caller(app, {"postgresql": "/v3/api"}.get(backend))


@pytest.fixture
def call4(app: Flask) -> Caller:
    """As `call`, below the base path of 4.x programs."""
    from tests.support import Caller

    return Caller(app, "/v4/api")


@pytest.fixture
def count_queries(app: Flask) -> Callable[[], AbstractContextManager[list[str]]]:
    """`with count_queries() as statements:` collects the SQL statements of the block."""
    from tests.support import counting

    return counting


@pytest.fixture(autouse=True)
def problems_end() -> Iterator[None]:
    """What stood when a test ended is none of the next one; some outages would stand for long."""
    yield
    outages._failed_at.clear()
    problems._standing.clear()


@pytest.fixture(autouse=True)
def logging_stays() -> Iterator[None]:
    """A command that a test runs in this process configures logging for itself alone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.setLevel(level)
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
