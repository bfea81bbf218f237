"""Run a Select that the guard has cut, one page at a time.

3.x gets all rows as a bare list unless it asks for pages or the envelope (rest.md 1.7); 4.x always
gets a page in an envelope, of ten rows unless it says how many, and may sort.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, current_app, jsonify, request
from flask_smorest.utils import deepupdate
from marshmallow import Schema
from sqlalchemy import Select, inspect
from sqlalchemy.types import NullType

from v6srv.api.including import Variants, chosen, included
from v6srv.authz.allowed_rows import AllowedRows
from v6srv.db import JsonArray
from v6srv.dialect.middleware import ASKED_PATH
from v6srv.errors import Invalid
from v6srv.identity.current import claims
from v6srv.model.result import TEXTS
from v6srv.vocabulary import V3, V4, PrincipalKind
from v6srv.wire.base import Flag

View = TypeVar("View", bound=Callable[..., Any])

PER_PAGE = 10
METADATA = "metadata"
_FLAG = Flag()
_LARGEST = 2**31 - 1
_LONGEST_LINK = 4096
"""Bytes of the header: proxies and clients refuse answers with longer ones."""

_PAGE = {
    "in": "query",
    "name": "page",
    "schema": {"type": "integer", "minimum": 1, "maximum": _LARGEST},
    "description": "Page number; without it all rows are one page",
}
_SIZE = {
    "in": "query",
    "name": "per_page",
    "schema": {"type": "integer", "minimum": 1, "maximum": _LARGEST},
    "description": f"Rows per page, {PER_PAGE} unless told; only with `page`",
}
_PARAMETERS = {
    V3: [
        _PAGE,
        _SIZE,
        {
            "in": "query",
            "name": "include",
            "schema": {"type": "array", "items": {"type": "string"}},
            "description": f"`{METADATA}`: wrap the list as `{{data, links}}`",
        },
    ],
    V4: [
        {**_PAGE, "description": "Page number, 1 unless told"},
        {
            **_SIZE,
            "description": f"Rows per page, {PER_PAGE} unless told; nodes and algorithms get all",
        },
        {
            "in": "query",
            "name": "sort",
            "schema": {"type": "string"},
            "description": "Fields with commas between them, each with `-` before it to reverse",
        },
    ],
}


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list are asked for."""

    number: int | None
    """From 1; None for all rows."""
    size: int
    total: int

    @property
    def last(self) -> int:
        """Number of the last page, 0 when there are no rows."""
        if self.number is None:
            return 1 if self.total else 0
        return -(-self.total // self.size)


def paged(
    schema: type[Schema],
    variants: Variants | None = None,
    show: Callable[[list[Any]], list[Any]] = list,
    dialect: int = V3,
    bare_to: frozenset[PrincipalKind] = frozenset(),
    whole: str | None = None,
) -> Callable[[View], View]:
    """Answer with the rows of the Select or AllowedRows that the view returns.

    `variants` names other schemas for values of `include`; `show` makes of rows what the schema
    dumps, where that is not the rows themselves. In 4.x: `bare_to` names kinds of callers that read
    a bare list all the same, `whole` a flag in the query that asks for all rows at once. Headers
    `total-count` and, unless it is too long, `Link` are set.
    """
    plain = schema(many=True)
    others = {name: other(many=True) for name, other in (variants or {}).items()}
    ask = {V3: _asked_by_3, V4: _asked_by_4}[dialect]

    def decorate(view: View) -> View:
        @wraps(view)
        def listed(*args: Any, **kwargs: Any) -> Response:
            include = included()
            number, size = ask()
            if whole and _FLAG.deserialize(request.args.get(whole, "")):
                number = None
            rows = _sorted(view(*args, **kwargs), plain) if dialect == V4 else view(*args, **kwargs)
            rows, page = run(rows, number, min(size, current_app.config["MAX_PER_PAGE"]))
            data = chosen(plain, others, include).dump(show(rows))
            links = _links(page)
            wrapped = METADATA in include or (dialect == V4 and claims().kind not in bare_to)
            answer = jsonify({"data": data, "links": links} if wrapped else data)
            answer.headers["total-count"] = str(page.total)
            link = ",".join(f"<{url}>; rel={rel}" for rel, url in links.items())
            if len(link) <= _LONGEST_LINK:  # they are in the envelope as well
                answer.headers["Link"] = link
            return answer

        documented = {**getattr(listed, "_apidoc", {})}
        documented["manual_doc"] = deepupdate(
            documented.get("manual_doc", {}),
            _documented(dialect, schema, variants, bare=bool(bare_to)),
        )
        listed._apidoc = documented  # type: ignore[attr-defined]
        return listed  # type: ignore[return-value]

    return decorate


def _documented(
    dialect: int, schema: type[Schema], variants: Variants | None, *, bare: bool
) -> dict[str, Any]:
    """Parameters, and every form the answer can take: a list, or the list with links around it."""
    lists = [{"type": "array", "items": one} for one in (schema, *(variants or {}).values())]
    wrapped = {
        "type": "object",
        "required": ["data", "links"],
        "properties": {
            "data": lists[0] if len(lists) == 1 else {"anyOf": lists},
            "links": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    answer = {"anyOf": [*lists, wrapped]} if dialect == V3 or bare else wrapped
    return {
        "parameters": _PARAMETERS[dialect],
        "responses": {
            "200": {
                "description": "The rows you may view",
                "content": {"application/json": {"schema": answer}},
            }
        },
    }


def _asked_by_3() -> tuple[int | None, int]:
    """Number and size of the page; no number: all rows."""
    return asked_for("page"), asked_for("per_page") or PER_PAGE


def _asked_by_4() -> tuple[int | None, int]:
    """As `_asked_by_3`. Programs that page through runs while these end would miss some, so nodes
    and algorithms, which never say how many, get all there are at once."""
    size = asked_for("per_page")
    if size is None and claims().kind is not PrincipalKind.USER:
        size = _LARGEST
    return asked_for("page") or 1, size or PER_PAGE


def _sorted(rows: AllowedRows | Select[Any], schema: Schema) -> AllowedRows | Select[Any]:
    """By the columns that `sort` names, of those that the answer shows. Raises Invalid."""
    text = request.args.get("sort", "")
    if not text:
        return rows
    select = rows.select if isinstance(rows, AllowedRows) else rows
    entity = select.column_descriptions[0]["entity"]
    columns = inspect(entity).column_attrs
    order: dict[str, Any] = {}
    for word in text.split(","):
        name = word.strip().removeprefix("-")
        if name in order:  # it decides nothing any more, and may cost much for each row
            continue
        field = schema.fields.get(name)
        column = field and columns.get(field.attribute or name)
        # What is put together for each reader, or of several rows, is in no order; and what may be
        # large is not compared, row by row.
        known = column is not None and not any(column.class_attribute is each for each in TEXTS)
        if not known or isinstance(column.columns[0].type, (JsonArray, NullType)):
            raise Invalid(f"Cannot sort by '{name}'", {"sort": [f"No column '{name}'."]})
        attribute = column.class_attribute
        order[name] = attribute.desc() if word.strip().startswith("-") else attribute
    return rows.order_by(None).order_by(*order.values(), entity.id)


def asked_for(name: str) -> int | None:
    """A query parameter that is a number from 1; None when it is missing or empty."""
    text = request.args.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= _LARGEST):
        raise Invalid(
            f"{name} must be a whole number from 1", {name: ["Not a whole number from 1."]}
        )
    return int(text)


def run(rows: AllowedRows | Select[Any], number: int | None, size: int) -> tuple[list[Any], Page]:
    """The rows of this page, and which page it is; no number: all rows."""
    if not isinstance(rows, AllowedRows):
        rows = AllowedRows(rows, {})
    if number is None:
        found = rows.read()
        return found, Page(None, max(len(found), 1), len(found))
    found, total = rows.page((number - 1) * size, size)
    return found, Page(number, size, total)


def _links(page: Page) -> dict[str, str]:
    number = page.number or 1
    before, after = _around_the_number()
    links = {"first": 1}
    if number > 1:
        links["previous"] = number - 1
    links["self"] = number
    if number < page.last:
        links["next"] = number + 1
    if page.last:
        links["last"] = page.last
    return {rel: f"{before}{number}{after}" for rel, number in links.items()}


def _around_the_number() -> tuple[str, str]:
    """This request's path and query, what is before and after the number of the page; all other
    values stay (Q-14)."""
    asked = request.args
    values = [(name, value) for name, value in asked.items(multi=True) if name != "page"]
    names = list(asked)
    at = names.index("page") if "page" in names else len(values)
    before, after = urlencode([*values[:at], ("page", "")]), urlencode(values[at:])
    path = request.environ.get(ASKED_PATH, request.path)
    return f"{path}?{before}", f"&{after}" if after else ""
