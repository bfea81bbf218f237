"""What applications of tests have in common is made once in a process.

Thousands are opened, most of them with the same files and settings. What they share does not
change, or each has a copy of its own.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

from flask import Flask
from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from v6srv import app as application
from v6srv import db
from v6srv.authz.line import Line
from v6srv.authz.source import live, load
from v6srv.authz.source.problems import Problem
from v6srv.engine import make_engine
from v6srv.service import setup

_MOST = 50


@contextmanager
def making_applications() -> Iterator[None]:
    """While the block lasts, applications are made of what is there already."""
    with (
        patch.object(live.Files, "examine", _examined),
        patch.object(live, "parse_files", _parsed),
        patch.object(application, "with_endpoints", _with_endpoints),
        patch.object(Rule, "_compile_builder", _builder),
        patch.object(db, "make_engine", _engine),
    ):
        yield


def _known(memory: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    if key not in memory:
        if len(memory) >= _MOST:
            memory.clear()
        memory[key] = make()
    return memory[key]


_checked: dict[Any, Any] = {}
_examine = live.Files.examine


def _examined(files: live.Files, rows: Iterable[Line], revision: int) -> Any:
    """Versions do not change, and checking one is half of a start."""
    rows = tuple(rows)
    key = (files.definition.text, files.lines, files.problems, rows, revision)
    enforcer, found = _known(_checked, key, lambda: _examine(files, rows, revision))
    return enforcer, list(found)


_read: dict[Any, Any] = {}


def _parsed(texts: Mapping[str, str], unread: Iterable[Problem] = ()) -> load.Parsed:
    """Nor do the lines of files with the same text."""
    unread = tuple(unread)
    key = (tuple(texts.items()), unread)
    definition, lines, found = _known(_read, key, lambda: load.parse_files(texts, unread))
    return definition, list(lines), list(found)


@contextmanager
def following_files() -> Iterator[None]:
    """While the block lasts, what files grant is read once: each application does when it begins,
    and before it the command that prepares its database."""
    with (
        patch.object(setup, "parse_files", _parsed),
        patch.object(setup, "grants_of", _grants_of),
        patch.object(setup, "assemble", _assembled),
    ):
        yield


_sound: dict[Any, Any] = {}
_assemble = setup.assemble


def _assembled(definition: Any, lines: Iterable[Line], rows: Any, *more: Any) -> Any:
    """Raises PolicyError, each time, when something is wrong."""
    key = (definition.text, tuple(lines), tuple(rows), *map(str, more))
    return _known(_sound, key, lambda: _assemble(definition, lines, rows, *more))


_granted: dict[Any, Any] = {}
_grants = setup.grants_of


def _grants_of(parsed: load.Parsed) -> Any:
    definition, lines, problems = parsed
    key = (definition.text, tuple(lines), tuple(problems))
    return _known(_granted, key, lambda: _grants(parsed))


_applications: dict[Any, Flask] = {}
_make = application.with_endpoints


def _with_endpoints(mounts: Mapping[int, str], api_path: str, *asked_for: ModuleType) -> Flask:
    """Making the tables of endpoints is most of the rest. All have one map of paths: tests that add
    to it have it for themselves."""
    key = (tuple(mounts.items()), api_path, asked_for)
    made = _applications.get(key)
    if made is None or len(made.url_map._rules) != made.extensions["tests: paths"]:
        made = _applications[key] = _make(mounts, api_path, *asked_for)
        made.extensions["tests: paths"] = len(made.url_map._rules)
    fresh = copy.copy(made)
    vars(fresh).update(_own_tables(vars(made)))
    return fresh


def _own_tables(value: Any) -> Any:
    """Dictionaries and lists are copied, at all depths, and not what is in them."""
    if not isinstance(value, (dict, list)):
        return value
    own = copy.copy(value)
    for key, one in own.items() if isinstance(own, dict) else enumerate(own):
        own[key] = _own_tables(one)
    return own


_builders: dict[Any, Any] = {}
_compile_builder = Rule._compile_builder


def _builder(rule: Rule, append_unknown: bool = True) -> Any:
    """Functions that make paths are compiled from text, the same for each path."""
    key = (tuple(rule._trace), str(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


_statements: dict[type[Dialect], Any] = {}


def _engine(*arguments: Any, **options: Any) -> Engine:
    """Statements are compiled once for each kind of database: that was a fifth of many tests."""
    engine = make_engine(*arguments, **options)
    kind = type(engine.dialect)
    kind.__hash__ = _hash_of_kind  # type: ignore[method-assign]
    kind.__eq__ = _is_of_kind  # type: ignore[method-assign]
    engine._compiled_cache = _statements.setdefault(kind, LRUCache(2000))
    return engine


def _hash_of_kind(dialect: Dialect) -> int:
    return hash(type(dialect))


def _is_of_kind(dialect: Dialect, other: object) -> bool:
    return type(dialect) is type(other)
