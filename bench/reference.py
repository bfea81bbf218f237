"""Serves the reference server on an empty database; runs in `.venv-reference`, not in ours.

Usage: reference.py DATABASE PORT. The first account is root with the password BENCH_PASSWORD. Each
answer says in the header X-Queries how many statements it took.
"""

import os
import sys
from types import SimpleNamespace

from sqlalchemy import event
from vantage6.server import ServerApp, db
from vantage6.server import globals as defaults
from vantage6.server.model.base import Database, DatabaseSessionManager

CONFIG = {"api_path": "/api", "jwt_secret_key": "reference"}


def main(database: str, port: str) -> None:
    defaults.SUPER_USER_INFO["password"] = os.environ["BENCH_PASSWORD"]
    Database().connect(database)
    server = ServerApp(SimpleNamespace(config=CONFIG))
    server.start()
    DatabaseSessionManager.clear_session()
    statements = [0]

    def note(*_):
        statements[0] += 1

    def tell(answer):
        answer.headers["X-Queries"] = statements[0]
        statements[0] = 0
        return answer

    event.listen(Database().engine, "before_cursor_execute", note)
    server.app.after_request(tell)
    assert db.User.get_by_username("root")
    DatabaseSessionManager.clear_session()
    server.socketio.run(server.app, host="127.0.0.1", port=int(port), log_output=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
