"""Passwords and API keys: how they are stored and compared (auth.md 4)."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import bcrypt

from v6srv.errors import Invalid
from v6srv.hash_pool import HashPool

MAX_BYTES = 72
"""bcrypt looks no further; 3.x stored longer passwords cut off here."""

DIGESTED = "sha256:"
"""In front of the hash of a longer password: bcrypt was given a digest of all of it (Q-65)."""

_HASH = re.compile(r"(sha256:)?\$2[aby]\$\d\d\$.{53}")


_how: dict[str, Any] = {"rounds": 12, "pool": HashPool()}

_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (
        lambda text: len(text) >= 8,
        "Password too short: use at least 8 characters with mixed lowercase, uppercase, numbers "
        "and special characters",
    ),
    (lambda text: len(text) <= 128, "Password too long: use at most 128 characters"),
    (
        lambda text: re.search("[0-9]", text) is not None,
        "Password should contain at least one number",
    ),
    (
        lambda text: re.search("[A-Z]", text) is not None,
        "Password should contain at least one uppercase letter",
    ),
    (
        lambda text: re.search("[a-z]", text) is not None,
        "Password should contain at least one lowercase letter",
    ),
    (
        lambda text: not text.isalnum(),
        "Password should contain at least one special character",
    ),
)


def configure(rounds: int = 12, threads: int = 0, queue: int = 64) -> None:
    """Set the bcrypt cost of new hashes (12 is the contract's; only tests ask for less).

    `threads` (0: one fewer than the cores) hash at a time, and `queue` passwords wait for them.
    """
    _how.update(rounds=rounds, pool=HashPool(threads, queue))


def hash_password(text: str) -> str:
    """A new bcrypt hash (`$2b$`, salted). Slow on purpose: never call it inside a transaction.

    Every character counts, however long the text is. Raises Unavailable when too many wait.
    """
    stored: str = _how["pool"].run(_hash, text, _how["rounds"])
    return stored


def check_password(text: str, stored: str | None, yielding: bool = False) -> bool:
    """Whether `text` is the password behind the bcrypt hash `stored` ($2a$, $2b$ or $2y$).

    Against a hash of a 3.x server only the first 72 bytes of `text` count. Without a usable hash
    the same work is done in vain, so that the time of the answer does not tell whether an account
    exists (A9). Raises Unavailable when too many wait; `yielding` calls wait longer.
    """
    known = stored is not None and _HASH.fullmatch(stored) is not None
    against = stored if known else _nobody()
    fits: bool = _how["pool"].run(_matches, text, against, yielding=yielding)
    return fits and known


def key_digest(api_key: str) -> str:
    """The SHA-256 (hex) by which a node's API key is stored and found in one look-up.

    A fast digest is enough here, unlike for passwords: keys are version 4 UUIDs that the server
    makes, with 122 random bits, so there is nothing to guess from a stolen digest. The prefix keeps
    the digest from being of use anywhere else.
    """
    return hashlib.sha256(b"v6srv node api key\x00" + _bytes(api_key)).hexdigest()


def password_problem(text: str) -> str | None:
    """The first password rule (auth.md 4) that `text` breaks, as text for the user, or None."""
    return next((problem for holds, problem in _RULES if not holds(text)), None)


def seal(text: str, field: str = "password") -> str:
    """The hash of a password that a user chose; raises Invalid when it breaks a rule.

    `field`: what it is called in the body that it comes from.
    """
    problem = password_problem(text)
    if problem is not None:
        raise Invalid(problem, {field: [problem]})
    return hash_password(text)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(text: str, rounds: int) -> str:
    secret, marker = _bytes(text), ""
    if len(secret) > MAX_BYTES:
        secret, marker = _digest(secret), DIGESTED
    return marker + bcrypt.hashpw(secret, bcrypt.gensalt(rounds)).decode()


def _matches(text: str, stored: str) -> bool:
    secret = _bytes(text)
    secret = _digest(secret) if stored.startswith(DIGESTED) else secret[:MAX_BYTES]
    try:
        return bcrypt.checkpw(secret, stored.removeprefix(DIGESTED).encode())
    except ValueError:  # it has the form of a hash only: the work is done in vain
        bcrypt.checkpw(secret, _nobody().encode())
        return False


def _nobody() -> str:
    """A hash that no password is known for."""
    return f"$2b${_how['rounds']:02}${'.' * 53}"


def _digest(secret: bytes) -> bytes:
    """44 bytes, without the zero bytes at which bcrypt would stop."""
    return base64.b64encode(hashlib.sha256(b"v6srv password\x00" + secret).digest())
