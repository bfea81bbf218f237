"""What the server processes of one database must agree on: the signing key and the policy files.

Each says in the database, by the clock of the database, that it is there and what it works with. A
process that signs with another key than one that is there does not start. Other policy files are a
standing problem of both until they agree. Who does not say so any more is forgotten.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, inspect, select, update

from v6srv import problems
from v6srv.db import database_now, session, transaction
from v6srv.model import ServerProcess
from v6srv.service.events import process_id
from v6srv.settings import Settings, SettingsError, jwt_secret, key_fingerprint

BEAT_S = 5.0
"""How often a process says that it is there."""
GONE_S = 30.0
"""Who has not said so for so long is not there."""

_KEYS = "signing keys"
_POLICIES = "policy files"


def known_keys(settings: Settings) -> frozenset[str]:
    """Fingerprints of the keys whose tokens are good here."""
    return fingerprints((jwt_secret(settings), *settings.jwt_previous_keys))


def fingerprints(keys: Iterable[str]) -> frozenset[str]:
    """What tells these keys from others."""
    return frozenset(map(key_fingerprint, keys))


def present(connection: Connection) -> Sequence[Row[Any]]:
    """The entries of processes that are there, in whatever state the database is."""
    if not inspect(connection).has_table(ServerProcess.__tablename__):
        return ()
    table = ServerProcess.__table__
    return connection.execute(select(table).where(table.c.seen_at > database_now(GONE_S))).all()


def require_known_keys(engine: Engine, settings: Settings) -> None:
    """Raise SettingsError when a process is there that signs with a key unknown to this one.

    A change of the key is announced by `jwt_previous_keys`: the new processes know the old key.
    """
    query = select(ServerProcess.key_digest).where(ServerProcess.seen_at > database_now(GONE_S))
    with engine.connect() as connection:
        strange = set(connection.scalars(query)) - known_keys(settings)
    if strange:
        raise SettingsError(
            [
                "jwt_secret_key: another server process of this database signs with another key:"
                " each would refuse the tokens of the other, and second factors would be lost",
                "give both the same jwt_secret_key, or one instance folder; a new key is announced"
                " by listing the old one in jwt_previous_keys; a process that crashed is forgotten"
                f" after {GONE_S:.0f} s",
            ]
        )


class Agreement:
    """The entry of this process, and what it finds in those of others.

    Files that several processes share change for each at its own moment: only what differs at two
    looks in a row is told.
    """

    def __init__(self, settings: Settings, policy_digest: Callable[[], str]) -> None:
        self._key, self._known = key_fingerprint(jwt_secret(settings)), known_keys(settings)
        self._policy_digest = policy_digest
        self._differed: Collection[str] = ()

    def beat(self) -> None:
        """Say that this process is there, and look at the others."""
        mine = self._policy_digest()
        with transaction():
            others = self._exchange(mine)
        differing = {
            _KEYS: {key for key, _ in others} - self._known,
            _POLICIES: {policy for _, policy in others} - {mine},
        }
        now = {what for what, values in differing.items() if values}
        for what in differing:
            if what in now and what in self._differed:
                theirs = ", ".join(sorted(value[:12] for value in differing[what]))
                problems.begin(
                    what,
                    f"another server process of this database has other {what}",
                    f"here {(self._key if what == _KEYS else mine)[:12]}, there {theirs}",
                )
            elif what not in now:
                problems.end(what)
        self._differed = now

    def _exchange(self, policy: str) -> list[tuple[str, str]]:
        """Write the entry of this process; the keys and policies of the others."""
        session.execute(delete(ServerProcess).where(ServerProcess.seen_at < database_now(GONE_S)))
        values = {"key_digest": self._key, "policy_digest": policy, "seen_at": database_now()}
        entry = ServerProcess.process == process_id()
        known = session.execute(
            update(ServerProcess).where(entry).values(values).returning(ServerProcess.process)
        )
        if known.first() is None:
            session.execute(insert(ServerProcess).values(process=process_id(), **values))
        query = select(ServerProcess.key_digest, ServerProcess.policy_digest).where(~entry)
        return [(key, theirs) for key, theirs in session.execute(query)]

    def leave(self) -> None:
        """Take the entry of this process away: it ends in order."""
        with transaction() as sess:
            sess.execute(delete(ServerProcess).where(ServerProcess.process == process_id()))
