"""Bodies, queries and answers of `/algorithmstore` (rest.md 3.10 of 4.x)."""

import re
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

from v6srv.wire.base import Changes, Flag, Input, NumberFilter, Output, Text, Whole, id_field, ruled
from v6srv.wire.v4.base import ListUrl

_PLAIN = re.compile(r"(?:(?![?#@\\])[!-~])+")
"""What may be in an address: it is sent in a header, too."""


class Url(Text):
    """An address of another server, up to its base path: what is asked there follows after it.

    Nothing that ends a path, and no credentials, which everybody could read.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs).strip().rstrip("/")
        try:
            known = urlsplit(text)
            complete = known.scheme in ("http", "https") and known.hostname and known.port != 0
        except ValueError:
            complete = False
        if not complete or not _PLAIN.fullmatch(text):
            raise ValidationError(
                "Must be an address that begins with http:// or https://, without user, query and"
                " fragment."
            )
        return text


class Collaboration(Whole):
    """The id of a collaboration. The client of 4.15 sends a list of one when it makes a store."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


class AlgorithmStoreIn(Changes):
    """A store; without a collaboration it is for all of them."""

    name = ruled("algorithmstore", "name", required=True)
    algorithm_store_url = Url(required=True)
    collaboration_id = Collaboration(load_default=None)
    server_url = Url(load_default=None)
    force = Flag(load_default=False)


class AlgorithmStorePatch(Input):
    """The fields to change. Without a collaboration, null, it is for all of them."""

    name = Text(allow_none=True)
    collaboration_id = id_field(allow_none=True)


class AlgorithmStoreQuery(Input):
    """Filters of the list; texts are matched with the wildcards `%` and `_`."""

    name = Text()
    url = Text()
    collaboration_id = NumberFilter()


class AlgorithmStoreRemoval(Input):
    """Where the store knows this server."""

    server_url = Url(load_default=None)


class _Collaborations(ListUrl):
    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if obj.collaboration_id is None:
            return None
        return super()._serialize(value, attr, obj, **kwargs)


class AlgorithmStoreOut(Output):
    """A store; `collaborations` is null when it is for all."""

    id = fields.Integer(required=True)
    name = fields.String()
    url = fields.String()
    collaborations = _Collaborations("collaboration", "algorithm_store_id", allow_none=True)
