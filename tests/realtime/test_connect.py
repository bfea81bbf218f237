"""Sockets come and go: who is let in, into which rooms, and who is told (realtime.md 1, 2, 4)."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests
import socketio
from flask import Flask
from flask_jwt_extended import create_access_token, create_refresh_token
from sqlalchemy import func, select

from tests import strange_tokens
from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear
from tests.support import Caller
from tests.world import World
from v6srv.db import session
from v6srv.model import Account, Node, NodeConfig, SocketConnection
from v6srv.realtime import broadcast, tasks_namespace
from v6srv.realtime.broadcast import NAMESPACE

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("world"),
]

both_transports = pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])


def status_of(account_id: int) -> str | None:
    try:
        return session.scalar(select(Account.status).where(Account.id == account_id))
    finally:
        session.remove()


def count(model: Any, *where: Any) -> int:
    try:
        return session.scalar(select(func.count()).select_from(model).where(*where)) or 0
    finally:
        session.remove()


def test_a_token_of_a_clock_that_is_ahead_opens_a_socket_up_to_the_leeway(
    app: Flask, url: str, call: Caller
):
    for ahead_s, accepted in ((299, True), (400, False)):
        key, issued = app.config["JWT_SECRET_KEY"], int(time.time()) + ahead_s
        said = jwt.decode(call.token("viewer"), options={"verify_signature": False})
        token = jwt.encode({**said, "iat": issued, "nbf": issued}, key, "HS256")
        with socketio.SimpleClient() as client:
            headers = {"Authorization": f"Bearer {token}"}
            try:
                client.connect(url, headers=headers, namespace="/tasks", transports=["websocket"])
            except socketio.exceptions.ConnectionError:
                assert not accepted
            else:
                assert accepted


# --- rooms


@pytest.mark.parametrize(
    ("who", "rooms"),
    [
        ("root", ["registry", "trial", "nothing"]),  # event|view|global
        ("collab_admin", ["registry"]),  # event|view|collaboration, of the own organization only
        ("viewer", ["registry/north"]),  # event|view|organization
        ("south_viewer", ["registry/south", "trial/south"]),
        ("east_viewer", []),  # an organization without collaborations
        ("nobody", []),  # no rule, still accepted
        ("node_role", []),  # a user with the role of nodes is no node
        ("north_registry", ["registry", "registry/north"]),
        ("south_trial", ["trial", "trial/south"]),
    ],
)
def test_everybody_joins_the_rooms_that_policies_allow(
    listen: Audience, world: World, who: str, rooms: list[str]
):
    """Each join is announced to the room, the joiner included."""
    ear = listen(who)
    kind = "Node" if hasattr(world.node, who) else "User"
    expected = []
    for room in rooms:
        collab, _, org = room.partition("/")
        name = f"collaboration_{getattr(world.collab, collab)}"
        if org:
            name += f"_organization_{getattr(world.org, org)}"
        expected.append(f"{kind} <{who}> joined room <{name}>")
    for text in expected:
        ear.wait("message", text)
    ear.quiet()
    assert sorted(ear.named("message")) == sorted(expected)


@both_transports
def test_a_node_is_announced_to_its_collaboration_before_it_joins(
    listen: Audience, world: World, transports: list[str] | None
):
    root, viewer, neighbour = listen("root"), listen("viewer"), listen("south_registry")
    stranger = listen("south_viewer")
    node = listen("north_registry", transports)
    card = {"id": world.node.north_registry, "name": "north_registry", "org_id": world.org.north}
    whole = f"collaboration_{world.collab.registry}"
    own = f"{whole}_organization_{world.org.north}"
    for ear in (root, viewer, neighbour):
        ear.wait("node-online", card)
    for ear in (root, neighbour, node):
        ear.wait("message", f"Node <north_registry> joined room <{whole}>")
    for ear in (viewer, node):
        ear.wait("message", f"Node <north_registry> joined room <{own}>")
    node.quiet()
    assert node.named("node-online") == []
    assert neighbour.named("node-online") == [card]  # once, though it is in several rooms (S5)
    assert card not in stranger.named("node-online")


def test_a_node_does_not_hear_of_itself_while_others_are_reviewed(
    app: Flask, listen: Audience, world: World, monkeypatch: pytest.MonkeyPatch
):
    viewer = listen("viewer")
    held_back = app.extensions["socketio"].server.manager.held_back
    with monkeypatch.context() as review:
        review.setattr(held_back, "release", lambda: None)
        held_back.hold()
        node = listen("north_registry")
        assert viewer.named("node-online") == []
    held_back.release()
    card = {"id": world.node.north_registry, "name": "north_registry", "org_id": world.org.north}
    viewer.wait("node-online", card)
    node.wait(
        "message", f"Node <north_registry> joined room <collaboration_{world.collab.registry}>"
    )
    node.quiet()
    assert node.named("node-online") == []


@both_transports
def test_who_hears_of_much_at_once_stays(
    listen: Audience, call: Caller, world: World, transports: list[str] | None
):
    """A client that polls hangs up on an answer with more than 16 packets."""
    members = [world.org.north]
    for number in range(40):
        body = {"name": f"one of many {number}", "organization_ids": members}
        assert call("root", "POST", "/collaboration", body).status_code == 200
    ear = listen("root", transports)
    last = call("root", "GET", "/collaboration").json[-1]["id"]
    ear.wait("message", f"User <root> joined room <collaboration_{last}>")
    ear.quiet()
    assert len(ear.named("message")) == 40 + len(vars(world.collab))
    assert ear.client.connected


def test_nodes_of_other_collaborations_hear_nothing_of_a_node(listen: Audience):
    """S4: `all_nodes` is a room that nothing is sent to."""
    other = listen("west_trial")
    other.quiet()
    before = list(other.heard)
    node = listen("north_registry")
    node.close()
    other.quiet()
    assert other.heard == before


@both_transports
def test_a_node_is_told_to_synchronise_once_its_namespace_is_open(
    listen: Audience, transports: list[str] | None
):
    """Realtime.md R1, R2 of 4.x: before, what it says to the namespace is an error at its end."""
    for who in ("north_registry", "south_registry in 4"):
        ear = listen(who, transports)
        assert ear.named("sync") == [None]
        names = [heard[0] for heard in ear.heard]
        assert names.index("connect") < names.index("sync")


def test_users_are_not(listen: Audience):
    users = [listen("root"), listen("root in 4")]
    users[0].quiet()
    assert [user.named("sync") for user in users] == [[], []]


# --- status


def test_a_user_is_online_while_connected(listen: Audience, world: World):
    user = listen("viewer")
    assert status_of(world.user.viewer) == "online"
    user.close()
    eventually(lambda: status_of(world.user.viewer), "offline")
    assert count(SocketConnection) == 0


def test_leaving_is_told_to_the_rooms_and_not_to_the_leaver(listen: Audience, world: World):
    root, node = listen("root"), listen("north_registry")
    node.close()
    room = f"collaboration_{world.collab.registry}"
    card = {"id": world.node.north_registry, "name": "north_registry", "org_id": world.org.north}
    root.wait("message", f"north_registry left room {room}")
    root.wait("node-offline", card)
    node.quiet()
    assert not [text for text in node.named("message") if "left" in text]
    assert status_of(world.node.north_registry) == "offline"


def test_what_a_node_shared_is_deleted_when_it_goes(listen: Audience, world: World):
    node = listen("north_registry")
    mine = NodeConfig.node_id == world.node.north_registry
    node.say("node_info_update", {"encryption": True})
    eventually(lambda: count(NodeConfig, mine, NodeConfig.value == "1"), 1)
    node.close()
    eventually(lambda: count(NodeConfig, mine), 0)


def test_only_the_last_socket_of_a_node_takes_it_offline(listen: Audience, world: World):
    """S17, S30: sockets are counted in the database."""
    root = listen("root")
    first, second = listen("north_registry"), listen("north_registry")
    mine = NodeConfig.node_id == world.node.north_registry
    second.say("node_info_update", {"encryption": True})
    eventually(lambda: count(NodeConfig, mine, NodeConfig.value == "1"), 1)
    first.close()
    eventually(lambda: count(SocketConnection), 2)
    root.quiet()
    assert root.named("node-offline") == []
    assert status_of(world.node.north_registry) == "online"
    assert count(NodeConfig, mine) == 1
    second.close()
    root.wait("node-offline")
    eventually(lambda: status_of(world.node.north_registry), "offline")
    root.quiet()
    assert len(root.named("node-offline")) == 1


# --- refusals


@pytest.fixture
def bad_token(app: Flask, world: World, call: Caller) -> Callable[[str], str]:
    """An Authorization header that is no good, by what is wrong with it."""
    node_id = world.node.north_registry
    claims = {"client_type": "node", "roles": [], "ver": 0}

    def make(kind: str) -> str:
        with app.app_context():
            tokens = {
                "missing": lambda: "",
                "no bearer": lambda: f"Basic {call.token('viewer')}",
                "two tokens": lambda: f"Bearer {call.token('viewer')} more",
                "malformed": lambda: "Bearer nonsense",
                "not ASCII": lambda: "Bearer \xe9\xe8",
                "signature": lambda: f"Bearer {call.token('viewer')[:-4]}AAAA",
                "refresh": lambda: (
                    f"Bearer {create_refresh_token(node_id, additional_claims=claims)}"
                ),
                "container": lambda: f"Bearer {call.token('container')}",
                "unknown": lambda: f"Bearer {create_access_token(99999, additional_claims=claims)}",
                "ended": lambda: (
                    f"Bearer {create_access_token(node_id, additional_claims=claims | {'ver': 7})}"
                ),
            }
            return tokens[kind]()

    return make


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "no bearer",
        "two tokens",
        "malformed",
        "not ASCII",
        "refresh",
        "container",
        "unknown",
        "ended",
    ],
)
def test_a_bad_token_is_refused_with_a_message(
    listen: Audience, bad_token: Callable[[str], str], kind: str
):
    """S1, S3: the namespace is refused, the handshake is not."""
    ear = listen.stranger(kind).connect(header=bad_token(kind))
    refusal = ear.wait_refused()
    assert isinstance(refusal["message"], str)
    assert refusal["message"]
    assert ear.heard == []
    assert count(SocketConnection) == 0


SOME_STRANGE = 3
"""Values of each claim: all of them are tried over REST (tests/api/test_strange_tokens.py)."""


def test_a_token_that_says_something_strange_is_refused_with_a_message(
    app: Flask, listen: Audience, call: Caller
):
    key = app.config["JWT_SECRET_KEY"]
    claims = jwt.decode(call.token("viewer"), options={"verify_signature": False})
    tried = [
        strange_tokens.changed(claims, name, value)
        for name, values in strange_tokens.CLAIMS.items()
        for value in values[-SOME_STRANGE - 2 : -2]
    ]
    texts = [strange_tokens.signed({**claims, "sub": 2**70}, key), "\ud800.\ud800.\ud800"]
    for text in (*(strange_tokens.signed(each, key) for each in tried), *texts):
        assert listen.stranger(text).connect(auth={"token": text}).wait_refused()["message"]
    assert count(SocketConnection) == 0


def expired(app: Flask, node_id: int) -> str:
    with app.app_context():
        return create_access_token(
            node_id,
            expires_delta=timedelta(seconds=-5),
            additional_claims={"client_type": "node", "roles": [], "ver": 0},
        )


OUTDATED = ("expired_token", "invalid_token")
"""A node gets another token when it hears one of these; one of 3.x knows only the first."""


@pytest.fixture
def outdated(app: Flask, world: World, bad_token: Callable[[str], str]) -> Callable[[str], str]:
    """The Authorization header for which one is told this."""

    def make(event: str) -> str:
        if event == "invalid_token":
            return bad_token("signature")
        return f"Bearer {expired(app, world.node.north_registry)}"

    return make


@both_transports
@pytest.mark.parametrize("event", OUTDATED)
def test_who_comes_with_an_outdated_token_is_told_so_and_let_in_nowhere(
    listen: Audience,
    world: World,
    outdated: Callable[[str], str],
    transports: list[str] | None,
    event: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """S2: the everyday reconnect of a node. It gets a new token and comes back."""
    monkeypatch.setattr(tasks_namespace, "LEAVES_WITHIN_S", 1.0)
    node = listen.stranger("node", transports).connect(header=outdated(event))
    assert node.wait(event) == (event,)
    node.say("ping")
    other = listen("north_registry", transports)
    other.wait("sync")
    assert count(SocketConnection) == 1  # that of the other
    assert status_of(world.node.north_registry) == "online"
    node.wait("disconnect")
    assert [heard[0] for heard in node.heard] == ["connect", event, "disconnect"]
    assert other.named("disconnect") == []


@pytest.mark.parametrize("event", OUTDATED)
def test_a_node_whose_library_comes_back_with_an_outdated_token_is_told_once(
    app: Flask, listen: Audience, call: Caller, outdated: Callable[[str], str], event: str
):
    """Refused, it would come back with it for ever, and the node would begin anew each time."""
    node = Ear(listen.url, "node", reconnection=True, reconnection_delay=0.1)
    listen.ears.append(node)
    node.connect(call.token("north_registry")).wait("sync")
    node.client.connection_headers = {"Authorization": outdated(event)}
    told = []
    node.client.on(event, lambda: (told.append(event), node.client.disconnect()), NAMESPACE)
    broadcast.end_all_here(app.extensions["socketio"])
    eventually(lambda: told, [event])
    time.sleep(1.0)
    assert told == [event]


def test_the_auth_payload_may_carry_the_token(listen: Audience, call: Caller):
    ear = listen.stranger().connect(auth={"token": call.token("viewer")})
    ear.wait("connect")


@pytest.mark.parametrize("auth", [{"token": 5}, {"token": "x"}, {"other": "x"}, ["x"], "x", 7])
def test_a_strange_auth_payload_is_refused(listen: Audience, auth: Any):
    assert listen.stranger().connect(auth=auth).wait_refused()["message"]


def test_the_header_goes_before_the_payload(listen: Audience, call: Caller):
    ear = listen.stranger().connect("nonsense", auth={"token": call.token("viewer")})
    assert ear.wait_refused()["message"]


@pytest.mark.parametrize("namespace", ["/", "/admin", "/other"])
def test_there_is_no_other_namespace(url: str, call: Caller, namespace: str):
    client = socketio.Client(reconnection=False)
    refused: list[Any] = []
    client.on("connect_error", refused.append, namespace=namespace)
    headers = {"Authorization": f"Bearer {call.token('root')}"}
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(url, headers=headers, namespaces=[namespace], wait_timeout=5)
    client.disconnect()
    assert refused == ["Unable to connect"]


# --- handshake


def test_the_handshake_is_the_one_clients_know(url: str):
    answer = requests.get(f"{url}/socket.io/", {"transport": "polling", "EIO": "4"}, timeout=5)
    assert answer.status_code == 200
    assert '"pingTimeout":60000' in answer.text
    assert '"pingInterval":25000' in answer.text
    assert '"upgrades":["websocket"]' in answer.text


def test_an_old_protocol_is_answered_400(url: str):
    answer = requests.get(f"{url}/socket.io/", {"transport": "polling", "EIO": "3"}, timeout=5)
    assert answer.status_code == 400


def test_every_origin_may_connect_but_without_credentials(url: str):
    """S28: the token is in a header; no cookie is needed."""
    answer = requests.get(
        f"{url}/socket.io/",
        {"transport": "polling", "EIO": "4"},
        headers={"Origin": "http://ui.example"},
        timeout=5,
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "http://ui.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_connecting_counts_as_being_seen(listen: Audience, world: World):
    """Or the watchdog would take a node offline before its first ping."""
    listen("south_trial")
    try:
        node = session.get_one(Node, world.node.south_trial)
        assert node.status == "online"
        assert node.last_seen is not None
    finally:
        session.remove()
