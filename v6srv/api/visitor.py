"""For whom this server asks an algorithm store: for who sends the current request."""

from flask import current_app, request

from v6srv.dialect import asked
from v6srv.identity import tokens
from v6srv.identity.current import claims
from v6srv.service.store_client import Visitor


def visitor(server_url: str | None) -> Visitor:
    """The caller, and where the store finds this server: there, or as the caller has found it.

    The store gets no token with which it could be the caller: whoever has registered it may have
    less rights than whoever asks it now.
    """
    here = request.host_url.rstrip("/") + asked.current().base
    hosts = current_app.config["SETTINGS"].algorithm_store_hosts
    return Visitor(f"Bearer {tokens.issue_visit(claims())}", server_url or here, hosts)
