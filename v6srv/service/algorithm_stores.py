"""Algorithm stores: where algorithms come from, for one collaboration or for all.

A store is a part of its collaboration: who may view that may view the store. What is written is
decided when it is (`authz.changes`); who may not is told so before a store is asked anything.
"""

import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, or_, select

from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Denied, Invalid, NotFound
from v6srv.model import AlgorithmStore, Collaboration
from v6srv.model.checks import require_fit
from v6srv.service import store_client
from v6srv.service.store_client import Visitor
from v6srv.vocabulary import Operation, Resource

_CHANGED = frozenset({"algorithm_stores"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the image of a task comes from."""

    image: str
    """With its digest, where the store knows one."""
    store_id: int | None
    """None: nobody answers for what the name stands for."""


def viewable(collaborations: AllowedRows) -> AllowedRows:
    """The stores of those collaborations, and those for all, by id."""
    ids = collaborations.select.with_only_columns(Collaboration.id).order_by(None)
    rows = select(AlgorithmStore).where(_is_of(AlgorithmStore.collaboration_id.in_(ids)))
    return AllowedRows(rows.order_by(AlgorithmStore.id), collaborations.parameters)


def of_collaboration(id: int) -> ColumnElement[bool]:
    """Of a store: it is for this collaboration, maybe because it is for all."""
    return _is_of(AlgorithmStore.collaboration_id == id)


def serving(collaboration_id: int) -> list[AlgorithmStore]:
    """The stores for this collaboration, those for all among them."""
    wanted = of_collaboration(collaboration_id)
    return list(session.scalars(select(AlgorithmStore).where(wanted).order_by(AlgorithmStore.id)))


def fetch(who: Principal, authz: Authorizer, id: int) -> AlgorithmStore:
    """The store with this id, for somebody who may view some collaboration.

    Raises Denied, and NotFound for those who may view all of them.
    """
    store = _find(id)
    if store is None:
        authz.require_whole(who, Resource.COLLABORATION, Operation.VIEW)
        raise NotFound(f"Algorithm store id={id} is not found!")
    if store.collaboration_id is not None:
        asked = Resource.COLLABORATION, Operation.VIEW
        authz.fetch(who, *asked, store.collaboration_id)
    return store


def register(
    who: Principal, authz: Authorizer, fields: Mapping[str, Any], visitor: Visitor
) -> AlgorithmStore:
    """Make a store known here, and this server known at the store. `fields` is an AlgorithmStoreIn.

    One for all collaborations takes the place of those of single ones with its address. Raises
    Denied, NotFound or Invalid, and what `store_client.introduce` does.
    """
    url, collaboration_id = fields["algorithm_store_url"], fields["collaboration_id"]
    _require_edit(who, authz, collaboration_id)
    _require_new(url, collaboration_id)
    if _is_here(urlsplit(url).hostname or "") and not fields["force"]:
        raise Invalid(
            "The algorithm store is on this machine, which may be another one for others: send "
            "force=true if that is meant"
        )
    store_client.introduce(url, visitor, force=fields["force"])
    _require_new(url, collaboration_id)  # that took its time
    if collaboration_id is None:
        for narrower in _with_url(url):
            session.delete(narrower)
    store = AlgorithmStore(name=fields["name"], url=url, collaboration_id=collaboration_id)
    session.add(store)
    return store


def change(
    who: Principal, authz: Authorizer, id: int, changes: Mapping[str, Any]
) -> AlgorithmStore:
    """Change the fields given; `collaboration_id` None: it is for all from now on.

    Raises Denied, NotFound or Invalid.
    """
    store = _to_change(who, authz, id)
    target = changes.get("collaboration_id", store.collaboration_id)
    if target != store.collaboration_id:
        _require_edit(who, authz, target)
        store.collaboration_id = target
    require_fit(store, changes)
    store.name = changes.get("name") or store.name
    return store


def remove(who: Principal, authz: Authorizer, id: int, visitor: Visitor) -> None:
    """Forget a store with all that have its address, and take this server out of it.

    Raises Denied or NotFound, and what `store_client.forget` does.
    """
    url = _to_change(who, authz, id).url
    for store in _with_url(url):
        _require_edit(who, authz, store.collaboration_id)
    with suppress(NotFound):  # a store that is gone has forgotten us
        store_client.forget(url, visitor)
    for store in _with_url(url):
        session.delete(store)


def origin(store_id: int, collaboration_id: int, image: str, visitor: Visitor) -> Origin:
    """Where an image comes from that somebody wants to run in a collaboration.

    To be asked before a task is written: a store may take its time. Raises Invalid for an unknown
    store or image, Denied for a store of another collaboration.
    """
    store = _find(store_id)
    if store is None:
        raise Invalid(f"Algorithm store id={store_id} is not found!")
    if store.collaboration_id not in (None, collaboration_id):
        raise Denied(f"Algorithm store id={store_id} is not for this collaboration")
    try:
        known = store_client.find(store.url, visitor, image)
    except (NotFound, Denied) as problem:
        raise Invalid(str(problem)) from problem
    if known.digest is None:
        return Origin(image, None)
    return Origin(f"{known.image}@{known.digest}", store_id)


# --- parts


def _is_here(host: str) -> bool:
    """Whether a host is this machine, or what only this machine reaches, however it is written."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001
        except OSError:
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified or address.is_link_local


def _is_of(own: ColumnElement[bool]) -> ColumnElement[bool]:
    return or_(AlgorithmStore.collaboration_id.is_(None), own)


def _find(id: int) -> AlgorithmStore | None:
    return session.get(AlgorithmStore, id) if id <= LARGEST_ID else None


def _with_url(url: str) -> list[AlgorithmStore]:
    return list(session.scalars(select(AlgorithmStore).where(AlgorithmStore.url == url)))


def _require_edit(who: Principal, authz: Authorizer, collaboration_id: int | None) -> None:
    asked = Resource.COLLABORATION, Operation.EDIT
    if collaboration_id is None:
        authz.require_whole(who, *asked, _CHANGED)
    else:
        authz.fetch(who, *asked, collaboration_id, changes=_CHANGED)


def _to_change(who: Principal, authz: Authorizer, id: int) -> AlgorithmStore:
    store = _find(id)
    _require_edit(who, authz, store.collaboration_id if store else None)
    if store is None:
        raise NotFound(f"Algorithm store id={id} is not found!")
    return store


def _require_new(url: str, collaboration_id: int | None) -> None:
    taken = {store.collaboration_id for store in _with_url(url)}
    if not taken.isdisjoint({None, collaboration_id}):
        raise Invalid("This algorithm store is already there")
