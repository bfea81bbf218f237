"""What algorithms print while they run: kept in the log of their run, and told.

The log is complete when the run has ended: its node reports all of it then. Until that it is what
came so far, and not endless.
"""

import logging
from collections.abc import Collection

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import load_only

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import Result, Task
from v6srv.service import events, lists
from v6srv.service.events import rooms_concerned
from v6srv.vocabulary import Operation, Resource

log = logging.getLogger(__name__)

EVENT = "algorithm_log"
MOST_KEPT = 256 * 1024
"""Characters of the log of a run that is not over."""

_LOG = frozenset({"log"})
_FULL = "[the rest is in the log when the run has ended]\n"


def joined(before: str, more: str) -> str:
    """One text after another, on a line of its own."""
    return f"{before}{more}" if not before or before.endswith("\n") else f"{before}\n{more}"


def readable(authz: Authorizer, who: Principal, run_ids: Collection[int]) -> frozenset[int]:
    """Those of these runs that `who` may view, and with them their logs."""
    if not run_ids:
        return frozenset()
    return frozenset(lists.ids(who, authz, Resource.RESULT, Result.id.in_(run_ids)))


def append(authz: Authorizer, who: Principal, result_id: int, text: str) -> None:
    """Add to the log of a run, and tell who may hear of it.

    It is decided as when a node writes the log at the end. Raises Denied, and Invalid for a run
    that is over.
    """
    result = session.get(Result, result_id, options=[load_only(Result.id)])
    if result is None:
        raise authz.refusal(who, Resource.RESULT, Operation.EDIT)
    authz.require(who, Operation.EDIT, result, _LOG)
    run = session.execute(
        select(
            Result.finished_at,
            Result.organization_id,
            func.coalesce(func.length(Result.log), 0).label("length"),
            Task.id,
            Task.collaboration_id,
            Task.initiator_id,
        )
        .join(Task, Task.id == Result.task_id)
        .where(Result.id == result_id)
    ).one()
    if run.finished_at is not None:
        raise Invalid(f"Result id={result_id} is already finished")
    left = MOST_KEPT - run.length
    if left < 0:  # that was said
        return
    if len(text) > left:
        log.warning("the log of run %d is full until it has ended", result_id)
        text = joined(text[:left], _FULL)
    with as_server(ServerWrite.LOG):
        session.execute(
            update(Result).where(Result.id == result_id).values(log=_followed_by(text)),
            execution_options={"synchronize_session": False},
        )
    told = {"result_id": result_id, "task_id": run.id, "log": text}
    if run.collaboration_id is not None:
        concerned = rooms_concerned(run.collaboration_id, run.organization_id, run.initiator_id)
        events.emit(EVENT, told, concerned)


def _followed_by(text: str) -> ColumnElement[str]:
    """As `joined`, of what is stored."""
    stored = func.coalesce(Result.log, "")
    ends = (stored == "") | (func.substr(stored, func.length(stored), 1) == "\n")
    return case((ends, stored.concat(text)), else_=stored.concat(f"\n{text}"))
