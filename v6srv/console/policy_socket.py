"""/console/policy/socket: who is connected, in which rooms, and by which lines."""

from flask import current_app
from flask.views import MethodView

from v6srv.api import guard
from v6srv.authz.allowed_rows import AllowedRows
from v6srv.console.blueprint import blp, page
from v6srv.console.tables import table
from v6srv.policy.who import sockets
from v6srv.realtime.server import seats_of
from v6srv.vocabulary import Resource

POLICY = Resource.POLICY
MOST_ROOMS = 200
"""On a page."""


@blp.route("/policy/socket")
class PolicySockets(MethodView):
    @guard.whole(POLICY)
    @page("policy_sockets.html")
    def get(self):
        """Everybody who is connected, to any process."""
        accounts = table(AllowedRows(sockets.accounts(), {}))
        connected = sockets.connected([one.id for one in accounts.rows])
        return {"table": accounts, "connected": connected, "seats": _seats(connected)}


@blp.route("/policy/socket/<int:id>")
class PolicySocket(MethodView):
    @guard.whole(POLICY)
    @page("policy_socket.html")
    def get(self, id, authz):
        """One account: the rooms that it is in, and those that it belongs in."""
        connected, reasons = sockets.rooms_of(authz, id)
        seats = _seats([connected])
        belongs = {one.room for one in reasons}
        inside = frozenset().union(*(seat.rooms for seat in seats.values()))
        return {
            "one": connected,
            "seats": seats,
            "reasons": reasons[:MOST_ROOMS],
            "more": len(reasons[MOST_ROOMS:]),
            "inside": inside,
            "leaving": sorted(inside - belongs),
        }


def _seats(connected):
    """The seats of those sockets that are of this process."""
    seats = seats_of(current_app)
    found = {one.sid: seats.get(one.sid) for who in connected for one in who.sockets}
    return {sid: seat for sid, seat in found.items() if seat is not None}
