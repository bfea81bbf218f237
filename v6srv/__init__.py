"""v6srv: one policy for REST, lists and sockets of a federated analysis server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from v6srv.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The application of these settings, ready to serve: `flask --app v6srv run`.

    Without settings they are those of the environment. Prepares the database, as `v6srv start`
    does, and starts what runs beside the requests. Ends the program with readable lines when the
    settings cannot be used.
    """
    from v6srv.app import create_app as build
    from v6srv.cli import logs
    from v6srv.cli.output import readable_errors
    from v6srv.cli.serving import prepare
    from v6srv.realtime.server import start_background
    from v6srv.settings import load

    with readable_errors():
        settings = settings or load()
        logs.configure(settings)
        prepare(settings, to_serve=True)
        app = build(settings)
    start_background(app)
    return app
