"""Who is online: live sockets, the status they give their accounts, and what nodes share.

These flows belong to sockets and background tasks, not to a request: each is one transaction of
its own and ends the session.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, exists, insert, or_, select, update

from v6srv.db import database_now, session, writing
from v6srv.errors import Unauthenticated
from v6srv.model import Account, Node, NodeConfig, SocketConnection
from v6srv.service.events import collaboration_room, organization_room, process_id

ONLINE = "online"
OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class NodeCard:
    """What its collaboration is told about a node that comes or goes."""

    id: int
    name: str | None
    organization_id: int | None
    collaboration_id: int | None

    @property
    def payload(self) -> dict[str, Any]:
        """The data of `node-online` and `node-offline`."""
        return {"id": self.id, "name": self.name, "org_id": self.organization_id}

    @property
    def rooms(self) -> list[str]:
        """Its own two rooms, nobody else's (S4); none without a collaboration."""
        if self.collaboration_id is None:
            return []
        rooms = [collaboration_room(self.collaboration_id)]
        if self.organization_id is not None:
            rooms.append(organization_room(self.collaboration_id, self.organization_id))
        return rooms


def connected(sid: str, account_id: int) -> NodeCard | None:
    """A socket of a user or node is there. Returns the card of a node, None for a user.

    Raises Unauthenticated when the account is gone.
    """
    with _transaction():
        # The account first: its row is the lock under which sockets are counted.
        if not _set_online(account_id):
            raise Unauthenticated(f"Error loading the user {account_id}")
        session.add(_socket(sid, account_id))
        return _card(account_id)


def disconnected(sid: str) -> NodeCard | None:
    """A socket is gone. With its last one an account goes offline, and a node's info with it.

    Returns the card of a node that was online until now, otherwise None.
    """
    with _transaction():
        account_id = session.scalar(
            select(SocketConnection.account_id).where(SocketConnection.sid == sid)
        )
        if account_id is None:
            return None
        session.execute(select(Account.id).where(Account.id == account_id).with_for_update())
        if not _rows(delete(SocketConnection).where(SocketConnection.sid == sid)):
            return None  # another process was quicker
        if session.scalar(select(exists().where(SocketConnection.account_id == account_id))):
            return None
        session.execute(delete(NodeConfig).where(NodeConfig.node_id == account_id))
        was_online = _rows(
            update(Account)
            .where(Account.id == account_id, Account.status == ONLINE)
            .values(status=OFFLINE)
        )
        return _card(account_id) if was_online else None


def pinged(account_id: int) -> NodeCard | None:
    """The account is alive. Returns the card of a node that was not online until now."""
    with _transaction():
        before = session.scalar(
            select(Account.status).where(Account.id == account_id).with_for_update()
        )
        found = _set_online(account_id)
        return _card(account_id) if found and before != ONLINE else None


def share(node_id: int, entries: Iterable[tuple[str, str | None]]) -> bool:
    """Replace what a node shares of its configuration. False when there is no such node."""
    with _transaction():
        locked = select(Account.id).where(Account.id == node_id).with_for_update()
        if session.scalar(locked) is None:
            return False
        session.execute(delete(NodeConfig).where(NodeConfig.node_id == node_id))
        rows = [{"node_id": node_id, "key": key, "value": value} for key, value in entries]
        if rows:
            session.execute(insert(NodeConfig), rows)
        return True


def heartbeat(
    live: Callable[[], Mapping[str, int]], connecting: Callable[[], Collection[str]]
) -> list[str]:
    """Tell the other processes which sockets of this one are alive.

    `live` gives sid -> account id; a row of theirs that was lost meanwhile is written again.
    `connecting` are sids that may or may not have a row yet. Both are asked after the rows were
    read. Returns the sids this process is said to have and has not.
    """
    with _transaction():
        mine = SocketConnection.process == process_id()
        stored = set(session.scalars(select(SocketConnection.sid).where(mine)))
        session.execute(update(SocketConnection).where(mine).values(seen_at=database_now()))
        alive = live()
        known = alive.keys() | set(connecting())
        # Once more: some came since the first look.
        missing = alive.keys() - stored
        missing -= set(session.scalars(select(SocketConnection.sid).where(mine)))
        for sid in missing:
            if _set_online(alive[sid], seen=False):
                session.add(_socket(sid, alive[sid]))
        return sorted(stored - known)


def stale_sockets(unseen_s: float) -> list[str]:
    """The sids whose process has not confirmed them for `unseen_s` seconds."""
    limit = database_now(ago_s=unseen_s)
    try:
        return list(
            session.scalars(select(SocketConnection.sid).where(SocketConnection.seen_at < limit))
        )
    finally:
        session.remove()


def time_out_nodes(silent_s: float) -> list[NodeCard]:
    """Mark nodes offline that nothing was heard of for `silent_s` seconds, or ever.

    Returns their cards. Of several processes that do this at once only one gets each card.
    """
    limit = database_now(ago_s=silent_s)
    with _transaction():
        silent = list(
            session.scalars(
                update(Account)
                .where(
                    Account.type == "node",
                    Account.status == ONLINE,
                    or_(Account.last_seen.is_(None), Account.last_seen < limit),
                )
                .values(status=OFFLINE)
                .returning(Account.id)
                .execution_options(synchronize_session=False)
            )
        )
        cards = [_card(node_id) for node_id in sorted(silent)]
        return [card for card in cards if card is not None]


def _socket(sid: str, account_id: int) -> SocketConnection:
    return SocketConnection(
        sid=sid, account_id=account_id, process=process_id(), seen_at=database_now()
    )


def _set_online(account_id: int, seen: bool = True) -> bool:
    values: dict[str, Any] = {"status": ONLINE}
    if seen:
        values["last_seen"] = database_now()
    return bool(_rows(update(Account).where(Account.id == account_id).values(**values)))


def _card(account_id: int) -> NodeCard | None:
    row = session.execute(
        select(Node.id, Node.name, Node.organization_id, Node.collaboration_id).where(
            Node.id == account_id
        )
    ).one_or_none()
    return None if row is None else NodeCard(*row)


def _rows(statement: Any) -> int:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


@contextmanager
def _transaction() -> Iterator[None]:
    session.remove()  # what was read before must not be the snapshot we write on
    try:
        with writing():
            yield
            session.commit()
    finally:
        session.remove()
