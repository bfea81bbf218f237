"""Tasks: starting them, stopping them, removing them."""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, insert, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import aliased

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import ServerWrite, as_server, settle
from v6srv.db import session, utcnow
from v6srv.errors import Denied, Invalid, NotFound, Unauthenticated, Upstream, V6srvError
from v6srv.model import (
    Collaboration,
    Node,
    NodeConfig,
    Organization,
    Result,
    Task,
    TaskDatabase,
)
from v6srv.model.node import ALLOWED_ORGS
from v6srv.service import algorithm_stores, events, lists, notices, payloads, task_targets
from v6srv.service.algorithm_stores import Origin
from v6srv.service.dependents import Dependents
from v6srv.service.events import collaboration_room, rooms_concerned
from v6srv.service.refusals import in_words
from v6srv.service.store_client import Visitor
from v6srv.service.task_orders import Place, place_of
from v6srv.vocabulary import V3, V4, Operation, PrincipalKind, Resource, ResultStatus

log = logging.getLogger(__name__)

KILLED = ResultStatus.KILLED.value
PENDING = ResultStatus.PENDING.value
ONGOING = (PENDING, ResultStatus.INITIALIZING.value, ResultStatus.ACTIVE.value)

# --- start


def start(
    who: Principal,
    authz: Authorizer,
    order: Mapping[str, Any],
    *,
    dialect: int = V3,
    mixes: bool = False,
    visitor: Visitor | None = None,
) -> Task:
    """A new task with a pending result for each organization of `order`, and its events.

    Of a user or a container: a task has a user who started it.

    `order` is a loaded `TaskIn` of either dialect; `databases` are pairs of a label and parameters,
    `study_id` and `store_id` may be missing. Subtasks of containers inherit run, initiating user
    and algorithm store. `mixes`: see `task_targets`. `visitor`: for whom a store is asked.
    What is wrong with the order is said only after the task is decided, so that nobody learns about
    collaborations that are not theirs (Q-45). Raises Denied, NotFound or Invalid.
    """
    if who.kind is PrincipalKind.NODE:
        raise Invalid("A task is started by a user or an algorithm, not by a node")
    place = place_of(who, authz, order)
    problem = _problem(place, order, dialect, mixes=mixes)
    if problem is not None and session.get(Collaboration, place.collaboration_id) is None:
        raise _nowhere(who, authz, place)
    origin = Origin(order["image"], place.store_id)
    if problem is None and visitor is not None and place.store_id is not None:
        origin, problem = _asked(who, authz, place, origin, visitor)
        problem = problem or _problem(place_of(who, authz, order), order, dialect, mixes=mixes)
    task = Task(
        name=order["name"],
        description=order["description"],
        image=origin.image,
        dialect=dialect,
        collaboration_id=place.collaboration_id,
        study_id=place.study_id,
        initiator_id=who.organization_id,
        **_descent(who, order["keep_days"], origin.store_id),
    )
    session.add(task)
    _name_databases(who, authz, task, [label for label, _ in order["databases"]])
    if problem is not None:
        settle()
        raise problem
    session.flush()
    _add_parts(task, order)
    with in_words(lambda _refusal: _closed(who, task)):
        settle()
    _announce(task, [target["id"] for target in order["organizations"]])
    return task


def _name_databases(who: Principal, authz: Authorizer, task: Task, labels: list[str]) -> None:
    """A new task has the first for its `database`, and may be started with each of the others.

    What policies say of a database would otherwise not hold for the second. Raises Denied.
    """
    first, *others = dict.fromkeys(labels) or [""]
    if others and authz.policy.asks_for(who.facts, Resource.TASK, Operation.CREATE, "database"):
        for label in others:
            task.database = label
            settle()
    task.database = first


def _add_parts(task: Task, order: Mapping[str, Any]) -> None:
    results = [
        {
            "task_id": task.id,
            "collaboration_id": task.collaboration_id,
            "organization_id": target["id"],
            "input": target["input"],
            "status": PENDING,
        }
        for target in order["organizations"]
    ]
    databases = [
        {
            "task_id": task.id,
            "position": position,
            "label": label,
            "parameters": json.dumps(parameters, separators=(",", ":")),
        }
        for position, (label, parameters) in enumerate(order["databases"])
    ]
    with as_server(ServerWrite.PARTS):
        # Nulls are written as such: rows with and without input go into one statement.
        session.execute(insert(Result), results, execution_options={"render_nulls": True})
        if databases:
            session.execute(insert(TaskDatabase), databases)


def _problem(
    place: Place, order: Mapping[str, Any], dialect: int, *, mixes: bool
) -> V6srvError | None:
    """The first reason why there can be no such task."""
    problem = task_targets.problem_of(place.collaboration_id, order, dialect, mixes=mixes)
    if problem is not None or place.problem is not None:
        return problem or place.problem
    inputs = [target["input"] for target in order["organizations"]]
    return payloads.problem_of_inputs(inputs, place.collaboration_id, dialect)


def _asked(
    who: Principal, authz: Authorizer, place: Place, origin: Origin, visitor: Visitor
) -> tuple[Origin, V6srvError | None]:
    """What the store says of the image of a new task, and what is wrong with that.

    Nothing is written yet. A subtask has image and store of its parent; and who may not view the
    collaboration does not know its stores.
    """
    if who.kind is not PrincipalKind.USER or origin.store_id is None:
        return origin, None
    about = origin.store_id, place.collaboration_id, origin.image
    try:
        authz.fetch(who, Resource.COLLABORATION, Operation.VIEW, place.collaboration_id)
        return algorithm_stores.origin(*about, visitor), None
    except (Denied, Invalid, NotFound, Upstream) as problem:
        return origin, problem


def _closed(who: Principal, task: Task) -> V6srvError:
    """Why a task is denied that is granted as long as it is addressed to nobody.

    What else is against it is raised instead.
    """
    _warn_of_namesakes(who, task)
    with as_server(ServerWrite.PARTS):
        session.execute(delete_rows(Result).where(Result.task_id == task.id))
    settle()
    return Invalid(
        "Cannot create this task because one of the nodes that you are trying to send this "
        "task to does not allow you to create tasks."
    )


def _warn_of_namesakes(who: Principal, task: Task) -> None:
    """A node that lets an organization in by its name has to name the id once several have it."""
    own, other = aliased(Organization), aliased(Organization)
    named = (
        select(own.name)
        .join(other, and_(other.name == own.name, other.id != own.id))
        .join(NodeConfig, and_(NodeConfig.key == ALLOWED_ORGS, NodeConfig.value == own.name))
        .join(Node, Node.id == NodeConfig.node_id)
        .where(own.id == who.organization_id, Node.collaboration_id == task.collaboration_id)
    )
    if name := session.scalar(named.limit(1)):
        log.warning(
            "a node allows tasks of organization %r by name, which several have: it has to name the"
            " id (of the one that asked: %d)",
            name,
            who.organization_id,
        )


def _nowhere(who: Principal, authz: Authorizer, place: Place) -> Denied | NotFound:
    """What is said of a collaboration that there is not."""
    where = Resource.COLLABORATION, place.collaboration_id
    return lists.unknown(who, authz, *where, Resource.TASK)


def _descent(who: Principal, keep_days: int | None, store_id: int | None) -> dict[str, int | None]:
    """Run, parent and initiating user of a new task (models.md 3.5), and what a subtask shares.

    It is kept no longer than its parent: what it computes may be what the parent sends. Its image
    is that of the parent, and so is the store.
    """
    if who.kind is not PrincipalKind.CONTAINER:
        run_id = Task.next_run_id()
        started = {"run_id": run_id, "parent_id": None, "init_user_id": who.account_id}
        return {**started, "keep_days": keep_days, "algorithm_store_id": store_id}
    # Locked: the parent cannot be killed while its subtask is being written.
    parent = session.scalars(
        select(Task).where(Task.id == who.task_id).with_for_update(read=True)
    ).one_or_none()
    if parent is None or is_over(parent):
        raise Unauthenticated("Container-token is not valid")
    return {
        "run_id": parent.run_id,
        "parent_id": parent.id,
        "init_user_id": parent.init_user_id,
        "keep_days": min(filter(None, (keep_days, parent.keep_days)), default=None),
        "algorithm_store_id": parent.algorithm_store_id,
    }


def is_over(task: Task) -> bool:
    """Whether nothing more is to be started for a task; one of 4.x is given up when a run fails."""
    return task.status_in_4 not in ONGOING if task.dialect == V4 else not task.unfinished


def _announce(task: Task, targets: Sequence[int]) -> None:
    assert task.collaboration_id is not None  # the order has one
    rooms = rooms_concerned(task.collaboration_id, task.initiator_id, *targets)
    created = {
        "task_id": task.id,
        "run_id": task.run_id,
        "collaboration_id": task.collaboration_id,
        "init_org_id": task.initiator_id,
    }
    events.emit("task_created", created, rooms)
    # For nodes, which are all in the room of their collaboration (S24 is about users).
    new = {"id": task.id, "parent_id": task.parent_id}
    events.emit("new_task", new, [collaboration_room(task.collaboration_id)])


# --- stop


def kill(task: Task) -> None:
    """Stop whatever still runs of a task and its subtasks.

    Raises Invalid when nothing does.
    """
    if not kill_trees([task]):
        raise Invalid(
            f"Task {task.id} already finished with status '{task.status}', so cannot kill it!"
        )


def kill_trees(tasks: Sequence[Task]) -> int:
    """Close every unfinished result of tasks and all their descendants, and tell the nodes.

    Returns how many were closed. Finished results stay as they are (Q-28). Nothing is sent when
    there are none: nodes take an empty list as "kill everything" (S13).
    """
    ids = [task.id for task in tasks]
    _lock_trees(ids)
    with as_server(ServerWrite.KILL):
        closed = session.execute(
            update(Result)
            .where(Result.task_id.in_(trees(ids)), Result.finished_at.is_(None))
            .values(status=KILLED, finished_at=utcnow())
            .returning(Result.collaboration_id, Result.id, Result.task_id, Result.organization_id),
            execution_options={"synchronize_session": False},
        ).all()
    killed = defaultdict(list)
    for run in sorted(closed, key=attrgetter("id")):
        one = {"task_id": run.task_id, "result_id": run.id, "organization_id": run.organization_id}
        killed[run.collaboration_id].append(one)
    killed.pop(None, None)
    for collaboration_id, kill_list in killed.items():
        payload = {"kill_list": kill_list, "collaboration_id": collaboration_id}
        events.emit("kill_containers", payload, [collaboration_room(collaboration_id)])
    if closed:
        notices.tasks_may_have_ended(ids)
    return len(closed)


def kill_everything_on(node: Node) -> None:
    """Tell a node to stop all it runs; it reports what it stopped. Raises Invalid if it is not
    online.
    """
    if node.status != "online" or node.collaboration_id is None:
        raise Invalid(f"Node {node.id} is not online so cannot kill its tasks!")
    payload = {"node_id": node.id, "collaboration_id": node.collaboration_id}
    events.emit("kill_containers", payload, [collaboration_room(node.collaboration_id)])


def trees(ids: Sequence[int]) -> Select[int]:
    """The ids of tasks and all their descendants."""
    tree = select(Task.id).where(Task.id.in_(ids)).cte("tree", recursive=True)
    tree = tree.union(select(Task.id).join(tree, Task.parent_id == tree.c.id))
    return select(tree.c.id)


def _lock_trees(ids: Sequence[int]) -> None:
    """Until the transaction ends nobody adds a subtask: containers lock the parent (`_descent`)."""
    tree = select(Task.id).where(Task.id.in_(trees(ids))).with_for_update()
    locked = 0
    while locked < (found := len(session.scalars(tree).all())):
        locked = found  # another look: one may have been added before the lock was taken


# --- remove


def delete(task: Task) -> None:
    """Remove a task with its results and subtasks (Q-48); what still runs is killed first."""
    kill_trees([task])
    session.delete(task)


def hanging_on(condition: ColumnElement[bool]) -> Dependents:
    """Tasks that may go with a row that is removed, as `delete` removes one."""
    return Dependents(Resource.TASK, condition, session.delete, before=kill_trees)
