"""A line that begins or ends by its time limit counts for live sockets within a second, unasked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask

from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import PATIENCE_S
from tests.realtime.test_revocation import hears
from tests.support import Caller
from tests.world import World

SHORT = timedelta(seconds=5)
"""Until a limit turns: enough to connect and to hear something before."""


def line(world: World, effect: str = "allow", **limits: str) -> dict[str, Any]:
    """Who listens to the collaboration `registry`: the user nobody, or all nodes no more."""
    subject = f"user:{world.user.nobody}" if effect == "allow" else "kind:node"
    condition = f"{world.collab.registry} in r.obj.collabs"
    body = {"subject": subject, "resource": "event", "scope": "global", "operation": "view"}
    return {**body, "condition": condition, "effect": effect, **limits}


def soon(times: int = 1) -> datetime:
    """A moment that is near, in whole seconds as limits are."""
    return (datetime.now(UTC) + times * SHORT).replace(microsecond=0)


def patience(moment: datetime) -> float:
    """How long what happens at a moment may take from now on."""
    return (moment - datetime.now(UTC)).total_seconds() + PATIENCE_S


def test_a_right_that_ends_silences_a_live_socket(
    listen: Audience, world: World, call: Caller
) -> None:
    user, root = listen("nobody"), listen("root")
    end = soon()
    body = line(world, valid_until=end.isoformat())
    assert call("root", "POST", "/policy/line", json=body).status_code == 201
    room = f"collaboration_{world.collab.registry}"
    user.wait("message", f"User <nobody> joined room <{room}>")
    assert hears(user, call, world)
    root.wait("message", f"nobody left room {room}", patience_s=patience(end))
    assert not hears(user, call, world)
    assert user.client.connected


def test_a_right_that_begins_reaches_a_live_socket(
    listen: Audience, world: World, call: Caller
) -> None:
    user = listen("nobody")
    begin = soon()
    body = line(world, valid_from=begin.isoformat())
    assert call("root", "POST", "/policy/line", json=body).status_code == 201
    assert not hears(user, call, world)
    text = f"User <nobody> joined room <collaboration_{world.collab.registry}>"
    user.wait("message", text, patience_s=patience(begin))
    assert hears(user, call, world)


def test_a_denial_that_ends_lets_nodes_hear_again(
    listen: Audience, world: World, call: Caller
) -> None:
    node, root = listen("south_registry"), listen("root")
    end = soon()
    body = line(world, "deny", valid_until=end.isoformat())
    assert call("root", "POST", "/policy/line", json=body).status_code == 201
    room = f"collaboration_{world.collab.registry}"
    root.wait("message", f"south_registry left room {room}", patience_s=patience(end))
    before = len(root.named("message"))
    text = f"Node <south_registry> joined room <{room}>"
    eventually(lambda: text in root.named("message")[before:], True, patience(end))
    assert hears(node, call, world)


def test_limits_of_a_line_in_a_file_count_as_well(
    app: Flask, listen: Audience, world: World, call: Caller, tmp_path: Path
) -> None:
    store = app.extensions["authz"].store
    for path in store.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    store.folder = tmp_path
    user, root = listen("nobody"), listen("root")
    end = soon(3)  # a file is read and checked before it is live
    (tmp_path / "local.csv").write_text(
        f"p, user:{world.user.nobody}, event, global, view, "
        f"{world.collab.registry} in r.obj.collabs, allow, valid_until={end.isoformat()}\n"
    )
    room = f"collaboration_{world.collab.registry}"
    user.wait("message", f"User <nobody> joined room <{room}>")
    root.wait("message", f"nobody left room {room}", patience_s=patience(end))
    assert not hears(user, call, world)


def test_a_removed_line_silences_a_live_socket(
    listen: Audience, world: World, call: Caller
) -> None:
    user, root = listen("nobody"), listen("root")
    made = call("root", "POST", "/policy/line", json=line(world)).json
    room = f"collaboration_{world.collab.registry}"
    user.wait("message", f"User <nobody> joined room <{room}>")
    assert call("root", "DELETE", f"/policy/line/{made['id']}").status_code == 200
    root.wait("message", f"nobody left room {room}")
    assert not hears(user, call, world)
