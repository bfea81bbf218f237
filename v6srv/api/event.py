"""/event: what somebody who was away has missed."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.identity.current import dialect
from v6srv.service import past_events
from v6srv.service.past_events import PastEvent
from v6srv.vocabulary import Operation, Resource
from v6srv.wire import socket_events
from v6srv.wire.event import EventQuery, PastEventsOut

blp = Blueprint("event", __name__, description="Events that were sent to sockets")


@blp.route("/event")
class Events(MethodView):
    @guard.some(Resource.EVENT, Operation.VIEW)
    @blp.arguments(EventQuery, location="query")
    @blp.response(200, PastEventsOut)
    def get(self, query, who, authz):
        """What the caller's sockets heard, or would have, oldest first.

        An event is for who may be in one of its rooms now. What is not heard twice by a socket may
        be here twice: connect first, then ask, and pass over ids that are known.
        """
        page = past_events.page(authz, who, query.get("since", 0))
        return replace(page, data=list(_told(page.data, dialect())))


def _told(events: Iterable[PastEvent], dialect: int) -> Iterator[PastEvent]:
    for event in events:
        forms = socket_events.forms(event.name, event.payload)
        if dialect in forms:
            yield replace(event, payload=forms[dialect])
