"""Builds the Socket.IO server of an application and runs its background work."""

import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask
from flask_socketio import SocketIO

from v6srv import meters
from v6srv.authz import long_work
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.source.live import store_of
from v6srv.identity import mail_delivery, notifications, seen, sessions
from v6srv.policy.publish.follower import Follower
from v6srv.realtime import broadcast, managers, packets, web_sockets
from v6srv.realtime.announcer import Announcer
from v6srv.realtime.background import Background
from v6srv.realtime.departures import Departures
from v6srv.realtime.log_lines import LogLines
from v6srv.realtime.log_readers import LogReaders
from v6srv.realtime.newcomers import Newcomers
from v6srv.realtime.revocation import Revocation
from v6srv.realtime.seats import Seats
from v6srv.realtime.tasks_namespace import TasksNamespace
from v6srv.realtime.watchdog import Watchdog
from v6srv.service import events, generations, retention, setup
from v6srv.service.agreement import BEAT_S, Agreement
from v6srv.service.clock_jumps import LOOK_EVERY_S, Clock
from v6srv.settings import Settings, jwt_secret

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PING_INTERVAL_S = 25
PING_TIMEOUT_S = 60
FILES_POLL_S = 0.25
"""How often the policy files are looked at: an edit is live within a second."""
MAILS_POLL_S = 1.0
EMPTY_EVERY_S = 300.0
"""How often data is looked for that is not to be kept any longer."""
FORGET_EVERY_S = 3600.0
BREATH_S = 0.05
"""Between two transactions that delete it: others want to write as well."""
LAG_EVERY_S, LAG_NAP_S = 1.0, 0.01
"""How often it is measured how late greenlets get their turn, and how long one asks to sleep."""
LARGEST_MESSAGE = 256 * 1024
"""Bytes; the largest lawful event is a `node_info_update` of a few kilobytes."""

_KEY = "v6srv_realtime"
_PATH = "socket.io"


class Realtime:
    """The parts of the Socket.IO side of one application in one process."""

    def __init__(self, app: Flask, socketio: SocketIO, settings: Settings) -> None:
        authz: Authorizer = app.extensions["authz"]
        self._authz = authz
        self._settings = settings
        self._clock = Clock()
        self._policies = store_of(authz)
        self._follower = Follower(self._policies, settings.policy_tests)
        self._seen: seen.Seen = app.extensions["seen"]
        self._socketio = socketio
        self._background = Background(app, socketio)
        self._started = False
        self._noted: Mapping[str, str] | None = None
        """The policy files that the default roles and the history of versions know of."""
        self.seats = Seats(socketio)
        self.departures = Departures(socketio)
        self.newcomers = Newcomers(
            socketio, settings.http.unknown_sockets_per_address, settings.trusted_proxies
        )
        readers = LogReaders(app, self.seats, authz)
        socketio.server.manager.readers = readers.of
        self.revocation = Revocation(socketio, self.seats, authz, readers, self.begin_anew)
        self.announcer = Announcer(socketio, self._background, self.begin_anew, settings.events)
        self.watchdog = Watchdog(socketio, self.seats, self.departures, settings.watchdog_s)
        self.lines = LogLines(authz)
        self.namespace = TasksNamespace(
            app, socketio, authz, self.seats, self.departures, self.revocation, self.lines
        )
        socketio.on_namespace(self.namespace)
        for kind in ("node", "user"):
            meters.SOCKETS.labels(kind).set_function(partial(self.seats.number, kind == "node"))
        meters.ROOMS.set_function(self.seats.rooms)
        self.agreement = Agreement(settings, lambda: self._policies.files_digest)

    def start(self) -> None:
        """Start all loops, once."""
        if self._started:
            return
        self._started = True
        events.subscribe(self.announcer.committed, self.revocation.changed)
        generations.subscribe(self.seats.shown)
        self.announcer.start()
        self._listen_at_once()
        self.departures.start(self._background)
        self.newcomers.start(self._background)
        self.revocation.start(self._background)
        self.lines.start(self._background)
        self.watchdog.start(self._background)
        self._background.repeat(self._follow_policy_files, every_s=FILES_POLL_S)
        self._background.repeat(self._send_mails, every_s=MAILS_POLL_S)
        if self._settings.web_hooks.hosts:
            self._background.repeat(self._tell_programs, every_s=MAILS_POLL_S)
        self._background.repeat(self._seen.write, every_s=seen.WRITE_EVERY_S)
        self._background.repeat(generations.write, every_s=seen.WRITE_EVERY_S)
        self._background.repeat(self._clock.look, every_s=LOOK_EVERY_S)
        self._background.repeat(self._empty_tasks, every_s=EMPTY_EVERY_S, wait_first=True)
        self._background.repeat(self._forget_sessions, every_s=FORGET_EVERY_S, wait_first=True)
        self._background.repeat(self.agreement.beat, every_s=BEAT_S)
        if self._settings.metrics:
            self._background.repeat(self._measure_lag, every_s=LAG_EVERY_S)

    def _listen_at_once(self) -> None:
        """The library would wait for the first client; a queue that is away would go unnoticed."""
        io = self._socketio.server
        if not io.manager_initialized:
            io.manager_initialized = True
            io.manager.initialize()

    def _follow_policy_files(self) -> None:
        """A changed file takes effect, and the database knows of it, too."""
        self._follower.look()
        live = self._policies.texts
        if live != self._noted:
            with long_work.in_turns(in_background=True):
                setup.follow_policy_files(self._policies.folder, live)
            self._noted = live

    def _send_mails(self) -> None:
        """Mails that were committed, by this process or by one that is gone."""
        mail_delivery.send_due(lambda: self._background.stopping)

    def _tell_programs(self) -> None:
        """Programs of users are told of what was committed."""
        notifications.send_due(lambda: self._background.stopping)

    def _empty_tasks(self) -> None:
        """Data that is not to be kept any longer is deleted."""
        self._clock.look()
        if not self._clock.is_doubtful:
            keep_days = self._settings.runs_data_cleanup_days
            retention.empty_due(self._authz, keep_days, self._take_breath)

    def _forget_sessions(self) -> None:
        """Sessions that are over with their last token."""
        self._clock.look()
        if not self._clock.is_doubtful:  # what has ended would be good again
            sessions.forget(self._settings)

    def _take_breath(self) -> bool:
        """Let others work for a moment; False when this process is to end."""
        time.sleep(BREATH_S)
        return not self._background.stopping

    def _measure_lag(self) -> None:
        """How late somebody gets its turn."""
        begun = time.monotonic()
        self._socketio.sleep(LAG_NAP_S)
        meters.LOOP_LAG.observe(max(0.0, time.monotonic() - begun - LAG_NAP_S))

    def hang_up(self) -> None:
        """Everybody leaves at once: off the books in one go, and without a word to the others."""
        self.departures.add(seat.sid for seat in self.seats.take_all())

    def begin_anew(self) -> None:
        """Everybody leaves, and comes back as after a restart."""
        self.hang_up()
        broadcast.end_all_here(self._socketio)

    def stop(self) -> None:
        """End all loops and send what was committed until now."""
        if self._started:
            self._started = False
            events.unsubscribe(self.announcer.committed, self.revocation.changed)
            generations.unsubscribe(self.seats.shown)
            self._follower.stop()
            self._background.stop()
            self._background.attempt(self._seen.write)
            self._background.attempt(generations.write)
            self._background.attempt(self.lines.write_all)
            self._background.attempt(self.departures.work_off)
            self.announcer.flush()
            self._background.attempt(self.agreement.leave)


def init_app(app: Flask, settings: Settings) -> SocketIO:
    """Add Socket.IO to `app`; `app.extensions["socketio"]` is the server.

    The client manager, and with it the message queue, follows `settings.message_queue`. Nothing
    runs until `start_background`.
    """
    others = app.wsgi_app
    socketio = SocketIO(
        app,
        async_mode="gevent" if _monkey_patched() else "threading",
        client_manager=managers.make(settings.message_queue, jwt_secret(settings)),
        cors_allowed_origins=settings.origins or None,  # [] would be: all, unasked
        cors_credentials="*" not in settings.origins,  # S28
        path=_PATH,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=PING_TIMEOUT_S,
        max_http_buffer_size=LARGEST_MESSAGE,
        namespaces=[broadcast.NAMESPACE],
        async_handlers=False,  # the events of one socket in their order, one at a time
        manage_session=False,
        logger=settings.debug.socketio,
        engineio_logger=settings.debug.socketio,
    )
    app.wsgi_app = _apart(app.wsgi_app, others)  # type: ignore[method-assign]
    web_sockets.use(socketio.server.eio, LARGEST_MESSAGE)
    packets.use(socketio.server)
    app.extensions[_KEY] = Realtime(app, socketio, settings)
    return socketio


def seats_of(app: Flask) -> Seats:
    """The sockets of this process."""
    found: Realtime = app.extensions[_KEY]
    return found.seats


def _apart(sockets: "WSGIApplication", others: "WSGIApplication") -> "WSGIApplication":
    """What is for sockets to them, all else past them: it would be prepared for each request."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        of_sockets = environ["PATH_INFO"].startswith(f"/{_PATH}")
        return (sockets if of_sockets else others)(environ, start_response)

    return answer


def name_sessions(app: Flask, prefix: str) -> None:
    """Let the ids of this process's sessions begin with `prefix`: they say where they live."""
    engine = app.extensions["socketio"].server.eio
    make = engine.generate_id
    engine.generate_id = lambda: f"{prefix}{make()}"


def start_background(app: Flask) -> None:
    """Start what runs beside the requests. For whoever serves, in the process that serves."""
    app.extensions[_KEY].start()


def hang_up(app: Flask) -> None:
    """Give up all sockets of this process; closing their connections is up to the HTTP server.

    Clients that lose the connection come back by themselves. Those that are sent a packet that
    says so stay away.
    """
    app.extensions[_KEY].hang_up()


def stop_background(app: Flask) -> None:
    """Stop it again. Sockets stay as they are; this is for an orderly exit."""
    app.extensions[_KEY].stop()


def _monkey_patched() -> bool:
    if "gevent" not in sys.modules:
        return False
    from gevent import monkey

    return bool(monkey.is_module_patched("socket"))
