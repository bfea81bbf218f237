"""/user/<id>/session: where somebody is logged in."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.identity import sessions
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut

blp = Blueprint("session", __name__, description="Where somebody is logged in")


@blp.route("/user/<int:id>/session")
class Sessions(MethodView):
    @guard.one(Resource.USER, Operation.EDIT, changes=frozenset({"sessions"}))
    @blp.response(200, MessageOut)
    def delete(self, row):
        """Log a user out everywhere: all tokens and sockets of the account end."""
        sessions.end_all(row)
        return {"msg": f"user id={row.id} is logged out everywhere"}
