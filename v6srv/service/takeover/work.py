"""Tasks, what they are grouped by, and what came of them, as an old database has them."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, update

from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import AlgorithmStore, Port, Result, Run, Study, StudyMember, Task, TaskDatabase
from v6srv.service.takeover.copying import Copy, Pair, Row
from v6srv.service.takeover.source import closing_circles, require_unique

_TASK_POINTS_TO = {
    "collaboration_id": "collaboration",
    "parent_id": "task",
    "initiator_id": "organization",
    "init_user_id": "user",
    "study_id": "study",
    "algorithm_store_id": "algorithmstore",
}


def studies(copy: Copy, members: Collection[Pair]) -> None:
    """`members` are the organizations in collaborations: no study has others."""
    rows = list(copy.parts("study", "collaboration_id", "collaboration"))
    _require(rows, "study", "name")
    require_unique(rows, "studies", "name")
    copy.write(Study, rows)
    of_study = {row["id"]: row["collaboration_id"] for row in rows}
    taking_part = []
    for study, organization in copy.pairs("StudyMember", "study", "organization"):
        if (organization, of_study[study]) in members:
            taking_part.append({"study_id": study, "organization_id": organization})
        else:
            which = "of organizations that are not in the collaboration of the study"
            copy.leave_out("StudyMember", which, f"study {study} - organization {organization}")
    copy.write(StudyMember, taking_part)


def stores(copy: Copy) -> None:
    """The store of a collaboration that is gone is not one for all collaborations."""
    rows = []
    for row in copy.entities("algorithmstore"):
        if row["collaboration_id"] is None or row["collaboration_id"] in copy.ids["collaboration"]:
            rows.append(row)
        else:
            copy.leave_out("algorithmstore", "without collaboration", row["id"])
    for column in ("name", "url"):
        _require(rows, "algorithmstore", column)
    copy.write(AlgorithmStore, rows)


def _require(rows: Sequence[Row], table: str, column: str) -> None:
    for row in rows:
        if row[column] is None:
            raise Invalid(f"Table {table} of the source: row {row['id']} has no {column}")


def tasks(copy: Copy) -> None:
    """Tasks with their databases, results and ports, and the numbers of their runs."""
    rows = list(copy.entities("task"))
    there = copy.release.tables["task"].c
    runs = {row["run_id"] for row in rows if row["run_id"] is not None}
    for run in runs:
        copy.claim("run", run, f"Table task of the source: the {there.run_id.name}")
    copy.write(Run, [{"id": run} for run in sorted(runs)])
    copy.ids["task"] = {row["id"] for row in rows}
    for row in rows:
        for column in _TASK_POINTS_TO.keys() & row.keys():
            copy.refer("task", row, column, _TASK_POINTS_TO[column])
    parents = {row["id"]: row["parent_id"] for row in rows if row["parent_id"] is not None}
    for id_ in closing_circles(parents):
        del parents[id_]
        copy.mend("tasks that were their own ancestors have no parent now", id_)
    databases = _databases(copy, rows)
    # A parent may be written after its child.
    own = {"parent_id": None, "dialect": copy.release.dialect}
    copy.write(Task, ({**row, "database": _first(databases, row), **own} for row in rows))
    _set(parent_id=parents)
    copy.write(TaskDatabase, (one for some in databases.values() for one in some))
    emptied = _Emptied()
    of_task = {row["id"]: row["collaboration_id"] for row in rows}
    copy.write(Result, _results(copy, of_task, emptied))
    _set(cleanup_at=emptied.tasks(copy))
    copy.write(Port, copy.parts("algorithmport", "result_id", "result"))


def _set(**values: Mapping[int, object]) -> None:
    """Give tasks, by id, the values of a column."""
    for column, by_task in values.items():
        if by_task:
            task = Task.__table__.c
            change = update(Task).where(task.id == bindparam("one"))
            session.connection().execute(
                change.values({column: bindparam("other")}),
                [{"one": one, "other": other} for one, other in by_task.items()],
            )


# --- databases


_Databases = Mapping[int, list[Row]]


def _databases(copy: Copy, tasks: Sequence[Row]) -> _Databases:
    """What tasks read, by task: 3.x has one label in the task, 4.x rows in their order."""
    found: dict[int, list[Row]] = defaultdict(list)
    if not copy.has("task_database"):
        for task in tasks:
            if task["database"]:
                found[task["id"]] = [_database(task["id"], 0, task["database"], "{}")]
        return found
    for row in copy.parts("task_database", "task_id", "task"):
        if not row["label"]:
            copy.leave_out("task_database", "without a label", row["id"])
            continue
        task, parameters = row["task_id"], row["parameters"] or "{}"
        if not _is_object(parameters):
            parameters = "{}"
            copy.mend("taskdatabase.parameters were no JSON object and are empty now", row["id"])
        found[task].append(_database(task, len(found[task]), row["label"], parameters))
    return found


def _database(task: int, position: int, label: str, parameters: str) -> Row:
    return {"task_id": task, "position": position, "label": label, "parameters": parameters}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _first(databases: _Databases, task: Row) -> str | None:
    """What 3.x knows of the databases of a task."""
    label: str | None = task.get("database", "")
    own = databases.get(task["id"])
    return own[0]["label"] if own else label


# --- results


@dataclass(slots=True)
class _Emptied:
    """Of which tasks 4.x has deleted results after some days: it notes that of each run."""

    at: dict[int, datetime] = field(default_factory=dict)
    """When the latest of the runs of a task was emptied."""
    left: set[int] = field(default_factory=set)
    """Tasks with something that is still there: 4.x keeps logs, and inputs if it is told to."""

    def tasks(self, copy: Copy) -> dict[int, datetime]:
        """Here a task counts as emptied when nothing is left of it."""
        for task in sorted(self.at.keys() & self.left):
            copy.mend(
                "tasks of which some results were deleted after some days do not say so: inputs, "
                "logs or other results are there, and go when this server deletes old data",
                task,
            )
        return {task: at for task, at in self.at.items() if task not in self.left}


def _results(copy: Copy, of_task: Mapping[int, int | None], emptied: _Emptied) -> Iterator[Row]:
    """`of_task`: the collaborations of tasks."""
    for row in copy.entities("result"):
        copy.refer("result", row, "task_id", "task")
        copy.refer("result", row, "organization_id", "organization")
        task, at = row["task_id"], row.pop("cleanup_at", None)
        row["collaboration_id"] = of_task.get(task)
        if task is not None and at is not None:
            emptied.at[task] = max(at, emptied.at.get(task, at))
        if at is None or row["input"] or row["result"] or row["log"]:
            emptied.left.add(task)
        if row.pop("blob_storage_used", False):
            copy.mend(
                "inputs and results of these runs are in the blob storage of the old server, which "
                "is not read: here are their names there",
                row["id"],
            )
        yield row
