"""Every command that opens a database says what to do with one of a newer release, or an older."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from v6srv import migrations
from v6srv.cli.main import cli

USERS_FILE = "organizations: []\ncollaborations: []\n"

SERVING = {"start": ["start", "--port", "1"], "serve": ["serve", "--port", "1"]}
"""Those that turn into another program."""

PREPARING = {
    "shell": ["shell"],
    "import": ["import", "FILE"],
    "db upgrade": ["db", "upgrade"],
}
"""Those that upgrade an older database themselves."""

ASKING = {
    "db check": ["db", "check"],
    "explain": ["policy", "explain", "user:root", "view", "task"],
    "who-can": ["policy", "who-can", "view", "task"],
    "matrix": ["policy", "matrix"],
    "lint": ["policy", "lint"],
    "retention preview": ["retention", "preview"],
    "retention run": ["retention", "run"],
    "node list": ["node", "list"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance that was started once."""
    folder = tmp_path_factory.mktemp("instance")
    file = folder / "file.yaml"
    file.write_text(USERS_FILE)
    assert _run(folder, "import", str(file)).exit_code == 0
    return folder


def _environment(folder: Path) -> dict[str, str]:
    return {"V6SRV_INSTANCE": str(folder), "V6SRV_PASSWORD_ROUNDS": "4"}


def _run(folder: Path, *arguments: str) -> Result:
    given = [str(folder / "file.yaml") if word == "FILE" else word for word in arguments]
    return CliRunner(env=_environment(folder)).invoke(cli, given)


def _set_revision(folder: Path, revision: str) -> None:
    with closing(sqlite3.connect(folder / "v6srv.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.close()


@pytest.mark.parametrize("command", [*PREPARING.values(), *ASKING.values()], ids=" ".join)
def test_a_newer_database(folder: Path, command: list[str]) -> None:
    _set_revision(folder, "9999")
    result = _run(folder, *command)
    assert result.exit_code in (1, 2), result.output
    _check_what_is_said(result.output)


@pytest.mark.parametrize("command", SERVING.values(), ids=" ".join)
def test_a_newer_database_is_not_served(folder: Path, command: list[str]) -> None:
    _set_revision(folder, "9999")
    result = subprocess.run(
        [sys.executable, "-m", "v6srv", *command],
        env={**os.environ, **_environment(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    _check_what_is_said(result.stderr)


def _check_what_is_said(output: str) -> None:
    assert "The database is of a newer release: its schema is at revision 9999" in output
    assert "Use the newer release" in output
    assert "Traceback" not in output
    assert "locate revision" not in output


@pytest.mark.parametrize("command", ASKING.values(), ids=" ".join)
def test_an_older_database(folder: Path, command: list[str]) -> None:
    """What only asks does not upgrade."""
    _set_revision(folder, "0001")
    result = _run(folder, *command)
    assert result.exit_code in (1, 2), result.output
    assert f"The schema is at 0001, this release needs {migrations.head()}" in result.output
    assert "v6srv db upgrade" in result.output


def test_db_upgrade_says_each_step(tmp_path: Path) -> None:
    result = _run(tmp_path, "db", "upgrade", "0001")
    assert "The schema went from revision none to 0001: The first tables." in result.output
    result = _run(tmp_path, "db", "upgrade")
    assert "The schema went from revision 0001 to 0002: " in result.output
    assert "The way back is a backup" in result.output
    result = _run(tmp_path, "db", "upgrade")
    assert result.output.splitlines() == [f"[info ] - The schema is at {migrations.head()}"]
