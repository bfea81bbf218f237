"""Links as clients read them: `{"id", "link", "methods"}` (rest.md 1.6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from marshmallow import fields

from v6srv.dialect import asked

METHODS: Mapping[str, list[str]] = {
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
"""The verbs of each by-id path of 3.x."""

_SOME = 918273645546372819
"""An id that no row and no path has."""


def path(resource: str, id: int | None = None) -> str:
    """The path of a row, or of the list when `id` is None, under the base path of the request."""
    base = asked.current().base
    return f"{base}/{resource}" if id is None else f"{base}/{resource}/{id}"


def link(
    resource: str, id: int | None, methods: Mapping[str, list[str]] = METHODS
) -> dict[str, Any] | None:
    """One link, or None for no row."""
    if id is None:
        return None
    return {"id": id, "link": path(resource, id), "methods": methods[resource]}


class Links(Sequence[dict[str, Any]]):
    """Links to several rows, made when they are looked at: an answer can have tens of thousands."""

    __slots__ = ("_ids", "_resource")

    def __init__(self, resource: str, ids: Sequence[int]) -> None:
        self._resource, self._ids = resource, ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: Any) -> Any:
        found = self._ids[index]
        if isinstance(index, slice):
            return Links(self._resource, found)
        return link(self._resource, found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def json(self) -> str:
        """The same as JSON text, without making an object for each."""
        one = orjson.dumps(link(self._resource, _SOME)).decode()
        start, middle, end = one.split(str(_SOME))
        written = [f"{start}{id}{middle}{id}{end}" for id in self._ids]
        return f"[{','.join(written)}]"


def links(resource: str, ids: Sequence[int] | None) -> Links | None:
    """Links to several rows. 3.x clients read null, not [], when there are none."""
    return Links(resource, ids) if ids else None


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
    methods: Mapping[str, list[str]] = METHODS

    def __init__(self, resource: str, **kwargs: Any) -> None:
        super().__init__(dump_only=True, allow_none=True, metadata=self.documented, **kwargs)
        self.resource = resource

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return link(self.resource, value, self.methods)


class ToMany(ToOne):
    """Dump the list of ids in `attribute` as links, no ids as null."""

    documented = {"type": "array", "items": _DOCUMENTED}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return links(self.resource, value)


class Numbers(fields.List[int]):
    """Dump the list of ids in `attribute` as it is, no ids as an empty list."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fields.Integer(), dump_only=True, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return list(value or ())
