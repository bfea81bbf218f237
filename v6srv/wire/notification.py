"""Notifications: where somebody is told that tasks of his or her own have ended."""

from marshmallow import fields

from v6srv.wire.base import Input, Output, Text, Timestamp


class NotificationIn(Input):
    """One more."""

    url = Text(
        metadata={"description": "Of a program; without it the address of the account gets a mail"}
    )


class NotificationOut(Output):
    """Where somebody is told."""

    id = fields.Integer(required=True)
    url = fields.String(
        allow_none=True, metadata={"description": "Of a program; null: it is told by mail"}
    )
    created_at = Timestamp()
    undelivered = fields.Integer(
        metadata={"description": "Requests to this program that failed, and are tried again"}
    )


class NewNotificationOut(NotificationOut):
    """One that was made."""

    secret = fields.String(
        metadata={"description": "Shown only now: requests to the program are signed with it"}
    )
