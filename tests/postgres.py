"""A PostgreSQL server for the tests: a private cluster, or the one on the standard port.

Thousands of databases are made and dropped. The private cluster does not wait for a disk that must
not forget: that is ten times as fast, and the tests on PostgreSQL are most of all waiting.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

ENVIRONMENT = "V6SRV_TEST_POSTGRES"
"""The URL of a server on which databases may be made and dropped; workers inherit it."""

STANDARD = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


class NoPostgres(Exception):
    """There is no server to test with; says what to install."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The SQLAlchemy URL of a server for as long as the block lasts. Raises NoPostgres."""
    given = os.environ.get(ENVIRONMENT)
    if given:
        yield given
        return
    with contextlib.ExitStack() as stack:
        try:
            url, _ = stack.enter_context(private_cluster())
        except NoPostgres:
            if not _answers(STANDARD):
                raise
            url = STANDARD
        yield url


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url.replace("+psycopg", ""), connect_timeout=3) as connection:
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and bool(row[0])


@contextlib.contextmanager
def private_cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A cluster of its own: its SQLAlchemy URL and its first process. Raises NoPostgres."""
    initdb, postgres = _program("initdb"), _program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="v6srv-postgres-"))
    owner = _owner()
    if owner:
        shutil.chown(folder, owner)
    data, port = folder / "data", _free_port()
    process = None
    try:
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"],
            check=True,
            capture_output=True,
            user=owner,
            cwd=folder,
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_wal_size": "256MB",
            "max_connections": 300,
        }
        process = subprocess.Popen(
            [postgres, "-D", data, *(f"--{name}={value}" for name, value in options.items())],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
            user=owner,
            cwd=folder,
        )
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        _wait_for(url, process, folder / "log")
        yield url, process
    finally:
        if process:
            process.send_signal(signal.SIGINT)  # without waiting for connections to end
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if _answers(url):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    raise NoPostgres(f"The private PostgreSQL did not start: {log.read_text()}")


def _program(name: str) -> str:
    """A server program; newest version first, Debian keeps them out of the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: int(path.parts[-3]),
    )
    program = shutil.which(name) or (found and str(found[-1]))
    if not program:
        raise NoPostgres("PostgreSQL is not installed: run `tools/services.sh` as root")
    return program


def _owner() -> str | None:
    """Who runs the cluster: PostgreSQL refuses to run as root. None for the current user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgres("PostgreSQL refuses to run as root, and there is no other user here")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
