"""An admin at the command line, with a candidate to work on."""

import json
import re
import shutil
from pathlib import Path

from click.testing import CliRunner, Result

from v6srv import db
from v6srv.cli.main import cli

VIEWER = "user:6"
"""The user `viewer` of tests/world.py; no test of the shipped policies speaks of a single user."""
GAIN = f"p, {VIEWER}, task, global, view, True, allow\n"
LOSS = f"p, {VIEWER}, port, global, view, True, deny\n"


def approval_in(said: str) -> str:
    """The digest to approve gains by that a command has printed."""
    [digest] = re.findall(r"--approve-gains ([0-9a-f]{32})\b", said)
    return str(digest)


class Desk:
    """An admin at the command line, with a candidate to work on."""

    def __init__(self, tmp_path: Path, uri: str) -> None:
        self.live, self.candidate = tmp_path / "policies", tmp_path / "candidate"
        self.environment = {
            "V6SRV_INSTANCE": str(tmp_path),
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_ROOT_PASSWORD": "Publ1sh-Pass!",
        }
        shutil.copytree(self.live, self.candidate)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What `v6srv policy ...` prints; it must end with this code."""
        done: Result = CliRunner().invoke(cli, ["policy", *arguments], env=self.environment)
        db.session.remove()
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    def write(self, text: str, name: str = "local.csv") -> None:
        (self.candidate / name).write_text(text)

    @property
    def publication(self) -> tuple[str, ...]:
        return ("publish", str(self.candidate), "-m", "why", "--author", "ada")

    def publish(self, *options: str, code: int = 0) -> str:
        return self(*self.publication, *options, code=code)

    def approving(self, *command: str) -> str:
        """The same, approving the gains of which its refusal tells."""
        return self(*command, "--approve-gains", approval_in(self(*command, code=1)))

    def messages(self) -> list[str]:
        found = json.loads(self("history", "--format", "json"))
        return [f"{version['author']}: {version['message']}" for version in found]
