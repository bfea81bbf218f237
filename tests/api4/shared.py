"""What the tests of 4.x endpoints have in common."""

from typing import Any

from werkzeug.test import TestResponse

LINK = {"id", "link", "methods"}


def data(answer: TestResponse) -> list[dict[str, Any]]:
    """The rows of a list, which is in an envelope always."""
    assert answer.status_code == 200, answer.json
    assert answer.json.keys() == {"data", "links"}
    rows: list[dict[str, Any]] = answer.json["data"]
    return rows


def names(answer: TestResponse) -> list[str]:
    """The names in a list, sorted."""
    return sorted(row["name"] for row in data(answer))


def refused(answer: TestResponse, *fields: str) -> str:
    """The text of a refusal of these fields, as 4.x programs read it (F11)."""
    assert answer.status_code == 400, answer.json
    assert answer.json["errors"].keys() == {*fields}
    for texts in answer.json["errors"].values():
        assert all(isinstance(text, str) for text in texts)
    text = answer.json["msg"]
    assert isinstance(text, str)
    return text
