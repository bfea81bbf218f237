"""Whoever asks gets an id back that finds the request in the log, the decisions and the errors."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.databases import Databases
from tests.realtime.conftest import eventually, serving
from tests.realtime.ears import Ear
from tests.support import Caller, open_app
from tests.world import World
from v6srv import request_id
from v6srv.cli.log_lines import Text
from v6srv.cli.main import cli
from v6srv.policy.audit import trail

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

ID = "req-1.2_3~4:5/6+7=8@9"


@pytest.fixture
def house(databases: Databases, tmp_path: Path, backend: str) -> Iterator[tuple[Caller, World]]:
    """An application that writes every decision, to a log of its own."""
    settings: dict[str, Any] = {"decision_log": {"sample": 1}, "directories": {"log": tmp_path}}
    with open_app(databases, backend, with_world=True, **settings) as (app, world):
        assert world is not None
        yield Caller(app), world


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        (None, "GET", "/version", 200),
        (None, "GET", "/task", 401),
        ("nobody", "GET", "/task", 403),
        ("north_registry", "GET", "/user", 403),
        ("root", "GET", "/task/999999", 404),
        ("root", "GET", "/nowhere", 404),
        ("root", "PUT", "/version", 405),
        ("root", "POST", "/role", 400),
        ("root", "GET", "/task?per_page=x", 400),
        (None, "OPTIONS", "/task", 200),
        ("root", "HEAD", "/task", 200),
    ],
)
def test_every_answer_bears_the_id(
    house: tuple[Caller, World], who: str | None, method: str, path: str, status: int
) -> None:
    call, _ = house
    answer = call(who, method, path, headers={"X-Request-ID": ID})
    assert answer.status_code == status
    assert answer.headers.getlist("X-Request-ID") == [ID]
    if status >= 400:
        assert answer.json["request_id"] == ID


def test_a_bug_is_found_by_the_id_of_the_answer(
    house: tuple[Caller, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    call, _ = house
    view = call.app.view_functions["server.Health"].view_class
    monkeypatch.setattr(view, "get", lambda _self: 1 / 0)
    with _lines() as lines:
        answer = call(None, "GET", "/health")
    assert answer.status_code == 500
    [line] = [line for line in lines if "uncaught on GET /api/health" in line]
    first, *trace = line.splitlines()
    assert first.endswith(f"request_id={answer.json['request_id']}")
    assert trace[-1] == "    ZeroDivisionError: division by zero"
    assert answer.headers["X-Request-ID"] == answer.json["request_id"]


def test_a_body_that_is_too_large(house: tuple[Caller, World]) -> None:
    call, _ = house
    call.app.config["MAX_CONTENT_LENGTH"] = 10
    answer = call("root", "POST", "/organization", json={"name": "x" * 20})
    assert answer.status_code == 413
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "sent", ["", " ", "a b", "x" * 129, "ÿ", "a,b", 'a"b', "a;b", "<a>", "%0aforged", "-\t-"]
)
def test_an_id_that_is_not_safe_everywhere_is_replaced(
    house: tuple[Caller, World], sent: str
) -> None:
    call, _ = house
    answers = [call(None, "GET", "/version", headers={"X-Request-ID": sent}) for _ in range(2)]
    made_up = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(made_up) == 2
    assert sent not in made_up
    assert all(request_id.accepted(id) == id for id in made_up)


def test_the_longest_id_is_taken(house: tuple[Caller, World]) -> None:
    call, _ = house
    id = "x" * 128
    assert call(None, "GET", "/version", headers={"X-Request-ID": id}).headers["X-Request-ID"] == id


def test_scripts_of_other_origins_may_read_it(house: tuple[Caller, World]) -> None:
    call, _ = house
    answer = call(None, "GET", "/nowhere", headers={"Origin": "https://ui.example"})
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


def test_after_the_request_nothing_has_its_id(house: tuple[Caller, World]) -> None:
    call, _ = house
    call(None, "GET", "/version")
    assert request_id.current() is None


# --- decisions


def test_all_decisions_of_a_request_are_found_by_its_id(
    house: tuple[Caller, World], tmp_path: Path
) -> None:
    call, world = house
    changed = {"firstname": "New"}
    path = f"/user/{world.user.viewer}"
    assert (
        call("org_admin", "PATCH", path, json=changed, headers={"X-Request-ID": ID}).status_code
        == 200
    )
    denied = call("viewer", "GET", f"/task/{world.task.waiting}")
    series = call.app.extensions["authz"].decisions.series
    of_one = list(trail.query(series.files(), trail.Wanted(request_id=ID)))
    assert [record["operation"] for record in of_one] == ["edit", "edit"]  # before and after
    [other] = trail.query(series.files(), trail.Wanted(request_id=denied.json["request_id"]))
    assert other["id"] == denied.json["decision_id"]
    assert not trail.verify_series(series).faults

    files = [str(file) for file in series.files()]
    shown = CliRunner().invoke(cli, ["audit", "query", "--request-id", ID, *files])
    assert shown.output.count(f"request_id={ID}") == len(shown.output.splitlines()) == 2
    looked_up = call("root", "GET", f"/policy/decision/{other['id']}").json
    assert looked_up["request_id"] == denied.json["request_id"]


def test_decisions_that_no_request_asked_for_have_none(house: tuple[Caller, World]) -> None:
    from v6srv.identity import principals
    from v6srv.vocabulary import Operation, Resource

    call, world = house
    authz = call.app.extensions["authz"]
    with call.app.app_context():
        viewer = principals.named(f"user:{world.user.viewer}").principal
        authz.require_any(viewer, Resource.TASK, Operation.VIEW)
    [record] = trail.forwards(authz.decisions.series.files())
    assert "request_id" not in record


# --- sockets


def test_what_a_socket_says_is_logged_with_its_id(house: tuple[Caller, World]) -> None:
    call, _ = house
    with serving(call.app) as url, _lines() as lines:
        ear = Ear(url, "viewer").connect(call.token("viewer"))
        ear.wait("connect")
        ear.say("message", "first")
        ear.say("message", "second\n2026-01-01 forged")
        eventually(lambda: sum("message from account" in line for line in lines), 2)
        sid = ear.client.get_sid("/tasks")
        ear.close()
    said = [line for line in lines if "message from account" in line]
    assert all(line.endswith(f"request_id={sid}") for line in said)
    assert not any("\n" in line for line in said)
    series = call.app.extensions["authz"].decisions.series
    rooms = list(trail.query(series.files(), trail.Wanted(request_id=sid)))
    assert {record["question"] for record in rooms} == {"thing"}


# --- lines for requests


def test_a_line_for_each_request_for_who_wants_them(
    house: tuple[Caller, World], caplog: pytest.LogCaptureFixture
) -> None:
    call, _ = house
    call(None, "GET", "/version")
    assert not [one for one in caplog.records if one.name == "v6srv.access"]
    with caplog.at_level(logging.DEBUG, logger="v6srv.access"):
        call(None, "GET", "/task", query={"secret": "SECRET"})
    [line] = [one.getMessage() for one in caplog.records if one.name == "v6srv.access"]
    assert line.startswith("127.0.0.1 GET /api/task 401 ")
    assert "SECRET" not in line


class _lines(logging.Handler):
    """`with _lines() as lines:` collects what is logged, as the server writes it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(Text("%(levelname)s %(message)s", "%H"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def __enter__(self) -> list[str]:
        root = logging.getLogger()
        self._before = root.level
        root.setLevel(logging.INFO)
        root.addHandler(self)
        return self.lines

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
        logging.getLogger().setLevel(self._before)
