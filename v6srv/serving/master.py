"""The process that watches those that serve: gunicorn, told what to do by the settings."""

import logging
import math
import os
import resource
import signal
import socket
import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from v6srv.cli import logs
from v6srv.cli.output import readable_errors
from v6srv.cli.serving import HELD_BACK, port_errors, prepare, say_where, stop_when_told
from v6srv.serving.siblings import Siblings
from v6srv.serving.worker import Worker
from v6srv.settings import Settings, load

BACKLOG = 2048
"""Connections that may wait to be accepted."""
LONGEST_LINE = 8190
"""Bytes of the first line of a request; gunicorn knows no higher number."""
LAST_WORDS_S = 1
"""After `http.shutdown_s`: for what was committed to be sent. Then the worker is killed."""

log = logging.getLogger(__name__)


def main() -> None:
    """Serve until told to stop; the arguments are those of `python -m v6srv.serving`."""
    debug = "--debug" in sys.argv
    stop_when_told()
    with readable_errors():
        settings = load()
        logs.configure(settings)
        if not debug:
            _prepare(settings)
        listener = int(sys.argv[1])
        with port_errors(settings), socket.socket(fileno=os.dup(listener)) as bound:
            bound.listen(BACKLOG)  # another server may have been faster since it was bound
    say_where(settings)
    _allow_all_files()
    Application(settings, listener, debug=debug).run()


def _prepare(settings: Settings) -> None:
    """Here and not before: what it imports, the workers have with it. It can be stopped."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    try:
        prepare(settings, to_serve=True)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def _allow_all_files() -> None:
    """Every connection is an open file, and the usual soft limit of 1,024 is for `select`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Application(BaseApplication):
    """What gunicorn calls an application: settings, and how the WSGI application is made.

    Not its command line: that would import from the working folder.
    """

    def __init__(self, settings: Settings, listener: int, debug: bool) -> None:
        self.settings = settings
        self._listener = listener
        self._debug = debug
        self.siblings = Siblings(settings.http.processes)
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn's own settings."""
        chosen: dict[str, Any] = {
            "bind": f"fd://{self._listener}",
            "backlog": BACKLOG,
            "worker_class": Worker,
            "limit_request_line": LONGEST_LINE,
            "workers": self.siblings.count,
            "graceful_timeout": math.ceil(self.settings.http.shutdown_s) + LAST_WORDS_S,
            "reload": self._debug,
            "logger_class": _Log,
            "loglevel": "warning",
            "errorlog": None,
            "control_socket_disable": True,
            "pre_fork": self._number,
            "child_exit": self._gone,
            "when_ready": _let_signals_in,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def _number(self, master: Arbiter, worker: Worker) -> None:
        """A new worker takes the place of one that is gone, or is about to go."""
        taken = [each.number for each in master.WORKERS.values()]
        worker.number = min(range(1, self.siblings.count + 1), key=taken.count)

    def _gone(self, master: Arbiter, worker: Worker) -> None:
        if all(each.number != worker.number for each in master.WORKERS.values()):
            self.siblings.serves(worker.number, False)

    def load(self) -> Any:
        """Build the application, in the worker."""
        from v6srv.app import create_app

        logs.configure(self.settings)  # files that this process does not share with the master
        return create_app(self.settings)

    def run(self) -> None:
        """Serve."""
        Master(self).run()


class Master(Arbiter):
    """Starts a new worker when the old one died; ends with it when it cannot even start."""

    def reap_workers(self) -> None:
        """A worker that could not start has said why: there is nothing to add and to try again."""
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended and ended.si_code == os.CLD_EXITED and ended.si_status == self.WORKER_BOOT_ERROR:
            raise SystemExit(1)
        super().reap_workers()

    def handle_ttin(self) -> None:
        """How many there are is a setting: `Siblings` has a channel for each."""
        log.warning("SIGTTIN and SIGTTOU have no meaning here: see http.processes")

    handle_ttou = handle_ttin

    def handle_usr2(self) -> None:
        """Gunicorn would start a second server beside this one, with another command line."""
        log.warning("SIGUSR2 has no meaning here: stop the server and start it anew")


class _Log(Logger):
    """Gunicorn's lines go where all others go."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.error_log.propagate = True


def _let_signals_in(_master: Arbiter) -> None:
    """From now on somebody answers them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
