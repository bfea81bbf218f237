"""What both dialects say of ports in the same words."""

from marshmallow import validate

from v6srv.wire.base import Changes, Text, Whole

MAX_PORT = 65535


class OpenedPort(Changes):
    """A port that a running algorithm has opened."""

    port = Whole(required=True, validate=validate.Range(1, MAX_PORT))
    label = Text(load_default=None, allow_none=True)
