"""The database of a 3.x server, built once by the reference server itself."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Enum, MetaData, create_engine, insert, select

from tests.databases import Databases
from v6srv import db
from v6srv.service import takeover
from v6srv.service.takeover_source import open_source

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-reference" / "bin" / "python"


@dataclass(frozen=True)
class Reference:
    """A database that the reference server made, and what it knows about it."""

    uri: str
    file: Path
    facts: dict[str, Any]

    def id(self, name: str) -> int:
        return int(self.facts["ids"][name])


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Never written to: tests that change it take a copy."""
    if not PYTHON.exists():
        pytest.fail(
            "the reference server is not installed: make test, or make .venv-reference/.ready"
        )
    folder = tmp_path_factory.mktemp("reference")
    file, facts = folder / "reference.sqlite", folder / "facts.json"
    done = subprocess.run(
        [str(PYTHON), str(HERE / "build_reference.py"), str(file), str(facts)],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return Reference(f"sqlite:///{file}", file, json.loads(facts.read_text()))


@pytest.fixture
def changed(reference: Reference, tmp_path: Path) -> Callable[..., str]:
    """A copy of the reference database in which statements were executed: its URL."""

    def change(*statements: str) -> str:
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
def postgres_source(reference: Reference, databases: Databases) -> Iterator[str]:
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
    words = {
        "operation": ("VIEW", "EDIT", "CREATE", "DELETE"),
        "scope": ("OWN", "ORGANIZATION", "COLLABORATION", "GLOBAL"),
    }
    for name, members in words.items():
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
def take(databases: Databases) -> Callable[..., takeover.Report]:
    """Take a source over into a seeded database: `take(source URL, target URL)`."""

    def run(source: str, target: str, **options: Any) -> takeover.Report:
        engine = db.connect(target)
        try:
            with open_source(source) as connection:
                policies = databases.settings(target).policies
                return takeover.take_over(connection, policies, **options)
        finally:
            db.session.remove()
            engine.dispose()

    return run
