"""/column: the columns of a database."""

from flask import current_app, jsonify
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.service import columns
from v6srv.vocabulary import Resource
from v6srv.wire.v4.column import ColumnIn, ColumnsOut
from v6srv.wire.v4.task import TaskOut

blp = Blueprint("column", __name__, description="Columns of databases")
_TASK = TaskOut()


@blp.route("/column")
class Columns(MethodView):
    @guard.creates(Resource.TASK)
    @blp.arguments(ColumnIn)
    @blp.response(200, ColumnsOut)
    @blp.alt_response(201, schema=TaskOut, description="No node shares them: a task reads them")
    def post(self, order, who, authz):
        """The columns of a database: those that a node shares, or a task that reads them."""
        label, collaboration_id = order["db_label"], order["collaboration_id"]
        shared = columns.shared(who, authz, collaboration_id, label)
        if shared is not None:
            return {"columns": shared}
        image = current_app.config["SETTINGS"].column_image
        answer = jsonify(_TASK.dump(columns.read(who, authz, order, image)))
        answer.status_code = 201
        return answer
