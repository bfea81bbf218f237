"""One of two processes loses the database for longer than the others wait for it (issue 8)."""

import secrets
import threading
import time
from contextlib import ExitStack

import requests
from sqlalchemy import make_url

from tests import world as small_world
from tests.databases import Databases
from tests.live import live_server
from tests.realtime.conftest import eventually
from tests.realtime.test_processes import GEVENT, Pair, redis_server
from tests.realtime.test_queue_outage import Line
from v6srv.realtime.watchdog import HEARTBEAT_S, UNCONFIRMED_S

RESTRICTIONS = [{"key": "allowed_users", "value": "somebody"}]


def test_what_its_nodes_share_holds_meanwhile_and_comes_back(databases: Databases) -> None:
    uri, world = databases.copy("postgresql", True)
    assert world is not None
    with ExitStack() as stack:
        url = make_url(uri)
        line = Line(url.host or "127.0.0.1", url.port or 5432)
        stack.callback(line.cut)
        through = url.set(host="127.0.0.1", port=line.port)
        common = {
            "V6SRV_RABBITMQ_URI": stack.enter_context(redis_server()),
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
        }
        near, far = (
            stack.enter_context(live_server(*GEVENT, V6SRV_DATABASE_URL=one, **common))
            for one in (through.render_as_string(hide_password=False), uri)
        )
        pair = Pair(near, far, world, uri)
        stack.callback(lambda: [ear.close() for ear in pair.ears])
        root = pair.listen(far, "root")
        node = pair.listen(near, "north_registry")
        quiet = threading.Event()
        stack.callback(quiet.set)

        def ping() -> None:
            while not quiet.wait(20):
                node.say("ping")

        threading.Thread(target=ping, daemon=True).start()
        node.say("node_info_update", {"allowed_users": ["somebody"]})

        def shared() -> object:
            path = f"/node/{world.node.north_registry}"
            return pair.call(far, "root", "GET", path, None)["config"]

        def start() -> int:
            body = small_world.average(world, "north")
            headers = {"Authorization": f"Bearer {pair.token('researcher')}"}
            return requests.post(
                f"{far.api}/task", json=body, headers=headers, timeout=10
            ).status_code

        eventually(shared, RESTRICTIONS)
        assert start() == 400
        node_id = world.node.north_registry
        card = {"id": node_id, "name": "north_registry", "org_id": world.org.north}
        came = root.named("node-online").count(card)
        line.cut()
        root.wait("node-offline", card, patience_s=UNCONFIRMED_S + 4 * HEARTBEAT_S)
        assert shared() == []
        assert start() == 400
        line.mend()
        eventually(lambda: root.named("node-online").count(card), came + 1, 4 * HEARTBEAT_S)
        eventually(shared, RESTRICTIONS)
        assert start() == 400
        time.sleep(UNCONFIRMED_S + 2 * HEARTBEAT_S)
        assert root.named("node-online").count(card) == came + 1  # and it stays
        assert root.named("node-offline").count(card) == 1
