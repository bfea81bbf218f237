"""Secrets that have to be read again: stored encrypted, under a key derived from the JWT secret.

A copy of the database alone tells none of them. When the JWT secret changes and the old one is not
listed among the previous keys, they are lost.
"""

import base64
import hashlib
from collections.abc import Iterable

from cryptography.fernet import Fernet, MultiFernet

from v6srv.identity import tokens


def vault(use: str) -> MultiFernet:
    """Seals and opens secrets of one use: what is sealed for one opens for no other."""
    return MultiFernet(fernets(use, tokens.secrets()))


def fernets(use: str, secrets: Iterable[str]) -> list[Fernet]:
    """One for each JWT secret, in their order."""
    digests = (
        hashlib.sha256(b"v6srv %s\x00" % use.encode() + secret.encode()).digest()
        for secret in secrets
    )
    return [Fernet(base64.urlsafe_b64encode(digest)) for digest in digests]
