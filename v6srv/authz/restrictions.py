"""Who may send tasks to a node, by what it shares (ADR 10), as SQL.

All is compared as text (Q-54). Digits are an id, whatever users and organizations are called. Names
of organizations are not unique, and anybody who may edit one can give it the name of another: a
name that several organizations have lets none of them in.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, String, and_, cast, exists, func, or_

from v6srv.model import Node, NodeConfig, Organization, Result, Task, User
from v6srv.model.node import ALLOWED_ORGS, ALLOWED_USERS, RESTRICTIONS

# Aliases of our own: a list may join the same tables, and must not be mistaken for these.
_result = Result.__table__.alias("restricted_result")
_node = Node.__table__.alias("restricted_node")
_any = NodeConfig.__table__.alias("restriction")
_one = NodeConfig.__table__.alias("restriction_met")
_user = User.__table__.alias("restricted_user")
_organization = Organization.__table__.alias("restricted_organization")
_other = Organization.__table__.alias("restricted_namesake")


def refused_users(user_ids: Any) -> ColumnElement[bool]:
    """Whether a node that a task is addressed to takes no tasks of one of these users."""
    addressed = (
        _result.c.task_id == Task.id,
        _node.c.organization_id == _result.c.organization_id,
        _node.c.collaboration_id == Task.collaboration_id,
    )
    restricts = _is_there((_any,), _any.c.node_id == _node.c.id, _any.c.key.in_(RESTRICTIONS))
    refuses = _is_there((_result, _node), *addressed, restricts, ~_names_the_user())
    return _is_there((_user,), _user.c.id.in_(user_ids), refuses)


def _names_the_user() -> ColumnElement[bool]:
    user = and_(_one.c.key == ALLOWED_USERS, or_(_is_id(_user.c.id), _is_name(_user.c.username)))
    organization = and_(
        _one.c.key == ALLOWED_ORGS, or_(_is_id(_user.c.organization_id), _names_the_organization())
    )
    return _is_there((_one,), _one.c.node_id == _node.c.id, or_(user, organization))


def _names_the_organization() -> ColumnElement[bool]:
    own = _organization.c.id == _user.c.organization_id
    is_namesake = _other.c.name == _organization.c.name, _other.c.id != _organization.c.id
    is_alone = ~_is_there((_other,), *is_namesake)
    return _is_there((_organization,), own, _is_name(_organization.c.name), is_alone)


def _is_there(
    tables: Sequence[FromClause], *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Rows of these tables are there, for a row of each table around them."""
    return exists().where(*conditions).correlate_except(*tables)


def _is_id(id: ColumnElement[int]) -> ColumnElement[bool]:
    return _one.c.value == cast(id, String)


def _is_name(name: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(_one.c.value == name, func.ltrim(name, "0123456789") != "")
