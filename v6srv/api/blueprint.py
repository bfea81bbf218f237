"""Blueprints whose bodies and queries are parsed as the contract wants, refusals documented."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, NoReturn

import flask_smorest
from flask import Request, Response, current_app, jsonify
from marshmallow import Schema, ValidationError
from webargs.core import is_json
from webargs.flaskparser import FlaskParser

from v6srv.api.including import Variants, chosen, included
from v6srv.authz.unit_of_work import settle
from v6srv.errors import Invalid
from v6srv.wire.errors import ErrorOut, invalid

DEEPEST = 100
"""Objects and lists of a body within each other: what is stored of one is written again."""


class Parser(FlaskParser):
    """Bad input is Invalid, whatever is wrong with it. A JSON body is an object."""

    DEFAULT_VALIDATION_STATUS = HTTPStatus.BAD_REQUEST.value

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The object in the body. Raises Invalid when there is none."""
        if not is_json(req.mimetype):
            raise Invalid("The body must be JSON, with Content-Type: application/json")
        try:
            body = current_app.json.loads(req.get_data())
        except (ValueError, RecursionError) as error:
            raise Invalid("The body is not valid JSON") from error
        if not isinstance(body, dict):
            raise Invalid("The body must be a JSON object")
        for name, value in body.items():
            _refuse_deep(name, value)
        _refuse_misplaced(req, schema)
        return body

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Raise Invalid. webargs puts the messages of the schema under the location."""
        [messages] = error.messages_dict.values()
        raise invalid(messages) from error


class Blueprint(flask_smorest.Blueprint):
    """The blueprint of one resource."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks += [_keep_parameters, _document_refusals, self._tag]

    def _tag(self, doc: dict[str, Any], doc_info: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The documents of all dialects call it by one name, whatever Flask's tables do."""
        doc_info.setdefault("manual_doc", {})["tags"] = [self.name]
        return doc

    def arguments(self, schema: Any, **kwargs: Any) -> Callable[..., Any]:
        """Hand the parsed body (or query, by `location`) to the view as its first argument."""
        # One instance for all requests: making a schema costs more than most parsing.
        return super().arguments(schema() if isinstance(schema, type) else schema, **kwargs)

    def response(self, status_code: Any, schema: Any = None, **kwargs: Any) -> Callable[..., Any]:
        """Answer with what the view returns, as it stands once it is decided."""
        answer = super().response(status_code, schema, **kwargs)

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(view)
            def decided(*args: Any, **kwargs: Any) -> Any:
                found = view(*args, **kwargs)
                settle()
                return found

            return answer(decided)  # type: ignore[no-any-return]

        return decorate

    def embedding(self, schema: type[Schema], variants: Variants) -> Callable[..., Any]:
        """Answer with the row that the view returns.

        `variants` names other schemas for values of `include`.
        """
        plain, others = schema(), {name: other() for name, other in variants.items()}
        content = {"application/json": {"schema": {"anyOf": [plain, *others.values()]}}}
        answer = {"description": HTTPStatus.OK.phrase, "content": content}

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            @self.doc(responses={HTTPStatus.OK.value: answer})
            @wraps(view)
            def shown(*args: Any, **kwargs: Any) -> Response:
                row = view(*args, **kwargs)
                return jsonify(chosen(plain, others, included()).dump(row))

            return shown

        return decorate


def _refuse_deep(name: str, value: Any) -> None:
    """Raise Invalid for what is nested too deeply; without recursion, whatever is sent."""
    level = [value]
    for _ in range(DEEPEST):
        level = [one for each in level if isinstance(each, (dict, list)) for one in _inner(each)]
        if not level:
            return
    problem = f"Nested more than {DEEPEST} levels deep."
    raise Invalid(f"{name}: {problem}", {name: [problem]})


def _inner(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _refuse_misplaced(req: Request, schema: Schema) -> None:
    """Raise Invalid for a field of the body that is in the URL, as 3.x took it in places.

    It would have no effect, and the default would count instead. In URLs it is in every log, too.
    """
    for name in req.args:
        if name in schema.fields:
            problem = "Belongs into the body, not into the URL."
            raise Invalid(f"{name}: {problem}", {name: [problem]})


def _keep_parameters(doc: dict[str, Any], doc_info: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Parameters that are documented by hand come on top of those of a query schema."""
    manual = doc_info.get("manual_doc", {})
    declared = doc.get("parameters", [])
    if declared and "parameters" in manual:
        known = {name for one in declared for name in one["schema"].fields}
        manual["parameters"] = declared + [
            one for one in manual["parameters"] if one["name"] not in known
        ]
    return doc


def _document_refusals(
    doc: dict[str, Any], doc_info: dict[str, Any], *, method: str, **_: Any
) -> dict[str, Any]:
    """Every refusal that the guard, the parser or the view can answer with."""
    responses = doc.setdefault("responses", {})
    responses.pop("default", None)
    for status in _refusals(doc_info, method):
        if not isinstance(responses.get(status.value), dict):
            responses[status.value] = {
                "description": status.phrase,
                "content": {"application/json": {"schema": ErrorOut}},
            }
    return doc


def _refusals(doc_info: Mapping[str, Any], method: str) -> list[HTTPStatus]:
    refusals = [
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ]
    if "security" not in doc_info.get("manual_doc", {}):
        refusals.append(HTTPStatus.TOO_MANY_REQUESTS)
    if method != "get":
        refusals += [HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
    return refusals
