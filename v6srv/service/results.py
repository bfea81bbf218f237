"""Results: what nodes report of their runs, and the ports that runs open."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, select, update

from v6srv.authz.unit_of_work import ServerWrite, as_server, settle
from v6srv.db import session, utcnow
from v6srv.errors import Invalid
from v6srv.model import Port, Result, Task
from v6srv.service import events, notices, payloads
from v6srv.service.events import rooms_concerned
from v6srv.service.tasks import KILLED
from v6srv.vocabulary import V4, ResultStatus

COMPLETED = ResultStatus.COMPLETED.value

FINAL = frozenset(
    {
        COMPLETED,
        "failed",
        "start failed",
        "non-existing Docker image",
        "crashed",
        KILLED,
        "not allowed",
        "unknown error",
    }
)
"""Statuses after which a run does not go on (models.md 3.1)."""


def report(result: Result, changes: Mapping[str, Any], *, log_ends: bool = False) -> Result:
    """Store what a node reports of its run; only what is given changes.

    `log_ends`: a last status that comes with a log ends the run, where the node does not say when.

    A finished result is final. A node that confirms a kill is not wrong, though (S12): its log is
    kept if there is none yet, and the data of the task is still kept. A run that the node killed on
    its own is finished with that, or it would be started again at the next connect (realtime.md 8).
    Raises Invalid.
    """
    was_over = result.finished_at is not None
    if was_over:
        if not result.status == changes.get("status") == KILLED:
            raise Invalid("Cannot update an already finished result!")
        if "log" not in changes or result.log is not None or _is_emptied(result):
            return result
        changes = {"log": changes["log"]}
    status = changes.get("status")
    if status is not None and result.status in FINAL and status not in FINAL:
        raise Invalid(f"A result with status '{result.status}' cannot become '{status}'")
    payloads.require_fit(result, changes.get("result"))
    for name, value in changes.items():
        setattr(result, name, value)
    ends = status == KILLED or (log_ends and status in FINAL and "log" in changes)
    if ends and result.finished_at is None:
        result.finished_at = utcnow()
    if (task := _task_of(result)) is not None:
        _announce(task, result.id, result.organization_id)
        if task.dialect == V4 and status in FINAL - {COMPLETED}:
            _give_up(task, result)
        if result.finished_at is not None and not was_over:
            settle()
            notices.tasks_may_have_ended([task.id])
    return result


def _is_emptied(result: Result) -> bool:
    emptied = select(Task.cleanup_at).where(Task.id == result.task_id)
    return session.scalar(emptied) is not None


def _task_of(result: Result) -> Row[int, int | None, int | None, int] | None:
    """What is to be known of its task: not its input, which may be large."""
    known = select(Task.id, Task.collaboration_id, Task.initiator_id, Task.dialect)
    return session.execute(known.where(Task.id == result.task_id)).one_or_none()


def _announce(task: Any, result_id: int, organization_id: int | None) -> None:
    if task.collaboration_id is not None:
        rooms = rooms_concerned(task.collaboration_id, organization_id, task.initiator_id)
        events.emit("status_update", {"result_id": result_id}, rooms)


def _give_up(task: Any, failed: Result) -> None:
    """End what has not begun of a task that has failed somewhere, as 4.x does."""
    with as_server(ServerWrite.SIBLINGS):
        ended = session.execute(
            update(Result)
            .where(
                Result.task_id == task.id,
                Result.id != failed.id,
                Result.started_at.is_(None),
                Result.finished_at.is_(None),
            )
            .values(
                status=ResultStatus.FAILED.value,
                finished_at=utcnow(),
                log=f"Not started: run {failed.id} of the same task ended with '{failed.status}'",
            )
            .returning(Result.id, Result.organization_id),
            execution_options={"synchronize_session": False},
        ).all()
    for id, organization_id in sorted(ended):
        _announce(task, id, organization_id)


def open_port(result: Result, port: int, label: str | None) -> Port:
    """A port that the run has opened. Raises Invalid when the run is over."""
    if result.finished_at is not None:
        raise Invalid(f"Result id={result.id} is already finished")
    row = Port(result_id=result.id, port=port, label=label)
    session.add(row)
    return row


def close_ports(result: Result) -> None:
    """Forget all ports of a run; nothing happens when there are none."""
    with as_server(ServerWrite.PORTS):
        session.execute(
            delete(Port).where(Port.result_id == result.id),
            execution_options={"synchronize_session": False},
        )
