"""Commands import only what they need: most of their time was once spent on what others need."""

import subprocess
import sys
from pathlib import Path

import pytest

from v6srv.cli.main import cli

POLICIES = Path(__file__).parents[2] / "policies"
_SERVING = (
    "flask",
    "flask_jwt_extended",
    "flask_smorest",
    "flask_socketio",
    "gevent",
    "gunicorn",
    "hypothesis",
    "jinja2",
    "jwt",
    "kombu",
    "marshmallow",
    "redis",
    "requests",
)
_TALKING = ("prompt_toolkit", "questionary", "rich")
_NEVER = (*_SERVING, *_TALKING, "alembic", "mako", "psycopg")


def modules_of(*arguments: str, code: int = 0, **environment: str) -> set[str]:
    """All modules that a process has imported when the command is over."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr))\n"
        "from v6srv.cli.main import cli\n"
        "cli()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return set(ran.stderr.split())


@pytest.mark.parametrize("command", ["lint", "test"])
def test_files_alone_are_judged_without_settings_and_drivers(command: str) -> None:
    imported = modules_of("policy", command, str(POLICIES))
    assert "sqlalchemy" in imported  # facts are declared as SQL: what is looked for is found
    assert not imported & {*_NEVER, "pydantic", "v6srv.settings"}


def test_the_policies_of_an_instance_are_explained_without_what_serves(tmp_path: Path) -> None:
    instance = {"V6SRV_INSTANCE": str(tmp_path)}
    prepared = subprocess.run(
        [sys.executable, "-m", "v6srv", "import", str(POLICIES.parent / "examples" / "study.yaml")],
        env={"PATH": "/usr/bin:/bin", "V6SRV_ROOT_PASSWORD": "change-Me-1", **instance},
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stderr
    for command in (("explain", "user:2", "create", "task"), ("lint",)):
        imported = modules_of("policy", *command, **instance)
        assert "v6srv.settings" in imported
        assert not imported & {*_NEVER}


@pytest.mark.parametrize("arguments", [("--help",), ("version",), ("policy", "lint", "--help")])
def test_help_needs_neither_database_nor_settings(arguments: tuple[str, ...]) -> None:
    assert not modules_of(*arguments) & {*_SERVING, "alembic", "casbin", "psycopg", "v6srv.model"}


COUNT = """
import contextlib, io, os, sys
from v6srv.cli.main import cli
for name in ("", *cli.commands):
    if not os.fork():
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            cli([name, "--help"] if name else ["--help"])
        print(len(sys.modules), name or "v6srv", flush=True)
        os._exit(0)
    os.wait()
"""
MOST = 400
"""Modules, 68 of them Python's own. `v6srv --help` had 605 and took twice as long."""


def test_no_command_imports_more_than_it_can_within_the_time_that_people_do_not_notice() -> None:
    """Modules are counted, not seconds: each takes about half a millisecond."""
    ran = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    counted = {name: int(count) for count, name in map(str.split, ran.stdout.splitlines())}
    assert counted.keys() == {"v6srv", *cli.commands}
    assert {name: count for name, count in counted.items() if count > MOST} == {}
