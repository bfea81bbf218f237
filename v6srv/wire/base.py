"""What all schemas share: unknown fields are ignored, null and times are read as 3.x sends them."""

import re
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing, pre_load, validate

from v6srv import names

MAX_ID = 2**31 - 1
"""Ids beyond this cannot exist; the databases would refuse to compare with them."""

MAX_TEXT = 10_000
"""Characters of a text, if nothing else is said."""
MAX_IMAGE = 500
"""Of the name of an image, which the databases look up: their indexes hold some 2,700 bytes."""

NOBODY = 0
"""The id of no row."""


class Input(Schema):
    """A request body or query: fields that are not declared have no effect (rest.md 1.1)."""

    class Meta:
        """Options of marshmallow."""

        unknown = EXCLUDE


class Changes(Input):
    """A PATCH body: null means "not given" (clients.md 1, H14), what is absent stays."""

    @pre_load
    def _drop_nulls(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


class Output(Schema):
    """An answer."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """As marshmallow's, of a row or a mapping: it would try each field in several ways."""
        return obj.get(attr, default) if isinstance(obj, dict) else getattr(obj, attr, default)

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        # As marshmallow's, which asks each field for each row again where its value is and how it
        # is called: a fifth of what a page of rows costs beside its statements.
        if many and obj is not None:
            return [self._serialize(one) for one in obj]
        if isinstance(obj, dict):
            return super()._serialize(obj)
        row = {}
        for name, field, attribute, key in self._places:
            value = getattr(obj, attribute, missing)
            if value is not missing:
                row[key] = field._serialize(value, name, obj)
                continue
            value = field.serialize(name, obj, self.get_attribute)
            if value is not missing:
                row[key] = value
        return row

    @cached_property
    def _places(self) -> list[tuple[str, fields.Field[Any], str, str]]:
        """Of each field its name, itself, the attribute of the rows, and the key of the answer."""
        return [
            (name, field, field.attribute or name, field.data_key or name)
            for name, field in self.dump_fields.items()
        ]


class Whole(fields.Integer):
    """A whole number, also as text in ASCII digits; 2.5 is an error and not 2."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        # Python reads more: 1_000, and the digits of every script.
        if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def id_field(**kwargs: Any) -> Whole:
    """The id of a row: 1 to MAX_ID."""
    return Whole(validate=validate.Range(1, MAX_ID), **kwargs)


class Ids(fields.List):
    """Ids of rows; a single id is taken for a list of one (rest.md 1.5)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(id_field(), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, (int, str)):
            value = [value]
        return super()._deserialize(value, attr, data, **kwargs)


class NumberFilter(Whole):
    """A number that the rows of a list must have, such as the id of a related row.

    One that no row can have (0, -1, 2**31) is no mistake of the caller: nothing has it. The web
    interface of 3.x asks for such ids on every page. It is loaded as NOBODY, which every database
    can compare with.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number if 0 < number <= MAX_ID else NOBODY


class Text(fields.String):
    """Text without the character that databases cannot store; numbers become text (rest.md 1.5)."""

    longest: int | None = MAX_TEXT
    """How many characters it may have; None: as many as the body."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        text = super()._deserialize(value, attr, data, **kwargs)
        if self.longest is not None and len(text) > self.longest:
            raise ValidationError(f"Longer than maximum length {self.longest}.")
        require(names.unstorable, text)
        return text


class Opaque(Text):
    """Text that the server keeps and hands on, of any size."""

    longest = None


def require(rule: names.Rule, text: str) -> None:
    """Raise ValidationError when a text breaks a rule."""
    fault = rule(text)
    if fault is not None:
        raise ValidationError(fault)


def ruled(table: str, column: str, **kwargs: Any) -> Text:
    """Text of a new row, for a column that has a rule.

    For the changes of a row the service asks the rules: what stays as it is needs not fit.
    """
    return Text(
        validate=partial(require, names.RULES[table][column]),
        metadata={"maxLength": names.MAX_LENGTH},
        **kwargs,
    )


class Timestamp(fields.Field[datetime]):
    """ISO 8601, with or without fraction and offset (Q-16); a naive time is taken as it is.

    Dumped with `+00:00`, microseconds only when they are not zero (rest.md 1.9).
    """

    default_error_messages = {"invalid": "Not a valid ISO 8601 time."}
    documented: dict[str, Any] = {"type": "string", "format": "date-time"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={**self.documented, **kwargs.pop("metadata", {})}, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).isoformat()

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            time = datetime.fromisoformat(value)
            return time if time.tzinfo is None else time.astimezone(UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.make_error("invalid") from error


class Flag(fields.Boolean):
    """A boolean as any client writes it: True, true, 1, "False", "0", "" (Q-11, Q-27)."""

    truthy = {True, "1", "true", "yes", "on"}
    falsy = {False, "0", "false", "no", "off", ""}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        lowered = value.lower() if isinstance(value, str) else value
        return super()._deserialize(lowered, attr, data, **kwargs)


class MessageOut(Output):
    """An answer that only says what was done."""

    msg = fields.String()


class Named(Input):
    """A body that names one row."""

    id = id_field(required=True)


class Dependents(Input):
    """The query of a deletion."""

    delete_dependents = Flag(
        load_default=False,
        metadata={"description": "Delete what hangs on it, too, instead of refusing"},
    )
