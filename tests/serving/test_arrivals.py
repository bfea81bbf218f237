"""What a request may cost before anybody is known: deadlines and a bound for each address."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import requests

from tests.live import LiveServer, live_server
from tests.serving.sockets import RawSocket
from tests.serving.wires import Wire
from v6srv.serving.arrivals import Arrivals
from v6srv.settings.groups import Http
from v6srv.wire.browser_headers import refusing

LIMIT = 20
PERIOD_S = 1
RATE = 100
LIMITS = {
    "V6SRV_HTTP__HEADER_TIMEOUT_S": str(PERIOD_S),
    "V6SRV_HTTP__BODY_TIMEOUT_S": str(PERIOD_S),
    "V6SRV_HTTP__BODY_MIN_RATE": str(RATE),
    "V6SRV_HTTP__ANSWER_TIMEOUT_S": str(PERIOD_S),
}
TOO_SLOW = "The request did not arrive in time"


@pytest.fixture(scope="module")
def impatient() -> Iterator[LiveServer]:
    """A server that waits a second for a head, and for a body that is slower than its rate."""
    with live_server(**LIMITS) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.tail()


@pytest.fixture(scope="module")
def crowded() -> Iterator[LiveServer]:
    """A server that has patience, with few unfinished requests for each address."""
    with live_server(V6SRV_HTTP__UNFINISHED_PER_ADDRESS=str(LIMIT)) as server:
        yield server


Connect = Callable[[LiveServer], Wire]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open connections that are closed after the test."""
    wires: list[Wire] = []

    def open_one(server: LiveServer) -> Wire:
        wires.append(Wire(server.port))
        return wires[-1]

    yield open_one
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("sent", [b"GET /api/ver", b"GET /api/version HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_is_told_so(
    impatient: LiveServer, connect: Connect, sent: bytes
) -> None:
    wire = connect(impatient).send(sent)
    status, headers, body = wire.answer()
    told = json.loads(body)
    assert (status, told["msg"]) == (408, TOO_SLOW)
    assert told["request_id"] == headers["x-request-id"] != ""
    assert wire.is_closed()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/version HTTP/9.9\r\n\r\n", 400),
        (b"G\0T /api/version HTTP/1.1\r\n\r\n", 400),
        (b"POST /api/token/user HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST /api/token/user HTTP/1.1\r\nTransfer-Encoding: zip\r\n\r\n", 501),
        (b"GET /api/version?" + 9000 * b"a" + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /api/version HTTP/1.1\r\nX-A: " + 90000 * b"a" + b"\r\n\r\n", 431),
        (b"GET /api/version HTTP/1.1\r\n" + 99 * (b"X-A: " + 800 * b"a" + b"\r\n"), 431),
    ],
    ids=["version", "method", "length", "coding", "long line", "long header", "large head"],
)
def test_a_head_that_cannot_be_read_is_told_so(
    impatient: LiveServer, connect: Connect, head: bytes, status: int
) -> None:
    """As JSON, as everything else that is refused; what was sent too much does not take it away."""
    told, headers, body = connect(impatient).send(head).answer()
    answer = json.loads(body)
    assert (told, answer["status"]) == (status, status)
    assert answer["msg"].startswith("The request cannot be read")
    assert answer["request_id"] == headers["x-request-id"] != ""
    assert {name.lower(): value for name, value in refusing()}.items() <= headers.items()
    assert "server" not in headers


def test_a_line_and_a_head_may_be_long(impatient: LiveServer, connect: Connect) -> None:
    line = b"GET /api/version?" + 7_900 * b"a" + b" HTTP/1.1\r\nHost: x\r\n"
    wire = connect(impatient).send(line + 50 * (b"X-A: " + 800 * b"a" + b"\r\n") + b"\r\n")
    assert wire.answer()[0] == 200


def test_a_query_that_no_page_links_to_is_told_so(impatient: LiveServer, connect: Connect) -> None:
    wire = connect(impatient).send(b"GET /api/version?" + 8_100 * b"a" + b" HTTP/1.1\r\n\r\n")
    status, _, body = wire.answer()
    assert (status, json.loads(body)["status"]) == (414, 414)


@pytest.mark.parametrize(
    "path", ["/api/version", "/api/user", "/nowhere", "/socket.io/", "/apidocs"]
)
def test_no_answer_names_the_program_that_serves(
    impatient: LiveServer, connect: Connect, path: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
    _, headers, body = connect(impatient).send(request.encode()).answer()
    assert not headers.keys() & {"server", "x-powered-by", "via"}
    assert "unicorn" not in str(headers) + body.decode()
    assert headers["x-content-type-options"] == "nosniff"


def test_a_head_that_trickles_is_not_waited_for(impatient: LiveServer, connect: Connect) -> None:
    """The deadline is for the whole head: a byte now and then does not move it."""
    wire = connect(impatient).send(b"GET /api/version HTTP/1.1\r\n")
    for _ in range(8 * PERIOD_S):
        if wire.has_answer(within_s=0.25):
            break
        wire.send(b"X-A: b\r\n")
    assert wire.refusal() == (408, TOO_SLOW)


def test_a_connection_on_which_nothing_comes_is_closed(
    impatient: LiveServer, connect: Connect
) -> None:
    assert connect(impatient).is_closed()


def test_a_body_that_does_not_come_is_told_so(impatient: LiveServer, connect: Connect) -> None:
    wire = connect(impatient).half_a_login()
    status, headers, body = wire.answer()
    assert (status, json.loads(body)["msg"]) == (408, TOO_SLOW)
    assert headers["connection"] == "close"
    assert wire.is_closed()


def test_half_a_login_does_not_reach_the_application(connect: Connect) -> None:
    """Many of them would cost too much there; who waits to be told to go on is told."""
    with live_server(**LIMITS, V6SRV_LOGGING__LEVEL="DEBUG") as server:
        wire = connect(server).begin(
            "POST", "/api/token/user", 100, "X-Request-ID: half", sent=b'{"username": "nob'
        )
        status, headers, _ = wire.answer()
        assert (status, headers["x-request-id"]) == (408, "half")
        body = b'{"username": "nobody", "password": "x"}'
        wire = connect(server).begin(
            "POST", "/api/token/user", len(body), "X-Request-ID: whole", "Expect: 100-continue"
        )
        assert wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(body).answer()[0] == 401
        log = server.log.read_text()
        assert "request_id=whole" in log
        assert "request_id=half" not in log


def test_a_body_that_comes_slowly_but_steadily_is_served(
    impatient: LiveServer, connect: Connect
) -> None:
    body = json.dumps({"username": "nobody", "password": "x" * 5 * RATE}).encode()
    wire = connect(impatient).begin("POST", "/api/token/user", len(body))
    for start in range(0, len(body), RATE // 2):
        wire.send(body[start : start + RATE // 2])
        time.sleep(PERIOD_S / 4)
    assert wire.answer()[0] == 401


def test_a_body_that_is_slower_than_the_least_rate_is_told_so(
    impatient: LiveServer, connect: Connect
) -> None:
    wire = connect(impatient).begin("POST", "/api/token/user", 1000)
    for _ in range(3):
        wire.send(b"      ")
        time.sleep(PERIOD_S / 4)
    assert wire.refusal() == (408, TOO_SLOW)


@pytest.mark.parametrize("rest", [b"", b"[]"])
def test_a_body_that_nobody_reads_is_answered_before_it_is_there(
    impatient: LiveServer, connect: Connect, rest: bytes
) -> None:
    """The connection goes on when the rest comes, and ends when it does not."""
    wire = connect(impatient).begin("POST", "/api/task", 4, sent=b"  ")
    assert wire.answer()[0] == 401
    if rest:
        wire.send(rest + b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer()[0] == 200
    assert wire.is_closed()


def test_a_chunked_body_that_nobody_reads_ends_as_well(
    impatient: LiveServer, connect: Connect
) -> None:
    wire = connect(impatient).send(
        b"POST /api/task HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    )
    assert wire.answer()[0] == 401
    assert wire.is_closed()


@pytest.mark.parametrize("sent", [b"5\r\n{\r\n", b"no number\r\n"])
def test_a_chunked_body_that_cannot_be_read_is_a_bad_request(
    impatient: LiveServer, connect: Connect, sent: bytes
) -> None:
    wire = connect(impatient).send(
        b"POST /api/token/user HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + sent + b"\r\n\r\n\r\n"
    )
    status, msg = wire.refusal()
    assert status == 400
    assert "The body cannot be read" in msg
    assert wire.is_closed()


@pytest.mark.parametrize("ends", [True, False])
def test_a_poll_whose_body_does_not_come_leaves_no_traceback(
    impatient: LiveServer, connect: Connect, ends: bool
) -> None:
    """Engine.IO opens a session for anybody; `impatient` looks at the log at its end."""
    url = f"{impatient.url}/socket.io/?EIO=4&transport=polling"
    sid = requests.get(url, timeout=5).text.split('"')[3]
    path = f"{url}&sid={sid}".removeprefix(impatient.url)
    wire = connect(impatient).begin("POST", path, 100, sent=b"40/tas")
    if ends:
        wire.end()
    assert wire.refusal() == ((400, "The request broke off") if ends else (408, TOO_SLOW))
    assert wire.is_closed()


def test_a_poll_that_is_too_large_is_refused_unread(
    impatient: LiveServer, connect: Connect
) -> None:
    url = f"{impatient.url}/socket.io/?EIO=4&transport=polling"
    sid = requests.get(url, timeout=5).text.split('"')[3]
    path = f"{url}&sid={sid}".removeprefix(impatient.url)
    wire = connect(impatient).begin("POST", path, 300 * 1024, sent=b"40/tas")
    assert wire.refusal() == (413, "The message is too large")
    assert wire.is_closed()


def test_an_answer_that_nobody_takes_is_given_up(impatient: LiveServer, connect: Connect) -> None:
    asset = b"GET /static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    wire = connect(impatient).send(20 * asset)
    time.sleep(5 * PERIOD_S)
    taken = 0
    with suppress(ConnectionError):
        while piece := wire.take():
            taken += len(piece)
    whole = requests.get(f"{impatient.url}/static/swagger-ui/swagger-ui-bundle.js", timeout=5)
    assert taken < 20 * len(whole.content)


def test_a_body_that_breaks_off_changes_nothing(impatient: LiveServer, connect: Connect) -> None:
    """Also when what came of it could be understood."""
    headers = impatient.login()
    before = requests.get(f"{impatient.api}/organization", headers=headers, timeout=5).json()
    whole = json.dumps({"name": "broken off"}).encode()
    wire = connect(impatient).begin(
        "POST",
        "/api/organization",
        len(whole) + 1,
        f"Authorization: {headers['Authorization']}",
        sent=whole,
    )
    assert wire.end().refusal() == (400, "The request broke off")
    after = requests.get(f"{impatient.api}/organization", headers=headers, timeout=5).json()
    assert after == before


def test_the_oldest_unfinished_request_of_an_address_gives_way(
    crowded: LiveServer, connect: Connect
) -> None:
    wires = [connect(crowded).half_a_login() for _ in range(20 * LIMIT)]
    assert requests.get(f"{crowded.api}/version", timeout=10).status_code == 200
    for wire in wires[:-LIMIT]:
        assert wire.is_closed() or wire.is_closed()
    for wire in wires[-LIMIT + 1 :]:
        assert not wire.is_closed(within_s=0.01)
    assert "more than 20 requests that do not arrive" in crowded.tail()


def test_open_sockets_and_kept_connections_are_not_unfinished(
    crowded: LiveServer, connect: Connect
) -> None:
    sockets = [RawSocket(crowded.port, crowded.login()) for _ in range(LIMIT + 5)]
    kept = [
        connect(crowded).send(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(LIMIT + 5)
    ]
    assert [wire.answer()[0] for wire in kept] == [200] * len(kept)
    half = [connect(crowded).half_a_login() for _ in range(LIMIT)]
    time.sleep(1.5)  # longer than anybody is spared
    assert not any(wire.is_closed(within_s=0.01) for wire in half)
    for sock in sockets:
        assert sock.is_answering()
        sock.close()


def test_behind_a_proxy_addresses_say_nothing(connect: Connect) -> None:
    with live_server(V6SRV_HTTP__UNFINISHED_PER_ADDRESS="5", V6SRV_TRUSTED_PROXIES="1") as server:
        wires = [connect(server).half_a_login() for _ in range(30)]
        time.sleep(2.5)
        assert not any(wire.is_closed(within_s=0.01) for wire in wires)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_whom_an_address_belongs_to(one: str, other: str, same: bool) -> None:
    arrivals = Arrivals(Http(unfinished_per_address=1), by_address=True, most=1000)
    mine, theirs = (arrivals.enter(None, (address, 1)).groups for address in (one, other))
    assert (mine == theirs) is same


def test_a_request_that_has_come_does_not_give_way_because_nobody_read_it_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All nodes come at once, and the process is slow to look at them."""
    monkeypatch.setattr("v6srv.serving.arrivals.GRACE_S", 0.0)
    arrivals = Arrivals(Http(unfinished_per_address=1), by_address=True, most=1000)
    ends = [socket.socketpair() for _ in range(3)]
    for sent, (theirs, ours) in zip((b"GET /", b"", b""), ends, strict=True):
        theirs.send(sent)
        arrivals.wait_for(arrivals.enter(ours, ("192.0.2.1", 1)))
    arrivals.make_room()
    closed = [_is_closed(theirs) for theirs, _ in ends]
    for theirs, ours in ends:
        theirs.close()
        ours.close()
    assert closed == [False, True, True]


def _is_closed(end: socket.socket) -> bool:
    end.setblocking(False)
    with suppress(BlockingIOError):
        return end.recv(1) == b""
    return False
