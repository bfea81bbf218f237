"""The principal of the current request."""

from flask import current_app, g, request

from v6srv.authz.principal import Principal
from v6srv.authz.source.live import PolicyStore
from v6srv.identity.claims import Claims
from v6srv.identity.principals import Known, load
from v6srv.identity.seen import Seen
from v6srv.identity.tokens import read_bearer


def claims() -> Claims:
    """The verified access token of this request. Raises Unauthenticated or BadToken."""
    found: Claims | None = g.get("claims")
    if found is None:
        header = request.headers.get("Authorization")
        found = g.claims = read_bearer(header, visits=g.get("takes_visits", False))
    return found


def known_by(claims: Claims) -> None:
    """This request brings what it is known by elsewhere than in its `Authorization` header."""
    g.claims = claims


def principal() -> Principal | None:
    """Who this request has turned out to come from; None as long as that was not asked."""
    found: Principal | None = g.get("principal")
    return found


def speak(claims: Claims, known: Known | None = None) -> None:
    """This request has no token: a command on the machine of the server says who asks.

    `known`: somebody who is in no database.
    """
    g.claims, g.known = claims, known


def take_visits() -> None:
    """This request only asks who it comes from."""
    g.takes_visits = True


def dialect() -> int:
    """The dialect in which the sockets of whoever asks are spoken to."""
    found: int = g.dialect
    return found


def seen() -> Seen:
    """Whom this application has seen."""
    found: Seen = current_app.extensions["seen"]
    return found


def authenticate(store: PolicyStore) -> Principal:
    """Who asks, loaded once per request; the live policy follows the database.

    Raises Unauthenticated or BadToken.
    """
    known: Known = g.get("known") or load(claims())
    g.dialect = claims().spoken(known.generation)
    g.principal = known.principal
    store.follow(known.policy_revision)
    seen().note(known)
    return known.principal
