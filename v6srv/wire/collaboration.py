"""What both dialects say of collaborations in the same words."""

from v6srv.wire.base import Flag, Input, NumberFilter, Text

MAX_MEMBERS = 10_000


class CollaborationQuery(Input):
    """Filters of the list; `name` is matched with the wildcards `%` and `_`."""

    name = Text()
    encrypted = Flag()
    organization_id = NumberFilter()
