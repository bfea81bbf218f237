"""docs/reference/seed-map.md: it has every name of the seed, and every target in it exists.

The names are tests/contract/seed_names.txt, one a line, as the documentation of the 3.x server
writes them: classes, functions, attributes, tables, commands and their options.
"""

import importlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from v6srv.cli.main import cli

ROOT = Path(__file__).parents[1]
MAP = ROOT / "docs" / "reference" / "seed-map.md"
NAMES = (ROOT / "tests" / "contract" / "seed_names.txt").read_text().splitlines()

NONE = "none"


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    name: str
    targets: tuple[str, ...]
    remark: str


def read(text: str) -> list[Entry]:
    """The lines of all tables of the map. Raises ValueError for a line that is not one."""
    entries = []
    for line in text.splitlines():
        if not line.startswith("| ") or line == "| seed | v6srv | remarks |":
            continue
        found = re.fullmatch(r"\| `([^`]+)` \| (none|`[^`]+`(?:, `[^`]+`)*) \| (.*?) ?\|", line)
        if found is None:
            raise ValueError(line)
        targets = tuple(re.findall(r"`([^`]+)`", found[2])) or (NONE,)
        entries.append(Entry(found[1], targets, found[3]))
    return entries


ENTRIES = read(MAP.read_text())
TARGETS = sorted({target for entry in ENTRIES for target in entry.targets} - {NONE})


def problem(target: str, app: Flask) -> str | None:
    """Why a target does not exist; None when it does."""
    if target.startswith("v6srv "):
        return problem_of_command(target.split()[1:])
    if re.match(r"[A-Z]+ /", target):
        return problem_of_endpoint(*target.split(" ", 1), app)
    return problem_of_object(target)


def problem_of_object(path: str) -> str | None:
    if not path.startswith("v6srv."):
        return f"{path} is not of this server"
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if error.name != ".".join(parts[:end]) and not str(error.name).startswith("v6srv"):
                raise
            continue
        for name in parts[end:]:
            if not hasattr(found, name):
                return f"{path}: {found!r} has no {name}"
            found = getattr(found, name)
        return None
    return f"{path} cannot be imported"


def problem_of_endpoint(method: str, path: str, app: Flask) -> str | None:
    api_path = app.config["SETTINGS"].api_path
    for rule in app.url_map.iter_rules():
        spoken = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        if spoken in (path, api_path + path) and method in (rule.methods or ()):
            return None
    return f"{method} {path} is no endpoint"


def problem_of_command(words: list[str]) -> str | None:
    command: click.Command = cli
    for number, word in enumerate(words):
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
            continue
        if number != len(words) - 1 or command is cli:
            return f"v6srv {' '.join(words)} is no command"
        if word not in {name for parameter in command.params for name in _spellings(parameter)}:
            return f"{command.name} does not take {word}"
    return None


def _spellings(parameter: click.Parameter) -> list[str]:
    if isinstance(parameter, click.Argument):
        return [parameter.human_readable_name]
    return [*parameter.opts, *parameter.secondary_opts]


def test_the_seed_is_complete() -> None:
    assert len(NAMES) == len(set(NAMES)) > 200
    assert [
        line for line in NAMES if not re.match(r"vantage6\.server\.\S+$|vserver-local ", line)
    ] == []


def test_every_name_of_the_seed_is_in_the_map_once() -> None:
    named = [entry.name for entry in ENTRIES]
    assert sorted(set(NAMES) - set(named)) == []
    assert sorted(set(named) - set(NAMES)) == []
    assert [name for name, count in Counter(named).items() if count > 1] == []


def test_what_is_replaced_by_nothing_says_why() -> None:
    assert [e.name for e in ENTRIES if NONE in e.targets and len(e.remark.split()) < 5] == []


def test_what_has_another_name_says_so_in_its_table() -> None:
    """A helper of the seed that moved must say how it is called now."""
    moved = [
        entry
        for entry in ENTRIES
        if any(target.startswith("v6srv.identity.scripting.") for target in entry.targets)
    ]
    assert len(moved) == 4
    assert [e.name for e in moved if e.targets[0].rsplit(".", 1)[1] not in e.remark] == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_every_target_exists(app: Flask) -> None:
    assert len(TARGETS) > 100
    problems = [problem(target, app) for target in TARGETS]
    assert [found for found in problems if found] == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "target",
    [
        "v6srv.model.User.shine",
        "v6srv.nowhere",
        "v6srv.nowhere.Thing",
        "sqlalchemy.select",
        "GET /token/user",
        "GET /nothing",
        "v6srv bake",
        "v6srv db bake",
        "v6srv start --bake",
        "v6srv start --ip --port",
        "v6srv --help",
    ],
)
def test_a_target_that_does_not_exist_is_noticed(app: Flask, target: str) -> None:
    assert problem(target, app) is not None


@pytest.mark.parametrize("line", ["| a | `b` | c |", "| `a` | | c |", "| `a` | `b` `c` | d |"])
def test_a_line_that_cannot_be_read_is_noticed(line: str) -> None:
    with pytest.raises(ValueError, match="a"):
        read(line)
