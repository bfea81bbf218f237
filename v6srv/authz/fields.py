"""What an edit of a row can change, in the words of bodies: the names in `r.sub.changes`."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.orm.interfaces import MANYTOONE

from v6srv.authz.definition import EDGE_WORDS, POLICY_WORDS
from v6srv.db import Base
from v6srv.model import CasbinRule, Collaboration, Node, Result, Role, Study, User

SILENT = frozenset(
    {"username_key", "email_key", "token_version", "kept_session", "author", "created_at", "type"}
)
"""Columns that follow from others: that they change is an edit, but names no field."""

LINE_COLUMNS = ("v0", "v1", "v2", "v3", "v4", "v5")
"""Columns of a policy line whose words depend on the model (`Definition.words`)."""

_SPOKEN: Mapping[tuple[type[Base], str], str | None] = {
    (Collaboration, "organizations"): "organization_ids",
    (Study, "organizations"): "organization_ids",
    (User, "roles"): "roles",
    (User, "rules"): "rules",
    (Role, "rules"): "rules",
    (Node, "config"): "config",
    (Node, "key_digest"): "api_key",
    (Result, "collaboration_id"): None,
}
"""Relations that are a field of their owner's row, and attributes with another name, or none."""


@lru_cache(1024)
def field_of(model: type[Base], attribute: str) -> str | None:
    """The field that an attribute of a row is; None when it is none, such as rows that refer to it.

    A reference to one row is the column that holds its id.
    """
    if (model, attribute) in _SPOKEN:
        return _SPOKEN[model, attribute]
    mapper = inspect(model)
    if attribute in mapper.columns:
        return attribute.lstrip("_") if isinstance(mapper.columns[attribute], Column) else None
    prop = mapper.attrs[attribute]
    if isinstance(prop, RelationshipProperty) and prop.direction is MANYTOONE:
        [column] = prop.local_columns
        return column.key
    return None


def asked_to_change(row: Base, body: Mapping[str, Any], line: Sequence[str]) -> frozenset[str]:
    """The fields of a row that a body asks to change, as far as it differs from the row.

    Nothing of the body has been checked yet. Null means "not given". `line`: what the fields of a
    policy line are called.
    """
    model = type(row)
    given = field_names(model) & body.keys()
    return frozenset(f for f in given if body[f] is not None and not _has(row, f, body[f], line))


def _has(row: Base, field: str, value: Any, line: Sequence[str]) -> bool:
    model = type(row)
    if isinstance(row, CasbinRule) and field in line:
        return bool(dict(zip(line, row.values, strict=False)).get(field) == value)
    spoken = {field: attribute for (owner, attribute), field in _SPOKEN.items() if owner is model}
    held = getattr(row, spoken.get(field, field), None)
    if not isinstance(held, list):
        return bool(held == value)
    numbers = isinstance(value, list) and all(isinstance(one, int) for one in value)
    return numbers and {one.id for one in held} == set(value)


@lru_cache(64)
def field_names(model: type[Base]) -> frozenset[str]:
    """The names that `r.sub.changes` can hold for a row of this table."""
    # Not `attrs` of the mapper: it works out all joins first, which commands need not wait for.
    columns = (key for key, one in inspect(model).columns.items() if not one.primary_key)
    found = {field_of(model, key) for key in columns if key not in SILENT}
    found |= {field for (owner, _), field in _SPOKEN.items() if owner is model}
    if model is User:
        found |= {"sessions", "notifications"}
    if model is Collaboration:
        found |= {"node_ids", "algorithm_stores"}
    if model is CasbinRule:
        found = found.difference(LINE_COLUMNS).union(POLICY_WORDS, EDGE_WORDS)
    return frozenset(field for field in found if field)
