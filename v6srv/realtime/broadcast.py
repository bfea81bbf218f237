"""Sending: the namespace, and what is said when somebody comes or goes (realtime.md 4)."""

from collections.abc import Iterable
from typing import Any

from flask_socketio import SocketIO

from v6srv.realtime.render import render
from v6srv.service.presence import NodeCard
from v6srv.service.rooms import ALL_NODES, told

NAMESPACE = "/tasks"


def send(
    socketio: SocketIO, event: str, payload: Any, rooms: Iterable[str], skip: str | None = None
) -> None:
    """Send to every socket that is in any of `rooms`, in any process, once; not to sid `skip`.

    For what is the same in all dialects.
    """
    to = list(rooms)
    if to:  # an empty list would mean everybody
        socketio.emit(event, payload, to=to, namespace=NAMESPACE, skip_sid=skip)


def send_here(socketio: SocketIO, event: str, payload: Any, rooms: Iterable[str]) -> None:
    """An event of the outbox, to the sockets of this process, in their dialects."""
    for form, to in render(event, payload, rooms):
        if to:
            socketio.emit(event, form, to=to, namespace=NAMESPACE, ignore_queue=True)


def send_to(socketio: SocketIO, event: str, sid: str) -> None:
    """Send an event without data to one socket of this process."""
    socketio.emit(event, to=sid, namespace=NAMESPACE, ignore_queue=True)


def end(socketio: SocketIO, sid: str) -> None:
    """As `end_all_here`, of one socket of this process, if it is still there."""
    server = socketio.server
    transport = server.eio.sockets.get(server.manager.eio_sid_from_sid(sid, NAMESPACE))
    if transport is not None:
        transport.close(wait=False, abort=True)


def end_all_here(socketio: SocketIO) -> None:
    """Close every connection of this process without a packet that says so.

    Clients that lose the connection come back and ask what they missed; told to go, they stay
    away.
    """
    for transport in list(socketio.server.eio.sockets.values()):
        transport.close(wait=False, abort=True)


def node_online(socketio: SocketIO, card: NodeCard | None, comer: str | None = None) -> None:
    """Tell a node's collaboration that it came; None, a user, is not announced.

    The socket that comes does not hear it, also when this waits until it is in its rooms.
    Who is told is up to `rooms.told`, here and below.
    """
    if card is not None:
        send(socketio, "node-online", card.payload, map(told, card.rooms), skip=comer)


def node_offline(socketio: SocketIO, card: NodeCard | None) -> None:
    """Tell a node's collaboration that it went; None is not announced."""
    if card is not None:
        send(socketio, "node-offline", card.payload, map(told, card.rooms))


def joined(socketio: SocketIO, kind: str, name: str, room: str, sid: str) -> None:
    """Tell a room who joined it; `kind` is "User" or "Node". The joiner, `sid`, hears it too."""
    if room != ALL_NODES:
        send(socketio, "message", f"{kind} <{name}> joined room <{room}>", [told(room), sid])


def left(socketio: SocketIO, name: str, room: str, sid: str) -> None:
    """Tell a room who left it; the leaver, `sid`, does not hear it."""
    if room != ALL_NODES:
        send(socketio, "message", f"{name} left room {room}", [told(room)], skip=sid)
