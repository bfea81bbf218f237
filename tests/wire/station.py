"""Start programs of the releases, each in its environment, from the tests."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Programs:
    """Scripts that drive the unmodified programs of one release."""

    scripts: Path
    environment: str
    """The folder of the virtual environment."""
    version: str
    """Of Python."""
    needed: bool = True
    """False: where this Python is not installed the tests are skipped."""

    @property
    def python(self) -> Path:
        """The interpreter that has the release."""
        return ROOT / self.environment / "bin" / "python"

    def require(self) -> None:
        """Fail, and say how to mend it, when the environment is missing."""
        if self.python.exists():
            return
        if not self.needed:
            command = ["bash", str(ROOT / "tools" / "python_venv.sh"), self.version]
            asked = subprocess.run(command, capture_output=True, text=True)
            if asked.returncode:
                pytest.skip(f"the real programs are not tested: {asked.stderr.strip()}")
        pytest.fail(f"they are not installed: make test, or make {self.environment}/.ready")

    def errand(self, script: str, what: str, settings: dict[str, Any], folder: Path) -> Any:
        """What a script found, as the last line it printed."""
        self.require()
        config = folder / f"{what}.json"
        config.write_text(json.dumps(settings))
        done = subprocess.run(
            [str(self.python), str(self.scripts / script), what, str(config)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
        )
        assert done.returncode == 0, f"{what}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return json.loads(done.stdout.strip().splitlines()[-1])

    @contextmanager
    def data_station(
        self, settings: dict[str, Any], folder: Path
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A node process; its output is in `folder`."""
        self.require()
        folder.mkdir(exist_ok=True)
        config = folder / "station.json"
        config.write_text(json.dumps({**settings, "folder": str(folder)}))
        with (folder / "station.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self.python), str(self.scripts / "data_station.py"), str(config)],
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


V3 = Programs(HERE, ".venv-client", "3.11")
V4 = Programs(ROOT / "tests" / "wire_v4", ".venv-client-v4", "3.10", needed=False)
PYTHON = V3.python
errand, data_station = V3.errand, V3.data_station


def eventually(check: Callable[[], object], within_s: float = 120.0) -> None:
    """Wait until a check is true."""
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
