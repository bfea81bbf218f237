"""`restore`: what a backup holds is there again, or nothing has changed."""

import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from tests.databases import Databases
from tests.live import live_server
from v6srv import migrations
from v6srv.cli.main import cli
from v6srv.db import make_engine
from v6srv.service import restore as service

ALL = ("organization", "authenticatable", "user", "role_rule_association", "policy_version")


class Site:
    """An instance with something in it, and how commands are run there."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri, self.folder = uri, folder
        self.file = folder / "backup"
        self._environment = {
            "V6SRV_INSTANCE": str(folder / "instance"),
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_PASSWORD_ROUNDS": "4",
        }

    def run(self, *arguments: str, **environment: str) -> Result:
        return CliRunner(env={**self._environment, **environment}).invoke(cli, list(arguments))

    def back_up(self) -> None:
        """As operations.md says."""
        done = self.run("backup", str(self.file), "--force")
        if self.uri.startswith("postgresql"):
            subprocess.run(shlex.split(done.stdout), check=True)
        else:
            assert done.exit_code == 0, done.output

    def do(self, *statements: str) -> None:
        engine = self._engine()
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def ask(self, query: str) -> list[Any]:
        engine = self._engine()
        with engine.connect() as connection:
            found = list(connection.execute(text(query)).scalars())
        engine.dispose()
        return found

    def everything(self) -> dict[str, list[str]]:
        engine = self._engine()
        with engine.connect() as connection:
            rows = {name: connection.execute(text(f'SELECT * FROM "{name}"')) for name in ALL}
            found = {name: sorted(map(str, each)) for name, each in rows.items()}
        engine.dispose()
        return found

    def _engine(self) -> Engine:
        return make_engine(self.uri)


@pytest.fixture
def site(backend: str, databases: Databases, tmp_path: Path) -> Iterator[Site]:
    uri, _ = databases.copy(backend, with_world=True)
    made = Site(uri.replace("+psycopg", ""), tmp_path)
    made.back_up()
    yield made
    databases.drop(uri)


NEW = "INSERT INTO organization (name) VALUES ('made since')"


def test_it_brings_all_of_it_back(site: Site) -> None:
    """And only that: what was made since is gone."""
    before = site.everything()
    site.do(NEW, "UPDATE authenticatable SET token_version = 7", "DELETE FROM policy_version")
    assert site.everything() != before
    done = site.run("restore", str(site.file), "--replace", "--keep-sessions")
    assert done.exit_code == 0, done.output
    assert site.everything() == before
    assert site.run("db", "check").exit_code == 0
    for part in ("policies", "jwt_secret", "decision log"):
        assert part in done.output


def test_no_token_and_no_id_from_before_is_good_again(site: Site) -> None:
    """One that was taken back since the backup, or belongs to somebody who is not there any more."""
    [highest] = site.ask("SELECT max(id) FROM authenticatable")
    versions = site.ask("SELECT token_version FROM authenticatable ORDER BY id")
    site.do(NEW)
    [given] = site.ask("SELECT id FROM organization WHERE name = 'made since'")
    assert site.run("restore", str(site.file), "--replace").exit_code == 0
    now = site.ask("SELECT token_version FROM authenticatable ORDER BY id")
    assert now == [version + service.SPENT_VERSIONS for version in versions]
    assert site.ask("SELECT max(id) FROM authenticatable") == [highest]
    site.do(NEW)
    [again] = site.ask("SELECT id FROM organization WHERE name = 'made since'")
    assert again == given + service.SPENT_IDS
    values = "'first', '{}', 0, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP"
    site.do(f"INSERT INTO mail (kind, details, attempts, created_at, due_at) VALUES ({values})")
    assert min(site.ask("SELECT id FROM mail")) > service.SPENT_IDS


def test_without_being_told_it_replaces_nothing(site: Site) -> None:
    site.do(NEW)
    before = site.everything()
    refused = site.run("restore", str(site.file))
    assert refused.exit_code == 1
    assert "--replace" in refused.output
    assert site.everything() == before


def test_a_server_that_runs_is_not_robbed_of_its_database(site: Site) -> None:
    values = "'one', 'key', 'policy', CURRENT_TIMESTAMP"
    columns = "process, key_digest, policy_digest, seen_at"
    site.do(f"INSERT INTO server_process ({columns}) VALUES ({values})")
    refused = site.run("restore", str(site.file), "--replace")
    assert refused.exit_code == 1
    assert "stop them first" in refused.output
    assert site.ask("SELECT process FROM server_process") == ["one"]
    site.do("UPDATE server_process SET seen_at = '2020-01-01 00:00:00.000000'")
    assert site.run("restore", str(site.file), "--replace").exit_code == 0, "it has crashed"
    assert site.ask("SELECT process FROM server_process") == []


@pytest.mark.parametrize("part", ["end", "middle", "all", "other"])
def test_a_damaged_backup_changes_nothing(site: Site, part: str) -> None:
    site.do(NEW)
    before = site.everything()
    content = bytearray(site.file.read_bytes())
    half = len(content) // 2
    if part == "end":
        del content[half:]
    elif part == "middle":
        content[half : half + 20_000] = b"\xff" * 20_000
    else:
        content = bytearray(b"" if part == "all" else b"SELECT 1;")
    site.file.write_bytes(content)
    refused = site.run("restore", str(site.file), "--replace")
    assert refused.exit_code == 1
    assert "Traceback" not in refused.output
    assert str(site.file) in refused.output
    assert site.everything() == before
    assert site.ask("SELECT name FROM organization WHERE name = 'made since'") == ["made since"]


def test_a_backup_of_a_newer_release_changes_nothing(site: Site) -> None:
    site.do("UPDATE alembic_version SET version_num = '9999'")
    site.back_up()
    site.do(f"UPDATE alembic_version SET version_num = '{migrations.head()}'")
    before = site.everything()
    refused = site.run("restore", str(site.file), "--replace")
    assert refused.exit_code == 1
    assert "newer release" in refused.output
    assert site.everything() == before


def test_a_backup_of_an_older_release_is_upgraded_afterwards(site: Site) -> None:
    assert site.run("db", "downgrade", "0019", "--yes").exit_code == 0
    site.back_up()
    assert site.run("db", "upgrade").exit_code == 0
    done = site.run("restore", str(site.file), "--replace")
    assert done.exit_code == 0, done.output
    assert "0019" in done.output
    assert site.run("db", "check").exit_code == 1
    assert site.run("db", "upgrade").exit_code == 0
    assert site.run("db", "check").exit_code == 0


def test_into_an_empty_database(site: Site, databases: Databases, backend: str) -> None:
    """Of another machine; nobody has to say --replace."""
    uri = databases.empty(backend).replace("+psycopg", "")
    other = Site(uri, site.folder / "other")
    done = other.run("restore", str(site.file), "--keep-sessions")
    assert done.exit_code == 0, done.output
    assert other.everything() == site.everything()
    databases.drop(uri.replace("postgresql:", "postgresql+psycopg:"))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_kind_of_the_backup_is_that_of_the_database(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(b"PGDMP and more")
    refused = site.run("restore", str(archive), "--replace")
    assert refused.exit_code == 1
    assert "PostgreSQL" in refused.output
    foreign = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE something (id INTEGER)")
    assert "no backup of this server" in site.run("restore", str(foreign), "--replace").output


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_whoever_has_the_file_open_is_waited_for_and_then_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell, or a server that the database does not know of."""
    monkeypatch.setattr(service, "_PATIENCE_S", 0.1)
    file = Path(site.uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as other:
        other.execute("SELECT count(*) FROM organization").fetchall()
        refused = site.run("restore", str(site.file), "--replace")
    assert refused.exit_code == 1
    assert "has" in refused.output
    assert "open" in refused.output
    assert site.run("restore", str(site.file), "--replace").exit_code == 0
    assert [path.name for path in file.parent.glob(f".{file.name}*")] == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_damaged_database_is_moved_away_first(site: Site) -> None:
    file = Path(site.uri.removeprefix("sqlite:///"))
    file.write_bytes(b"not a database" * 1000)
    refused = site.run("restore", str(site.file), "--replace")
    assert refused.exit_code == 1
    assert "move it away" in refused.output
    file.rename(file.with_suffix(".damaged"))
    file.with_name(f"{file.name}-wal").write_bytes(b"of the old one")
    assert site.run("restore", str(site.file)).exit_code == 0
    assert site.run("db", "check").exit_code == 0


def test_who_logged_in_before_logs_in_again(tmp_path: Path) -> None:
    """A whole way: serve, back up, stop, restore, serve."""
    copied, key = (
        tmp_path / "copy.sqlite",
        {"V6SRV_JWT_SECRET": "the same key before and after this"},
    )
    commands: Callable[..., Result] = CliRunner(
        env={"V6SRV_INSTANCE": str(tmp_path / "one")}
    ).invoke
    with live_server(instance=tmp_path / "one", **key) as server:
        before = server.login()
        assert commands(cli, ["backup", str(copied)]).exit_code == 0
        refused = commands(cli, ["restore", str(copied), "--replace"])
        assert "stop them first" in refused.output
        server.stop()
    done = commands(cli, ["restore", str(copied), "--replace"])
    assert done.exit_code == 0, done.output
    with live_server(instance=tmp_path / "one", **key) as server:
        url = f"{server.api}/organization"
        assert requests.get(url, headers=before, timeout=20).status_code == 401
        assert requests.get(url, headers=server.login(), timeout=20).status_code == 200
