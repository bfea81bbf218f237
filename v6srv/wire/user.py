"""What both dialects say of users in the same words."""

from marshmallow import fields

from v6srv.wire.base import Changes, Ids, Input, NumberFilter, Text, Timestamp


class UserPatch(Changes):
    """The fields to change. `roles` and `rules` replace the whole set."""

    username = Text()
    firstname = Text()
    lastname = Text()
    email = Text()
    password = fields.Raw()
    """Refused: `/password/change` is for that."""
    roles = Ids()
    rules = Ids()


class UserQuery(Input):
    """Filters of the list; names are matched with the wildcards `%` and `_`."""

    username = Text()
    firstname = Text()
    lastname = Text()
    email = Text()
    organization_id = NumberFilter()
    role_id = NumberFilter()
    rule_id = NumberFilter()
    last_seen_from = Timestamp()
    last_seen_till = Timestamp()
