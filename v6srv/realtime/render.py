"""Each dialect has rooms of its own, in which events are told in its form."""

from collections.abc import Iterable, Iterator
from typing import Any

from v6srv.vocabulary import V3
from v6srv.wire import socket_events


def room_in(room: str, dialect: int) -> str:
    """Where those sit who belong in a room and speak this dialect."""
    return room if dialect == V3 else f"v{dialect}:{room}"


def render(event: str, payload: Any, rooms: Iterable[str]) -> Iterator[tuple[Any, list[str]]]:
    """What an event says in each dialect that knows it, and in which rooms."""
    of = list(rooms)
    for dialect, form in socket_events.forms(event, payload).items():
        yield form, [room_in(room, dialect) for room in of]
