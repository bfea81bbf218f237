"""For whom this server asks an algorithm store: for who sends the current request."""

from flask import request

from v6srv.dialect import asked
from v6srv.service.store_client import Visitor


def visitor(server_url: str | None) -> Visitor:
    """The caller, and where the store finds this server: there, or as the caller has found it."""
    here = request.host_url.rstrip("/") + asked.current().base
    return Visitor(request.headers["Authorization"], server_url or here)
