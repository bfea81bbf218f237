"""Passwords and API keys: how they are stored and compared (auth.md 4)."""

import base64
import hashlib
import re
import secrets
import string
from collections.abc import Callable, Iterable
from typing import Any

import bcrypt

from v6srv.common_passwords import is_common
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
_COMMON = (
    "Password too easy to guess: do not use a common one, or the name of yourself or of your "
    "organization, with only a few characters around it"
)


def configure(rounds: int = 12, threads: int = 0, queue: int = 64) -> None:
    """Set the bcrypt cost of new hashes (12 is the contract's; only tests ask for less).

    `threads` (0: one fewer than the cores) hash at a time, and `queue` passwords wait for them.
    """
    _how.update(rounds=rounds, pool=HashPool(threads, queue))


def hash_password(text: str, yielding: bool = False) -> str:
    """A new bcrypt hash (`$2b$`, salted). Slow on purpose: never call it inside a transaction.

    Every character counts, however long the text is. Raises Unavailable when too many wait, to
    `yielding` calls earlier.
    """
    stored: str = _how["pool"].run(_hash, text, _how["rounds"], yielding=yielding)
    return stored


def is_outdated(stored: str, text: str) -> bool:
    """Whether the hash of this password, the right one, has another cost than new ones.

    Of a longer password than bcrypt looks at, a 3.x server has kept a part only: what is behind it
    may be wrong, and is not made part of a new hash.
    """
    known = _HASH.fullmatch(stored) is not None
    whole = stored.startswith(DIGESTED) or len(_bytes(text)) <= MAX_BYTES
    return known and whole and _cost(stored) != _how["rounds"]


def check_password(text: str, stored: str | None, yielding: bool = False) -> bool:
    """Whether `text` is the password behind the bcrypt hash `stored` ($2a$, $2b$ or $2y$).

    Against a hash of a 3.x server only the first 72 bytes of `text` count. Without a usable hash
    the same work is done in vain, so that the time of the answer does not tell whether an account
    exists (A9); what a hash of less cost than new ones saves is done in vain, too. Raises
    Unavailable when too many wait; `yielding` calls wait longer.
    """
    known = stored is not None and _HASH.fullmatch(stored) is not None
    against = stored if known else _nobody(_how["rounds"])
    fits: bool = _how["pool"].run(_matches, text, against, _how["rounds"], yielding=yielding)
    return fits and known


def key_digest(api_key: str) -> str:
    """The SHA-256 (hex) by which a node's API key is stored and found in one look-up.

    A fast digest is enough here, unlike for passwords: keys are version 4 UUIDs that the server
    makes, with 122 random bits, so there is nothing to guess from a stolen digest. The prefix keeps
    the digest from being of use anywhere else.
    """
    return hashlib.sha256(b"v6srv node api key\x00" + _bytes(api_key)).hexdigest()


def password_problem(text: str, *names: str | None) -> str | None:
    """The first password rule (auth.md 4) that `text` breaks, as text for the user, or None.

    A common password breaks the last one, and so does one that is no more than one of `names`, of
    the user and what belongs to it.
    """
    broken = next((problem for holds, problem in _RULES if not holds(text)), None)
    return broken or (_COMMON if is_common(text, names) else None)


def generate() -> str:
    """A password that nobody has chosen, and that breaks no rule."""
    letters = string.ascii_letters + string.digits + "-_.+"
    while True:
        password = "".join(secrets.choice(letters) for _ in range(20))
        if password_problem(password) is None:
            return password


def seal(text: str, names: Iterable[str | None] = (), field: str = "password") -> str:
    """The hash of a password that a user chose; raises Invalid when it breaks a rule.

    `names` as for `password_problem`; `field`: what it is called in the body that it comes from.
    """
    require_good(text, names, field)
    return hash_password(text)


def require_good(text: str, names: Iterable[str | None] = (), field: str = "password") -> None:
    """Raise Invalid for a password that breaks a rule."""
    problem = password_problem(text, *names)
    if problem is not None:
        raise Invalid(problem, {field: [problem]})


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(text: str, rounds: int) -> str:
    secret, marker = _bytes(text), ""
    if len(secret) > MAX_BYTES:
        secret, marker = _digest(secret), DIGESTED
    return marker + bcrypt.hashpw(secret, bcrypt.gensalt(rounds)).decode()


def _matches(text: str, stored: str, rounds: int) -> bool:
    secret = _bytes(text)
    secret = _digest(secret) if stored.startswith(DIGESTED) else secret[:MAX_BYTES]
    try:
        fits = bcrypt.checkpw(secret, stored.removeprefix(DIGESTED).encode())
    except ValueError:  # it has the form of a hash only: the work is done in vain
        bcrypt.checkpw(secret, _nobody(rounds).encode())
        return False
    # Each cost is twice the one below: these are together what is missing.
    for cost in range(_cost(stored), rounds):
        bcrypt.checkpw(secret, _nobody(cost).encode())
    return fits


def _cost(stored: str) -> int:
    return int(stored.removeprefix(DIGESTED)[4:6])


def _nobody(cost: int) -> str:
    """A hash that no password is known for."""
    return f"$2b${cost:02}${'.' * 53}"


def _digest(secret: bytes) -> bytes:
    """44 bytes, without the zero bytes at which bcrypt would stop."""
    return base64.b64encode(hashlib.sha256(b"v6srv password\x00" + secret).digest())
