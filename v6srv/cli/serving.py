"""`start` (for developers and to try it) and `serve` (production)."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from v6srv.cli import logs
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import info, readable_errors, warn
from v6srv.settings import Settings


@click.command()
@selected
@click.option("--ip", help="Address to listen on.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--debug", is_flag=True, help="Start anew whenever the code changes.")
def start(
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
    ip: str | None,
    port: int | None,
    debug: bool,
) -> None:
    """Serve with threads, in this process. For developers, and to try the server."""
    with readable_errors():
        settings = choose(name, config, environment, system)
        settings = _listening(settings, ip, port)
        logs.configure(settings)
        info("Starting server.")
        prepare(settings, to_serve=True)
        _run(settings, debug)


@click.command()
@selected
@click.option("--ip", help="Address to listen on.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="Port to listen on.")
def serve(
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
    ip: str | None,
    port: int | None,
) -> None:
    """Serve in production form: gunicorn with one gevent worker."""
    with readable_errors():
        settings = choose(name, config, environment, system)
        settings = _listening(settings, ip, port)
        logs.configure(settings)
        prepare(settings, to_serve=True)
    # The worker reads the same settings again: gevent must patch it before anything is imported.
    environ = {
        **os.environ,
        "HOST": settings.host,
        "PORT": str(settings.port),
        "V6SRV_INSTANCE": str(settings.instance),
        "V6SRV_ENVIRONMENT": settings.environment,
        "V6SRV_SCOPE": settings.scope,
    }
    if settings.config_file:
        environ["V6SRV_CONFIG"] = str(settings.config_file.absolute())
    if settings.directories.log:
        environ["V6SRV_DIRECTORIES__LOG"] = str(settings.directories.log)
    info(f"ip: {settings.host}, port: {settings.port}")
    arguments = [
        *("-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"),
        *("--bind", f"{settings.host}:{settings.port}", "--graceful-timeout", "10"),
        *("--worker-connections", "4000", "--backlog", "2048"),
        *("--config", str(Path(__file__).parents[1] / "gunicorn_conf.py")),
        *("--log-level", "warning", "--no-control-socket", "v6srv.wsgi:app"),
    ]
    os.execve(sys.executable, [sys.executable, *arguments], environ)  # noqa: S606 - no shell


def _listening(settings: Settings, ip: str | None, port: int | None) -> Settings:
    """Options win over the configuration."""
    changes = {key: value for key, value in (("ip", ip), ("port", port)) if value}
    return settings.model_copy(update=changes)


def prepare(settings: Settings, *, to_serve: bool = False) -> None:
    """Database, seeds and root; a password that was generated now is shown this once.

    Who is going to serve must agree with the processes that do so already.
    """
    from v6srv.db import make_engine
    from v6srv.identity import passwords
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


def _run(settings: Settings, debug: bool) -> None:
    from v6srv.app import create_app
    from v6srv.realtime.server import start_background, stop_background
    from v6srv.wire.version import VERSION

    app = create_app(settings)
    if not debug or os.environ.get("WERKZEUG_RUN_MAIN"):
        # With --debug this process only watches files; a child of it serves and has the sockets.
        start_background(app)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # a background job of a shell starts without it
    info(f"ip: {settings.host}, port: {settings.port}")
    info(f"Version: {VERSION}")
    info(f"Documentation: http://{settings.host}:{settings.port}/apidocs")
    try:
        app.extensions["socketio"].run(
            app,
            host=settings.host,
            port=settings.port,
            use_reloader=debug,
            allow_unsafe_werkzeug=True,
            log_output=False,
        )
    except KeyboardInterrupt:
        info("Stopping.")
    finally:
        stop_background(app)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
