"""What an answer embeds: `include` in the query picks one of several schemas."""

from collections.abc import Mapping
from typing import TypeVar

from flask import request
from marshmallow import Schema

from v6srv.dialect import asked
from v6srv.vocabulary import V4

Variants = Mapping[str, type[Schema]]
"""Schemas by what they embed; `runs,results` embeds both."""

Chosen = TypeVar("Chosen")


def included() -> frozenset[str]:
    """What the request asks to embed. 4.x programs may name several at once, with commas."""
    values = request.args.getlist("include")
    if asked.current().dialect == V4:
        values = [name.strip() for value in values for name in value.split(",")]
    return frozenset(values)


def chosen(plain: Chosen, variants: Mapping[str, Chosen], include: frozenset[str]) -> Chosen:
    """The variant that embeds most of what is asked for."""
    fitting = [name for name in variants if include.issuperset(name.split(","))]
    return variants[max(fitting, key=len)] if fitting else plain
