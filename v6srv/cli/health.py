"""`health`: whether the server of a configuration answers; for those who restart it."""

import http.client
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error, info, readable_errors

if TYPE_CHECKING:
    from v6srv.settings import Settings

_TIMEOUT_S = 8
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - to ask, not to listen


@click.command()
@selected
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="If it was started with one.")
@click.option("--ready", is_flag=True, help="Ask whether requests should be sent to it.")
def health(port: int | None, ready: bool, **options: Any) -> None:
    """Ask the server that these settings describe, on this machine, whether it is alive.

    Exits with 1 when it is not.
    """
    with readable_errors():
        settings = choose(**options)
        if port:
            settings = settings.model_copy(update={"port": port})
        try:
            status, _ = ask(settings, "health/ready" if ready else "health/live")
        except (OSError, http.client.HTTPException) as problem:
            error(f"No server answers at {settings.ip}:{settings.port}: {problem}")
            raise SystemExit(1) from problem
    if status != http.client.OK:
        error(f"The server at {settings.ip}:{settings.port} answers with {status}")
        raise SystemExit(1)
    info("The server answers")


def ask(settings: "Settings", path: str) -> tuple[int, bytes]:
    """Status and body of a path below `api_path`. Raises OSError and HTTPException."""
    connection = http.client.HTTPConnection(
        _ANY.get(settings.host, settings.host), settings.port, timeout=_TIMEOUT_S
    )
    try:
        connection.request("GET", f"{settings.api_path}/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
