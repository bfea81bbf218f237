"""Logging in through an identity provider (OpenID Connect), as a second way in.

The provider has looked at password and second factor: neither is asked for here, and a lock that
wrong passwords have caused does not hold. Whose account it is says one claim. Who has none gets one
only where a setting gives it, with the roles that are named there.

Between leaving and coming back, what is needed is with the browser: a ticket that this server has
signed, which nobody else's browser has.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import jwt
from flask import current_app
from sqlalchemy import or_, select

from v6srv import addresses, meters, names, problems
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, session, transaction
from v6srv.errors import Invalid, Unauthenticated, Unavailable
from v6srv.identity import login, one_time, sessions, tokens
from v6srv.identity.attempts import attempts, failed
from v6srv.identity.login import Tokens
from v6srv.identity.provider import Person, Provider
from v6srv.model import Organization, Role, User
from v6srv.model.checks import account_said_elsewhere
from v6srv.service import accounts
from v6srv.settings.groups import NewAccounts, Oidc
from v6srv.vocabulary import V3

TICKET_S = 600
"""How long somebody may take at the provider."""

_STRANGE = "This log-in did not begin in this browser, or too long ago: begin again"
_NOBODY = "The identity provider knows you, but you have no account here"
_LOST = "new accounts"
_ALGORITHM = "HS256"
_OUT = b"way out"
_LARGEST_COOKIE = 3_800
"""Bytes: browsers keep 4,096 with name and attributes."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A browser leaves for the provider."""

    url: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Arrival(Tokens):
    """A browser has come back: its tokens, and what lets a program in that wants a password."""

    username: str
    one_time_password: str
    pages: str | None = None
    """The page that the browser wanted to see; None where a program asks."""
    way_out: str = ""
    """What tells `leave` whose session is to end, and the provider whose."""


def provider() -> Provider:
    """That of this application."""
    found: Provider = current_app.extensions["identity_provider"]
    return found


def begin(dialect: int = V3, pages: str | None = None) -> Departure:
    """A new log-in, whose tokens will be of this dialect; `pages`: as in `Arrival`.

    Raises Unavailable.
    """
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    ticket = {
        "state": state,
        "nonce": nonce,
        "verifier": verifier,
        "dialect": dialect,
        "pages": pages,
        "exp": int(time.time()) + TICKET_S,
    }
    url = provider().login_url(state, nonce, verifier)
    return Departure(url, jwt.encode(ticket, _key(), _ALGORITHM))


def finish(ticket: str | None, answer: Mapping[str, Any], source: str) -> Arrival:
    """Tokens for who comes back with a ticket and what the provider answered.

    Raises Unauthenticated, Invalid, TooManyRequests and Unavailable.
    """
    arrives = False
    attempts().of_arrivals.check(addresses.owner(source))
    try:
        began = _read(ticket, answer.get("state"))
        provider().require_sender(answer.get("iss"))
        if answer.get("error"):
            raise Unauthenticated("The identity provider did not let you in")
        if not answer.get("code"):
            raise Invalid("code: Missing data for required field.")
        arrives = True
        person = provider().who(answer["code"], began["verifier"], began["nonce"])
        arrives = False
        found = _let_in(person.claims, began["dialect"])
        return replace(found, pages=began.get("pages"), way_out=_way_out(found, person))
    except Unauthenticated as error:
        if arrives:  # for the rest the provider was not asked, or knows who it is
            attempts().of_arrivals.note(addresses.owner(source))
        failed("login", "somebody", source, f"through the identity provider: {error}")
        raise


def leave(way_out: str | None) -> str | None:
    """End the session that began with this, and where its browser logs out at the provider.

    None: the provider has no such place. What is not of this server, or ended, ends nothing here.
    Raises Unavailable.
    """
    try:
        said = jwt.decode(way_out or "", _key(_OUT), [_ALGORITHM])
    except jwt.PyJWTError:
        return provider().logout_url(None)
    with suppress(Unauthenticated):  # the account is gone
        sessions.end_named(said["account"], said["session"])
    return provider().logout_url(said["hint"])


def _way_out(found: Tokens, person: Person) -> str:
    claims = tokens.read_bearer(f"Bearer {found.access_token}")
    said = {"account": found.account_id, "session": claims.session_id, "hint": person.id_token}
    text = jwt.encode(said, _key(_OUT), _ALGORITHM)
    if len(text) > _LARGEST_COOKIE:  # the provider asks who it is
        text = jwt.encode(said | {"hint": None}, _key(_OUT), _ALGORITHM)
    return text


def _read(ticket: str | None, state: str | None) -> dict[str, Any]:
    try:
        began: dict[str, Any] = jwt.decode(ticket or "", _key(), [_ALGORITHM])
    except jwt.PyJWTError as error:
        raise Unauthenticated(_STRANGE) from error
    if not hmac.compare_digest(began["state"].encode(), (state or "").encode()):
        raise Unauthenticated(_STRANGE)
    return began


def _key(use: bytes = b"ticket") -> bytes:
    """Of tickets alone: no ticket is a token, and no token a ticket."""
    return hashlib.sha256(b"v6srv oidc %b\x00" % use + tokens.secrets()[0].encode()).digest()


# --- whose account it is


def _let_in(claims: Mapping[str, Any], dialect: int) -> Arrival:
    config = provider().config
    value = _said(claims, config)
    with as_server(ServerWrite.OIDC), transaction():
        id = account_said_elsewhere(config.account, value)
        user = _new_account(claims, value, config) if id is None else accounts.lock_user(id)
        if user is None:
            raise Unauthenticated(_NOBODY)
        user.last_seen = database_now()
        meters.LOGINS.labels("user", "granted").inc()
        session.flush()
        roles = accounts.role_names(user.id, tokens.MAX_ROLE_NAMES)
        pair = login.token_pair(user, roles, sessions.begin(user, dialect), dialect=dialect)
        return Arrival(
            pair.kind,
            pair.account_id,
            pair.access_token,
            pair.refresh_token,
            user.username or "",
            one_time.issue(user),
        )


def _said(claims: Mapping[str, Any], config: Oidc) -> str:
    """What the provider calls them. Raises Unauthenticated when that is not to be relied on."""
    value = claims.get(config.claim)
    if not isinstance(value, str) or not names.key(value) or names.unstorable(value):
        raise Unauthenticated(f"The identity provider does not tell your {config.claim}")
    if config.claim == "email" and not (_is_verified(claims) or config.accept_unverified_email):
        raise Unauthenticated("The identity provider has not verified your email address")
    return value


def _is_verified(claims: Mapping[str, Any]) -> bool:
    return claims.get("email_verified") in (True, "true")  # some write it as a text


def _new_account(claims: Mapping[str, Any], value: str, config: Oidc) -> User | None:
    """The account that the settings give to who has these claims, None where they give none."""
    said = claims.get(config.groups_claim)
    groups = said if isinstance(said, list) else [said]
    given = next((one for one in config.new_accounts if one.value in groups), None)
    if given is None:
        return None
    email = claims.get("email") if _is_verified(claims) else None
    called = claims.get("preferred_username")
    organization, roles = _place(given)
    user = User(
        username=value if config.account == "username" or not _text(called) else called,
        email=value if config.account == "email" else _text(email),
        firstname=_text(claims.get("given_name")),
        lastname=_text(claims.get("family_name")),
        organization=organization,
        roles=roles,
    )
    session.add(user)
    return user


def _text(said: object) -> str | None:
    return said if isinstance(said, str) and said else None


def _place(given: NewAccounts) -> tuple[Organization, list[Role]]:
    """What a setting names. Raises Unavailable when it is not there, or not once."""
    organizations = session.scalars(
        select(Organization).where(Organization.name == given.organization)
    ).all()
    if len(organizations) == 1:
        fits = or_(Role.organization_id.is_(None), Role.organization_id == organizations[0].id)
        wanted = select(Role).where(Role.name.in_(given.roles), fits)
        roles = list(session.scalars(wanted.order_by(Role.id)))
        if sorted(role.name or "" for role in roles) == sorted(given.roles):
            problems.end(_LOST)
            return organizations[0], roles
    problems.begin(
        _LOST,
        "oidc.new_accounts names an organization or a role that there is not, or not once",
        f"{given.organization}: {', '.join(given.roles)}",
    )
    raise Unavailable("Your account cannot be made: ask who runs this server")
