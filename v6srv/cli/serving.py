"""`start`: turn into the server, which prepares everything. `serve` is another name of it."""

import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from v6srv.cli import logs
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import info, readable_errors, warn
from v6srv.settings import Settings, SettingsError

HELD_BACK = {signal.SIGTERM, signal.SIGINT}
"""Signals that wait until the new program can answer them."""

_ADVICE = {
    errno.EADDRINUSE: "is in use: stop what listens there, or choose another with --port",
    errno.EACCES: "needs rights that this user does not have: choose one above 1023 with --port,"
    " behind a proxy if need be",
    errno.EADDRNOTAVAIL: "is no address of this machine: choose one with --ip, 0.0.0.0 for all",
}


@click.command()
@selected
@click.option("--ip", help="Address to listen on.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--processes", type=click.IntRange(1, 64), help="How many serve the port; see http.processes."
)
@click.option("--debug", is_flag=True, help="Start anew whenever the code changes.")
def start(
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
    ip: str | None,
    port: int | None,
    processes: int | None,
    debug: bool,
) -> None:
    """Serve: gunicorn with gevent workers."""
    stop_when_told()
    with readable_errors():
        settings = choose(name, config, environment, system)
        settings = _as_told(settings, ip, port, processes)
        logs.configure(settings)
        info("Starting server.")
        listener = _bind(settings)
        if debug:  # what the master has imported is not imported anew when it changes
            prepare(settings, to_serve=True)
    _become_the_server(settings, listener, debug)


def stop_when_told() -> None:
    """While it starts, the program ends at once and without an error."""
    for stop in HELD_BACK:  # a background job of a shell starts with SIGINT ignored
        signal.signal(stop, _stop)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _as_told(
    settings: Settings, ip: str | None, port: int | None, processes: int | None
) -> Settings:
    """Options win over the configuration. Raises SettingsError."""
    changes: dict[str, object] = {"ip": ip, "port": port}
    if processes:
        changes["http"] = settings.http.model_copy(update={"processes": processes})
    told = settings.model_copy(update={key: value for key, value in changes.items() if value})
    if lacking := list(told.lacking):
        raise SettingsError(lacking)
    return told


@contextmanager
def port_errors(settings: Settings) -> Iterator[None]:
    """Say which port cannot be used, and what to do."""
    try:
        yield
    except OSError as error:
        unknown = _ADVICE[errno.EADDRNOTAVAIL] if isinstance(error, socket.gaierror) else str(error)
        advice = _ADVICE.get(error.errno or 0, unknown)
        raise OSError(f"Port {settings.port} of {settings.host} {advice}") from error


def _bind(settings: Settings) -> socket.socket:
    """The socket to listen on. Bound before anything is made: a second server changes nothing."""
    with port_errors(settings):
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        patience_ms = int(settings.http.answer_timeout_s * 1000)  # connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
        listener.bind(address)
    listener.set_inheritable(True)
    return listener


def prepare(settings: Settings, *, to_serve: bool = False) -> None:
    """Database, seeds and root; a password that was generated now is shown this once.

    Who is going to serve must agree with the processes that do so already.
    """
    from v6srv import passwords
    from v6srv.db import make_engine
    from v6srv.service import agreement, setup

    passwords.configure(rounds=settings.password_rounds)
    generated = setup.prepare(settings, passwords)
    if generated:
        show_root_password(generated)
    if to_serve:
        engine = make_engine(settings.uri)
        try:
            agreement.require_known_keys(engine, settings)
        finally:
            engine.dispose()


def show_root_password(generated: str) -> None:
    """Tell a password that was generated: nobody can look it up later."""
    warn(f"The user root was created with the password  {generated}")
    warn("It is shown only now. Log in and change it.")


def say_where(settings: Settings) -> None:
    """Tell where it will answer."""
    from v6srv.wire.version import VERSION

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    info(f"ip: {settings.host}, port: {settings.port}")
    info(f"Version: {VERSION}")
    info(f"Documentation: http://{host}:{settings.port}/apidocs")


def _become_the_server(settings: Settings, listener: socket.socket, debug: bool) -> NoReturn:
    """Run `v6srv.serving` instead of this program, with the same settings.

    A new program, because gevent must be there before anything is imported. `-P`: what lies in
    the working folder is not imported.
    """
    environ = {
        **os.environ,
        "HOST": settings.host,
        "PORT": str(settings.port),
        "V6SRV_HTTP__PROCESSES": str(settings.http.processes),
        "V6SRV_INSTANCE": str(settings.instance),
        "V6SRV_ENVIRONMENT": settings.environment,
        "V6SRV_SCOPE": settings.scope,
    }
    if settings.config_file:
        environ["V6SRV_CONFIG"] = str(settings.config_file.absolute())
    if settings.directories.log:
        environ["V6SRV_DIRECTORIES__LOG"] = str(settings.directories.log)
    arguments = ["-P", "-m", "v6srv.serving", str(listener.fileno())]
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    sys.stdout.flush()
    os.execve(  # noqa: S606 - no shell
        sys.executable, [sys.executable, *arguments, *(["--debug"] if debug else [])], environ
    )
