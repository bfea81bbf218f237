"""Logging nodes in with their key, also those that still have the hash of a 3.x server.

A salted hash cannot be looked up: the key has to be compared with one node after the other, a
quarter of a second each. So that nobody can make the server compute by making up keys, one request
costs one comparison, and says 503 while others are left: the node asks again every ten seconds, for
a week, but ends for good when it is told 401.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Collection
from threading import Lock

from flask import current_app

from v6srv import meters, passwords
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import let_go, transaction
from v6srv.errors import TooManyRequests, Unauthenticated, Unavailable
from v6srv.identity import attempts
from v6srv.identity.login import Tokens, token_pair
from v6srv.model import Node
from v6srv.service import accounts
from v6srv.vocabulary import V3

log = logging.getLogger(__name__)

MOST_COMPARISONS = 50_000
RETRY_AFTER_S = 1


class Compared:
    """With which stored hashes a key has been compared, in this process.

    The memory is bounded: the keys that came first are forgotten first, and begin anew.
    """

    def __init__(self, most: int = MOST_COMPARISONS) -> None:
        self._most = most
        self._lock = Lock()
        self._number = 0
        self._hashes: OrderedDict[str, set[str]] = OrderedDict()

    def left(self, digest: str, legacy: Collection[tuple[int, str]]) -> list[tuple[int, str]]:
        """The nodes whose hash is still to be compared.

        In an order that differs from key to key: nodes that all come back at once should not all
        be compared with the same one.
        """
        with self._lock:
            done = set(self._hashes.get(digest, ()))
        left = [(id, stored) for id, stored in legacy if stored not in done]
        return sorted(left, key=lambda node: hashlib.sha256(f"{digest}{node[0]}".encode()).digest())

    def note(self, digest: str, stored: str) -> None:
        """The key with this digest does not fit `stored`."""
        with self._lock:
            before = self._hashes.setdefault(digest, set())
            self._number += stored not in before
            before.add(stored)
            while self._number > self._most:
                self._number -= len(self._hashes.popitem(last=False)[1])


def log_in_node(api_key: str, source: str, dialect: int = V3) -> Tokens:
    """Log a node in (auth.md 3.2): one look-up by digest, and at most one hash.

    What its program was seen to be goes before `dialect`, which may be a guess.

    Raises Unauthenticated only for keys that belong to no node, because a node exits on it, and
    Unavailable while that is not certain.
    """
    digest = passwords.key_digest(api_key)
    node = accounts.find_node(digest)
    if node is None:
        _check_rate(digest, source)
        node = _found_by_hash(api_key, digest)
    # What is not among the hashes any more may just have been given its digest.
    node = node or accounts.find_node(digest)
    if node is not None:
        meters.LOGINS.labels("node", "granted").inc()
        return token_pair(node, dialect=node.generation or dialect)
    let_go()  # counting must not keep a transaction open
    attempts.attempts().of_nodes.note(source, digest)
    meters.LOGINS.labels("node", "failed").inc()
    log.warning("login of a node from %s failed: unknown key", attempts.shown(source))
    raise Unauthenticated("Api key is not recognized!")


def _check_rate(digest: str, source: str) -> None:
    try:
        attempts.attempts().of_nodes.check(source, digest)
    except TooManyRequests:
        meters.LOGINS.labels("node", "failed").inc()
        log.warning("login of a node from %s failed: too often", attempts.shown(source))
        raise


def _found_by_hash(api_key: str, digest: str) -> Node | None:
    """The node with this key, after one comparison; Unavailable when more are left."""
    legacy = accounts.legacy_keys()
    let_go()  # hashing must not keep a transaction open
    compared = _compared()
    left = compared.left(digest, legacy)
    if not left:
        return None
    node_id, stored = left[0]
    if passwords.check_password(api_key, stored, yielding=True):
        with as_server(ServerWrite.KEYS), transaction():
            node = accounts.adopt_key(node_id, stored, digest)
        if node is not None:
            log.info("node %d has logged in for the first time since it was taken over", node.id)
            return node
    compared.note(digest, stored)
    if len(left) > 1:
        raise Unavailable(
            "The key is being looked for among the nodes of the former server, try again",
            RETRY_AFTER_S,
        )
    return None


def _compared() -> Compared:
    found: Compared = current_app.extensions.setdefault("v6srv_compared", Compared())
    return found
