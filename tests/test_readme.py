"""The first five minutes of the README work as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.live import live_server

ROOT = Path(__file__).parents[1]


def test_the_first_five_minutes(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    [script] = re.findall(r"^python3 - <<'END'\n(.*?)^END$", text, re.MULTILINE | re.DOTALL)
    assert "v6srv import examples/study.yaml" in text
    with live_server(instance=tmp_path) as server:
        imported = subprocess.run(
            [sys.executable, "-m", "v6srv", "import", "examples/study.yaml"],
            cwd=ROOT,
            env={"V6SRV_INSTANCE": str(tmp_path), "V6SRV_PASSWORD_ROUNDS": "4"},
            capture_output=True,
            text=True,
        )
        assert imported.returncode == 0, imported.stderr
        script = script.replace("http://127.0.0.1:5000", server.url)
        done = subprocess.run(
            [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "task 1 is pending",
            "organization 2 is completed with NDI=",
            "organization 3 is pending with None",
        ]
