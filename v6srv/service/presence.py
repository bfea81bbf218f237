"""Who is online: live sockets, the status they give their accounts, and what nodes share.

These flows belong to sockets and background tasks, not to a request: each is one transaction of
its own and ends the session.

What a node shares is on the wire while a socket shares it. Its restrictions, which say who may
send it tasks, stay in force when it goes, until it tells others (ADR 10).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    case,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, session, transaction
from v6srv.model import Account, Node, NodeConfig, SocketConnection
from v6srv.model.node import RESTRICTIONS
from v6srv.service.events import collaboration_room, organization_room, process_id
from v6srv.vocabulary import Operation, Resource

ONLINE = "online"
OFFLINE = "offline"
LATE_S = 30.0
"""A process that has not confirmed its sockets for so long may be cut off from the database, and
cannot write down that its nodes are well."""

RENEW_AT_ONCE = 100
"""Sockets that are written in one transaction."""

_OWNER = SocketConnection.account_id

Entries = tuple[tuple[str, str | None], ...]
"""Keys and values of what a node shares."""


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
        return {"id": self.id, "name": self.name or "", "org_id": self.organization_id}

    @property
    def rooms(self) -> list[str]:
        """Its own two rooms, nobody else's (S4); none without a collaboration."""
        if self.collaboration_id is None:
            return []
        rooms = [collaboration_room(self.collaboration_id)]
        if self.organization_id is not None:
            rooms.append(organization_room(self.collaboration_id, self.organization_id))
        return rooms


@dataclass(frozen=True, slots=True)
class Live:
    """A live socket as its process knows it, for when the database does not."""

    account_id: int
    heard_s: float = 0.0
    """Seconds since its node was last heard."""
    silent: bool = False
    """It has not been heard for so long that its node does not count as online."""
    shared: Entries | None = None
    """What it shares; None: it has not said."""
    unsaved: frozenset[str] = frozenset()
    """What could not be written when it was said: `ping`, `share`."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat found."""

    dead: tuple[str, ...]
    """Sockets that this process is said to have and has not."""
    back: tuple[NodeCard, ...]
    """Nodes that are online again."""
    saved: Mapping[str, Live]
    """The sockets of which the database knows everything again."""


def connected(comers: Mapping[str, int]) -> dict[str, NodeCard | None]:
    """Sockets are there: `comers` are their accounts by sid.

    Returns the card of each node and None for each user, by sid; those are missing whose account
    is gone.
    """
    wanted = select(Account.id).where(Account.id.in_(set(comers.values()))).order_by(Account.id)
    with _transaction():
        # The accounts first: their rows are the locks under which sockets are counted.
        there = set(session.scalars(wanted.with_for_update()))
        online = update(Account).where(Account.id.in_(there))
        _rows(online.values(status=ONLINE, last_seen=database_now()))
        came = {sid: account_id for sid, account_id in comers.items() if account_id in there}
        session.add_all(_socket(sid, account_id) for sid, account_id in came.items())
        cards = {card.id: card for card in _cards(there)}
    return {sid: cards.get(account_id) for sid, account_id in came.items()}


def disconnected(sids: Collection[str], unseen_s: float | None = None) -> list[NodeCard]:
    """Sockets are gone. With its last one an account goes offline, and a node's info with it.

    With `unseen_s`, only those that their process has not confirmed for so many seconds. Returns
    the cards of nodes that were online until now; of several processes only one gets each card.
    """
    ended: ColumnElement[bool] = SocketConnection.sid.in_(sids)
    owners = select(_OWNER).where(ended)
    if unseen_s is not None:
        ended &= SocketConnection.seen_at < database_now(ago_s=unseen_s)
    with _transaction():
        session.execute(
            select(Account.id).where(Account.id.in_(owners)).order_by(Account.id).with_for_update()
        )
        left = _returned(delete(SocketConnection).where(ended).returning(_OWNER))
        left -= set(session.scalars(select(_OWNER).where(_OWNER.in_(left))))
        if not left:  # another process was quicker, or they were confirmed after all
            return []
        _stop_sharing(left)
        return _cards(
            _returned(
                update(Account)
                .where(Account.id.in_(left), Account.status == ONLINE)
                .values(status=OFFLINE)
                .returning(Account.id)
            )
        )


def pinged(account_id: int, sid: str) -> NodeCard | None:
    """The account is alive, as one of its sockets says. Returns the card of a node that was not
    online until now. Nothing happens when the socket has gone meanwhile."""
    with _transaction():
        before = _locked(account_id)
        if before is None or not _is_known(SocketConnection.sid == sid):
            return None
        _set_online(account_id)
        return _card(account_id) if before.status != ONLINE else None


def share(
    authz: Authorizer, node: Principal, entries: Iterable[tuple[str, str | None]], sid: str
) -> None:
    """Replace what a node shares of its configuration, as one of its sockets says.

    Once that socket has gone only its restrictions count, and when another one of the node has come
    nothing does: it has told, or will. Raises Denied where the node may not change the `config` of
    its own row, or there is none.
    """
    with _transaction():
        # The node first, then its account: in the order of a change of its address.
        config = frozenset({"config"})
        authz.fetch(node, Resource.NODE, Operation.EDIT, node.account_id, changes=config)
        _locked(node.account_id)
        if _is_known(SocketConnection.sid == sid):
            _share(node.account_id, entries)
        elif not _is_known(SocketConnection.account_id == node.account_id):
            _share(node.account_id, entries)
            _stop_sharing([node.account_id])


def close_to_everybody(node_id: int, restrictions: Iterable[str]) -> None:
    """A node told who may send it tasks, under these keys, and nobody can read it.

    What it said before stays in force; a node of which nothing is known takes no tasks of users
    until it says something else.
    """
    with _transaction():
        if _locked(node_id) is None or session.scalar(select(_restricts(node_id))):
            return
        session.add_all(NodeConfig(node_id=node_id, key=key, live=False) for key in restrictions)


def forget_restrictions(node_id: int) -> None:
    """A connected node shares nothing: what it said before it went holds no more."""
    with _transaction():
        _rows(delete(NodeConfig).where(NodeConfig.node_id == node_id, ~NodeConfig.live))


def heartbeat(
    live: Callable[[], Mapping[str, Live]], connecting: Callable[[], Collection[str]]
) -> Beat:
    """Tell the other processes which sockets of this one are alive.

    `live` gives sid -> socket; what the database has lost or missed of it is written again.
    `connecting` are sids that may or may not have a row yet. Both are asked after the rows were
    read.
    """
    mine = SocketConnection.process == process_id()
    with _transaction():
        stored = set(session.scalars(select(SocketConnection.sid).where(mine)))
        session.execute(update(SocketConnection).where(mine).values(seen_at=database_now()))
        alive = live()
        dead = stored - alive.keys() - set(connecting())
        # Once more: some came since the first look.
        stored |= set(session.scalars(select(SocketConnection.sid).where(mine)))
    back: list[NodeCard | None] = []
    lost = {sid: one for sid, one in alive.items() if sid not in stored or one.unsaved}
    in_order = sorted(lost, key=lambda sid: (lost[sid].account_id, sid))  # of locks
    for start in range(0, len(in_order), RENEW_AT_ONCE):
        with _transaction():
            back += [
                _renew(sid, lost[sid], sid in stored)
                for sid in in_order[start : start + RENEW_AT_ONCE]
            ]
    return Beat(tuple(sorted(dead)), tuple(card for card in back if card), lost)


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

    A node stays as it is while a process that may have heard it is late (`LATE_S`).
    Returns their cards. Of several processes that do this at once only one gets each card.
    """
    limit = database_now(ago_s=silent_s)
    unsure = exists().where(
        SocketConnection.account_id == Account.id,
        SocketConnection.seen_at < database_now(ago_s=LATE_S),
    )
    with _transaction():
        return _cards(
            _returned(
                update(Account)
                .where(
                    Account.type == "node",
                    Account.status == ONLINE,
                    or_(Account.last_seen.is_(None), Account.last_seen < limit),
                    ~unsure,
                )
                .values(status=OFFLINE)
                .returning(Account.id)
            )
        )


def _socket(sid: str, account_id: int) -> SocketConnection:
    return SocketConnection(
        sid=sid, account_id=account_id, process=process_id(), seen_at=database_now()
    )


def _is_known(socket: ColumnElement[bool]) -> bool:
    """Whether there is such a socket; with the row of its account locked it stays so."""
    return bool(session.scalar(select(exists().where(socket))))


def _set_online(account_id: int, heard_s: float = 0.0) -> bool:
    heard: Any = database_now(ago_s=heard_s)
    if heard_s:  # it may have been seen since, by another process
        heard = case((Account.last_seen > heard, Account.last_seen), else_=heard)
    online = update(Account).where(Account.id == account_id)
    return bool(_rows(online.values(status=ONLINE, last_seen=heard)))


def _locked(account_id: int) -> Any:
    """The id and status of an account, its row locked; None when there is no such account."""
    query = select(Account.id, Account.status).where(Account.id == account_id)
    return session.execute(query.with_for_update()).one_or_none()


def _renew(sid: str, socket: Live, has_row: bool) -> NodeCard | None:
    """Write what the database does not know of a live socket; the card of a node that is back."""
    account = _locked(socket.account_id)
    if account is None:
        return None
    if not has_row:
        session.add(_socket(sid, account.id))
    elif not _is_known(SocketConnection.sid == sid):  # it has gone since
        return None
    if socket.shared is not None and ("share" in socket.unsaved or not _shares(account.id)):
        _share(account.id, socket.shared)
    if socket.silent:
        return None
    _set_online(account.id, socket.heard_s)
    return _card(account.id) if account.status != ONLINE else None


def _share(node_id: int, entries: Iterable[tuple[str, str | None]]) -> None:
    session.execute(delete(NodeConfig).where(NodeConfig.node_id == node_id))
    rows = [{"node_id": node_id, "key": key, "value": value} for key, value in entries]
    if rows:
        session.execute(insert(NodeConfig), rows)


def _stop_sharing(node_ids: Collection[int]) -> None:
    of_nodes = NodeConfig.node_id.in_(node_ids)
    _rows(delete(NodeConfig).where(of_nodes, NodeConfig.key.not_in(RESTRICTIONS)))
    _rows(update(NodeConfig).where(of_nodes).values(live=False))


def _shares(node_id: int) -> bool:
    live = exists().where(NodeConfig.node_id == node_id, NodeConfig.live)
    return bool(session.scalar(select(live)))


def _restricts(node_id: int) -> Any:
    return exists().where(NodeConfig.node_id == node_id, NodeConfig.key.in_(RESTRICTIONS))


def _card(account_id: int) -> NodeCard | None:
    return next(iter(_cards([account_id])), None)


def _cards(account_ids: Collection[int]) -> list[NodeCard]:
    """The cards of those that are nodes."""
    rows = session.execute(
        select(Node.id, Node.name, Node.organization_id, Node.collaboration_id)
        .where(Node.id.in_(account_ids))
        .order_by(Node.id)
    )
    return [NodeCard(*row) for row in rows]


def _rows(statement: Any) -> int:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


def _returned(statement: Any) -> set[int]:
    found = session.scalars(statement, execution_options={"synchronize_session": False})
    return set(found)


@contextmanager
def _transaction() -> Iterator[None]:
    session.remove()  # what was read before must not be the enforcer we write on
    try:
        with as_server(ServerWrite.PRESENCE), transaction():
            yield
    finally:
        session.remove()
