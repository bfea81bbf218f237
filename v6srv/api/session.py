"""/user/<id>/session: where somebody is logged in."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.identity import sessions
from v6srv.identity.current import claims
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.session import SessionOut

blp = Blueprint("session", __name__, description="Where somebody is logged in")
USER, EDIT = Resource.USER, Operation.EDIT
SESSIONS = frozenset({"sessions"})


def _shown(rows):
    asks = claims().session_id
    names = ("id", "begun_at", "refreshed_at", "dialect")
    return [{**{n: getattr(row, n) for n in names}, "current": row.id == asks} for row in rows]


@blp.route("/user/<int:id>/session")
class Sessions(MethodView):
    @guard.one(USER, EDIT, changes=SESSIONS)
    @paged(SessionOut, show=_shown)
    def get(self, row):
        """Where a user is logged in, the last login first. For who could end it."""
        return sessions.of_user(row)

    @guard.one(USER, EDIT, changes=SESSIONS)
    @blp.response(200, MessageOut)
    def delete(self, row):
        """Log a user out everywhere: all tokens and sockets of the account end."""
        sessions.end_all(row)
        return {"msg": f"user id={row.id} is logged out everywhere"}


@blp.route("/user/<int:id>/session/<string:name>")
class Session(MethodView):
    @guard.one(USER, EDIT, changes=SESSIONS)
    @blp.response(200, MessageOut)
    def delete(self, row, name):
        """End one session of a user: its tokens and sockets. Others go on."""
        sessions.end_one(row, name)
        return {"msg": "The session has ended"}
