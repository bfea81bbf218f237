"""Processes that do the same at once. One imports what they need and then forks, as it takes long."""

from pathlib import Path
from subprocess import run
from sys import executable
from textwrap import indent

_PROGRAM = """
import os, sys
{prepare}

for number in range({processes}):
    if not os.fork():
{do}
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in range({processes})]))
"""


def together(prepare: str, do: str, *arguments: str | Path, processes: int = 4) -> str:
    """What they print. `prepare` is run once; `do` in each, which finds its `number` and `sys.argv`.

    Fails if one of them does.
    """
    code = _PROGRAM.format(prepare=prepare, do=indent(do, 8 * " "), processes=processes)
    done = run([executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
