"""Policies of the documentation are valid, without a finding, and do what their tests say.

A block of lines and the tests below it are a policy beside the default one. Tests alone are asked of
the default policy.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks
from v6srv.authz import clock
from v6srv.authz.source.load import build
from v6srv.policy.lint.folder import lint
from v6srv.policy.testing.mutation import mutate
from v6srv.policy.testing.run import run_folder

LINES = "csv"
TESTS = "yaml tests"


@dataclass(frozen=True)
class Recipe:
    """A policy of a page."""

    name: str
    lines: str | None
    tests: str


def _recipes() -> list[Recipe]:
    found = []
    for page in PAGES:
        lines = None
        for block in blocks(page):
            if block.kind == LINES:
                assert lines is None, f"{block}: the lines before have no tests"
                lines = block.text
            elif block.kind == TESTS:
                found.append(Recipe(str(block), lines, block.text))
                lines = None
        assert lines is None, f"{page}: the last lines have no tests"
    return found


RECIPES = _recipes()
WRITTEN = clock.read("2026-11-10")
"""When the page was written: time limits of its lines are not over."""


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    recipe = request.param
    for name in ("model.conf", "default_roles.csv"):
        shutil.copy(ROOT / "policies" / name, tmp_path)
    if recipe.lines is not None:
        (tmp_path / "local.csv").write_text(recipe.lines)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "local.yaml").write_text(recipe.tests)
    return tmp_path


recipes = pytest.mark.parametrize(
    "folder", RECIPES, ids=[recipe.name for recipe in RECIPES], indirect=True
)


def test_there_are_the_promised_recipes() -> None:
    assert len([recipe for recipe in RECIPES if recipe.lines is not None]) >= 5


@recipes
def test_a_recipe_has_no_finding(folder: Path) -> None:
    with clock.stopped(WRITTEN):
        assert [str(problem) for problem in lint(folder)] == []


@recipes
def test_a_recipe_does_what_it_says(folder: Path) -> None:
    report = run_folder(folder)
    assert len(report.outcomes) >= 4
    assert [f"{found.case.title}: {found.mismatch}" for found in report.failed] == []


@recipes
def test_no_line_of_a_recipe_could_be_missing_or_turned_around(folder: Path) -> None:
    enforcer = build(folder)
    report = run_folder(folder)
    survivors = [
        str(mutant)
        for mutant in mutate(enforcer, report).lines.survivors
        if mutant.line.origin.startswith("local.csv")
    ]
    assert survivors == []
