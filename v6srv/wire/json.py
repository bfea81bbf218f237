"""JSON as fast as it gets: lists of thousands of tasks are ordinary answers here."""

from typing import Any

import orjson
from flask.json.provider import JSONProvider

from v6srv.wire.links import Links


def _rendered(obj: Any) -> orjson.Fragment:
    """What orjson does not know: links write themselves."""
    if isinstance(obj, Links):
        return orjson.Fragment(obj.json())
    raise TypeError(f"{type(obj).__name__} has no form in JSON")


class OrjsonProvider(JSONProvider):
    """Reads and writes JSON with orjson: strict, and bounded in depth."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Text of an object."""
        return orjson.dumps(obj, _rendered).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Object of a text; raises ValueError for what is not JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """An answer of one object, with its length and never chunked (H16)."""
        body = orjson.dumps(self._prepare_response_obj(args, kwargs), _rendered)
        return self._app.response_class(body, mimetype="application/json")
