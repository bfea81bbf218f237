"""What bodies with names, passwords and tokens share."""

from collections.abc import Mapping
from typing import Any

from v6srv.errors import Invalid
from v6srv.wire.base import Text

MAX_LENGTH = 4096
"""Of one credential, in characters: far more than any password, code or token has."""


class Credential(Text):
    """Text that has to be text: a number is not taken for a password."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > MAX_LENGTH:
            raise self.make_error("invalid")
        return text


def need(body: Mapping[str, Any], message: str, *names: str) -> None:
    """Raise Invalid with `message` unless the body has a value, not empty, for every name."""
    missing = [name for name in names if not body.get(name)]
    if missing:
        raise Invalid(message, {name: [message] for name in missing})
