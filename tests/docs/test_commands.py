"""Every command of the documentation works as it stands there, and prints what is said."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.docs.clone import clone
from tests.docs.pages import PAGES, ROOT, RUN, SHOWN, Block, blocks, name_of
from tests.live import free_port
from tests.wire.station import PYTHON as CLIENT_PYTHON

PYTHON = {
    "python": shlex.quote(str(CLIENT_PYTHON)),
    "python server": ".venv/bin/python",
}
_NEXT = "--- next ---"
_WITHIN_S = 240
_PORT = re.compile(r"\b5000\b")

WITH_COMMANDS = [page for page in PAGES if any(block.kind in RUN for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_a_page(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Pasted into one shell, in a clone, one block after the other.

    Three things are changed: port 5000 is a free one, since it may be taken here; passwords are
    hashed in less rounds; and the shell gives up at the first command that fails.
    """
    folder = clone(tmp_path)
    if page.name == "take-over.md":  # its reader has the database of a 3.x server
        shutil.copy(request.getfixturevalue("reference").file, folder / "old.sqlite")
    printed = _run(_script(page), folder, in_environment=page.parent != ROOT)
    answers = printed.split(_NEXT)
    at = -1
    for block in blocks(page):
        if block.kind in RUN:
            at += 1
        elif block.kind == SHOWN and block.follows and at >= 0:
            _prints(answers[at], block)


def test_all_pages_with_commands_are_found() -> None:
    found = {name_of(page) for page in WITH_COMMANDS}
    assert {"README.md", "docs/policies/tutorial.md", "docs/operations.md"} <= found


def _script(page: Path) -> str:
    script = ["set -e"]
    if page.name == "nodes.md":  # its reader has the server of the first five minutes
        script += [next(block.text for block in blocks(ROOT / "README.md") if block.kind == "sh")]
    for block in blocks(page):
        if block.kind == "sh":
            script.append(block.text)
        elif block.kind == "sh refused":
            script.append(f"if {block.text.strip()}; then echo 'not refused'; exit 9; fi")
        elif block.kind in PYTHON:
            snippet = f"<<'END OF SNIPPET'\n{block.text}END OF SNIPPET"
            script.append(f"{PYTHON[block.kind]} - {snippet}")
        else:
            continue
        script.append(f"echo '{_NEXT}'")
    return "\n".join(script)


def _run(script: str, folder: Path, in_environment: bool) -> str:
    """What the commands print; they must succeed. Nothing that they started is left."""
    port = free_port()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("V6SRV_")}
    path = inherited["PATH"]
    if in_environment:  # pages below docs are for people who have v6srv installed
        path = f"{folder / '.venv' / 'bin'}:{path}"
    environment = {
        **inherited,
        "PATH": path,
        "HOME": str(folder.parent),
        "PORT": str(port),
        "V6SRV_PASSWORD_ROUNDS": "4",
    }
    output = folder.parent / "printed.txt"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash", "-c", _PORT.sub(str(port), script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(_WITHIN_S)
        finally:
            _end_all(shell.pid)
    printed = output.read_text(errors="replace")
    assert code == 0, printed[-4000:]
    return printed


def _end_all(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _prints(answer: str, block: Block) -> None:
    """The lines of the block are in the answer, in this order."""
    at = 0
    for line in block.text.splitlines():
        found = answer.find(line, at)
        assert found >= 0, f"{block}: {line!r} is not in this, or not there:\n{answer}"
        at = found + len(line)
