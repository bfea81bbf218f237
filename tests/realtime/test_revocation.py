"""Live sockets follow policy and membership within a second (S25)."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import delete

from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear
from tests.support import Caller
from tests.world import PASSWORD, World
from v6srv.authz.revision import raise_revisions
from v6srv.db import session, writing
from v6srv.model import CasbinRule, Permission, PolicyRevision, SocketConnection

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

SOON_S = 1.0
"""The promise of revocation, on a machine that has time; `make bench` measures it."""


def report(call: Caller, world: World) -> None:
    """Cause an event in the collaboration `registry`."""
    path = f"/result/{world.result['running', 'north']}"
    answer = call("north_registry", "PATCH", path, json={"status": "active"})
    assert answer.status_code == 200


def hears(ear: Ear, call: Caller, world: World) -> bool:
    """Whether a socket hears what happens in the collaboration `registry` from now on."""
    before = len(ear.named("status_update"))
    report(call, world)
    ear.quiet()
    return len(ear.named("status_update")) > before


def test_a_user_that_loses_a_role_hears_nothing_more(listen: Audience, world: World, call: Caller):
    user, root = listen("collab_admin"), listen("root")
    assert hears(user, call, world)
    path = f"/user/{world.user.collab_admin}"
    assert call("root", "PATCH", path, json={"roles": []}).status_code == 200
    room = f"collaboration_{world.collab.registry}"
    root.wait("message", f"collab_admin left room {room}")
    assert not hears(user, call, world)
    assert user.client.connected
    assert [text for text in user.named("message") if "left" in text] == []


def test_a_user_that_gains_a_right_hears_from_now_on(listen: Audience, world: World, call: Caller):
    user = listen("nobody")
    assert not hears(user, call, world)
    rule = world.rule["event", "GLOBAL", "VIEW"]
    path = f"/user/{world.user.nobody}"
    assert call("root", "PATCH", path, json={"rules": [rule]}).status_code == 200
    for collab in vars(world.collab).values():
        text = f"User <nobody> joined room <collaboration_{collab}>"
        user.wait("message", text)
    assert hears(user, call, world)


def test_a_user_moves_to_the_widest_room_that_is_left(listen: Audience, world: World, call: Caller):
    user, node = listen("collab_admin"), listen("north_registry")
    path = f"/user/{world.user.collab_admin}"
    assert call("root", "PATCH", path, json={"roles": [world.role.viewer]}).status_code == 200
    whole = f"collaboration_{world.collab.registry}"
    own = f"{whole}_organization_{world.org.north}"
    node.wait("message", f"collab_admin left room {whole}")
    user.wait("message", f"User <collab_admin> joined room <{own}>")


def test_a_role_that_loses_a_rule_silences_all_who_have_it(
    listen: Audience, world: World, call: Caller
):
    rule = world.rule["event", "COLLABORATION", "VIEW"]
    add = call("root", "POST", f"/role/{world.role.analysts}/rule/{rule}")
    assert add.status_code == 201, add.get_json()
    user, root = listen("analyst"), listen("root")
    assert hears(user, call, world)
    call("root", "DELETE", f"/role/{world.role.analysts}/rule/{rule}")
    root.wait("message", f"analyst left room collaboration_{world.collab.registry}")
    assert not hears(user, call, world)


@pytest.mark.parametrize("way", ["logs out", "is logged out"])
def test_the_sockets_of_a_session_end_with_it_and_no_others(
    listen: Audience, world: World, call: Caller, way: str
):
    body = {"username": "viewer", "password": PASSWORD}
    mine, other = (call(None, "POST", "/token/user", json=body).json for _ in range(2))
    ears = [listen.stranger().connect(pair["access_token"]) for pair in (mine, other)]
    for ear in ears:
        ear.wait("connect")
    eventually(lambda: [ear.client.connected for ear in ears], [True, True])
    if way == "logs out":
        headers = {"Authorization": f"Bearer {mine['refresh_token']}"}
        assert call(None, "POST", "/token/logout", headers=headers).status_code == 200
    else:
        path = f"/user/{world.user.viewer}/session"
        assert call("root", "DELETE", path).status_code == 200
    left = [False, way == "logs out"]
    eventually(lambda: ["/tasks" in ear.client.namespaces for ear in ears], left)
    again = listen.stranger().connect(mine["access_token"])
    assert again.wait_refused()["message"]


def test_an_organization_that_leaves_a_collaboration_hears_it_no_more(
    listen: Audience, world: World, call: Caller
):
    user, root = listen("collab_admin"), listen("root")
    assert hears(user, call, world)
    path = f"/collaboration/{world.collab.registry}/organization"
    answer = call("root", "DELETE", path, json={"id": world.org.north})
    assert answer.status_code == 200
    root.wait("message", f"collab_admin left room collaboration_{world.collab.registry}")
    before = len(user.heard)
    listen("south_registry")
    user.quiet()
    assert user.heard[before:] == []


def test_a_new_collaboration_is_heard_at_once(listen: Audience, world: World, call: Caller):
    root, outsider = listen("root"), listen("viewer")
    body = {"name": "brand new", "organization_ids": [world.org.south], "encrypted": False}
    answer = call("root", "POST", "/collaboration", json=body)
    room = f"collaboration_{answer.get_json()['id']}"
    root.wait("message", f"User <root> joined room <{room}>")
    assert outsider.quiet() == []


def test_a_denying_line_silences_nodes(listen: Audience, world: World, call: Caller):
    node, user = listen("north_registry"), listen("collab_admin")
    with writing():
        values = ("kind:node", "event", "global", "view", "True", "deny")
        session.add(CasbinRule(ptype="p", **{f"v{i}": v for i, v in enumerate(values)}))
        raise_revisions(session(), {"lines"})
        session.commit()
    session.remove()
    user.wait(
        "message",
        f"north_registry left room collaboration_{world.collab.registry}",
    )
    assert not hears(node, call, world)
    assert len(user.named("status_update")) == 1


def test_a_deleted_node_is_disconnected(listen: Audience, world: World, call: Caller):
    node = listen("south_registry")
    path = f"/node/{world.node.south_registry}"
    assert call("root", "DELETE", path).status_code == 200
    node.wait("disconnect")
    eventually(connections, 0)


def test_a_deleted_user_is_disconnected(listen: Audience, world: World, call: Caller):
    user = listen("nobody")
    assert call("root", "DELETE", f"/user/{world.user.nobody}").status_code == 200
    user.wait("disconnect")


def test_ended_tokens_end_their_sockets(listen: Audience, world: World, call: Caller):
    """A node whose key is reset, whoever has the old token."""
    node, other = listen("south_registry"), listen("north_registry")
    answer = call("root", "POST", "/recover/node", json={"id": world.node.south_registry})
    assert answer.status_code == 200
    node.wait("disconnect")
    assert other.client.connected


def connections() -> int:
    try:
        return session.query(SocketConnection).count()
    finally:
        session.remove()


def test_a_change_by_another_process_is_found_by_looking(
    listen: Audience, world: World, call: Caller, app: Any
):
    """Nothing in this process says that something changed."""
    user, root = listen("collab_admin"), listen("root")
    assert hears(user, call, world)
    with session.get_bind().begin() as connection:  # type: ignore[union-attr]
        connection.execute(
            delete(Permission).where(Permission.c.user_id == world.user.collab_admin)
        )
        connection.execute(
            PolicyRevision.__table__.update().values(members=PolicyRevision.members + 1)
        )
    root.wait("message", f"collab_admin left room collaboration_{world.collab.registry}")
    assert not hears(user, call, world)


def test_a_change_while_a_socket_connects_is_not_missed(
    listen: Audience, world: World, call: Caller, monkeypatch: pytest.MonkeyPatch
):
    """The review that the change causes runs while the connect handler is at work."""
    from v6srv.service import presence

    connected = presence.connected

    def slowly(comers: Mapping[str, int]) -> Any:
        path = f"/user/{world.user.collab_admin}"
        assert call("root", "PATCH", path, json={"roles": []}).status_code == 200
        time.sleep(SOON_S)
        return connected(comers)

    monkeypatch.setattr(presence, "connected", slowly)
    user = listen("collab_admin")
    monkeypatch.undo()
    time.sleep(SOON_S)
    assert not hears(user, call, world)
