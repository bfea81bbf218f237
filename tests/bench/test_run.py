"""The benchmark runs from end to end, with almost nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scenarios import SCENARIOS

from tests.docs.pages import ROOT

HERE = ROOT / "bench"


def test_the_smallest_run(tmp_path: Path) -> None:
    """Our server and the floor, and the reference where it is installed."""
    numbers = tmp_path / "numbers.json"
    environment = {name: v for name, v in os.environ.items() if not name.startswith("V6SRV_")}
    done = subprocess.run(
        [sys.executable, HERE / "run.py", "--small", "--json", numbers, "sqlite", "roles"],
        capture_output=True,
        text=True,
        timeout=400,
        env={**environment, "V6SRV_POLICY_TESTS": "off"},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(numbers.read_text())
    rows = report["rows"]["sqlite"]
    assert [row["name"] for row in rows] == [one.name for one in SCENARIOS]
    for row in rows:
        assert row["samples"]["v6srv"]["queries"] is not None
        assert row["samples"]["v6srv"]["count"] == row["samples"]["floor"]["count"] == 3
    assert [growth["base"] for growth in report["growths"]] == ["plain write"]
    assert report["memory_mb"]["v6srv"][1] > 10
    assert report["sockets"]["v6srv"][0] == 2
    assert "### Growth: roles" in done.stdout
