"""What programs of 3.x and of 4.x say in different words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from v6srv.vocabulary import V3, V4, ResultStatus

_JSON = "json."
"""In front of a message of 3.x that is JSON; others are pickles, which are not read here."""
_ONGOING = (ResultStatus.PENDING, ResultStatus.INITIALIZING, ResultStatus.ACTIVE)


@dataclass(frozen=True, slots=True)
class Generation:
    """The protocol of one generation."""

    number: int
    run: str
    """What one organization computes: a result in 3.x, a run in 4.x."""

    @property
    def base(self) -> str:
        """The base path that is for this generation alone."""
        return f"/v{self.number}/api"

    def rows(self, answer: Any) -> list[dict[str, Any]]:
        """Of a list: 4.x has it in an envelope."""
        found: list[dict[str, Any]] = answer if self.number == V3 else answer["data"]
        return found

    def write(self, message: Any) -> bytes:
        """A message of JSON as bytes."""
        text = json.dumps(message)
        return (_JSON + text if self.number == V3 else text).encode()

    def read(self, content: bytes) -> Any:
        """Such a message. Raises ValueError for what is none."""
        return json.loads(content.decode().removeprefix(_JSON))

    def task_of(self, event: Any) -> int:
        """Which task the event `new_task` tells of."""
        return int(event if self.number == V3 else event["id"])

    def initiator(self, task: Mapping[str, Any]) -> int:
        """The organization that is to read the results of a task."""
        return int(task["initiator"] if self.number == V3 else task["init_org"]["id"])

    def is_over(self, task: Mapping[str, Any]) -> bool:
        """Whether nothing more will come of a task."""
        return bool(task["complete"]) if self.number == V3 else task["status"] not in _ONGOING

    def results_of(self, task_id: int) -> tuple[str, dict[str, Any]]:
        """Path and query of what came of a task."""
        if self.number == V3:
            return f"task/{task_id}/result", {}
        return "result", {"task_id": task_id, "per_page": 1000}

    def order(self, **fields: Any) -> dict[str, Any]:
        """The body of a new task that reads the default database."""
        read = (
            {"database": "default"} if self.number == V3 else {"databases": [{"label": "default"}]}
        )
        return fields | read


GENERATIONS = {V3: Generation(V3, "result"), V4: Generation(V4, "run")}
