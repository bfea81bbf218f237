"""The rules of the house that no type checker knows."""

import ast
import importlib
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median
from typing import Any, TypeGuard

import pytest
from flask import Flask

from v6srv.authz.changes import DECIDED, FREE, OWNED, SERVERS_ONLY
from v6srv.authz.facts import COMMON, MODELS, TABLES
from v6srv.authz.unit_of_work import Cover, ServerWrite
from v6srv.db import Base
from v6srv.vocabulary import Resource

ROOT = Path(__file__).parents[1]


def _views(app: Flask) -> dict[tuple[str, str], Any]:
    """Every view of the API by method and path."""
    found = {}
    for rule in app.url_map.iter_rules():
        view = getattr(app.view_functions[rule.endpoint], "view_class", None)
        if view is None or not rule.rule.startswith(("/api/", "/access/", "/.well-known/")):
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found[method, rule.rule] = getattr(view, method.lower())
    return found


def test_every_route_states_a_rule(app: Flask) -> None:
    views = _views(app)
    assert len(views) > 50
    assert [key for key, view in views.items() if not hasattr(view, "rule")] == []


def test_a_route_without_a_rule_cannot_be_registered(app: Flask) -> None:
    from flask.views import MethodView

    from v6srv.app import require_guard

    class Silent(MethodView):
        def get(self) -> str:
            return ""

    app._got_first_request = False
    app.add_url_rule("/api/silent", view_func=Silent.as_view("silent"))
    with pytest.raises(RuntimeError, match="states no rule"):
        require_guard(app, "silent", "/api/silent", {"GET"})


def test_the_documentation_says_what_the_guard_asks(app: Flask) -> None:
    document = app.test_client().get("/apispec_1.json").get_json()
    for (method, path), view in _views(app).items():
        spoken = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
        operation = document["paths"][spoken][method.lower()]
        assert operation["x-required-rule"] == view.rule.document(), (method, path)
        assert operation["responses"], (method, path)


def test_every_resource_has_facts() -> None:
    assert set(MODELS) == set(Resource) - {Resource.EVENT}
    for model in MODELS.values():
        assert TABLES[model].facts.keys() >= COMMON.keys()


def test_casbin_of_the_old_name_is_not_installed() -> None:
    with pytest.raises(PackageNotFoundError):
        distribution("casbin")


def test_the_generated_pages_are_not_stale() -> None:
    checked = subprocess.run(
        [sys.executable, "tools/generate_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr


def test_no_permission_is_decided_in_endpoints() -> None:
    """An endpoint or socket handler that compares kinds, roles or organizations is in the wrong room."""
    suspicious = re.compile(r"\bif\b.*\b(who\.|principal|\.kind\b|role_ids|\.roles\b)")
    lines = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted((ROOT / "v6srv" / "api").rglob("*.py"))
        if path.name != "guard.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if suspicious.search(line)
    ]
    assert lines == []


def test_what_a_condition_raises_is_caught_in_one_place() -> None:
    """Nets anywhere else would each have to know what a failure means: it never opens a door."""
    nets = {
        path.relative_to(ROOT / "v6srv").as_posix()
        for folder in ("authz", "policy")
        for path in (ROOT / "v6srv" / folder).rglob("*.py")
        if re.search(r"^\s*except( Exception)?( as \w+)?:", path.read_text(), re.M)
    }
    assert nets == {
        "authz/attempt.py",
        "authz/source/model_conf.py",  # Casbin raises bare exceptions when it reads a model
        "authz/shadow.py",  # whatever goes wrong in shadow, the request goes on
    }


def test_nothing_commits_but_a_transaction() -> None:
    """Who commits or rolls back alone can forget the lock, the errors, or the other half."""
    ends = re.compile(r"\.commit\(\)|\.rollback\(\)|\bwriting\(\)")
    found = {
        path.relative_to(ROOT / "v6srv").as_posix()
        for path in (ROOT / "v6srv").rglob("*.py")
        if ends.search(path.read_text())
    }
    assert found == {
        "db.py",
        "engine/gates.py",  # says what `writing` is
        "engine/postgresql.py",  # a connection of the driver, before it is in the pool
        "migrations/__init__.py",  # Alembic's connection, under a lock of its own
    }


def test_of_every_table_it_is_said_what_decides_that_it_is_written() -> None:
    """A new table is in none of these: whoever makes it says who may write to it."""
    kinds = (DECIDED, OWNED.keys(), SERVERS_ONLY.keys(), FREE.keys())
    for table in Base.metadata.tables:
        assert sum(table in kind for kind in kinds) == 1, table
    assert set().union(*kinds) == set(Base.metadata.tables)


def test_what_the_server_writes_by_itself_is_a_short_list() -> None:
    """docs/reference/writes.md shows it, with each place; here nothing comes to it unnoticed."""
    uses = re.compile(r"\b(as_server|covered_by)\((\w+)\.(\w+)\)")
    found = [
        match.groups()
        for path in (ROOT / "v6srv").rglob("*.py")
        for match in uses.finditer(path.read_text())
    ]
    assert len(found) <= 29
    assert {name for _, kind, name in found if kind == "ServerWrite"} == set(
        ServerWrite.__members__
    )
    assert {name for _, kind, name in found if kind == "Cover"} == set(Cover.__members__)


def test_nobody_makes_a_session_that_is_not_watched() -> None:
    """Those of `db.session` and its factory are (`authz.unit_of_work`)."""
    makes = re.compile(r"(?<![.\w])Session\(|sessionmaker\(")
    found = {
        path.relative_to(ROOT / "v6srv").as_posix()
        for path in (ROOT / "v6srv").rglob("*.py")
        if any(makes.search(line) for line in path.read_text().splitlines() if "class " not in line)
    }
    assert found == {"db.py"}


def test_what_the_policy_says_is_evaluated_in_one_place() -> None:
    """Whoever evaluates plans alone forgets one day what else a decision is made of."""
    evaluates = re.compile(r"plans?(\[\w+\])?\.decide\b|program\.(plan|decider)\(|\bEvaluator\(")
    found = {
        path.relative_to(ROOT / "v6srv").as_posix()
        for path in (ROOT / "v6srv").rglob("*.py")
        if evaluates.search(path.read_text())
    }
    assert found == {"authz/answer.py", "authz/enforcer.py"}


def test_views_stay_small() -> None:
    """They change rows, or have a service do it, and return them: half have at most two lines."""
    lines, branches = [], []
    for path in (ROOT / "v6srv" / "api").rglob("*.py"):
        views = (node for node in ast.walk(ast.parse(path.read_text())) if _is_views(node))
        for view in (part for one in views for part in one.body):
            if isinstance(view, ast.FunctionDef):
                body = view.body[1:] if ast.get_docstring(view) else view.body
                lines.append(body[-1].end_lineno - body[0].lineno + 1)
                forks = (ast.If, ast.IfExp, ast.For, ast.While, ast.With, ast.Try)
                branches.append(sum(isinstance(node, forks) for node in ast.walk(view)))
    assert len(lines) > 80
    assert (median(lines) <= 2, max(lines) <= 10, max(branches) <= 3) == (True, True, True)


def _is_views(node: ast.AST) -> TypeGuard[ast.ClassDef]:
    return isinstance(node, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id == "MethodView" for base in node.bases
    )


def test_files_and_functions_stay_short() -> None:
    """500 lines a file, 40 lines of code a function; the first migration is what it is."""
    long: list[str] = []
    for path in sorted((ROOT / "v6srv").rglob("*.py")):
        text = path.read_text()
        lines = text.splitlines()
        name = path.relative_to(ROOT).as_posix()
        if len(lines) > 500:
            long.append(f"{name}: {len(lines)}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (code := _lines_of_code(node, lines)) > 40:
                long.append(f"{name}: {node.name}: {code}")
    assert long == ["v6srv/migrations/versions/0001_first_tables.py: upgrade: 330"]


def _lines_of_code(function: ast.FunctionDef, lines: list[str]) -> int:
    """Without the docstring, blank lines and comments."""
    spoken: set[int] = set()
    if ast.get_docstring(function, clean=False) is not None:
        first = function.body[0]
        spoken = set(range(first.lineno, (first.end_lineno or 0) + 1))
    numbers = set(range(function.lineno, (function.end_lineno or 0) + 1)) - spoken
    code = (lines[number - 1].strip() for number in numbers)
    return sum(1 for line in code if line and not line.startswith("#"))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/soak").glob("*.py")), ids=lambda one: one.stem
)
def test_what_is_run_now_and_then_can_be_run(path: Path) -> None:
    importlib.import_module(f"tests.soak.{path.stem}")
