"""The tests beside a policy, run in a process of their own: the server does not stall.

`python -P -m v6srv.policy.testing.process FOLDER` is that process. It prints what fails as JSON.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from v6srv.policy.child import Child, begin

Failures = Mapping[str, str]
"""What is wrong, by place: `tests/viewer.yaml:12:5`."""


class RunningTests(Child):
    """The tests of a folder."""

    def __init__(self, folder: Path) -> None:
        """Start them. Raises OSError when there can be no further process."""
        super().__init__(__name__, str(folder.absolute()))


def main() -> None:
    """Run the tests of the folder that is the argument."""
    folder = Path(begin())
    from v6srv.policy.testing.run import failures

    found = failures(folder)
    json.dump({problem.origin: problem.message for problem in found}, sys.stdout)


if __name__ == "__main__":
    main()
