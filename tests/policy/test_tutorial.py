"""The tutorial works as it stands there: every command, and every line of every answer."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "policies" / "tutorial.md").read_text()
_BLOCK = re.compile(r"^```(sh refused|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NEXT = "--- next ---"


def test_the_tutorial(tmp_path: Path) -> None:
    blocks = _BLOCK.findall(TEXT)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "v6srv").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m v6srv "$@"\n')
    (tmp_path / "bin" / "v6srv").chmod(0o755)
    script = ["set -e"]
    for kind, text in blocks:
        if kind == "sh":
            script += [text, f"echo '{_NEXT}'"]
        elif kind == "sh refused":
            script += [f"if {text.strip()}; then echo 'not refused'; exit 9; fi", f"echo '{_NEXT}'"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "V6SRV_PASSWORD_ROUNDS": "4",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    answers = done.stdout.split(_NEXT)
    checked, command = 0, -1
    for kind, text in blocks:
        if kind != "text":
            command += 1
            continue
        for line in text.splitlines():
            assert line in answers[command], f"{line!r} is not in:\n{answers[command]}"
            checked += 1
    assert checked > 20
