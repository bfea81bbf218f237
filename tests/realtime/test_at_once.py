"""What is told to a WebSocket goes past its queue if the network takes it, and nothing gets lost."""

import queue
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from engineio.packet import MESSAGE, Packet
from gevent.socket import socketpair
from gevent.thread import allocate_lock
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol

from tests.live import LiveServer, live_server
from v6srv.realtime.web_sockets import MOST_AT_ONCE, _Frames, _in_portions, _Shared, _WebSocket

PATIENCE_S = 20
OPEN = '40/tasks,{"sid":'


class Taken:
    """A network that takes packets, or not."""

    def __init__(self) -> None:
        self.packets: list[Any] = []
        self.has_room = True

    def __call__(self, packet: Any) -> bool:
        if self.has_room:
            self.packets.append(packet)
        return self.has_room


def waiting(taken: Taken) -> Any:
    """A queue whose client waits."""
    made = _in_portions(queue.Queue)()
    made.at_once = taken
    made.waits = True
    return made


def test_a_packet_goes_past_the_queue_only_while_its_client_waits_and_nothing_else_does() -> None:
    taken = Taken()
    packets = waiting(taken)
    packets.put("first")
    taken.has_room = False
    packets.put("second")
    taken.has_room = True
    packets.put("third")
    assert taken.packets == ["first"]
    assert [packets.get() for _ in range(2)] == ["second", "third"]
    packets.put("nobody waits")
    assert taken.packets == ["first"]
    assert packets.get() == "nobody waits"


def test_who_is_sent_something_past_the_queue_is_not_taken_for_lost() -> None:
    """The library hangs up when it waited for a packet, as for a ping, in vain."""
    steps = iter(["sent a ping", "sent an event", None])

    class Waits(queue.Queue[Any]):
        def get(self, _block: bool = True, _timeout: float | None = None) -> Any:
            """Until time is up, while something may be put."""
            step = next(steps)
            if step:
                packets.put(step)
            raise queue.Empty

    packets = _in_portions(Waits)()
    packets.at_once = taken = Taken()
    with pytest.raises(queue.Empty):
        packets.get(timeout=85)
    assert taken.packets == ["sent a ping", "sent an event"]
    assert next(steps, "no step is left") == "no step is left"


def test_a_quiet_client_that_answers_pings_stays() -> None:
    """A whole Engine.IO server with short times, in gevent as where it serves."""
    command = [sys.executable, "-m", "gevent.monkey", "--module", "tests.realtime.quiet"]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr


def test_only_the_connection_that_became_the_socket_sends_at_once() -> None:
    """A session may have opened another one that it never used."""

    class Session:
        upgraded = False
        queue = SimpleNamespace(at_once=None)

        def handler(self) -> None:
            """What Engine.IO serves it with."""

    session = Session()
    server = SimpleNamespace(sleep=gevent.sleep)
    wire = _WebSocket(session.handler, server, 1000, _Frames())
    wire._protocol = SimpleNamespace(send=lambda message: None)
    wire._is_plain = True
    wire.send("3probe")
    assert session.queue.at_once is None
    session.upgraded = True
    wire.send("2")
    assert session.queue.at_once == wire._send_at_once


def test_the_end_of_a_client_is_kept_for_its_writer() -> None:
    taken = Taken()
    packets = waiting(taken)
    packets.put(None)
    assert (taken.packets, packets.get()) == ([], None)


def test_a_poll_is_still_given_a_portion() -> None:
    packets = _in_portions(queue.Queue)()
    for number in range(MOST_AT_ONCE + 1):
        packets.put(number)
    assert packets.get() == 0
    assert [packets.get(block=False) for _ in range(1, MOST_AT_ONCE)] == [*range(1, MOST_AT_ONCE)]
    with pytest.raises(queue.Empty):
        packets.get(block=False)


def test_a_frame_is_made_once_for_all_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    send_data = FrameProtocol.send_data

    def counted(self: FrameProtocol, payload: Any, fin: bool) -> bytes:
        made.append(payload)
        return bytes(send_data(self, payload, fin))

    monkeypatch.setattr(FrameProtocol, "send_data", counted)
    frames = _Frames()
    one, other = Packet(MESSAGE, "2/tasks,[1]"), Packet(MESSAGE, "2/tasks,[2]")
    assert [frames.of(each) for each in (one, one, other, other, one)] == [
        b"\x81\x0c42/tasks,[1]",
        b"\x81\x0c42/tasks,[1]",
        b"\x81\x0c42/tasks,[2]",
        b"\x81\x0c42/tasks,[2]",
        b"\x81\x0c42/tasks,[1]",
    ]
    assert len(made) == 3


def test_what_the_network_takes_in_part_is_finished_before_anything_else_is_sent() -> None:
    here, there = socketpair()
    with closing(here), closing(there):
        server = SimpleNamespace(sleep=gevent.sleep, start_background_task=gevent.spawn)
        shared = _Shared(here, server, lambda: 0, lambda: None)
        shared._sending = allocate_lock()  # as `threading.Lock` where gevent serves
        piece = bytes(range(256)) * 4096
        sent = b""
        while shared.send_at_once(piece):
            sent += piece
        assert sent
        turns: list[str] = []
        gevent.spawn(turns.append, "somebody else")
        assert not shared.send_at_once(b"not before the rest")
        assert turns == []  # or what somebody else puts would overtake
        reading = gevent.spawn(_read, there, len(sent) + 4)
        gevent.spawn(shared.send, b"last").get(timeout=PATIENCE_S)
        assert reading.get(timeout=PATIENCE_S) == sent + b"last"
        assert shared.send_at_once(b"again")


def test_a_socket_that_has_ended_takes_nothing() -> None:
    here, there = socketpair()
    there.close()
    with closing(here):
        shared = _Shared(here, SimpleNamespace(sleep=gevent.sleep), lambda: 0, lambda: None)
        here.close()
        assert not shared.send_at_once(b"x")


def _read(end: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += end.recv(1 << 20)
        gevent.sleep(0)
    return data


def texts(server: LiveServer, token: str, extensions: list[Extension]) -> tuple[list[str], bytes]:
    """What root is told who comes with these, and all that came as it came."""
    client = WSConnection(ConnectionType.CLIENT)
    raw, found = b"", []
    with closing(socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)) as wire:
        wire.sendall(
            client.send(
                Request(
                    host="here",
                    target="/socket.io/?EIO=4&transport=websocket",
                    extra_headers=[(b"Authorization", token.encode())],
                    extensions=extensions,
                )
            )
        )
        while not any(OPEN in text for text in found):
            data = wire.recv(1 << 16)
            assert data, found
            raw += data
            client.receive_data(data)
            for event in client.events():
                if isinstance(event, AcceptConnection):
                    assert bool(event.extensions) is bool(extensions)
                elif isinstance(event, TextMessage):
                    found.append(event.data)
                    if event.data.startswith("0"):
                        wire.sendall(client.send(TextMessage("40/tasks,")))
    return found, raw


@pytest.mark.parametrize(
    "extensions", [list, lambda: [PerMessageDeflate()]], ids=["plain", "compressed"]
)
def test_each_client_is_told_in_its_own_frames(
    extensions: Callable[[], list[Extension]],
) -> None:
    """A browser compresses what nodes do not."""
    with live_server() as server:
        token = server.login()["Authorization"]
        found, raw = texts(server, token, extensions())
        assert any(OPEN in text for text in found)
        assert (OPEN.encode() in raw) is (not extensions())
