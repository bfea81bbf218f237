"""How each kind of sample in the documentation is checked: `CHECKS[kind](block, empty folder)`."""

import ast
import json
import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from sqlalchemy import create_engine

from tests.docs.pages import ROOT, Block
from tests.wire.station import PYTHON as CLIENT_PYTHON
from v6srv.cli.main import cli
from v6srv.db import Base
from v6srv.settings import load

_NODE_CONFIGURATION = """
import sys, docker, yaml
docker.from_env = lambda *_args, **_kwargs: None  # the node's packages look for an engine
from schema import Schema
from vantage6.cli.configuration_manager import NodeConfiguration
keys = yaml.safe_load(sys.stdin)["application"]
Schema(NodeConfiguration.VALIDATORS, ignore_extra_keys=True).validate(keys)
"""


def run(command: list[str], folder: Path, **more: Any) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        **more,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _shell(block: Block, folder: Path) -> None:
    """The shell can read it; our own commands, options and files in it exist."""
    run(["bash", "-n"], folder, input=block.text)
    for line in block.text.splitlines():
        words = [word for word in shlex.split(line, comments=True) if "=" not in word]
        for word in words:
            if word.startswith(("bench/", "examples/", "docs/", "tests/", "tools/")):
                assert (ROOT / word).exists(), f"{block}: {word}"
        if words and Path(words[0]).name == "v6srv":
            _command(block, words[1:])


def _command(block: Block, words: list[str]) -> None:
    command: click.Command = cli
    for word in words:
        known = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        }
        if isinstance(command, click.Group) and not word.startswith("-"):
            assert word in command.commands, f"{block}: {word}"
            command = command.commands[word]
        elif word.startswith("-"):
            assert word in {*known, "--help"}, f"{block}: {command.name} {word}"


def _python(block: Block, _folder: Path) -> None:
    ast.parse(textwrap.dedent(block.text))


def _json(block: Block, _folder: Path) -> None:
    json.loads(block.text)


def _sql(block: Block, _folder: Path) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"EXPLAIN {block.text}")
    engine.dispose()


def _configuration(block: Block, folder: Path) -> None:
    file = folder / "server.yaml"
    file.write_text(block.text)
    assert load(file, environ={"V6SRV_INSTANCE": str(folder)}).config_file == file


def _import(block: Block, folder: Path) -> None:
    (folder / "import.yaml").write_text(block.text)
    environment = {
        **os.environ,
        "V6SRV_INSTANCE": str(folder / "instance"),
        "V6SRV_PASSWORD_ROUNDS": "4",
    }
    run([sys.executable, "-m", "v6srv", "import", "import.yaml"], folder, env=environment)


def _node(block: Block, folder: Path) -> None:
    run([str(CLIENT_PYTHON), "-c", _NODE_CONFIGURATION], folder, input=block.text)


def _scrape(block: Block, _folder: Path) -> None:
    for job in yaml.safe_load(block.text)["scrape_configs"]:
        assert job["metrics_path"] == "/api/metrics"
        labels = {label for config in job["static_configs"] for label in config["labels"]}
        assert labels == {"__param_process"}


CHECKS: Mapping[str, Callable[[Block, Path], None]] = {
    "sh elsewhere": _shell,
    "python fragment": _python,
    "json": _json,
    "sql": _sql,
    "yaml configuration": _configuration,
    "yaml import": _import,
    "yaml node": _node,
    "yaml scrape": _scrape,
}
"""Lines and tests of policies are checked together, in test_policies.py."""
