"""The recipes of the documentation are valid, without a finding, and do what their tests say."""

import re
import shutil
from pathlib import Path

import pytest

from v6srv.authz import clock
from v6srv.authz.snapshot import build
from v6srv.policy.lint import lint
from v6srv.policy.mutation import mutate
from v6srv.policy.testing import run_folder

ROOT = Path(__file__).parents[2]
_RECIPE = re.compile(r"^## (.*?)\n.*?^```csv\n(.*?)^```\n.*?^```yaml\n(.*?)^```", re.M | re.S)
RECIPES = _RECIPE.findall((ROOT / "docs" / "policies" / "recipes.md").read_text())
WRITTEN = clock.read("2026-11-10")
"""When the page was written: time limits of its lines are not over."""


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    _, lines, tests = request.param
    for name in ("model.conf", "default_roles.csv"):
        shutil.copy(ROOT / "policies" / name, tmp_path)
    (tmp_path / "local.csv").write_text(lines)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "local.yaml").write_text(tests)
    return tmp_path


recipes = pytest.mark.parametrize(
    "folder", RECIPES, ids=[title for title, *_ in RECIPES], indirect=True
)


def test_there_are_the_promised_recipes() -> None:
    assert len(RECIPES) >= 5


@recipes
def test_a_recipe_has_no_finding(folder: Path) -> None:
    with clock.stopped(WRITTEN):
        assert [str(problem) for problem in lint(folder)] == []


@recipes
def test_a_recipe_does_what_it_says(folder: Path) -> None:
    report = run_folder(folder)
    assert len(report.outcomes) >= 4
    assert [found.case.title for found in report.failed] == []


@recipes
def test_no_line_of_a_recipe_could_be_missing_or_turned_around(folder: Path) -> None:
    snapshot = build(folder)
    report = run_folder(folder)
    survivors = [
        str(mutant)
        for mutant in mutate(snapshot, report).lines.survivors
        if mutant.line.origin.startswith("local.csv")
    ]
    assert survivors == []


def test_the_example_of_the_format_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "policies" / "tests.md").read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    for name in ("model.conf", "default_roles.csv"):
        shutil.copy(ROOT / "policies" / name, tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "example.yaml").write_text(example)
    report = run_folder(tmp_path)
    assert len(report.outcomes) > 20
    assert [f"{found.case.title}: {found.mismatch}" for found in report.failed] == []
