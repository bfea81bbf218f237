"""/kill: stop a task everywhere, or everything on one node."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.model import Node, Task
from v6srv.service import tasks
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut, Named

blp = Blueprint("kill", __name__, description="Stopping what runs")
EVENT, CREATE = Resource.EVENT, Operation.CREATE


@blp.route("/kill/task")
class KilledTasks(MethodView):
    @guard.named(EVENT, CREATE, on=Task, missing="No task id provided!")
    @blp.arguments(Named)
    @blp.response(200, MessageOut)
    def post(self, _body, row):
        """Stop a task and its subtasks wherever they still run."""
        tasks.kill(row)
        return {
            "msg": f"Nodes have been instructed to kill any containers running for task {row.id}."
        }


@blp.route("/kill/node/tasks")
class KilledNodeTasks(MethodView):
    @guard.named(EVENT, CREATE, on=Node, missing="No node id provided!")
    @blp.arguments(Named)
    @blp.response(200, MessageOut)
    def post(self, _body, row):
        """Stop everything that a node runs."""
        tasks.kill_everything_on(row)
        return {"msg": f"Node {row.id} has been instructed to kill all containers running on it."}
