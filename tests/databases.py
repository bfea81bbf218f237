"""Databases for tests: made, copied and removed, on SQLite and PostgreSQL."""

import os
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.orm import Session

from tests import postgres
from tests import world as small_world
from tests.world import World
from v6srv import passwords
from v6srv.db import make_engine
from v6srv.service import setup
from v6srv.settings import Settings

PREFIX = f"v6srv_test_{os.getpid()}_"
"""Of the names of this process's databases, so that nothing of others is removed."""


class Databases:
    """Makes the databases of one test process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = folder / "instance"
        self.made: list[str] = []
        self._templates: dict[tuple[str, bool], tuple[str, World | None]] = {}
        self._number = 0

    def empty(self, backend: str) -> str:
        """The URL of a new database without tables."""
        name = self._name()
        if backend == "sqlite":
            return f"sqlite:///{self.folder / name}.sqlite"
        self._execute(f'CREATE DATABASE "{name}"')
        return self._postgres_database(name)

    def copy(self, backend: str, with_world: bool) -> tuple[str, World | None]:
        """The URL of a new seeded database, and its world if one is wanted."""
        if (backend, with_world) not in self._templates:
            self._templates[backend, with_world] = self._template(backend, with_world)
        template, world = self._templates[backend, with_world]
        source, name = make_url(template).database or "", self._name()
        if backend == "sqlite":
            target = self.folder / f"{name}.sqlite"
            shutil.copyfile(source, target)
            return f"sqlite:///{target}", world
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return self._postgres_database(name), world

    def drop(self, uri: str) -> None:
        """Remove a database; nothing of it is left open."""
        url = make_url(uri)
        if url.get_backend_name() == "sqlite":
            for suffix in ("", "-wal", "-shm"):
                Path(f"{url.database}{suffix}").unlink(missing_ok=True)
            return
        self._execute(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)')
        self.made.remove(uri)

    def drop_all(self) -> None:
        """Remove what tests and templates left on the server."""
        for uri in list(self.made):
            self.drop(uri)

    def settings(self, uri: str, **more: Any) -> Settings:
        """Settings for tests: fast passwords, and nothing from the environment."""
        values: dict[str, Any] = {
            "uri": uri,
            "instance": self.instance,
            "policies": self.instance / "policies",
            "root_password": small_world.PASSWORD,
            "password_rounds": 4,
            "jwt_secret_key": "a secret of the tests, long enough for HS256",
            "decision_log": {"sample": 0},  # chance must not add a query to a test
            "policy_tests": "off",  # a process for each server: a third of all computing
        }
        return Settings(**{**values, **more})

    def _template(self, backend: str, with_world: bool) -> tuple[str, World | None]:
        uri = self.empty(backend)
        passwords.configure(rounds=4)
        setup.prepare(self.settings(uri), passwords)
        world = None
        if with_world:
            engine = make_engine(uri)
            with Session(engine) as sess:
                world = small_world.build(sess, passwords.hash_password(small_world.PASSWORD))
            engine.dispose()
        return uri, world

    def _name(self) -> str:
        self._number += 1
        return f"{PREFIX}{self._number}"

    def _postgres_database(self, name: str) -> str:
        url = make_url(self._server).set(database=name)
        uri = url.render_as_string(hide_password=False)
        self.made.append(uri)
        return uri

    @property
    def _server(self) -> str:
        server = os.environ[postgres.ENVIRONMENT]
        if server.startswith("none: "):
            pytest.fail(server.removeprefix("none: "))
        return server

    def _execute(self, statement: str) -> None:
        server = self._server.replace("+psycopg", "")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(statement.encode())
