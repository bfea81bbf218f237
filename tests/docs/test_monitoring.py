"""The metrics, and the alerts and the dashboard that ask for them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.databases import Databases
from tests.support import Caller, open_app

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "examples" / "monitoring"

WORDS = {
    "sum",
    "count",
    "max",
    "rate",
    "increase",
    "histogram_quantile",
    "topk",
    "vector",
    "by",
    "and",
    "or",
}
NOT_OURS = {"up"}


def expressions() -> Iterator[tuple[str, str]]:
    """Whose it is, and what it asks for."""
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        for alert in group["rules"]:
            yield alert["alert"], alert["expr"]
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def documented() -> set[str]:
    """The series of docs/reference/metrics.md, which a test keeps as they are."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE)
    return {f"{name}_bucket" if kind == "histogram" else name for name, kind in rows}


@pytest.mark.parametrize(("whose", "expression"), list(expressions()))
def test_what_is_asked_for_is_there(whose: str, expression: str) -> None:
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|by \([^)]*\)', "", expression)
    names = set(re.findall(r"[a-z_]\w*", bare)) - WORDS - NOT_OURS
    assert names or whose in ("ServerDown", "Processes")
    assert names <= documented()


def promtool(*arguments: str, input: str = "") -> None:
    """Fails when it does not like what it is shown."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool here")
    done = subprocess.run([program, *arguments], input=input, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_alerts() -> None:
    promtool("check", "rules", str(MONITORING / "alerts.yml"))


def test_promtool_accepts_the_metrics(databases: Databases) -> None:
    with open_app(databases, "sqlite", True, metrics=True) as (app, _):
        call = Caller(app)
        call("viewer", "GET", "/task")
        promtool("check", "metrics", input=call(None, "GET", "/metrics").text)
