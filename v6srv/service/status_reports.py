"""What nodes say about running algorithms, checked against what is stored."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Invalid
from v6srv.model import Node, Result
from v6srv.service import events
from v6srv.service.events import rooms_concerned
from v6srv.vocabulary import Operation, Resource, ResultStatus


def pass_on(authz: Authorizer, who: Principal, report: Any) -> None:
    """Tell a collaboration of a node's report.

    Only `status` and the id of the result are taken from the report, which 3.x calls `result_id`
    and 4.x `run_id`; everything else is what the database says about the result, which must be one
    that the policies let `who` edit (S7, S8). Raises Invalid for all other reports.
    """
    if not isinstance(report, Mapping):
        raise Invalid("a report must be an object")
    result_id, status = report.get("result_id", report.get("run_id")), report.get("status")
    if not _is_id(result_id) or not isinstance(status, str) or status not in set(ResultStatus):
        raise Invalid("a report needs a result_id, or a run_id, and a known status")
    result = session.get(Result, result_id, options=[joinedload(Result.task)])
    task = None if result is None else result.task
    if (
        result is None
        or task is None
        or task.collaboration_id is None
        or not authz.decide(who, Resource.RESULT, Operation.EDIT, result).allowed
    ):
        raise Invalid(f"no result {result_id} to report on")
    node_id = session.scalar(
        select(Node.id).where(
            Node.organization_id == result.organization_id,
            Node.collaboration_id == task.collaboration_id,
        )
    )
    payload = {
        "status": status,
        "result_id": result.id,
        "task_id": task.id,
        "run_id": task.run_id,
        "collaboration_id": task.collaboration_id,
        "node_id": node_id,
        "organization_id": result.organization_id,
        "parent_id": task.parent_id,
    }
    rooms = rooms_concerned(task.collaboration_id, result.organization_id, task.initiator_id)
    events.emit("algorithm_status_change", payload, rooms)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID
