"""Work beside the requests that fails: one line, and a problem until it succeeds."""

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from tests.realtime.conftest import Audience
from tests.support import Caller
from tests.world import World
from v6srv import problems
from v6srv.errors import Unavailable
from v6srv.realtime.background import Background

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


class _Work:
    """A step that fails as long as it is told to."""

    error: Exception | None = None

    def _one_step(self) -> None:
        if self.error is not None:
            raise self.error


def _attempt(app: Flask, work: _Work, *errors: Exception | None) -> list[bool]:
    background = Background(app, app.extensions["socketio"])
    done = []
    for work.error in errors:
        done.append(background.attempt(work._one_step))
    return done


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("the portal is away"), "the portal is away"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OperationalError("SELECT 1", {}, Exception("server closed\nthe connection")), "server"),
    ],
)
def test_a_known_cause_is_one_line_and_a_problem_until_it_is_over(
    app: Flask, caplog: pytest.LogCaptureFixture, error: Exception, reason: str
) -> None:
    work = _Work()
    assert _attempt(app, work, error, error) == [False, False]
    [line] = caplog.messages
    assert line.startswith("background work fails: Work one step (")
    assert reason in line
    assert "SELECT" not in line
    assert "\n" not in line
    assert "Traceback" not in caplog.text
    assert problems.standing() == ["background work fails: Work one step"]
    assert _attempt(app, work, None, None) == [True, True]
    assert caplog.messages[1:] == ["over: background work fails: Work one step"]
    assert problems.standing() == []


def test_a_mistake_of_the_program_leaves_one_traceback(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    _attempt(app, _Work(), *[KeyError("lost")] * 3, None)
    assert caplog.text.count("Traceback") == 1
    assert "in _one_step" in caplog.text


@pytest.mark.parametrize(
    ("error", "traces"),
    [(OperationalError("SELECT 1", {}, Exception("gone")), 0), (KeyError("lost"), 1)],
    ids=["database", "mistake"],
)
def test_a_socket_that_cannot_be_seated_is_told_so_and_leaves_one_line(
    app: Flask,
    world: World,
    listen: Audience,
    call: Caller,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    traces: int,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("v6srv.realtime.check_in.principals.load_all", fail)
    ear = listen.stranger("viewer").connect(call.token("viewer"))
    assert "cannot accept sockets now" in str(ear.wait_refused())
    [line] = [one for one in caplog.messages if "could not be connected" in one]
    assert ("gone" in line) is (traces == 0)
    assert caplog.text.count("Traceback") == traces
