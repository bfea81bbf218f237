"""Bodies, queries and answers of `/policy/line`: lines of the policy that admins add."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from v6srv.wire.base import Changes, Input, Output, Text, Timestamp

MAX_COMMENT = 10_000

_TIME = "ISO 8601, to the second; UTC if no offset is given"
_FROM = {"description": f"The line counts from this moment on. {_TIME}"}
_UNTIL = {
    "description": f"The line counts until just before this moment. {_TIME}. A day without a time"
    " is counted to its end"
}


class Word(Text):
    """One field of a line, without blanks around it, as in a file."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(1, 255), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs).strip()
        if not text.isprintable():
            raise ValidationError("A line break or another character that does not print.")
        return text


def _described(text: str) -> dict[str, str]:
    return {"description": text}


class PolicyLinePatch(Input):
    """The fields to change; the rest stay. Null takes a time limit or the comment away."""

    subject = Word(
        metadata=_described(
            "role:<name>, role:<id> of a custom role, rule:<id>, user:<id>, node:<id>, org:<id> or"
            " kind:<user|node|container>"
        )
    )
    resource = Word(metadata=_described("A resource, or * for all"))
    scope = Word(metadata=_described("own, organization, collaboration or global"))
    operation = Word(metadata=_described("view, create, edit, delete, or * for all"))
    condition = Word(metadata=_described("What has to be true besides, over facts; True if none"))
    effect = Word(metadata=_described("allow or deny; a denial beats every allowance"))
    member = Word(metadata=_described("Lines `g` only: who is in the role; a subject"))
    role = Word(metadata=_described("Lines `g` only: the role"))
    valid_from = Text(allow_none=True, metadata=_FROM)
    valid_until = Text(allow_none=True, metadata=_UNTIL)
    comment = Text(allow_none=True, validate=validate.Length(max=MAX_COMMENT))


class PolicyLineIn(Changes, PolicyLinePatch):
    """A new line.

    `p` needs subject, resource, scope, operation and effect; `g` needs member and role.
    """

    ptype = fields.String(
        load_default="p",
        validate=validate.OneOf(["p", "g"]),
        metadata=_described("`p` grants or denies, `g` puts a member into a role"),
    )


class PolicyLineQuery(Input):
    """Filters of the list. `subject` also finds the member of `g` lines."""

    ptype = Text()
    subject = Text()
    resource = Text()
    scope = Text()
    operation = Text()
    effect = Text()
    role = Text(metadata=_described("The role of `g` lines"))
    author = Text()


class PolicyLineOut(Output):
    """A line that was added. Fields that lines of its type do not have are null."""

    id = fields.Integer()
    origin = fields.String(metadata=_described("What logs and explanations call the line"))
    ptype = fields.String(allow_none=True)
    subject = fields.String(allow_none=True)
    resource = fields.String(allow_none=True)
    scope = fields.String(allow_none=True)
    operation = fields.String(allow_none=True)
    condition = fields.String(allow_none=True)
    effect = fields.String(allow_none=True)
    member = fields.String(allow_none=True)
    role = fields.String(allow_none=True)
    line = fields.String(metadata=_described("The same as a file would hold it"))
    valid_from = Timestamp(allow_none=True)
    valid_until = Timestamp(allow_none=True)
    in_force = fields.Boolean(
        metadata=_described(
            "Whether it counts now: within its time limits, and not left out as invalid"
        )
    )
    comment = fields.String(allow_none=True)
    author = fields.String(allow_none=True, metadata=_described("Who wrote it last"))
    created_at = Timestamp(allow_none=True)


__all__ = ["PolicyLineIn", "PolicyLineOut", "PolicyLinePatch", "PolicyLineQuery"]
