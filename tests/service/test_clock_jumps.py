"""The clock of the database is wrong for a while, and is set right."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.support import Caller
from tests.world import PASSWORD, World
from v6srv import db, problems
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import Base, UtcDateTime, session, utcnow
from v6srv.identity import one_time
from v6srv.model import (
    Account,
    Mail,
    OneTimePassword,
    Outbox,
    ServerProcess,
    SocketConnection,
    User,
)
from v6srv.realtime.server import _KEY
from v6srv.service import clock_jumps, mail_queue, presence, retention
from v6srv.service.clock_jumps import OF_THE_PAST, Clock

DAY = timedelta(days=1)
SOON = timedelta(seconds=5)

MAY_BE_LATER = {
    *("casbin_rule.valid_from", "casbin_rule.valid_until"),
    # Nothing waits for these: history, and what nodes report of their own clocks.
    *("casbin_rule.created_at", "policy_version.created_at", "task.created_at", "task.cleanup_at"),
    *("result.assigned_at", "result.started_at", "result.finished_at"),
}


def test_of_every_time_it_is_known_whether_it_can_be_in_the_future() -> None:
    times = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, UtcDateTime)
    }
    known = {f"{stored.class_.__table__.name}.{stored.key}" for stored in OF_THE_PAST}
    assert times == known | MAY_BE_LATER
    assert not known & MAY_BE_LATER
    assert OF_THE_PAST[OneTimePassword.ends_at] == one_time.ONE_TIME_S


@pytest.fixture
def tomorrow(app: Flask, world: World) -> None:
    """What was noted while the clock was a day ahead: a lock, a mail, a node, an event."""
    later = utcnow() + DAY
    with app.app_context(), as_server(ServerWrite.COMMAND), db.transaction() as sess:
        values = {"last_login_attempt": later, "blocked_mail_at": later}
        locked = update(User.__table__).where(User.__table__.c.id == world.user.viewer)
        sess.execute(locked.values(failed_login_attempts=5, **values))
        sess.execute(update(Account.__table__).values(last_seen=later))
        account, process = world.node.north_registry, "gone"
        sess.add(SocketConnection(sid="x", account_id=account, process=process, seen_at=later))
        digests = {"key_digest": "", "policy_digest": ""}
        sess.add(ServerProcess(process=process, seen_at=later, **digests))
        mail = {"kind": "blocked", "user_id": world.user.viewer, "details": {}}
        sess.add(Mail(created_at=later, due_at=later, **mail))
        sess.add(Outbox(created_at=later, process=process, event="x", payload={}, rooms=[]))


def test_what_was_noted_for_tomorrow_was_now(app: Flask, world: World, tomorrow: None) -> None:
    with app.app_context():
        assert mail_queue.take() is None
        Clock().look()
        for stored in OF_THE_PAST:
            for value in session.scalars(select(stored).where(stored.is_not(None))):
                assert value <= utcnow() + SOON, stored
        blocked = session.get_one(User, world.user.viewer)
        assert 0 < blocked.minutes_blocked(5, 15) <= 15
        assert blocked.minutes_blocked(5, 15, utcnow() + timedelta(minutes=16)) == 0
        assert mail_queue.take() is not None
        assert presence.stale_sockets(-SOON.total_seconds()) == ["x"]


def test_what_may_wait_and_small_differences_stay(app: Flask, world: World) -> None:
    soon, later = utcnow() + timedelta(seconds=30), utcnow() + timedelta(minutes=14)
    seen = select(Account.last_seen).where(Account.id == world.user.viewer)
    with app.app_context():
        with as_server(ServerWrite.COMMAND), db.transaction() as sess:
            account = Account.__table__
            sess.execute(update(account).values(last_seen=soon))
            sess.add(Mail(kind="blocked", user_id=world.user.viewer, details={}, due_at=later))
        Clock().look()
        assert session.scalar(seen) == soon
        assert session.scalar(select(Mail.due_at)) == later


class Wrong:
    """A clock of the database and a true one, both moved by a test."""

    def __init__(self) -> None:
        self.true, self.ahead = 0.0, timedelta()
        self.began = utcnow()

    def said(self, moment: float) -> Any:
        return self.began + timedelta(seconds=moment) + self.ahead

    def monotonic(self) -> float:
        return self.true


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Wrong:
    wrong = Wrong()
    monkeypatch.setattr(clock_jumps, "by_the_database", wrong.said)
    monkeypatch.setattr(clock_jumps.time, "monotonic", wrong.monotonic)
    return wrong


@pytest.fixture
def empties(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Whether the loop that deletes data for its age does so now."""
    done: list[bool] = []
    monkeypatch.setattr(retention, "empty_due", lambda *_: done.append(True))

    def run() -> bool:
        done.clear()
        with app.app_context():
            app.extensions[_KEY]._empty_tasks()
        return bool(done)

    return run


SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_deletes_nothing_until_it_is_right(
    wrong: Wrong, empties: Callable[[], bool], days: int, backend: str
) -> None:
    assert empties()
    wrong.true += 600
    wrong.ahead = timedelta(days=days)
    for _ in range(3):
        wrong.true += 300
        assert not empties()
        assert problems.standing() == ["the clock has jumped: data is not deleted for its age"]
    wrong.ahead = timedelta(minutes=1)
    assert empties()
    assert not problems.standing()


@SQLITE
def test_a_clock_that_stays_so_for_a_day_was_set_right(
    wrong: Wrong, empties: Callable[[], bool], backend: str
) -> None:
    """That of a machine that started with a wrong one."""
    assert empties()
    wrong.ahead = timedelta(days=400)
    assert not empties()
    wrong.true += 23 * 3600
    assert not empties()
    wrong.true += 2 * 3600
    assert empties()
    assert not problems.standing()
    wrong.ahead = timedelta()
    assert not empties()


@SQLITE
def test_failed_logins_of_tomorrow_do_not_count_today(
    call: Caller, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import limits.storage.memory as counted

    from v6srv.identity import rate_limit

    def log_in(password: str) -> int:
        body = {"username": "researcher", "password": password}
        return call(None, "POST", "/token/user", json=body).status_code

    real, ahead = counted.time.time, DAY.total_seconds()
    assert rate_limit.time is counted.time
    with monkeypatch.context() as forward:
        forward.setattr(counted.time, "time", lambda: real() + ahead)
        statuses = [log_in("Wr0ng-Pass!") for _ in range(30)]
        assert statuses[-1] == 429
    with call.app.app_context(), as_server(ServerWrite.COMMAND), db.transaction() as sess:
        sess.execute(update(User.__table__).values(failed_login_attempts=0))
    assert log_in(PASSWORD) == 200
