"""A process that serves: gunicorn's gevent worker, with deadlines and an orderly end."""

import contextlib
import gc
import json
import logging
import resource
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from gevent import sleep, socket, spawn
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.server import StreamServer
from gunicorn.arbiter import Arbiter
from gunicorn.http import wsgi
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.parser import RequestParser
from gunicorn.util import close
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    NotImplemented,
    RequestHeaderFieldsTooLarge,
    RequestTimeout,
    RequestURITooLarge,
)

from v6srv import request_id
from v6srv.serving.answer import Answer
from v6srv.serving.arrivals import TOO_SLOW, Arrival, Arrivals, State, give_way
from v6srv.serving.siblings import Siblings
from v6srv.settings import Settings
from v6srv.wire import browser_headers

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
RETRY_S = 5.0
"""How soon a process that could not take the place of one that died tries it again."""
LINGER_S = 1.0
"""How long somebody who still sends may take to read the answer."""
PIECE = 64 * 1024
SOCKETS_IN_A_TURN = 4
"""Requests of Socket.IO that begin before everybody else gets a turn, however many are there: all
nodes come at once after a restart."""
SOCKETS = "/socket.io"
OPEN_TO_ANYBODY = ("/token/", "/recover/")
"""Below the path of the API. What these are asked is a few hundred bytes."""
_UNREADABLE: Mapping[type[ParseException], type[HTTPException]] = {
    LimitRequestLine: RequestURITooLarge,
    LimitRequestHeaders: RequestHeaderFieldsTooLarge,
    UnsupportedTransferCoding: NotImplemented,
}
"""What a head that cannot be read is answered with, if not with 400."""


wsgi.Response = Answer  # nowhere else gunicorn asks which class it should take


class Worker(GeventWorker):  # type: ignore[misc]
    """Serves until it is told to stop; then sockets go first, requests end, the rest follows."""

    number = 1
    """Which of the processes behind the port this is."""

    def init_process(self) -> None:
        """Serve, in the process made for it."""
        settings: Settings = self.app.settings
        self._siblings: Siblings = self.app.siblings
        paths = [name for name in settings.base_paths if name.startswith("/")]
        self._monitored = tuple(f"{path}/{one}" for path in paths for one in ("health", "metrics"))
        self._shutdown_s = settings.http.shutdown_s
        self._largest_body = settings.max_body_mb * 1024 * 1024
        self._open_paths = tuple(f"{path}{one}" for path in paths for one in OPEN_TO_ANYBODY)
        self._told_to_stop = Event()
        self._sockets_turn = BoundedSemaphore(SOCKETS_IN_A_TURN)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._arrivals = Arrivals(settings.http, not settings.trusted_proxies, files // 2)
        super().init_process()

    def patch(self) -> None:
        """The master was patched from its first line on; here are the sockets to accept from."""
        self.sockets = [
            socket.socket(each.FAMILY, socket.SOCK_STREAM, fileno=each.sock.detach())
            for each in self.sockets
        ]
        self._siblings.start(self.number)

    def load_wsgi(self) -> None:
        """Build the application and start what runs beside the requests.

        What prevents it is one line of the log and the end of the server; unless others serve
        already, which go on while this one tries again.
        """
        try:
            super().load_wsgi()
            self._start_background()
        except Exception as problem:  # the outermost place of a start
            from v6srv.cli.output import explain

            told = explain(problem) or [f"{type(problem).__name__}: {problem}"]
            log.critical(
                "The server cannot start: %s", "; ".join(told), exc_info=self.cfg.reload or None
            )
            if self.age > self._siblings.count > 1:
                sleep(RETRY_S)
                sys.exit(1)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _start_background(self) -> None:
        from v6srv.cli.main import USUAL_THRESHOLD
        from v6srv.realtime.server import name_sessions, start_background

        name_sessions(self.wsgi, self._siblings.prefix)
        start_background(self.wsgi)
        # What is loaded now stays: the collector need not look at it at every full collection.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*USUAL_THRESHOLD)

    def handle_exit(self, _signal: int, _frame: Any) -> None:
        """Stop, whichever signal says so."""
        self.alive = False
        self._told_to_stop.set()

    handle_quit = handle_exit

    def run(self) -> None:
        """Accept connections until told to stop."""
        from v6srv.service import health

        servers = [
            StreamServer(each, partial(self.handle, each.getsockname())) for each in self.sockets
        ]
        for server in servers:
            if self._siblings.count > 1:
                server.max_accept = 1  # the others get their share
            server.start()
        self._siblings.serves(self.number, True)
        if self._siblings.count > 1:
            spawn(self._siblings.take, self._continue)
            log.info("process %d of %d serves", self.number, self._siblings.count)
        while self.alive:
            self.notify()
            self._arrivals.make_room()
            self._told_to_stop.wait(LOOK_EVERY_S)
        health.stopping()
        for server in servers:
            server.close()
        self._end()

    def _end(self) -> None:
        """Sockets first: their clients look for the next server while requests are served here."""
        from v6srv.realtime.server import hang_up, stop_background

        until = time.monotonic() + self._shutdown_s
        hang_up(self.wsgi)
        self._arrivals.hang_up()
        while (left := until - time.monotonic()) > 0:
            if self._arrivals.wait_until_served(min(left, LOOK_EVERY_S)):
                break
            self.notify()
        stop_background(self.wsgi)

    def _continue(self, client: Any, begun: bytes) -> None:
        """Serve a connection that another process has handed over."""
        try:
            to, of = client.getsockname(), client.getpeername()
        except OSError:  # its client has gone
            client.close()
        else:
            spawn(self.handle, to, client, of, begun)

    def handle(self, listener: Any, client: Any, address: Any, begun: bytes = b"") -> None:
        """Serve the requests of one connection, one after the other.

        `listener` is the address it came to: the socket itself may be closed before it ends.
        `begun` is what was read of the first request.
        """
        client.setblocking(True)
        arrival = self._arrivals.enter(client, address)
        arrival.resume(begun)
        parser = RequestParser(self.cfg, client, address)
        parser.unreader = arrival
        request = None
        try:
            while True:
                request = None
                request = next(parser)
                if owner := self._owner(request):
                    self._siblings.hand_over(owner, client, arrival.begun)
                    break
                self._look_at(request, arrival)
                if not self._answer(listener, request, client, address, arrival):
                    break
                arrival.expect_another(self.cfg.keepalive)
                if arrival.begun:  # else it waits for it in line
                    give_way()
        except (StopIteration, NoMoreData):
            pass
        except HTTPException as error:
            _refuse(client, error, request)
        except ParseException as error:
            log.info("a request of %s cannot be read: %s", address[0], error)
            answer = _UNREADABLE.get(type(error), BadRequest)
            _refuse(client, answer(f"The request cannot be read: {error}"))
        except TimeoutError:
            if arrival.received:
                _refuse(client, RequestTimeout(TOO_SLOW))
        except OSError as error:
            log.debug("connection of %s: %s", address, error)
        except Exception as error:  # the outermost place of a request
            from v6srv.wire.errors import UNEXPECTED

            log.exception("uncaught on a request of %s", address[0], exc_info=error)
            _refuse(client, InternalServerError(UNEXPECTED), request)
        finally:
            self._arrivals.leave(arrival)
            close(client)

    def _owner(self, request: Any) -> int | None:
        """Which other process a request is for, if it is for a certain one."""
        if request.path.startswith(SOCKETS):
            return self._siblings.of_session(request.query)
        if request.path.startswith(self._monitored):
            return self._siblings.asked_for(request.query)
        return None

    def _look_at(self, request: Any, arrival: Arrival) -> None:
        """Expect the body of a request whose head is there."""
        is_socket = request.path.startswith(SOCKETS)
        arrival.expect_body(request, State.SOCKET if is_socket else State.REQUEST)
        if is_socket:  # Engine.IO leaves a traceback or a stuck greenlet for what goes wrong here
            from v6srv.realtime.server import LARGEST_MESSAGE

            request.body.take_in(LARGEST_MESSAGE)
            with self._sockets_turn:
                give_way()
        elif request.path.startswith(self._open_paths) and not request._expected_100_continue:
            # Many of these may wait here, at a tenth of what each would cost in the application.
            request.body.take_first(PIECE)

    def _answer(
        self, listener: Any, request: Any, client: Any, address: Any, arrival: Arrival
    ) -> bool:
        """Serve a request; whether another one may follow it on this connection."""
        try:
            self.handle_request(listener, request, client, address)
            is_last = False
        except StopIteration:
            is_last = True
        if request.body.is_complete:
            return not is_last
        return self.alive and self._swallow(request, client, arrival) and not is_last

    def _swallow(self, request: Any, client: Any, arrival: Arrival) -> bool:
        """Read what is left of a body that was answered already; whether that came to its end.

        Somebody who only reads the answer after having sent everything would find the connection
        broken instead, for example a node whose token has expired.
        """
        arrival.state = State.ANSWERED
        left = self._largest_body
        if not request.body.failed and (request.body.length or 0) <= left:
            with contextlib.suppress(HTTPException):
                while left > 0 and (piece := request.body.read(PIECE)):
                    left -= len(piece)
                if request.body.is_complete:
                    return True
        _linger(client)
        return False


def _linger(client: Any) -> None:
    """Let an answer be read by somebody who still sends: closing at once would take it away."""
    until = time.monotonic() + LINGER_S
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        client.settimeout(LINGER_S)
        while time.monotonic() < until and client.recv(PIECE):
            pass


def _refuse(client: Any, error: HTTPException, request: Any = None) -> None:
    """Answer somebody whose request does not reach the application."""
    sent = dict(request.headers) if request else {}
    id = request_id.accepted(sent.get(request_id.HEADER.upper()))
    told = {
        "msg": error.description,
        "code": error.name.lower().replace(" ", "_"),
        "status": error.code,
        "errors": {},
        "message": error.description,
        "request_id": id,
    }
    body = json.dumps(told)
    headers = [
        ("Content-Type", "application/json"),
        (request_id.HEADER, id),
        ("Connection", "close"),
        ("Content-Length", str(len(body))),
        *browser_headers.refusing(),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {error.code} {error.name}\r\n{lines}\r\n"
    with contextlib.suppress(OSError):
        client.settimeout(LINGER_S)
        client.sendall((head + body).encode())
    _linger(client)
