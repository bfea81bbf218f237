"""Signatures of tokens: which keys there are, and what a token says that one of them signed.

The header of a token names its key (`kid`), so a server may have several: one signs, the others,
those of before and the next one, only verify. What came before there was a `kid` has none; any of
the keys may have signed it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from flask import Flask, current_app

from v6srv.errors import BadToken, Unauthenticated
from v6srv.settings import Settings, jwt_secret, key_fingerprint

ALGORITHM = "HS256"
"""The only one, whatever a token says of itself."""

_EXTENSION = "v6srv_signing"
_KID_LENGTH = 16
_MOST_KNOWN = 2000
_EXPIRED = "Token has expired"
_TIMES = ("iat", "nbf", "exp")
_LATEST = 253_402_300_799  # the end of the year 9999
_OPTIONS: Any = {f"verify_{name}": False for name in (*_TIMES, "sub", "jti")}
"""`sub` is a number or an object, as 3.x clients need it (Q-47); times are looked at here."""


class Expired(Unauthenticated):
    """The token was good once. Apart from its base so that sockets can ask for a new one."""

    def __init__(self) -> None:
        super().__init__(_EXPIRED)


class WrongSignature(BadToken):
    """No key of ours signed it. Apart from its base so that sockets can ask for a new login."""


class TooEarly(Unauthenticated):
    """The token is good, and comes from a clock that is further ahead than `clock_leeway_s`."""

    def __init__(self) -> None:
        super().__init__("Token is not valid yet: the clocks of the servers differ too much")


class StrangeClaims(Unauthenticated):
    """A key of ours signed it, but it says nothing that this server would have had signed."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one application."""

    signing: str
    previous: tuple[str, ...]
    """All other keys, also those that are too short to verify anything."""
    accepted: Mapping[str, str]
    """By their `kid` those that verify, first the one that signs."""
    leeway_s: float
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What tokens say whose signatures were looked at: a token comes with every request, and what
    it says never changes. Whether it is still good is looked at each time."""


def kid_of(key: str) -> str:
    """What the header of a token calls the key that signed it; the key cannot be found from it."""
    return key_fingerprint(key)[:_KID_LENGTH]


def init_app(app: Flask, settings: Settings) -> None:
    """Sign with the server's secret; the keys of `settings.jwt_previous_keys` only verify."""
    signing = jwt_secret(settings)
    app.extensions[_EXTENSION] = Keys(
        signing,
        tuple(settings.jwt_previous_keys),
        {kid_of(key): key for key in (signing, *settings.verifying_keys)},
        settings.clock_leeway_s,
    )


def keys() -> Keys:
    """Those of this application."""
    found: Keys = current_app.extensions[_EXTENSION]
    return found


def header() -> dict[str, str]:
    """What the header of a token says beside its algorithm."""
    return {"kid": kid_of(keys().signing)}


def sign(claims: Mapping[str, Any]) -> str:
    """A token that says this."""
    return jwt.encode(dict(claims), keys().signing, ALGORITHM, header())


def verified(text: str) -> dict[str, Any]:
    """What a token says that one of our keys signed, and that is valid now.

    Raises BadToken (also as WrongSignature), Expired, TooEarly, or StrangeClaims.
    """
    claims = _signed(text)
    times = {name: claims[name] for name in (*_TIMES, "auth_time") if name in claims}
    if not all(is_number(value, _LATEST) for value in times.values()):
        raise StrangeClaims("The token names no time")
    now = time.time()
    # No leeway: a token that ends is not needed any longer, whoever's clock is right.
    if times.get("exp", _LATEST) <= now:
        raise Expired
    if max(times.get("iat", 0), times.get("nbf", 0)) > now + keys().leeway_s:
        raise TooEarly
    return claims


def is_number(value: object, largest: int) -> bool:
    """Whether a claim is a whole number of this range: a truth is none."""
    return type(value) is int and 0 <= value <= largest


def _signed(text: str) -> dict[str, Any]:
    known = keys().known
    claims = known.get(text)
    if claims is None:
        claims = _read(text)
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[text] = claims
    return dict(claims)


def _read(text: str) -> dict[str, Any]:
    try:
        kid = jwt.get_unverified_header(text).get("kid")
        for key in _named(kid):
            try:
                claims: dict[str, Any] = jwt.decode(text, key, [ALGORITHM], options=_OPTIONS)
            except jwt.InvalidSignatureError:
                continue
            return claims
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
        raise StrangeClaims("The token is meant for another server") from error
    except (jwt.PyJWTError, UnicodeError) as error:
        raise BadToken(str(error)) from error
    raise WrongSignature("Signature verification failed")


def _named(kid: str | None) -> list[str]:
    """The keys that may have signed what names this one."""
    accepted = keys().accepted
    if kid is None:
        return list(accepted.values())
    return [accepted[kid]] if kid in accepted else []
