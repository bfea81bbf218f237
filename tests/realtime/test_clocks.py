"""Who is alive is judged by the clock of the database, whatever a process takes for the time."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, type_coerce

from tests.world import World
from v6srv.db import UtcDateTime, database_now, session, utcnow, writing
from v6srv.model import Account, Outbox, SocketConnection
from v6srv.service import events, presence

AHEAD_S = 100
SILENT_S, UNCONFIRMED_S = 65.0, 60.0

OTHER_PROCESS = """
import json, sys, time, datetime
uri, (ahead, node_id, silent, unconfirmed) = sys.argv[1], map(float, sys.argv[2:])

class shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=ahead)

real = time.time
time.time = lambda: real() + ahead
datetime.datetime = shifted  # before anybody imports it

from v6srv import db
from v6srv.service import events, presence
db.connect(uri)
told = {
    "now": db.utcnow().isoformat(),
    "silent": [card.id for card in presence.time_out_nodes(silent)],
    "stale": presence.stale_sockets(unconfirmed),
    "left behind": len(events.take_over()),
}
presence.connected({"far": int(node_id)})
events.emit("new_task", 1, ["collaboration_1"])
db.session.commit()
print(json.dumps(told))
"""


def other_process(ahead_s: float, node_id: int) -> dict[str, Any]:
    """What a process with such a clock finds; then a socket of the node comes to it."""
    uri = session.get_bind().url.render_as_string(hide_password=False)
    numbers = (ahead_s, node_id, SILENT_S, UNCONFIRMED_S)
    arguments = [sys.executable, "-c", OTHER_PROCESS, uri, *map(str, numbers)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    apart = (datetime.fromisoformat(told["now"]) - utcnow()).total_seconds()
    assert abs(apart - ahead_s) < 10, "the other process has the wrong clock"
    return told


@pytest.fixture
def node_id(app: Flask, world: World) -> Iterator[int]:
    """A node with a socket at this process."""
    presence.connected({"near": world.node.south_trial})
    with writing():
        events.emit("new_task", 1, ["collaboration_1"])
        session.commit()
    session.remove()
    yield world.node.south_trial
    session.remove()


@pytest.mark.parametrize("ahead_s", [AHEAD_S, -AHEAD_S])
def test_processes_with_other_clocks_leave_each_others_nodes_and_events_alone(
    node_id: int, world: World, ahead_s: float
) -> None:
    other = world.node.west_trial
    told = other_process(ahead_s, other)
    assert node_id not in told["silent"]
    assert (told["stale"], told["left behind"]) == ([], 0)
    assert presence.stale_sockets(UNCONFIRMED_S) == []
    assert not {node_id, other} & {card.id for card in presence.time_out_nodes(SILENT_S)}
    assert events.take_over() == []
    assert presence.pinged(node_id, "near") is None  # it was online all the time
    assert presence.pinged(other, "far") is None


def test_the_time_of_the_database_is_written_as_every_other_time(app: Flask, world: World) -> None:
    presence.connected({"s": world.node.south_trial})
    with writing():
        events.emit("new_task", 1, ["collaboration_1"])
        session.commit()
    times = [
        session.scalar(select(type_coerce(func.max(column), UtcDateTime())))
        for column in (Account.last_seen, SocketConnection.seen_at, Outbox.created_at)
    ]
    times.append(session.scalar(select(database_now())))
    for time in times:
        assert time is not None
        assert time.tzinfo is UTC
        assert abs((utcnow() - time).total_seconds()) < 10
    early, late = session.execute(select(database_now(ago_s=90.5), database_now())).one()
    assert 90.4 < (late - early).total_seconds() < 90.6
    later = select(Outbox.id).where(Outbox.created_at < database_now(ago_s=-1))
    assert session.scalar(later.limit(1)) is not None
    assert session.scalar(select(Outbox.id).where(Outbox.created_at < database_now(1000))) is None
