"""Links as 3.x clients read them: `{"id", "link", "methods"}` (rest.md 1.6)."""

from collections.abc import Iterable
from typing import Any

from marshmallow import fields

METHODS: dict[str, list[str]] = {
    "node": ["GET", "PATCH", "DELETE"],
    "collaboration": ["GET", "PATCH", "DELETE"],
    "user": ["GET", "PATCH", "DELETE"],
    "role": ["GET", "PATCH", "DELETE"],
    "organization": ["GET", "PATCH"],
    "result": ["GET", "PATCH"],
    "task": ["GET", "DELETE"],
    "rule": ["GET"],
    "port": ["GET"],
}
"""The verbs of each by-id path."""

_base = {"path": "/api"}


def configure(api_path: str) -> None:
    """Set the base path of all links, for example `/api`."""
    _base["path"] = api_path


def path(resource: str, id: int | None = None) -> str:
    """The path of a row, or of the list when `id` is None."""
    return f"{_base['path']}/{resource}" if id is None else f"{_base['path']}/{resource}/{id}"


def link(resource: str, id: int | None) -> dict[str, Any] | None:
    """One link, or None for no row."""
    if id is None:
        return None
    return {"id": id, "link": f"{_base['path']}/{resource}/{id}", "methods": METHODS[resource]}


def links(resource: str, ids: Iterable[int]) -> list[dict[str, Any]] | None:
    """Links to several rows. 3.x clients read null, not [], when there are none."""
    base, methods = f"{_base['path']}/{resource}/", METHODS[resource]
    return [{"id": id, "link": f"{base}{id}", "methods": methods} for id in ids] or None


_DOCUMENTED = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "link": {"type": "string"},
        "methods": {"type": "array", "items": {"type": "string"}},
    },
}


class ToOne(fields.Field[Any]):
    """Dump the id in `attribute` as a link, None as null."""

    documented: dict[str, Any] = _DOCUMENTED

    def __init__(self, resource: str, **kwargs: Any) -> None:
        super().__init__(dump_only=True, allow_none=True, metadata=self.documented, **kwargs)
        self.resource = resource

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return link(self.resource, value)


class ToMany(ToOne):
    """Dump the list of ids in `attribute` as links, no ids as null."""

    documented = {"type": "array", "items": _DOCUMENTED}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return links(self.resource, value)
