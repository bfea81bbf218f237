"""The names of the columns of a database, where nodes share them; else a task that reads them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Denied
from v6srv.model import Node, NodeConfig, Task
from v6srv.service import tasks
from v6srv.vocabulary import V4, Operation, Resource

TASK_NAME = "get_column_names"
_SHARED = "columns_"
"""Nodes share columns under this, followed by the label of the database."""


def shared(
    who: Principal, authz: Authorizer, collaboration_id: int, label: str
) -> list[str] | None:
    """The columns that the first node of a collaboration shares, of those that `who` may view.

    None when none of them shares any. Raises Denied or NotFound when `who` may not view the
    collaboration.
    """
    authz.fetch(who, Resource.COLLABORATION, Operation.VIEW, collaboration_id)
    try:
        nodes = authz.allowed_rows(who, Resource.NODE)
    except Denied:
        return None
    nodes = nodes.where(Node.collaboration_id == collaboration_id)
    is_shared = and_(NodeConfig.key == f"{_SHARED}{label}", NodeConfig.value.is_not(None))
    of_node = and_(NodeConfig.node_id == Node.id, NodeConfig.live, is_shared)
    first = nodes.where(select(NodeConfig.id).where(of_node).exists()).select.limit(1)
    node = session.scalars(first, nodes.parameters).first()
    if node is None:
        return None
    of_first = select(NodeConfig.value).where(NodeConfig.node_id == node.id, NodeConfig.live)
    return [
        str(value) for value in session.scalars(of_first.where(is_shared).order_by(NodeConfig.id))
    ]


def read(who: Principal, authz: Authorizer, order: Mapping[str, Any], image: str) -> Task:
    """A task that reads them: nodes of 4.x know this image. Raises as `tasks.start` does."""
    kept = {name: order[name] for name in ("query", "sheet_name") if name in order}
    task = {
        "name": TASK_NAME,
        "description": "",
        "image": image,
        "collaboration_id": order["collaboration_id"],
        "organizations": order["organizations"],
        "databases": [(order["db_label"], kept)],
        "keep_days": None,
    }
    return tasks.start(who, authz, task, dialect=V4)
