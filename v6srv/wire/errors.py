"""Errors as 3.x clients read them, and the only place that knows a status for each.

The body is always a JSON object with a text `msg`: clients log it and die of anything else (H2).
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, jsonify, request
from marshmallow import ValidationError, fields
from werkzeug import Response
from werkzeug.exceptions import HTTPException

from v6srv import errors as domain
from v6srv import request_id
from v6srv.wire.base import Output

log = logging.getLogger(__name__)

UNEXPECTED = "An unexpected error occurred on the server!"

STATUSES: Mapping[type[domain.V6srvError], tuple[HTTPStatus, str]] = {
    domain.Invalid: (HTTPStatus.BAD_REQUEST, "invalid"),
    domain.Unauthenticated: (HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    domain.BadToken: (HTTPStatus.UNPROCESSABLE_ENTITY, "bad_token"),
    domain.Denied: (HTTPStatus.FORBIDDEN, "denied"),
    domain.NotFound: (HTTPStatus.NOT_FOUND, "not_found"),
    domain.Conflict: (HTTPStatus.CONFLICT, "conflict"),
    domain.TooManyRequests: (HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests"),
    domain.NotSupported: (HTTPStatus.NOT_IMPLEMENTED, "not_supported"),
    # The contract has 500 for a VPN portal that refuses, 503 for one that is not there.
    domain.Upstream: (HTTPStatus.INTERNAL_SERVER_ERROR, "upstream"),
    domain.Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
}
"""Status and machine word of each domain error."""


class ErrorOut(Output):
    """Every answer that is not a success."""

    msg = fields.String(required=True, metadata={"description": "What went wrong, for people"})
    code = fields.String(required=True, metadata={"description": "What went wrong, one word"})
    status = fields.Integer(required=True, metadata={"description": "The HTTP status"})
    errors = fields.Dict(
        required=True, metadata={"description": "What is wrong with each field; may be empty"}
    )
    message = fields.Raw(
        required=True, metadata={"description": "The same for readers of 3.x validation errors"}
    )
    request_id = fields.String(
        metadata={"description": "Finds the request in the server's log; also a header"}
    )
    decision_id = fields.String(
        metadata={
            "description": "With status 403, when the policies were asked: who may view the policy"
            " finds the decision by it at `/policy/decision/{id}`"
        }
    )
    reason = fields.String(
        metadata={
            "description": "With status 403: why, as far as the caller may know. Says nothing about"
            " the row, not even whether there is one"
        }
    )


def register(app: Flask) -> None:
    """Answer every error of the application with JSON.

    To be called after flask-smorest's `Api`, whose own handler this one replaces.
    """
    for kind in (HTTPException, Exception):  # the first has a handler of flask-smorest
        app.register_error_handler(kind, answer)


def answer(error: Exception) -> Response | HTTPException:
    """The answer to a request that ended with this error, or itself if it is an answer."""
    if isinstance(error, ValidationError):
        error = invalid(error.messages)
    if isinstance(error, domain.V6srvError):
        return _domain_error(error)
    return _http_error(error) if isinstance(error, HTTPException) else _unexpected(error)


def invalid(messages: Any) -> domain.Invalid:
    """Validation messages of marshmallow as a domain error; its text names the first bad field."""
    messages = messages if isinstance(messages, Mapping) else {"_schema": messages}
    where, what = _first(messages)
    return domain.Invalid(f"{where}: {what}" if where else what, _plain(messages))


# --- handlers


def _domain_error(error: domain.V6srvError) -> Response:
    status, code = next(
        (known for kind, known in STATUSES.items() if isinstance(error, kind)),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "internal"),
    )
    refusal = _refusal(getattr(error, "decision", None))
    answer = _answer(str(error), code, status, getattr(error, "errors", {}), refusal)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    if status is HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _http_error(error: HTTPException) -> Response | HTTPException:
    """What Flask itself refuses: unknown paths, methods, too large bodies."""
    if error.code is None or error.code < 400 or error.response is not None:
        return error  # a redirect, or an answer that somebody has made already
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer(UNEXPECTED, "internal", error.code)
    answer = _answer(
        error.description or error.name, error.name.lower().replace(" ", "_"), error.code
    )
    for name, value in error.get_headers(request.environ):
        if name not in ("Content-Type", "Content-Length"):
            answer.headers[name] = value  # for example Allow
    return answer


def _unexpected(error: Exception) -> Response:
    log.error("uncaught on %s %s", request.method, request.path, exc_info=error)
    return _answer(UNEXPECTED, "internal", HTTPStatus.INTERNAL_SERVER_ERROR)


def _refusal(decision: domain.Refusal | None) -> dict[str, str]:
    """What the caller may know of the decision that denied."""
    known = {"decision_id": decision.id, "reason": decision.told} if decision else {}
    return {name: value for name, value in known.items() if value}


def _answer(
    msg: str,
    code: str,
    status: int,
    errors: Mapping[str, Any] | None = None,
    more: Mapping[str, str] | None = None,
) -> Response:
    id = request_id.current()
    answer = jsonify(
        {
            "msg": msg,
            "code": code,
            "status": int(status),
            "errors": dict(errors or {}),
            "message": _as_3x(errors) if errors else msg,
            **({"request_id": id} if id else {}),
            **(more or {}),
        }
    )
    answer.status_code = int(status)
    return answer


# --- validation messages


def _first(messages: Any) -> tuple[str, str]:
    """Path and text of the first message, for example ("organizations.0.id", "Not a number.")."""
    path = []
    while not isinstance(messages, str):
        if isinstance(messages, Mapping) and messages:
            key, messages = next(iter(messages.items()))
            if key != "_schema":
                path.append(str(key))
        elif isinstance(messages, Sequence) and messages:
            messages = messages[0]
        else:
            messages = "Not valid."
    return ".".join(path), messages


def _plain(messages: Any) -> Any:
    """The same messages with text keys only, as JSON wants them."""
    if isinstance(messages, Mapping):
        return {str(key): _plain(value) for key, value in messages.items()}
    return messages


def _as_3x(errors: Mapping[str, Any]) -> dict[str, str]:
    """Only the first field, with one text (rest.md 1.5)."""
    name, messages = next(iter(errors.items()))
    return {name: _first(messages)[1]}
