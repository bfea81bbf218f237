"""What sockets of each dialect are told of an event.

An event is stored once, in the words of the tables, which are those of 3.x: `result_id` is the work
of one organization, `run_id` the number of the job. 4.x calls them `run_id` and `job_id`.
"""

from collections.abc import Mapping
from typing import Any

from v6srv.vocabulary import V3, V4

_NOT_IN = {"task_created": V4, "algorithm_log": V3}
_NAMES_IN_4 = {"result_id": "run_id", "run_id": "job_id"}


def forms(event: str, payload: Any) -> Mapping[int, Any]:
    """The data of an event by dialect. A dialect that is missing does not know the event."""
    if event == "new_task":
        # A bare number: it was stored before there were two dialects.
        task = payload if isinstance(payload, dict) else {"id": payload, "parent_id": None}
        return {V3: task["id"], V4: task}
    found = {V3: payload, V4: _in_4(payload)}
    found.pop(_NOT_IN.get(event, 0), None)
    return found


def _in_4(value: Any) -> Any:
    if isinstance(value, dict):
        return {_NAMES_IN_4.get(key, key): _in_4(each) for key, each in value.items()}
    return [_in_4(each) for each in value] if isinstance(value, list) else value
