"""/console/task: what is computed, and /console/result: what came of it."""

from flask import Response, current_app
from flask.views import MethodView
from marshmallow import validate

from v6srv.api import filters, guard
from v6srv.api.visitor import visitor
from v6srv.authz.offers import DELETE
from v6srv.console import trees
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.tables import containing, table
from v6srv.model import Task as Row
from v6srv.service import task_overview, tasks
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Input, NumberFilter, Text

TASK, RESULT = Resource.TASK, Resource.RESULT
STATES = ("pending", "initializing", "active", "completed", "failed", "killed by user")
SHOWN_OF_A_LOG = 100_000
"""Characters, from its end."""


class TaskQuery(Input):
    """Filters of the list."""

    name = Text()
    image = Text()
    status = Text(validate=validate.OneOf(STATES))
    collaboration_id = NumberFilter()


_FILTERS = {**filters.TASK, "status": lambda status: Row.status == status}


@blp.route("/task")
class Tasks(MethodView):
    @guard.rows(TASK)
    @arguments(TaskQuery, location="query")
    @page("tasks.html")
    def get(self, query, rows, may):
        """The tasks you may view, newest first; those that algorithms started are with theirs."""
        conditions = filters.conditions(_FILTERS, containing(query, "name", "image"))
        found = table(rows.where(Row.parent_id.is_(None), *conditions).order_by(Row.id.desc()))
        return {
            "table": found,
            "query": query,
            "states": [(state, state) for state in STATES],
            "collaborations": _named(may, Resource.COLLABORATION, found.rows, "collaboration_id"),
            "initiators": _named(may, Resource.ORGANIZATION, found.rows, "initiator_id"),
        }


@blp.route("/task/<int:id>")
class Task(MethodView):
    @guard.one(TASK)
    @page("task.html")
    def get(self, row, who, authz, may):
        """One task: its runs, and the tasks of algorithms that belong to it."""
        runs = task_overview.runs(who, authz, [row.id])
        waiting = [run for run in runs if run.finished_at is None]
        tree = task_overview.tree(who, authz, row)
        return {
            "row": row,
            "runs": runs,
            "tree": trees.picture(tree, row.id) if len(tree) > 1 else None,
            "away": task_overview.nodes_away(who, authz, row, waiting),
            "goes_on": any(one.unfinished for one in tree),
            "kills": bool(waiting) and may.any(Resource.EVENT, Operation.CREATE),
            **may.acts(row, deletes=DELETE),
            "repeats": row.parent_id is None and may.any(TASK, Operation.CREATE),
            "collaborations": _named(may, Resource.COLLABORATION, [row], "collaboration_id"),
            "organizations": may.names(
                Resource.ORGANIZATION, {row.initiator_id, *(run.organization_id for run in runs)}
            ),
            "users": _named(may, Resource.USER, [row], "init_user_id"),
        }


@blp.route("/task/<int:id>/repeat")
class TaskRepetition(MethodView):
    @guard.one(TASK)
    @page("task_repetition.html")
    def get(self, row, who, authz):
        """What would be sent, and the button."""
        return {"row": row, "order": task_overview.once_more(who, authz, row)}

    @guard.some(TASK, Operation.CREATE)
    @page()
    def post(self, id, who, authz):
        """Start a task like this one."""
        row = authz.fetch(who, TASK, Operation.VIEW, id)
        order = task_overview.once_more(who, authz, row)
        mixes = current_app.config["SETTINGS"].mixes_generations
        new = tasks.start(
            who, authz, order, dialect=row.dialect, mixes=mixes, visitor=visitor(None)
        )
        return done("The task has been started once more.", "task", new)


@blp.route("/task/<int:id>/kill")
class TaskKill(MethodView):
    @guard.one(Resource.EVENT, Operation.CREATE, on=Row)
    @page("task_kill.html")
    def get(self, row, who, authz):
        """What is stopped, and the button."""
        runs = task_overview.runs(who, authz, [row.id])
        return {"row": row, "running": [run for run in runs if run.finished_at is None]}

    @guard.one(Resource.EVENT, Operation.CREATE, on=Row)
    @page()
    def post(self, row):
        """Stop it and its subtasks wherever they still run."""
        tasks.kill(row)
        return done("The nodes have been told to stop what runs for this task.", "task", row)


@blp.route("/task/<int:id>/delete")
class TaskDeletion(MethodView):
    @guard.one(TASK, Operation.DELETE)
    @page("task_deletion.html")
    def get(self, row):
        """What goes with it, and the button."""
        subtasks, runs = task_overview.what_goes(row)
        return {"row": row, "subtasks": subtasks, "runs": runs}

    @guard.deletes(TASK)
    @page()
    def post(self, row):
        """Remove it with its subtasks and results. What still runs is stopped."""
        tasks.delete(row)
        return done(f"Task {row.id} has been removed.", "tasks")


@blp.route("/result/<int:id>")
class ResultPage(MethodView):
    @guard.one(RESULT)
    @page("result.html")
    def get(self, row, may):
        """The end of what the algorithm has printed; it grows while the run goes on."""
        log = row.log or ""
        return {
            "row": row,
            "log": log[-SHOWN_OF_A_LOG:],
            "left_out": max(len(log) - SHOWN_OF_A_LOG, 0),
            "organizations": _named(may, Resource.ORGANIZATION, [row], "organization_id"),
        }


@blp.route("/result/<int:id>/<any(input, result, log):part>")
class ResultText(MethodView):
    @guard.one(RESULT)
    @page()
    def get(self, part, row):
        """One of the texts of a run, as it was sent: a file to keep."""
        name = f"{part}-{row.id}.txt"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(getattr(row, part) or "", mimetype="text/plain", headers=headers)


def _named(may, resource, rows, column):
    return may.names(resource, {getattr(row, column) for row in rows})
