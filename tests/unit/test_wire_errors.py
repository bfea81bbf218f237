"""Errors of all kinds become JSON objects with a text `msg` (H2, Q-07)."""

import pytest
from flask import Flask, abort
from marshmallow import ValidationError

from v6srv import errors as domain
from v6srv.wire import errors

KEYS = {"msg", "code", "status", "errors", "message"}


def answer_to(error):
    app = Flask("test")
    errors.register(app)

    @app.get("/")
    def _fail():
        raise error

    return app.test_client().get("/")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (domain.Invalid("x"), 400, "invalid"),
        (domain.Unauthenticated("x"), 401, "unauthenticated"),
        (domain.BadToken("x"), 422, "bad_token"),
        (domain.Denied("x"), 403, "denied"),
        (domain.NotFound("x"), 404, "not_found"),
        (domain.Conflict("x"), 409, "conflict"),
        (domain.TooManyRequests("x", 7), 429, "too_many_requests"),
        (domain.NotSupported("x"), 501, "not_supported"),
        (domain.Upstream("x"), 500, "upstream"),
        (domain.Unavailable("x"), 503, "unavailable"),
    ],
)
def test_every_domain_error_has_its_status_and_its_word(error, status, code):
    answer = answer_to(error)
    assert answer.status_code == status
    assert answer.json == {
        "msg": "x",
        "code": code,
        "status": status,
        "errors": {},
        "message": "x",
    }


def test_no_domain_error_is_forgotten():
    """Commands have errors of their own, which no request ends with."""
    known = {kind for kind in domain.V6srvError.__subclasses__() if ".cli." not in kind.__module__}
    assert set(errors.STATUSES) == known


def test_who_asks_too_often_learns_when_to_come_back():
    assert answer_to(domain.TooManyRequests("x", 7)).headers["Retry-After"] == "7"


def test_fields_are_named():
    answer = answer_to(domain.Invalid("name: bad", {"name": ["bad", "too"], "id": ["worse"]}))
    assert answer.json["errors"] == {"name": ["bad", "too"], "id": ["worse"]}
    assert answer.json["message"] == {"name": "bad"}  # as 3.x had it


def test_a_bug_is_logged_and_not_told(caplog):
    answer = answer_to(RuntimeError("the password is 1234"))
    assert answer.status_code == 500
    assert set(answer.json) == KEYS
    assert "1234" not in answer.text
    assert "RuntimeError: the password is 1234" in caplog.text


def test_a_validation_error_that_nobody_caught_is_a_bad_request():
    answer = answer_to(ValidationError({"name": ["Not text."]}))
    assert (answer.status_code, answer.json["msg"]) == (400, "name: Not text.")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ({"name": ["Missing."]}, "name: Missing."),
        ({"organizations": {0: {"id": ["Bad."]}}}, "organizations.0.id: Bad."),
        ({"_schema": ["Invalid input type."]}, "Invalid input type."),
        (["Invalid."], "Invalid."),
        ({}, "Not valid."),
    ],
)
def test_the_message_names_the_first_bad_field(messages, text):
    assert str(errors.invalid(messages)) == text


def test_numbers_of_list_items_become_text():
    found = errors.invalid({"organizations": {0: {"id": ["Bad."]}}})
    assert found.errors == {"organizations": {"0": {"id": ["Bad."]}}}


def test_an_unknown_path_is_json_too():
    app = Flask("test")
    errors.register(app)
    answer = app.test_client().get("/nowhere")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_wrong_method_says_which_are_right():
    app = Flask("test")
    errors.register(app)
    app.add_url_rule("/", view_func=lambda: "", methods=["GET"])
    answer = app.test_client().post("/")
    assert answer.status_code == 405
    assert set(answer.json) == KEYS
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("status", [400, 413, 415, 418])
def test_whatever_flask_refuses_is_json(status):
    app = Flask("test")
    errors.register(app)
    app.add_url_rule("/", view_func=lambda: abort(status))
    answer = app.test_client().get("/")
    assert answer.status_code == status
    assert set(answer.json) == KEYS
    assert isinstance(answer.json["msg"], str)


def test_a_redirect_stays_a_redirect():
    app = Flask("test")
    errors.register(app)
    app.add_url_rule("/folder/", view_func=lambda: "")
    assert app.test_client().get("/folder").status_code == 308
