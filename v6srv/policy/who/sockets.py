"""Who is connected, and why each may be in which room."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from time import sleep
from types import SimpleNamespace

from sqlalchemy import Select, select

from v6srv.authz.answer import Asked
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import room_facts
from v6srv.db import LARGEST_ID, session
from v6srv.errors import NotFound
from v6srv.identity import principals
from v6srv.model import Account, SocketConnection
from v6srv.policy import ask
from v6srv.policy.who.abilities import GrantingLine
from v6srv.service import rooms
from v6srv.vocabulary import Operation, Resource


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket, wherever it is."""

    sid: str
    process: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Connected:
    """Somebody who has sockets."""

    id: int
    subject: str
    name: str
    sockets: tuple[Socket, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """A room, and the lines that let somebody hear it; none: every node is in it."""

    room: str
    lines: tuple[GrantingLine, ...]


def accounts() -> Select[Account]:
    """Those that have a socket at any process, by id."""
    connected = select(SocketConnection.account_id)
    return select(Account).where(Account.id.in_(connected)).order_by(Account.id)


def connected(ids: Collection[int]) -> list[Connected]:
    """Those of these accounts that there are, with their sockets."""
    table = SocketConnection
    sockets: dict[int, list[Socket]] = {}
    found = session.scalars(select(table).where(table.account_id.in_(ids)).order_by(table.sid))
    for one in found:
        sockets.setdefault(one.account_id, []).append(Socket(one.sid, one.process, one.seen_at))
    known = (one.principal for one in principals.everyone(ids))
    return [
        Connected(who.account_id, who.subject, who.name, tuple(sockets.get(who.account_id, ())))
        for who in known
    ]


def rooms_of(authz: Authorizer, account_id: int) -> tuple[Connected, list[Reason]]:
    """One of them, and the rooms that it belongs in by the live policy. Raises NotFound."""
    ids = [account_id] if account_id <= LARGEST_ID else []
    known = next(iter(principals.everyone(ids)), None)
    if known is None:
        raise NotFound(f"There is no account {account_id}")
    who = known.principal
    asked = authz.policy.asked(who.facts, Resource.EVENT, Operation.VIEW)

    def may_hear(collaboration_id: int, organization_id: int | None) -> bool:
        sleep(0)  # there may be many: others get their turn
        facts = room_facts(collaboration_id, organization_id)
        return asked.of(SimpleNamespace(type=Resource.EVENT.value, **facts)).allowed

    allowed = sorted(rooms.allowed_by(may_hear, who))
    return connected([account_id])[0], [Reason(room, _lines(asked, room)) for room in allowed]


def _lines(asked: Asked, room: str) -> tuple[GrantingLine, ...]:
    if room == rooms.ALL_NODES:
        return ()
    matching = asked.matching(ask.room(room).facts)
    return tuple(GrantingLine(str(rest.line), rest.line.origin) for rest in matching)
