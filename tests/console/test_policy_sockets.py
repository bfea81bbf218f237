"""Who is connected, and by which line in which room."""

import re
from datetime import timedelta

import pytest

from tests.support import counting
from v6srv import db
from v6srv.db import utcnow
from v6srv.identity.claims import Claims
from v6srv.model import SocketConnection
from v6srv.realtime.seats import Seat
from v6srv.realtime.server import seats_of
from v6srv.service.events import collaboration_room, organization_room
from v6srv.vocabulary import PrincipalKind

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def connected(app, world):
    """A user at this process, in a room too many; a node at another."""
    user, node = world.user.researcher, world.node.south_trial
    with app.app_context():
        for id, sid in ((user, "here"), (node, "elsewhere")):
            row = SocketConnection(sid=sid, account_id=id, process="p", seen_at=utcnow())
            db.session.add(row)
        db.session.commit()
        db.session.remove()
    end = utcnow() + timedelta(hours=1)
    seat = Seat("here", Claims(PrincipalKind.USER, user, 0, None, None, end, "j"), "researcher")
    seat.rooms = frozenset({_own_room(world), collaboration_room(world.collab.trial)})
    seats_of(app).add(seat)


def _own_room(world):
    return organization_room(world.collab.registry, world.org.north)


def test_everybody_who_is_connected_is_listed(visit, world, connected):
    with counting() as statements:
        page = visit("root").get("/policy/socket")
    assert len(statements) < 15
    rows = dict(re.findall(r'socket/(\d+)">.*?<code>(\w+)</code>.*?</td>\s*</tr>', page, re.S))
    assert rows[str(world.node.south_trial)] == "elsewhere"
    assert rows[str(world.user.researcher)] == "here"
    assert page.count("at another process") == 1
    assert _own_room(world) in page


def test_each_room_has_its_lines_and_one_too_many_is_named(visit, world, connected):
    page = visit("root").get(f"/policy/socket/{world.user.researcher}")
    [row] = re.findall(rf'<th scope="row">{_own_room(world)}</th>.*?</tr>', page, re.S)
    assert ">yes<" in row
    assert re.search(r"role:viewer, event, .*<small>default_roles.csv:\d+</small>", row)
    assert f"still in {collaboration_room(world.collab.trial)}" in page
    explain = re.search(r'href="/console(/policy/explain\?[^"]+)"', row)[1].replace("&amp;", "&")
    assert f"may view event: room:{_own_room(world)}" in visit("root").get(explain)


def test_a_node_at_another_process_has_the_rooms_that_it_belongs_in(visit, world, connected):
    page = visit("root").get(f"/policy/socket/{world.node.south_trial}")
    assert "every node is in it" in page
    assert collaboration_room(world.collab.trial) in page
    assert "not known: at another process" in page


def test_there_is_no_such_account(visit, world):
    root = visit("root")
    root.get("/policy/socket/999999", status=404)
    root.get("/policy/socket/99999999999999999999", status=404)
