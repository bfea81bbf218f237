"""Namespace `/tasks`: sockets come and go, nodes report (realtime.md 1 and 3)."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask
from flask_socketio import ConnectionRefusedError, Namespace, SocketIO

from v6srv import request_id, traces
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import acting
from v6srv.db import transaction, work_on
from v6srv.errors import BadToken, DatabaseUnavailable, Denied, Invalid, Unauthenticated
from v6srv.identity import principals, signing, tokens
from v6srv.realtime import broadcast
from v6srv.realtime.background import CAUSES, reason
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.check_in import CheckIn
from v6srv.realtime.departures import Departures
from v6srv.realtime.log_lines import LogLines
from v6srv.realtime.revocation import Revocation
from v6srv.realtime.seats import Seat, Seats
from v6srv.service import node_info, presence, rooms, status_reports
from v6srv.vocabulary import PrincipalKind

log = logging.getLogger(__name__)

PING_AT_MOST_EVERY_S = 1.0
SEAT_WITHIN_S = 60.0
"""How long a socket waits for its turn at the database, when all of them come at once."""
SHARES_WITHIN_S = 300.0
"""A node that has said nothing of its configuration for so long after it came shares nothing."""
LONGEST_LOGGED = 200
LEAVES_WITHIN_S = 5.0
"""A node that is told that its token is no good goes by itself."""


class TasksNamespace(Namespace):
    """The only namespace.

    Only the events listed here reach a method, whatever a client calls its event: `connect` and
    `disconnect` are the server's own words.
    """

    def __init__(
        self,
        app: Flask,
        socketio: SocketIO,
        authz: Authorizer,
        seats: Seats,
        departures: Departures,
        revocation: Revocation,
        lines: LogLines,
    ) -> None:
        super().__init__(NAMESPACE)
        self._app = app
        self._io = socketio
        self._authz = authz
        self._seats = seats
        self._departures = departures
        self._revocation = revocation
        self._lines = lines
        self._outdated: dict[str, str] = {}
        """Sockets whose tokens are no good any more, and what they are to be told: no seat."""
        self._check_in = CheckIn(socketio.sleep)
        socketio.server.manager.confirmed = self._confirmed
        self._handlers: Mapping[str, Callable[[Seat, Any], None]] = {
            "ping": self._ping,
            "node_info_update": self._node_info_update,
            "algorithm_status_change": self._algorithm_status_change,
            "algorithm_log": self._algorithm_log,
            "message": self._message,
            "error": self._error,
        }

    def trigger_event(self, event: Any, sid: str, *args: Any) -> None:
        """Dispatch. Extra arguments are ignored; an error is logged and ends only this event.

        All log lines and decisions of one socket have its id for the id of the request.
        """
        known = isinstance(event, str) and event in {*self._handlers, "connect", "disconnect"}
        with (
            traces.span(f"socket {event if known else 'unknown'}"),
            request_id.using(sid),
            work_on("sockets", SEAT_WITHIN_S),
            acting(self._authz),
        ):
            self._dispatch(event, sid, args)

    def _dispatch(self, event: Any, sid: str, args: tuple[Any, ...]) -> None:
        manager = self._io.server.manager
        if event == "connect" and manager.is_pre_connected(sid, NAMESPACE):
            environ, auth = args[0], args[1] if len(args) > 1 else None
            self._connect(sid, environ, auth)
        elif event == "disconnect" and not manager.is_connected(sid, NAMESPACE):
            self._disconnect(sid)
        else:
            self._handle(event, sid, args[0] if args else None)

    # --- come and go

    def _connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        try:
            with self._app.app_context():
                self._seat(sid, self._claims(environ, auth))
        except ConnectionRefusedError:
            raise
        except signing.Expired:
            self._outdated[sid] = "expired_token"  # a node gets a new token and comes back
        except signing.WrongSignature:
            self._outdated[sid] = "invalid_token"  # a node of 4.x logs in again
        except (Unauthenticated, BadToken) as error:
            raise ConnectionRefusedError(str(error)) from error
        except DatabaseUnavailable as error:  # a problem already
            raise ConnectionRefusedError(str(error)) from error
        except Exception as error:  # a client must get an answer, or it waits for ever (S1)
            _tell(error, "a socket could not be connected")
            raise ConnectionRefusedError("The server cannot accept sockets now") from error

    @staticmethod
    def _claims(environ: Mapping[str, Any], auth: Any) -> tokens.Claims:
        header = environ.get("HTTP_AUTHORIZATION")
        if not header and isinstance(auth, Mapping) and isinstance(auth.get("token"), str):
            header = f"Bearer {auth['token']}"
        claims = tokens.read_bearer(header)
        if claims.kind is PrincipalKind.CONTAINER:
            raise BadToken("Containers cannot connect to this namespace")
        return claims

    def _seat(self, sid: str, claims: tokens.Claims) -> None:
        seat = Seat(sid, claims)
        self._seats.add(seat)
        generation = self._revocation.generation
        try:
            known, card = self._check_in.enter(sid, claims)
            self._authz.store.follow(known.policy_revision)
            seat.name, seat.generation = known.principal.name, known.generation
            seat.dialect = claims.spoken(known.generation)
            allowed = rooms.allowed(self._authz, known.principal)
            broadcast.node_online(self._io, card, sid)
            if seat.gone:  # the server stops, and has taken everybody off the books
                self._departures.add([sid])
            self._seats.move(seat, allowed)
        except BaseException:
            self._seats.take(sid)
            self._departures.add([sid])
            raise
        seat.settled = True
        if generation != self._revocation.generation:
            self._revocation.again()  # a review began without this seat

    def _confirmed(self, sid: str) -> None:
        """A node of 4.x now asks for its open runs and says what it shares; one of 3.x has done.

        All are told: what a node was when it was last here may have changed.
        """
        seat = self._seats.get(sid)
        if seat is not None and seat.is_node:
            broadcast.send_to(self._io, "sync", sid)
        elif event := self._outdated.pop(sid, None):
            broadcast.send_to(self._io, event, sid)
            self._io.start_background_task(self._end, sid)

    def _end(self, sid: str) -> None:
        """End a socket that was only let in to be told to come back with another token.

        Refused, the library of a node would never stop to come back with the old one, and the node
        would begin anew each time.
        """
        self._io.sleep(LEAVES_WITHIN_S)
        broadcast.end(self._io, sid)

    def _disconnect(self, sid: str) -> None:
        if self._seats.take(sid) is not None:
            with self._app.app_context():
                self._departures.add([sid])

    # --- what clients say

    def _handle(self, event: Any, sid: str, payload: Any) -> None:
        handler = self._handlers.get(event) if isinstance(event, str) else None
        seat = self._seats.get(sid)
        if handler is None or seat is None:
            return
        try:
            with self._app.app_context():
                handler(seat, payload)
        except (Invalid, Denied, Unauthenticated) as error:
            log.warning("%s of account %d ignored: %s", event, seat.account_id, error)
        except DatabaseUnavailable as error:  # a problem already
            log.debug("%s of account %d failed: %s", event, seat.account_id, error)
        except Exception as error:  # the outermost handler: a socket outlives a failed event
            _tell(error, f"{event} of account {seat.account_id} failed")

    def _ping(self, seat: Seat, _payload: Any) -> None:
        now = seat.heard_at = time.monotonic()
        if now - seat.pinged_at < PING_AT_MOST_EVERY_S:
            return
        with seat.saving("ping"):
            broadcast.node_online(self._io, presence.pinged(seat.account_id, seat.sid))
        seat.pinged_at = now
        if seat.says_nothing and now - seat.came_at > SHARES_WITHIN_S:
            presence.forget_restrictions(seat.account_id)
            seat.tells = False

    def _node_info_update(self, seat: Seat, payload: Any) -> None:
        if not seat.is_node:
            raise Invalid("only nodes share their configuration")
        try:
            seat.shared = tuple(node_info.entries(payload))
            with seat.saving("share"):
                presence.share(self._authz, self._principal(seat), seat.shared, seat.sid)
        except (Invalid, Denied):
            seat.tells, seat.shared = False, None
            seat.unsaved -= {"share"}
            if untold := node_info.restrictions_in(payload):
                presence.close_to_everybody(seat.account_id, untold)
            raise

    def _algorithm_status_change(self, seat: Seat, payload: Any) -> None:
        if not seat.is_node:
            raise Invalid("only nodes report a status")
        self._lines.write(seat.sid)
        with transaction():
            status_reports.pass_on(self._authz, self._principal(seat), payload)

    def _algorithm_log(self, seat: Seat, payload: Any) -> None:
        if not seat.is_node:
            raise Invalid("only nodes send what algorithms print")
        self._lines.add(seat, payload)

    def _principal(self, seat: Seat) -> Principal:
        """Who sits there, as the database and the policy know it now."""
        known = principals.load(seat.claims)
        self._authz.store.follow(known.policy_revision)
        return known.principal

    def _message(self, seat: Seat, payload: Any) -> None:
        log.info("message from account %d: %s", seat.account_id, _short(payload))

    def _error(self, seat: Seat, payload: Any) -> None:
        log.error("error from account %d: %s", seat.account_id, _short(payload))


def _tell(error: Exception, what: str) -> None:
    """One line for what can happen to anybody; a mistake of this program leaves its traceback."""
    if isinstance(error, CAUSES):
        log.error("%s: %s", what, reason(error))
    else:
        log.error("%s", what, exc_info=error)


def _short(payload: Any) -> str:
    """Safe in a log line: one line, bounded, control characters escaped."""
    text = payload if isinstance(payload, str) else repr(payload)
    return ascii(text[:LONGEST_LOGGED])
