"""Of which generation the program of a node is: what it asks for first after it came shows it.

Noted by requests, written by a loop: no GET ever writes.
"""

from collections.abc import Callable
from typing import cast

from sqlalchemy import Table, bindparam, select, update

from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import session, transaction
from v6srv.model import Node

Listener = Callable[[int, int], None]
_listeners: list[Listener] = []
_noted: dict[int, int] = {}
"""What is to be written of each node."""

_table = cast(Table, Node.__table__)
_stored = select(_table.c.generation).where(_table.c.id == bindparam("node"))
_statement = (
    update(_table).where(_table.c.id == bindparam("node")).values(generation=bindparam("seen"))
)


def note_generation(node_id: int, generation: int) -> None:
    """A node is a program of 3.x or of 4.x: it has just shown it.

    When this returns its sockets in this process are told events in that form; those in other
    processes soon after it is written.
    """
    if session.scalar(_stored, {"node": node_id}) == generation:
        _noted.pop(node_id, None)
    else:
        _noted[node_id] = generation
    for listener in list(_listeners):
        listener(node_id, generation)


def known() -> dict[int, int]:
    """The generation of each node whose program has shown it, by id."""
    seen = select(_table.c.id, _table.c.generation).where(_table.c.generation.is_not(None))
    return {row.id: row.generation for row in session.execute(seen)}


def write() -> None:
    """Write what was noted, in one transaction, which is tried again the next time if it fails."""
    noted = dict(_noted)
    if noted:
        rows = [{"node": id, "seen": generation} for id, generation in sorted(noted.items())]
        with as_server(ServerWrite.PRESENCE), transaction() as sess:
            sess.execute(_statement, rows)
    for id, generation in noted.items():
        if _noted.get(id) == generation:
            del _noted[id]


def subscribe(listener: Listener) -> None:
    """Hear what is noted in this process, in the thread that notes it."""
    _listeners.append(listener)


def unsubscribe(listener: Listener) -> None:
    """Undo `subscribe`."""
    _listeners.remove(listener)
