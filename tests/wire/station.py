"""Start programs of the client environment, from the tests."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-client" / "bin" / "python"


def require_client() -> None:
    """Fail, and say how to mend it, when the client environment is missing."""
    if not PYTHON.exists():
        pytest.fail("the real client is not installed: make test, or tools/python311_venv.sh")


def errand(script: str, what: str, settings: dict[str, Any], folder: Path) -> Any:
    """What a script of this folder found, as the last line it printed."""
    require_client()
    config = folder / f"{what}.json"
    config.write_text(json.dumps(settings))
    done = subprocess.run(
        [str(PYTHON), str(HERE / script), what, str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
    )
    assert done.returncode == 0, f"{what}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def data_station(settings: dict[str, Any], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node process; its output is in `folder`."""
    require_client()
    folder.mkdir(exist_ok=True)
    config = folder / "station.json"
    config.write_text(json.dumps({**settings, "folder": str(folder)}))
    with (folder / "station.log").open("ab") as log:
        process = subprocess.Popen(
            [str(PYTHON), str(HERE / "data_station.py"), str(config)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        yield process
        assert process.poll() is None, (folder / "station.log").read_text()[-3000:]
    finally:
        process.terminate()
        try:
            code = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        assert code == 0, (folder / "station.log").read_text()[-3000:]


def eventually(check: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait until a check is true."""
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
