"""v6srv: one policy for REST, lists and sockets of a federated analysis server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def create_app() -> Flask:
    """The application of the environment's settings, ready to serve: `flask --app v6srv run`.

    Prepares the database, as `v6srv start` does, and starts what runs beside the requests.
    """
    from v6srv.app import create_app as build
    from v6srv.cli import logs
    from v6srv.cli.serving import prepare
    from v6srv.realtime.server import start_background
    from v6srv.settings import load

    settings = load()
    logs.configure(settings)
    prepare(settings)
    app = build(settings)
    start_background(app)
    return app
