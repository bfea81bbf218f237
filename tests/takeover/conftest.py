"""Databases of a 3.x and of a 4.x server, each built once by the reference server itself."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Enum, MetaData, create_engine, insert, select

from tests.databases import Databases
from tests.wire.station import V4, Programs
from v6srv import db
from v6srv.service import takeover
from v6srv.service.takeover.copying import Report
from v6srv.service.takeover.releases import RELEASE_3, RELEASE_4, Release
from v6srv.service.takeover.source import open_source

HERE = Path(__file__).parent
SERVER_3 = Programs(HERE, ".venv-reference", "3.11")
WORDS = {
    RELEASE_3: {"operation": ("VIEW", "EDIT", "CREATE", "DELETE")},
    RELEASE_4: {"operation": ("VIEW", "EDIT", "CREATE", "DELETE", "SEND", "RECEIVE")},
}
"""What the reference server makes enumerated types of in PostgreSQL; both have the same scopes."""


@dataclass(frozen=True)
class Reference:
    """A database that the reference server made, and what it knows about it."""

    release: Release
    uri: str
    file: Path
    facts: dict[str, Any]

    def id(self, name: str) -> int:
        return int(self.facts["ids"][name])


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Never written to: tests that change it take a copy."""
    folder = _of_all_workers(tmp_path_factory) / "reference"
    return _built(RELEASE_3, SERVER_3, "build_reference.py", folder)


@pytest.fixture(scope="session")
def reference4(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """As `reference`, by the server of 4.15.2; it needs Python 3.10."""
    folder = _of_all_workers(tmp_path_factory) / "reference4"
    return _built(RELEASE_4, V4, "build_reference_v4.py", folder)


def _of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests: a reference server takes as long as all tests of a file."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def _built(release: Release, programs: Programs, script: str, folder: Path) -> Reference:
    programs.require()
    folder.mkdir(exist_ok=True)
    file, facts = folder / "reference.sqlite", folder / "facts.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():  # what is written last
            done = subprocess.run(
                [str(programs.python), str(HERE / script), str(file), str(facts)],
                capture_output=True,
                text=True,
                timeout=180,
                cwd=folder,
            )
            assert done.returncode == 0, done.stderr[-4000:]
    return Reference(release, f"sqlite:///{file}", file, json.loads(facts.read_text()))


@pytest.fixture
def change(tmp_path: Path) -> Callable[..., str]:
    """A copy of a reference database in which statements were executed: its URL."""

    def change(reference: Reference, *statements: str) -> str:
        file = tmp_path / "changed.sqlite"
        shutil.copyfile(reference.file, file)
        engine = create_engine(f"sqlite:///{file}")
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()
        return f"sqlite:///{file}"

    return change


@pytest.fixture
def changed(reference: Reference, change: Callable[..., str]) -> Callable[..., str]:
    """As `change`, for the database of 3.x."""
    return partial(change, reference)


@contextmanager
def in_postgres(reference: Reference, databases: Databases) -> Iterator[str]:
    """The same rows in PostgreSQL, with the enumerated types that the reference server has there."""
    uri = databases.empty("postgresql")
    source, target = create_engine(reference.uri), create_engine(uri)
    metadata = MetaData()
    metadata.reflect(source)
    for table in metadata.tables.values():
        for column in table.c:
            column.type = column.type.as_generic()
        for constraint in list(table.foreign_key_constraints):  # the rows were damaged in SQLite
            table.constraints.discard(constraint)
    scopes = {"scope": ("OWN", "ORGANIZATION", "COLLABORATION", "GLOBAL")}
    for name, members in {**WORDS[reference.release], **scopes}.items():
        enumerated = Enum(*members, name=name)
        enumerated.create(target)
        metadata.tables["rule"].c[name].type = enumerated
    metadata.create_all(target)
    with source.connect() as reading, target.begin() as writing:
        for table in metadata.tables.values():
            rows = [dict(row) for row in reading.execute(select(table)).mappings()]
            if rows:
                writing.execute(insert(table), rows)
    source.dispose()
    target.dispose()
    yield uri
    databases.drop(uri)


@pytest.fixture
def target(backend: str, databases: Databases) -> Iterator[str]:
    """A seeded database."""
    uri, _ = databases.copy(backend, False)
    yield uri
    databases.drop(uri)


@pytest.fixture
def take(databases: Databases) -> Callable[..., Report]:
    """Take a source over into a seeded database: `take(source URL, target URL)`."""

    def run(
        source: str,
        target: str,
        release: Release = RELEASE_3,
        policies: Path | None = None,
        **options: Any,
    ) -> Report:
        engine = db.connect(target)
        try:
            with open_source(source, release) as connection:
                folder = policies or databases.settings(target).policies
                return takeover.take_over(connection, release, folder, **options)
        finally:
            db.session.remove()
            engine.dispose()

    return run
