"""Signed tokens: bearer tokens of users, nodes and containers, and one-time tokens in mails.

Claims and answers are those of auth.md 2. Beyond the contract a bearer token says `ver`, the
account's `token_version` when it was issued, and `sid`, the session that a pair of tokens and all
pairs refreshed from it share: together they decide whether a signed token is still honoured. A
refresh token that is not of a login says which one it is `after` (`identity.sessions`). One of
another dialect than 3.x has `dialect`; those of 3.x are as they always were.
"""

import hashlib
import hmac
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from flask import Flask, current_app
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token

from v6srv.db import LARGEST_ID
from v6srv.dialect import resolve
from v6srv.errors import BadToken, Invalid, Unauthenticated
from v6srv.identity import signing
from v6srv.identity.claims import Claims
from v6srv.identity.signing import StrangeClaims
from v6srv.model import Account, User
from v6srv.settings import Settings, jwt_secret
from v6srv.settings.groups import DAY_S
from v6srv.vocabulary import DIALECTS, V3, PrincipalKind

MAX_ROLE_NAMES = 50
"""Role names in a token are for information only; a header has no room for a thousand of them."""

PASSWORD = "password"  # noqa: S105 - the name of a purpose
SECOND_FACTOR = "2fa"
"""The purposes of mailed tokens."""

_ACCESS, _REFRESH, _VISIT, _PAGES = "access", "refresh", "visit", "pages"
_VISIT_S = 60
"""Longer than an algorithm store is waited for, three times over."""
_RECOVERY = "recovery"
_MISSING = "Missing Authorization Header"
_EXPECTED = "Expected 'Authorization: Bearer <JWT>'"
_UNUSABLE = "Invalid recovery token!"
_SESSION = re.compile("[0-9a-f-]{36}")
_NAME = re.compile("[0-9A-Za-z-]{0,36}")
_CONTAINER_IDS = ("node_id", "organization_id", "collaboration_id", "task_id")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a verified token of a recovery mail says."""

    account_id: int
    purpose: str
    fingerprint: str

    def fits(self, user: User) -> bool:
        """Whether the token is still unused: what it may replace is as it was when it was sent."""
        return any(
            hmac.compare_digest(self.fingerprint.encode(), _fingerprint(user, self.purpose, key))
            for key in signing.keys().accepted.values()
        )


def init_app(app: Flask, settings: Settings) -> None:
    """Sign with the server's secret; tokens live as long as the settings say."""
    signing.init_app(app, settings)
    app.config.update(
        JWT_SECRET_KEY=jwt_secret(settings),
        JWT_ALGORITHM=signing.ALGORITHM,
        JWT_TOKEN_LOCATION=["headers"],
        JWT_COOKIE_CSRF_PROTECT=False,  # there are no cookies, so no `csrf` claim
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=settings.token_expires_s),
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(seconds=settings.refresh_token_expires_s),
    )
    app.extensions["v6srv_tokens"] = {
        "session_s": settings.longest_session_days * DAY_S,
        "access_s": settings.token_expires_s,
        "refresh_s": settings.refresh_token_expires_s,
        "container_s": settings.container_token_expires_s,
        "mail_s": settings.email_token_expires_s,
    }
    JWTManager(app)


def secrets() -> tuple[str, ...]:
    """The key that signs, and after it all others."""
    keys = signing.keys()
    return (keys.signing, *keys.previous)


def issue_pair(
    account: Account,
    role_names: Iterable[str] = (),
    session_id: str | None = None,
    after: str | None = None,
    dialect: int = V3,
    began_at: float | None = None,
) -> tuple[str, str]:
    """An access and a refresh token for a user or a node.

    `session_id` and `began_at` are carried over when a pair is refreshed, `after` is the name of
    the refresh token that is replaced by it; without them a session begins.
    """
    claims = {
        "client_type": account.type,
        "roles": list(role_names)[:MAX_ROLE_NAMES],
        "ver": account.token_version,
        "sid": session_id or str(uuid4()),
        **_said(dialect),
    }
    access_s, refresh_s = _config()["access_s"], _config()["refresh_s"]
    if account.type == PrincipalKind.USER:
        began_at = time.time() if began_at is None else began_at
        claims["auth_time"] = int(began_at)
        left_s = left_of_session_s(began_at)
        access_s, refresh_s = min(access_s, left_s), min(refresh_s, left_s)
    header = signing.header()
    return (
        create_access_token(
            account.id, False, timedelta(seconds=access_s), claims, additional_headers=header
        ),
        create_refresh_token(
            account.id,
            timedelta(seconds=refresh_s),
            claims if after is None else claims | {"after": after},
            additional_headers=header,
        ),
    )


def left_of_session_s(began_at: float) -> float:
    """How long a session of a user may go on; infinite where settings say so, 0 when it is over."""
    longest_s = _config()["session_s"]
    return max(0.0, began_at + longest_s - time.time()) if longest_s else math.inf


def issue_container_token(container: Mapping[str, Any], version: int, dialect: int = V3) -> str:
    """A token for an algorithm; `container` is the object of auth.md 2.2.

    `version` is the token version of its node. Containers cannot refresh, so the token lives as
    long as the longest run may take (A1); it is refused earlier, once the task is over.
    """
    token: str = create_access_token(
        {"client_type": PrincipalKind.CONTAINER.value, **container},
        expires_delta=timedelta(seconds=_config()["container_s"]),
        additional_claims={
            "client_type": PrincipalKind.CONTAINER.value,
            "roles": [],
            "ver": version,
            **_said(dialect),
        },
        additional_headers=signing.header(),
    )
    return token


def issue_visit(claims: Claims) -> str:
    """A token for a server of others, to ask here who `claims` is: soon over, and for that only."""
    return _same_session(claims, _VISIT, datetime.now(UTC) + timedelta(seconds=_VISIT_S))


def issue_for_pages(claims: Claims) -> str:
    """A token for the browser of whoever has logged in with `claims`, over when they are: good
    for the console's pages, and no bearer token."""
    return _same_session(claims, _PAGES, claims.expires_at)


def _same_session(claims: Claims, type: str, ends: datetime) -> str:
    now = datetime.now(UTC)
    said = {
        "sub": claims.account_id,
        "client_type": claims.kind.value,
        "ver": claims.version,
        "sid": claims.session_id,
        "type": type,
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now,
        "exp": ends,
        **_said(claims.dialect or V3),
    }
    return signing.sign(said)


def _said(dialect: int) -> dict[str, int]:
    return {} if dialect == V3 else {resolve.CLAIM: dialect}


def issue_purpose_token(user: User, purpose: str) -> str:
    """A token for a recovery mail: for one purpose, usable once, no bearer token (A2, A3)."""
    now = datetime.now(UTC)
    claims = {
        "sub": {"id": str(user.id)},
        "type": _RECOVERY,
        "purpose": purpose,
        "for": _fingerprint(user, purpose, signing.keys().signing).decode(),
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(seconds=_config()["mail_s"]),
    }
    return signing.sign(claims)


def read_purpose_token(text: str, purpose: str) -> Recovery:
    """The claims of a mailed token. The caller must still ask `Recovery.fits`.

    Raises Expired, TooEarly, or Invalid for everything else that is wrong with it (A4).
    """
    try:
        claims = signing.verified(text)
    except (BadToken, StrangeClaims) as error:
        raise Invalid(_UNUSABLE) from error
    sub, fingerprint = claims.get("sub"), claims.get("for")
    number = sub.get("id") if isinstance(sub, dict) else None
    if (
        claims.get("type") != _RECOVERY
        or claims.get("purpose") != purpose
        or not isinstance(fingerprint, str)
        or not isinstance(number, str)
        or not re.fullmatch("[0-9]{1,10}", number)
        or int(number) > LARGEST_ID
    ):
        raise Invalid(_UNUSABLE)
    return Recovery(int(number), purpose, fingerprint)


def read_bearer(
    header: str | None, refresh: bool = False, visits: bool = False, either: bool = False
) -> Claims:
    """The verified claims of an `Authorization` header (auth.md 2.4).

    `refresh` asks for a refresh token instead of an access token; `visits`: one of `issue_visit`
    will do; `either`: an access or a refresh token. Whether the account still exists and honours
    the token is for the caller to see. Raises Unauthenticated (also as Expired, TooEarly or
    StrangeClaims) or BadToken (also as WrongSignature).
    """
    if not header:
        raise Unauthenticated(_MISSING)
    scheme, *rest = header.split() or [""]
    if scheme != "Bearer":
        raise Unauthenticated(f"Missing 'Bearer' type in 'Authorization' header. {_EXPECTED}")
    if len(rest) != 1:
        raise BadToken(f"Bad Authorization header. {_EXPECTED}")
    said = signing.verified(rest[0])
    wanted, other = (_REFRESH, _ACCESS) if refresh else (_ACCESS, _REFRESH)
    good = {wanted, *([other] if either else []), *([_VISIT] if visits else [])}
    if said.get("type") == other and not either:
        raise BadToken(f"Only {'refresh' if refresh else 'non-refresh'} tokens are allowed")
    if not isinstance(said.get("type"), str) or said["type"] not in good:
        raise StrangeClaims("The token is for something else")
    return _claims(said)


def read_for_pages(text: str) -> Claims:
    """The verified claims of a token of `issue_for_pages`. Raises Unauthenticated or BadToken."""
    said = signing.verified(text)
    if said.get("type") != _PAGES:
        raise StrangeClaims("The token is for something else")
    return _claims(said)


def _claims(said: Mapping[str, Any]) -> Claims:
    """What a bearer token says. It is signed, but nothing is taken that could not be stored."""
    kind, sub, version = said.get("client_type"), said.get("sub"), said.get("ver", 0)
    session_id, dialect = said.get("sid"), said.get(resolve.CLAIM)
    jti, after = said.get("jti", ""), said.get("after")
    if not isinstance(kind, str) or kind not in tuple(PrincipalKind):
        raise StrangeClaims("Missing claim: client_type")
    if "exp" not in said:  # containers of a 3.x server: valid for ever
        raise StrangeClaims("Missing claim: exp")
    container = sub if kind == PrincipalKind.CONTAINER and isinstance(sub, dict) else None
    account_id: Any = container.get("node_id") if container else sub
    numbers = [account_id, version, *(container.get(k) for k in _CONTAINER_IDS if container)]
    if (kind == PrincipalKind.CONTAINER and not container) or not all(
        signing.is_number(number, LARGEST_ID) for number in numbers
    ):
        raise StrangeClaims("The token names nobody")
    if not (session_id is None or (isinstance(session_id, str) and _SESSION.fullmatch(session_id))):
        raise StrangeClaims("The token names no session")
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in (jti, after or "")):
        raise StrangeClaims("The token has no name of its own")
    return Claims(
        kind=PrincipalKind(kind),
        account_id=account_id,
        version=version,
        session_id=session_id,
        container=container,
        expires_at=datetime.fromtimestamp(said["exp"], UTC),
        jti=jti,
        after=after,
        issued_at=said.get("iat", 0),
        began_at=said.get("auth_time", said.get("iat", 0)),
        dialect=dialect if type(dialect) is int and dialect in DIALECTS else None,
    )


def _fingerprint(user: User, purpose: str, key: str) -> bytes:
    """Changes as soon as the token has done its work, or the mail could have gone elsewhere."""
    state = [str(user.id), purpose, user.password or "", user.email or ""]
    if purpose == SECOND_FACTOR:
        state.append(user.otp_secret or "")
    sealing = hashlib.sha256(b"v6srv recovery\x00" + key.encode()).digest()
    return hmac.new(sealing, "\x00".join(state).encode(), "sha256").hexdigest().encode()


def _config() -> dict[str, Any]:
    config: dict[str, Any] = current_app.extensions["v6srv_tokens"]
    return config
