"""The programs that these tests drive, and what is said where they cannot be had."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.wire.station import ROOT, V4, Programs

NAMES = ["client", "node", "algorithm-tools", "common", "server"]


def test_the_programs_are_those_of_the_release(tmp_path: Path) -> None:
    names = [f"vantage6-{name}" for name in NAMES]
    found = V4.errand("versions.py", "versions", {"names": [*names, "requests"]}, tmp_path)
    library = tuple(map(int, found.pop("requests").split(".")))
    assert library >= (2, 32)  # by which their requests are told from those of 3.x
    assert set(found.values()) == {"4.15.2"}


def test_without_their_python_the_tests_are_skipped_and_it_is_said(tmp_path: Path) -> None:
    absent = Programs(tmp_path, ".venv-absent", "3.0", needed=False)
    with pytest.raises(pytest.skip.Exception, match=r"no python3\.0 here"):
        absent.require()
    nothing = {**os.environ, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHON": "python3.0"}
    command = ["make", "client-v4", "RELEASE_4_PYTHON=3.0"]
    made = subprocess.run(command, cwd=ROOT, env=nothing, capture_output=True, text=True)
    assert made.returncode == 0
    assert "ARE NOT TESTED" in made.stderr


def test_with_their_python_they_are_needed(tmp_path: Path) -> None:
    absent = Programs(tmp_path, ".venv-absent", "3.11", needed=False)
    with pytest.raises(pytest.fail.Exception, match=r"make \.venv-absent/\.ready"):
        absent.require()
