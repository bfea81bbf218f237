"""No regular expression of the server takes a long time for a bad text (ReDoS)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patterns.attack import sites

TOP = Path(__file__).parents[2]


def attacked(*given: str) -> subprocess.CompletedProcess[str]:
    """In a process that the kernel ends when it has used too much."""
    command = [sys.executable, "-m", "tests.patterns.attack", *given]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


def test_every_pattern_reads_a_long_text_once() -> None:
    """Also the wildcards of policies and filters. The last place that is told is the slow one."""
    done = attacked()
    assert done.returncode == 0, (done.stdout.splitlines() or [""])[-1] + done.stderr
    number = len([*sites()])
    assert done.stdout.splitlines()[-1] == f"sites {number}"
    assert number > 50


@pytest.mark.parametrize("slow", ["(a+)+", "a*a*b"])
def test_a_pattern_that_does_not_is_found(slow: str) -> None:
    """One that needs steps without end, and one that needs the square of them."""
    assert attacked(slow).returncode < 0
