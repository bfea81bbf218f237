"""`demo`: a network at work, to be looked at. It leaves nothing behind."""

import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from v6srv.cli.output import info, readable_errors

if TYPE_CHECKING:
    from v6srv.cli.demo.network import Network

ROOT_PASSWORD = "Demo-Network-1"  # noqa: S105 - of a server for this machine, for as long as it is watched
_PACE_S = 2.0
_INTERRUPTED = 130
"""Exit code of a program that Ctrl-C has ended before it was done."""


@click.command()
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="A free one unless told.")
@click.option("--once", is_flag=True, help="End when the first tasks are done.")
def demo(port: int | None, once: bool) -> None:
    """Show a network at work: three hospitals, two collaborations, nodes of 3.x and of 4.x.

    It serves this machine alone, computes an average over the patients of all hospitals of each
    collaboration, and goes on until Ctrl-C: log in, look around, start tasks of your own. Patients
    and nodes are made up. Database and files are in a folder of its own, and go with it.
    """
    stop = threading.Event()  # nothing is interrupted: whatever waits looks at it
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    with readable_errors(), tempfile.TemporaryDirectory(prefix="v6srv-demo-") as folder:
        _show(Path(folder), port or _free_port(), once, stop)
    info("The demo is over, and nothing of it is left")


def _show(folder: Path, port: int, once: bool, stop: threading.Event) -> None:
    from v6srv.cli.demo import hosting, network
    from v6srv.cli.demo.caller import Ended

    try:
        info("Making three hospitals, their users and nodes (some seconds)")
        with (
            network.file() as document,
            hosting.served(folder, port, document, ROOT_PASSWORD, stop) as url,
        ):
            everybody = network.Network(url, folder, 0.0 if once else _PACE_S, stop)
            with everybody.nodes() as nodes:
                _introduce(url, everybody, len(nodes))
                orders = everybody.order()
                for order in orders:
                    info(f"{order.collaboration}: watch {url}/console/task/{order.task_id}")
                for order in orders:
                    info(order.wait(stop))
                if not once:
                    info("Look around. Ctrl-C ends it")
                    stop.wait()
    except Ended:
        if once:
            raise SystemExit(_INTERRUPTED) from None


def _introduce(url: str, everybody: "Network", nodes: int) -> None:
    info(f"{nodes} nodes are at work")
    for what, path in (("Console", "/console/"), ("REST", "/apidocs")):
        info(f"{what:<7} {url}{path}")
    info("Log in as")
    rows = [("root", ROOT_PASSWORD, "Root", "the server")]
    rows += [
        (one["username"], one["password"], " and ".join(one["roles"]), one["organization"])
        for one in everybody.users
    ]
    for username, password, roles, organization in rows:
        info(f"  {username:<6} {password}  {roles}, {organization}")
    info("Private keys, for programs that take part in the encrypted collaboration")
    for organization, file in everybody.key_files.items():
        info(f"  {organization}: {file}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
