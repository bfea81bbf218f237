"""Spans reach a real OTLP/HTTP receiver: what was asked and decided, and nothing of who asked."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests
import socketio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.live import LiveServer, free_port, live_server

NOT_SENT = "traces are not sent: their collector does not answer, or refuses them"


class Collector(HTTPServer):
    """Takes spans, or refuses them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.refuses = False

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.refuses:
            self.server.bodies.append(body)
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in each.scope_spans:
                    self.server.spans += scope.spans
        self.send_response(400 if self.server.refuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(collector: Collector) -> Iterator[LiveServer]:
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    settings = {"V6SRV_TRACES__ENDPOINT": endpoint, "V6SRV_TRACES__SAMPLE": "1"}
    with live_server(**settings) as running:
        yield running


def _eventually(holds: Callable[[], Any], server: LiveServer) -> Any:
    deadline = time.monotonic() + 60
    while not (found := holds()):
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.05)
    return found


def _attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def _decisions(span: Span) -> list[dict[str, Any]]:
    return [_attributes(event) for event in span.events if event.name == "decision"]


def test_a_request_is_a_span_with_what_was_decided(
    server: LiveServer, collector: Collector
) -> None:
    who = server.login(base="/v3/api")
    url, caller = f"{server.url}/v3/api/organization/1", "0af7651916cd43dd8448eb211c80319c"
    trace = {"traceparent": f"00-{caller}-b7ad6b7169203331-01"}
    assert requests.get(url, headers={**who, **trace}, timeout=20).status_code == 200
    name = "GET /api/organization/<int:id>"
    [span] = _eventually(lambda: collector.named(name), server)
    assert span.trace_id.hex() == caller, "it goes on where its caller began"
    said = _attributes(span)
    assert said["http.response.status_code"] == 200
    assert said["http.route"] == "/api/organization/<int:id>"
    [decided] = _decisions(span)
    policy = decided.pop("policy")
    assert policy
    assert decided == {"resource": "organization", "operation": "view", "effect": "allow"}


def test_what_is_refused_or_unknown(server: LiveServer, collector: Collector) -> None:
    node = requests.post(f"{server.api}/nothing", timeout=20)
    assert node.status_code == 404
    [span] = _eventually(lambda: collector.named("POST none"), server)
    assert span.status.code != Status.STATUS_CODE_ERROR, "the server is not to blame"


def test_an_event_of_a_socket_is_a_span(server: LiveServer, collector: Collector) -> None:
    with socketio.SimpleClient() as client:
        client.connect(
            server.url, headers=server.login(), namespace="/tasks", transports=["websocket"]
        )
        client.emit("rita@example.org")
        client.emit("ping")
        _eventually(lambda: collector.named("socket ping"), server)
    [span] = _eventually(lambda: collector.named("socket connect"), server)
    assert span.kind == Span.SPAN_KIND_SERVER
    assert collector.named("socket unknown")
    _eventually(lambda: collector.named("socket disconnect"), server)


def test_nobody_is_named(server: LiveServer, collector: Collector) -> None:
    """Of all that was asked above."""
    assert _eventually(lambda: collector.named("POST /api/token/user"), server)
    sent = b"".join(collector.bodies)
    for text in (b"root", b"rita", b"127.0.0.1", b"user:1", b"Bearer", b"organization/1"):
        assert text not in sent, text


def test_a_collector_that_refuses_is_a_problem_until_it_takes_them(
    server: LiveServer, collector: Collector
) -> None:
    def problems() -> list[str]:
        found = requests.get(f"{server.api}/health", timeout=20).json().get("problems", [])
        return list(found)

    collector.refuses = True
    _eventually(lambda: NOT_SENT in problems(), server)
    collector.refuses = False
    _eventually(lambda: NOT_SENT not in problems(), server)
    assert server.log.read_text().count(f"ERROR    - {NOT_SENT}") == 1


def test_what_was_done_last_is_sent_before_the_end(
    server: LiveServer, collector: Collector
) -> None:
    """The last test of this server."""
    requests.get(f"{server.url}/v3/api/version", timeout=20)
    assert server.stop() == 0, server.tail()
    assert collector.named("GET /api/version"), server.tail()
    assert "Traceback" not in server.tail()


def test_who_wants_no_traces_waits_for_none() -> None:
    """What other packages import of it by themselves is not ours."""
    names = "{'opentelemetry.sdk.trace', 'opentelemetry.exporter'}"
    program = (
        f"import sys, v6srv.app, v6srv.serving.master; sys.exit(bool({names} & {{*sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60)
    assert done.returncode == 0


def test_without_the_packages_it_says_which(tmp_path: Any) -> None:
    hide = "import sys; sys.modules['opentelemetry'] = None; from v6srv.cli.main import cli; cli()"
    done = subprocess.run(
        [sys.executable, "-c", hide, "config", "check"],
        env={"V6SRV_TRACES__ENDPOINT": f"http://127.0.0.1:{free_port()}", "PATH": "/usr/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "pip install v6srv[traces]" in done.stderr
