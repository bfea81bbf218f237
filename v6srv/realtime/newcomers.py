"""Sessions that have not said who they are: anybody may open them, so they are few and short.

A thousand nodes may come at once from behind one address, as after a restart; each joins the
namespace as soon as its session is open. What does not, gives way to what comes later.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from flask_socketio import SocketIO

from v6srv import addresses
from v6srv.realtime.background import Background
from v6srv.realtime.broadcast import NAMESPACE

log = logging.getLogger(__name__)

MOST = 10_000
JOIN_WITHIN_S = 60.0
"""The first word of a client may wait for its turn, when all of them come at once."""
LOOK_EVERY_S = 1.0
COMPLAIN_EVERY_S = 60.0
EVERYBODY = ""


class Newcomers:
    """The sessions of this process that wait for their client to join."""

    def __init__(self, socketio: SocketIO, most_per_address: int, proxies: int) -> None:
        """`proxies`: so many in front say where a session comes from."""
        self._server = socketio.server
        self._most_per_address = most_per_address
        self._proxies = proxies
        self._since: dict[str, dict[str, float]] = {EVERYBODY: {}}
        """By address, and of everybody: since when each session waits (monotonic), oldest first."""
        self._address: dict[str, str] = {}
        self._complained_at = float("-inf")
        handlers = self._server.eio.handlers
        self._begin = handlers["connect"]
        handlers["connect"] = self._enter
        self._server.manager.left = self._leave

    def start(self, background: Background) -> None:
        """Start the loop."""
        background.repeat(self.look, LOOK_EVERY_S, wait_first=True)

    def look(self) -> None:
        """End what waits for too long. Of those that have joined nothing is looked at again."""
        waiting, transports = self._since[EVERYBODY], self._server.eio.sockets
        for sid in list(waiting):
            if sid not in transports or self._has_joined(sid):
                self._forget(sid)
        overdue = time.monotonic() - JOIN_WITHIN_S
        for sid in [sid for sid, since in waiting.items() if since < overdue]:
            self._end(sid)

    def _enter(self, sid: str, environ: Mapping[str, Any]) -> Any:
        """A session is opened: the oldest give way to it."""
        address = self._note(sid, environ)
        self._make_room(address, self._most_per_address)
        self._make_room(EVERYBODY, MOST)
        return self._begin(sid, environ)

    def _leave(self, sid: str) -> None:
        """A client was refused, or has left the namespace: if its session stays, it waits anew."""
        transport = self._server.eio.sockets.get(sid)
        gone = transport is None or transport.closing or transport.closed
        if not gone and sid not in self._address:
            self._note(sid, self._server.environ.get(sid, {}))

    def _note(self, sid: str, environ: Mapping[str, Any]) -> str:
        address = self._address[sid] = self._owner(environ)
        for group in (address, EVERYBODY):
            self._since.setdefault(group, {})[sid] = time.monotonic()
        return address

    def _make_room(self, group: str, most: int) -> None:
        members = self._since[group]
        while len(members) > most:
            oldest = next(iter(members))
            if self._has_joined(oldest):
                self._forget(oldest)
            else:
                self._complain(group, most)
                self._end(oldest)

    def _complain(self, group: str, most: int) -> None:
        now = time.monotonic()
        if now - self._complained_at > COMPLAIN_EVERY_S:
            self._complained_at = now
            whose = group or "the world"
            log.warning("%s has more than %d sockets that say nothing: the oldest end", whose, most)

    def _forget(self, sid: str) -> None:
        address = self._address.pop(sid)
        for group in (address, EVERYBODY):
            del self._since[group][sid]
        if not self._since[address]:
            del self._since[address]

    def _end(self, sid: str) -> None:
        """As a connection that breaks: a client comes back."""
        self._forget(sid)
        transport = self._server.eio.sockets.pop(sid, None)
        if transport is not None:
            transport.close(wait=False, abort=True)

    def _has_joined(self, sid: str) -> bool:
        """Whether its client has asked to join, and was not refused."""
        return self._server.manager.sid_from_eio_sid(sid, NAMESPACE) is not None

    def _owner(self, environ: Mapping[str, Any]) -> str:
        named = str(environ.get("REMOTE_ADDR") or "unknown")
        if self._proxies:
            said = [one.strip() for one in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
            if len(said) >= self._proxies:
                named = said[-self._proxies]
        return addresses.owner(named) or "unknown"
