"""The socket events that write, as their namespace does it: without a socket."""

from typing import Any

from flask import Flask
from werkzeug.wrappers import Response

from v6srv.errors import Denied, Invalid
from v6srv.identity import principals, tokens
from v6srv.service import node_info, presence

SHARE, PING = "EMIT node_info_update", "EMIT ping"


def sid_of(account_id: int) -> str:
    """The socket that an account has, if it was there in the beginning."""
    return f"of {account_id}"


def emit(app: Flask, event: str, token: str, payload: Any) -> Response:
    """What comes of an event of who has the token: 200, 400, or 403 where it is denied."""
    authz = app.extensions["authz"]
    with app.app_context():
        known = principals.load(tokens.read_bearer(f"Bearer {token}"))
        authz.store.follow(known.policy_revision)
        account_id = known.principal.account_id
        try:
            if event == PING:
                presence.pinged(account_id, sid_of(account_id))
            else:
                entries = node_info.entries(payload)
                presence.share(authz, known.principal, entries, sid_of(account_id))
        except (Denied, Invalid) as error:
            return Response(str(error), 403 if isinstance(error, Denied) else 400)
    return Response("", 200)
