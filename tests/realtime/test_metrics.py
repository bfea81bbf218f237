"""What monitoring is told of sockets."""

import pytest

from tests.realtime.conftest import Audience, eventually
from tests.support import Caller
from tests.world import World
from v6srv.meters import REGISTRY

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def number(name: str, **labels: str) -> float:
    """A sample as it is now."""
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None
    return value


def test_sockets_their_rooms_and_who_is_put_out(listen: Audience, world: World, call: Caller):
    user, node = listen("collab_admin"), listen("north_registry")
    whole = f"collaboration_{world.collab.registry}"
    node.wait("message", f"Node <north_registry> joined room <{whole}>")
    assert number("socket_connections", kind="user") == 1
    assert number("socket_connections", kind="node") == 1
    rooms = number("socket_rooms")
    assert rooms >= 2
    before = number("socket_evictions_total", reason="room")
    path = f"/user/{world.user.collab_admin}"
    assert call("root", "PATCH", path, json={"roles": []}).status_code == 200
    eventually(lambda: number("socket_evictions_total", reason="room"), before + 1)
    user.close()
    eventually(lambda: number("socket_connections", kind="user"), 0)
