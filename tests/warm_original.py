"""The process that tests/warm.py copies: each line of its input is a server to start.

gevent first, as in v6srv/serving/__main__.py. Nothing here waits by it. Before it is asked for
anything it has started once, in the folder that is its argument: copies have read the policies that
come with the server and made the tables of endpoints (tests/once.py), and a server that begins with
nothing begins with a copy of that folder. A third of what a start took was left.
"""

from gevent import config, monkey, reinit

config.track_greenlet_tree = False
monkey.patch_all(os=False, signal=False)

import gc  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import secrets  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

import alembic.command  # noqa: E402, F401
from flask import Flask  # noqa: E402
from pydantic import SecretStr  # noqa: E402

sys.path.append(str(Path(__file__).parents[1]))

from tests import once  # noqa: E402
from tests.live import ROOT_PASSWORD  # noqa: E402
from v6srv import app, db  # noqa: E402
from v6srv.cli import serving  # noqa: E402
from v6srv.service import setup  # noqa: E402
from v6srv.serving import master  # noqa: E402
from v6srv.settings import Settings  # noqa: E402

MADE = Path(sys.argv[1])
LARGEST = 1024 * 1024
_execve = os.execve
_create = app.create_app


def main() -> None:
    """Start what is asked for until there is nothing left to ask."""
    _start_once()
    gc.collect()
    gc.freeze()  # copies share it
    while line := _line():
        asked = json.loads(line)
        if not os.fork():
            _keep(asked)
            return
        _bury()
    _bury()


def _start_once() -> None:
    """The database in a process of its own: what it starts, threads, would be in no copy."""
    settings = Settings(
        instance=MADE,
        policies=MADE / "policies",
        uri=f"sqlite:///{MADE}/v6srv.sqlite",
        root_password=SecretStr(ROOT_PASSWORD),
        password_rounds=4,
        policy_tests="off",
        jwt_secret_key=SecretStr(secrets.token_hex(32)),
    )
    if not (child := os.fork()):
        reinit()
        logging.disable()
        serving.prepare(settings)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    app.create_app = _create_app
    _create_app(settings)
    with once.following_files():
        definition, lines, problems = policy = setup.parse_files(
            setup.read_files(settings.policies)
        )
        setup.assemble(definition, lines, (), 0, problems)
        setup.grants_of(policy)
    db.session.get_bind().dispose()


def _create_app(settings: Settings) -> Flask:
    with once.making_applications():
        return _create(settings)


def _line() -> bytes:
    read = b""
    while not read.endswith(b"\n") and (more := os.read(0, LARGEST)):
        read += more
    return read


def _bury() -> None:
    """Those that have ended are children no longer."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _keep(asked: dict[str, Any]) -> None:
    """Start a server, say its number, and write down how it ends."""
    server = os.fork()
    if not server:
        _serve(asked)
        return
    os.write(1, f"{server}\n".encode())
    _, status = os.waitpid(server, 0)
    fresh = Path(f"{asked['ended']}.fresh")
    try:
        fresh.write_text(str(os.waitstatus_to_exitcode(status)))
        fresh.rename(asked["ended"])
    except FileNotFoundError:
        pass  # the folder has gone: nobody asks
    os._exit(0)


def _serve(asked: dict[str, Any]) -> None:
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, of in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(file, of)
    os.close(log)
    os.close(nothing)
    reinit()  # an event loop that came with an import is the original's
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if asked["begins_with_nothing"]:
        shutil.copytree(MADE, os.environ["V6SRV_INSTANCE"], dirs_exist_ok=True)
    os.execve = _go_on  # type: ignore[assignment]
    serving.start([], prog_name="v6srv")


def _go_on(_program: str, arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """What comes after `_become_the_server`: the imports of the new program are there."""
    os.execve = _execve
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments[arguments.index("v6srv.serving") + 1 :]
    with once.following_files():
        master.main()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
