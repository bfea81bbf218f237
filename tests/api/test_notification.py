"""/user/<id>/notification: where users are told that their tasks have ended, for programs."""

import hmac
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.api.test_policy_line_rest import add, line
from tests.programs import Program, allow, listening
from tests.support import Caller
from tests.world import World
from v6srv.identity import notifications

DONE = {"status": "completed", "result": "e30=", "finished_at": "2026-11-24T10:00:00"}
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def path(world: World) -> str:
    return f"/user/{world.user.researcher}/notification"


@pytest.fixture
def program(app: Flask) -> Iterator[Program]:
    allow(app)
    with listening() as made:
        yield made


def test_they_are_made_listed_and_removed(call: Caller, path: str, program: Program) -> None:
    assert call("researcher", "GET", path).json == []
    mail = call("researcher", "POST", path, json={})
    assert mail.status_code == 201
    assert (mail.json["url"], mail.json.get("secret")) == (None, None)
    assert call("researcher", "POST", path, json={}).json["id"] == mail.json["id"], "once is enough"
    made = call("researcher", "POST", path, json={"url": program.url})
    assert made.status_code == 201
    assert re.fullmatch("[0-9a-f]{64}", made.json["secret"])
    listed = call("researcher", "GET", path).json
    assert [(one["id"], one["url"], one["undelivered"]) for one in listed] == [
        (mail.json["id"], None, 0),
        (made.json["id"], program.url, 0),
    ]
    assert not any("secret" in one for one in listed)
    assert call("researcher", "DELETE", f"{path}/{mail.json['id']}").status_code == 200
    assert [one["id"] for one in call("researcher", "GET", path).json] == [made.json["id"]]


@SQLITE
def test_what_is_sent_is_signed_with_the_secret(
    app: Flask, call: Caller, world: World, path: str, program: Program
) -> None:
    secret = call("researcher", "POST", path, json={"url": program.url}).json["secret"]

    def undelivered() -> int:
        [one] = call("researcher", "GET", path).json
        return int(one["undelivered"])

    program.status = 500
    for name in ("north", "south"):
        run = f"/result/{world.result['running', name]}"
        assert call(f"{name}_registry", "PATCH", run, json=DONE).status_code == 200
    with app.app_context():
        notifications.send_due()
    assert undelivered() == 1
    [(headers, body)] = program.got
    signature = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["V6srv-Signature"])
    assert signature is not None
    signed = f"{signature[1]}.{body}".encode()
    assert signature[2] == hmac.new(secret.encode(), signed, "sha256").hexdigest()


@SQLITE
def test_they_are_for_whom_a_line_lets_edit_the_user(
    call: Caller, world: World, path: str, program: Program
) -> None:
    id = call("researcher", "POST", path, json={"url": program.url}).json["id"]
    for who in ("viewer", "west_researcher", "north_registry", "container", "nobody"):
        for method, at in (("GET", path), ("POST", path), ("DELETE", f"{path}/{id}")):
            assert call(who, method, at, json={}).status_code == 403, (who, method)
    assert [one["id"] for one in call("root", "GET", path).json] == [id]
    own = f"/user/{world.user.viewer}/notification"
    assert call("viewer", "GET", own).json == []
    assert call("viewer", "DELETE", f"{own}/{id}").status_code == 404, "of another user"


@SQLITE
def test_a_line_of_the_policy_forbids_them(call: Caller, path: str, program: Program) -> None:
    condition = "'notifications' in r.sub.changes"
    add(call, line("kind:user", "user", "edit", condition))
    assert call("researcher", "POST", path, json={"url": program.url}).status_code == 403


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://elsewhere.example/", 400),
        ("https://elsewhere.example/", 400),
        ("no address", 400),
        (7, 400),
        ("https://127.0.0.1\u0000", 400),
    ],
)
@SQLITE
@pytest.mark.usefixtures("program")
def test_addresses_that_are_not_called_are_refused(
    call: Caller, path: str, url: object, status: int
) -> None:
    refused = call("researcher", "POST", path, json={"url": url})
    assert refused.status_code == status
    assert isinstance(refused.json["msg"], str)
    assert call("researcher", "GET", path).json == []
