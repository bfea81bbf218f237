"""examples/nginx.conf in front of real servers: what nodes and users need passes."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import socketio
from requests.adapters import HTTPAdapter

from tests.docs import proxy
from tests.live import LiveServer, live_server

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(
    not NGINX, reason="nginx is not installed: its documented configuration is not tried"
)


class From(HTTPAdapter):
    """Calls from another address of this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> Any:
        """The connections of this session."""
        return super().init_poolmanager(*args, **more, source_address=(self._address, 0))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"V6SRV_TRUSTED_PROXIES": "1", "V6SRV_METRICS": "true"}
    with live_server(**settings) as running:
        yield running


@pytest.fixture(scope="module")
def front(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[proxy.Proxy]:
    assert NGINX
    with proxy.running(NGINX, tmp_path_factory.mktemp("nginx"), server.port) as running:
        yield running


def test_answers_are_not_compressed(front: proxy.Proxy) -> None:
    answer = requests.get(
        f"{front.url}/apispec_1.json",
        headers={"Accept-Encoding": "gzip, br"},
        verify=str(front.certificate),
        timeout=10,
    )
    assert answer.status_code == 200
    assert "Content-Encoding" not in answer.headers
    assert len(answer.content) == int(answer.headers["Content-Length"])


@pytest.mark.parametrize(
    ("most", "spoken"),
    [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
    ],
    ids=["1.0", "1.1", "1.2"],
)
def test_old_tls_is_not_spoken(front: proxy.Proxy, most: ssl.TLSVersion, spoken: bool) -> None:
    context = ssl.create_default_context(cafile=str(front.certificate))
    context.set_ciphers("ALL:@SECLEVEL=0")  # this end would speak it
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, most
    host, _, port = front.url.removeprefix("https://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        try:
            with context.wrap_socket(wire, server_hostname=host) as secured:
                assert secured.version() == "TLSv1.2"
                got = True
        except ssl.SSLError:
            got = False
    assert got is spoken


def test_browsers_are_led_to_tls_and_stay_there(front: proxy.Proxy) -> None:
    host = "v6.registry.example"
    answer = requests.get(
        f"{front.plain_url}/console/", headers={"Host": host}, allow_redirects=False, timeout=10
    )
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{host}/console/")
    secured = requests.get(f"{front.url}/console/", verify=str(front.certificate), timeout=10)
    assert int(secured.headers["Strict-Transport-Security"].partition("=")[2]) >= 365 * 24 * 3600


def test_large_bodies_pass(server: LiveServer, front: proxy.Proxy) -> None:
    """A body of 5 MB gets an answer of the server, nginx refuses more than 1 MB by default."""
    answer = requests.post(
        f"{front.url}/api/task",
        json={"name": "x" * 5_000_000},
        headers=server.login(),
        verify=str(front.certificate),
        timeout=30,
    )
    assert answer.status_code == 400
    assert isinstance(answer.json()["msg"], str)


def test_the_server_knows_who_asks(server: LiveServer, front: proxy.Proxy) -> None:
    """Not the address of the proxy, nor one that the caller makes up."""
    with requests.Session() as elsewhere:
        elsewhere.mount("https://", From("127.0.0.2"))
        answer = elsewhere.post(
            f"{front.url}/api/token/user",
            json={"username": "root", "password": "wrong"},
            headers={"X-Forwarded-For": "192.0.2.1"},
            verify=str(front.certificate),
            timeout=30,
        )
    assert answer.status_code == 401
    assert "127.0.0.2" in server.tail()
    assert "192.0.2.1" not in server.tail()


def test_numbers_are_for_monitoring_only(front: proxy.Proxy) -> None:
    statuses = {}
    for address in ("127.0.0.1", "127.0.0.2"):
        with requests.Session() as session:
            session.mount("https://", From(address))
            path = f"{front.url}/api/metrics"
            statuses[address] = session.get(path, verify=str(front.certificate)).status_code
    assert statuses == {"127.0.0.1": 200, "127.0.0.2": 403}


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_sockets_pass(server: LiveServer, front: proxy.Proxy, transport: str) -> None:
    session = requests.Session()
    session.trust_env = False  # it may name authorities, which this certificate has none of
    client = socketio.Client(http_session=session, ssl_verify=False)
    client.connect(
        front.url,
        headers=server.login(),
        namespaces=["/tasks"],
        transports=[transport],
        wait_timeout=20,
    )
    try:
        assert client.transport() == transport
        assert client.namespaces.keys() == {"/tasks"}
    finally:
        client.disconnect()
