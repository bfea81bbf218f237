"""Tokens that nobody should be let in with, and the claims of one that is good but for its changes.

The key is that of the server: what a token says must not be taken for granted because it is signed.
"""

import base64
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jwt
from hypothesis import strategies as st

NOT_THERE = object()
"""The claim is left out."""

NUMBERLESS = (
    None,
    "5",
    "",
    True,
    False,
    5.0,
    0.5,
    [5],
    [],
    {},
    {"id": 5},
    {"id": "5"},
    "\x00",
    "\N{ARABIC-INDIC DIGIT FIVE}",
)
NO_NUMBERS: tuple[Any, ...] = (
    *NUMBERLESS,
    -1,
    2**31,
    2**63,
    2**70,
    -(2**70),
    10**400,
    float("nan"),
)
NO_TIMES: tuple[Any, ...] = (
    *NUMBERLESS,
    -1,
    2**70,
    10**400,
    float("inf"),
    float("nan"),
    "2030-01-01",
)
NO_WORDS: tuple[Any, ...] = (
    None,
    5,
    True,
    [],
    ["user"],
    {},
    {"user": 1},
    "USER",
    "user ",
    "\x00",
    "",
)

CLAIMS: Mapping[str, tuple[Any, ...]] = {
    "sub": (*NO_NUMBERS, NOT_THERE, 0, 999_999, [[[[5]]]], {"node_id": 5}),
    "type": (*NO_WORDS, NOT_THERE, "recovery", "visit", "id"),
    "client_type": (*NO_WORDS, NOT_THERE, "node", "container", "root", "authenticatable"),
    "exp": (*NO_TIMES, NOT_THERE, 0, 1),
    "iat": (*NO_TIMES, 2**40),
    "nbf": (*NO_TIMES, 2**40),
    "ver": (*NO_NUMBERS, 7),
    "sid": (5, True, 2**70, [], {}, "", "\x00" * 36, "x" * 36, "0" * 35, "0" * 8000, "é" * 36),
    "jti": (None, 5, True, [], {}),
    "aud": ("another", ["another"], 5),
}
"""Each makes a good token of a user one that nobody is let in with."""

CONTAINER: Mapping[str, tuple[Any, ...]] = {
    "node_id": (*NO_NUMBERS, NOT_THERE, 999_999),
    "task_id": (*NO_NUMBERS, NOT_THERE, 999_999),
    "organization_id": (*NO_NUMBERS, NOT_THERE),
    "collaboration_id": (*NO_NUMBERS, NOT_THERE),
}
"""Likewise of the `sub` of a container."""


def changed(claims: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The claims with this one changed."""
    if value is NOT_THERE:
        return {key: held for key, held in claims.items() if key != name}
    return {**claims, name: value}


def with_strange_claims(claims: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The claims of a user's token, each time with one that is strange, and what it is."""
    for name, values in CLAIMS.items():
        for value in values:
            if claims.get(name) != value or type(value) is bool:
                yield f"{name}={value!r:.60}", changed(claims, name, value)
    if isinstance(claims["sub"], dict):
        for name, values in CONTAINER.items():
            for value in values:
                sub = changed(claims["sub"], name, value)
                yield f"sub.{name}={value!r:.60}", {**claims, "sub": sub}


def signed(claims: Any, key: str, header: Any = None) -> str:
    """A token with any header and claims, signed as HS256 does it."""
    said = {"alg": "HS256", "typ": "JWT"} if header is None else header
    text = b".".join(map(_part, (said, claims)))
    return (text + b"." + _encoded(hmac.digest(key.encode(), text, "sha256"))).decode()


def forged(claims: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Tokens that are wrong in their form, their header or their signature, and what is wrong."""
    good = signed(claims, key)
    header, body, signature = good.split(".")
    for algorithm in ("none", "None", "HS384", "HS512", "RS256", "ES256", "hs256", "", None, 5):
        yield f"alg={algorithm!r}", signed(claims, key, {"alg": algorithm, "typ": "JWT"})
    for algorithm in ([], ["HS256"], {"HS256": 1}, True):
        yield f"alg={algorithm!r}", signed(claims, key, {"alg": algorithm})
    yield "no alg", signed(claims, key, {"typ": "JWT"})
    yield "alg none, unsigned", f"{_part({'alg': 'none'}).decode()}.{body}."
    yield "signed as HS512", jwt.encode(dict(claims), key * 2, "HS512")
    for kid in (None, 5, [], {}, True, "", "x", "../jwt_secret", "\x00", "é", "k" * 6000):
        if kid is not None:  # as good as none
            yield f"kid={kid!r:.40}", signed(claims, key, {"alg": "HS256", "kid": kid})
    yield "crit", signed(claims, key, {"alg": "HS256", "crit": ["exp"]})
    yield "b64", signed(claims, key, {"alg": "HS256", "b64": False, "crit": ["b64"]})
    for said in ([], "x", 5, None, "[" * 3000, {"alg": {"a": [[[[]]]]}}):
        yield f"header {said!r:.40}", signed(claims, key, said if said is not None else "null")
    for said in ([], "x", 5, [claims], "[" * 3000):
        yield f"claims {said!r:.40}", signed(said, key)
    yield "another key", signed(claims, "the key of somebody else, of good length")
    yield "no key", signed(claims, "")
    yield "no signature", f"{header}.{body}."
    yield "signature of another", f"{header}.{body}.{signed({}, key).split('.')[2]}"
    yield "changed", f"{header}.{_part({**claims, 'sub': 1}).decode()}.{signature}"
    yield "cut", good[:-3]
    yield "four parts", f"{good}.{signature}"
    yield "twice", f"{good} {good}"
    yield "twice, with a comma", f"{good},{good}"
    yield "twice in one", f"{good}{good}"
    yield "8 kB of points", "." * 8000
    yield "8 kB of claims", signed({**claims, "sub": "x" * 6000}, key)
    for text in (
        "",
        "x",
        "a.b.c",
        "é.è.ê",
        "\xff\xfe.\xff.\xff",
        "null",
        "{}",
        "%00",
        good.upper(),
    ):
        yield f"text {text!r:.30}", text


_words = st.text(max_size=40)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.integers(0, 40)
    | st.floats()
    | _words
    | st.sampled_from(["access", "refresh", "visit", "user", "node", "container"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=6,
)


def any_claims(good: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Claims of which some are changed, left out or added."""
    names = st.sampled_from([*good, *CLAIMS, "identity", "fresh", "roles", "dialect", "csrf"])
    changes = st.dictionaries(names | _words, _values | st.just(NOT_THERE), min_size=1, max_size=5)
    return changes.map(
        lambda changes: {
            name: value for name, value in {**good, **changes}.items() if value is not NOT_THERE
        }
    )


def names_the_same(claims: Mapping[str, Any], good: Mapping[str, Any]) -> bool:
    """Whether these claims are of whom the good token is of, and not over."""
    said, known = ({"ver": 0, **each} for each in (claims, good))
    same = (
        (type(said.get(name)), said.get(name)) == (type(known[name]), known[name])
        for name in ("sub", "type", "client_type", "ver")
    )
    return all(same) and type(claims.get("exp")) is int and claims["exp"] > time.time()


def _part(value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return _encoded(text.encode("utf-8", "surrogatepass"))


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
