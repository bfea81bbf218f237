"""Mails are rows until they are sent: when they are written, who sends them, and what goes wrong."""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import select, update

from tests.api.test_recover import NEW
from tests.api.test_token import LOGIN, WRONG, Outbox
from tests.support import send_mails
from tests.unit.test_mail import Inbox, smtp
from tests.world import PASSWORD
from v6srv import db, problems
from v6srv.identity import mail_delivery
from v6srv.model import Mail, User
from v6srv.service import mail_queue
from v6srv.service.mail import Mailer, NotSent

__all__ = ["smtp"]

LOST = ("POST", "/recover/lost")
AWAY = "mails are not sent: the mail server cannot be used"


@pytest.fixture
def rows(app):
    """The mails that wait."""

    def read():
        with app.app_context():
            return list(db.session.scalars(select(Mail).order_by(Mail.id)))

    return read


@pytest.fixture
def now_due(app):
    """Let the time pass that a mail has to wait, and more if `ago_s` is given."""

    def change(ago_s=0.0):
        with app.app_context(), db.writing():
            db.session.execute(
                update(Mail).values(
                    due_at=db.database_now(), created_at=db.database_now(ago_s=ago_s)
                )
            )
            db.session.commit()

    return change


@pytest.fixture
def mailing(app, monkeypatch):
    """A mail server of the test: `mailing(error)` lets every mail fail, `mailing()` sends it."""
    tried = []

    def configure(error=None):
        def send(kind, to, values):
            tried.append((kind, to, values))
            if error is not None:
                raise error

        monkeypatch.setattr(app.extensions["mailer"], "send", send)
        return tried

    yield configure
    problems.end(mail_delivery._PROBLEM)


def ask(call, name="viewer"):
    assert call(None, *LOST, json={"username": name}).status_code == 200


def test_a_mail_is_a_row_of_the_transaction_that_causes_it_and_holds_no_secret(
    call, world, app, rows
):
    ask(call)
    for _ in range(6):
        call(None, "POST", "/token/user", json=WRONG)
    recovery, blocked = rows()
    assert (recovery.kind, recovery.user_id, recovery.details) == (
        "password_reset",
        world.user.viewer,
        {},
    )
    assert (blocked.kind, blocked.user_id) == ("blocked", world.user.viewer)
    assert set(blocked.details) == {"attempts", "address", "time", "minutes"}
    outbox = Outbox(app)
    assert [(kind, to) for kind, to, _ in outbox] == [
        ("password_reset", "viewer@north.example"),
        ("blocked", "viewer@north.example"),
    ]
    reset = {"reset_token": outbox[0][2]["token"], "password": NEW}
    assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
    assert [mail.kind for mail in rows()] == ["password_changed"]


def test_what_is_rolled_back_sends_no_mail(app, world, rows):
    with app.app_context(), db.writing():
        mail_queue.put("blocked", world.user.viewer)
        db.session.flush()
        db.session.rollback()
    assert rows() == []


def test_for_an_account_that_there_is_not_as_much_is_written_and_nothing_stays(
    call, world, rows, count_queries, app
):
    work = []
    for name in ("viewer", "stranger"):
        ask(call, name)
        with count_queries() as statements:
            ask(call, name)
        work.append(sum(text.startswith("INSERT INTO mail") for text in statements))
    assert work == [1, 1]
    assert {mail.user_id for mail in rows()} == {world.user.viewer}


def test_no_transaction_is_open_while_a_mail_is_sent(call, world, app, monkeypatch):
    held = []
    pool = db.session.get_bind().pool
    monkeypatch.setattr(app.extensions["mailer"], "send", lambda *_: held.append(pool.checkedout()))
    ask(call)
    send_mails(app)
    assert held == [0]


def test_mails_of_who_has_no_address_any_more_are_dropped(call, world, app, rows, mailing):
    tried = mailing()
    ask(call)
    ask(call, "researcher")
    assert call("root", "DELETE", f"/user/{world.user.researcher}").status_code == 200
    with app.app_context(), db.writing():
        db.session.get(User, world.user.viewer).email = None
        db.session.commit()
    send_mails(app)
    assert tried == []
    assert rows() == []


def test_a_server_that_is_away_is_a_problem_until_it_takes_a_mail(
    call, world, app, rows, mailing, now_due, caplog
):
    caplog.set_level(logging.INFO)
    tried = mailing(NotSent("[Errno 111] Connection refused", away=True))
    for name in ("viewer", "researcher", "org_admin"):
        ask(call, name)
    send_mails(app)
    assert len(tried) == 1  # the others would fail as well, each after its time-out
    assert AWAY in problems.standing()
    assert call(None, "GET", "/health").json["problems"] == [AWAY]
    send_mails(app)
    send_mails(app)
    send_mails(app)
    assert len(tried) == 3  # each waits now
    assert caplog.text.count(AWAY) == 1
    assert "Connection refused" in caplog.text
    mailing()
    send_mails(app)
    assert len(rows()) == 3
    now_due()
    send_mails(app)
    assert rows() == []
    assert AWAY not in problems.standing()
    assert "viewer@north.example" not in caplog.text


def test_the_problem_is_over_when_another_process_has_sent_what_this_one_could_not(
    call, world, app, mailing
):
    mailing(NotSent("refused", away=True))
    ask(call)
    send_mails(app)
    assert AWAY in problems.standing()
    with app.app_context(), db.writing():
        db.session.delete(db.session.scalars(select(Mail)).one())
        db.session.commit()
    send_mails(app)
    assert AWAY not in problems.standing()


def test_attempts_wait_longer_each_time_and_end_after_a_day(
    call, world, app, rows, mailing, now_due, caplog
):
    tried = mailing(NotSent("it is refused (451)"))
    ask(call)
    waits = []
    for attempt in range(1, 8):
        send_mails(app)
        assert len(tried) == attempt
        [mail] = rows()
        assert mail.attempts == attempt
        waits.append((mail.due_at - db.utcnow()).total_seconds())
        now_due()
    assert 0 < waits[0] <= 5
    assert waits[:5] == sorted(waits[:5])
    assert all(800 < wait_s <= 900 for wait_s in waits[5:])
    now_due(ago_s=25 * 3600)
    send_mails(app)
    assert rows() == []
    assert f"a mail (password_reset) to user {world.user.viewer} is given up" in caplog.text
    assert "@" not in caplog.text


def test_mails_that_are_taken_by_nobody_are_a_problem_before_they_are_given_up(
    call, world, mailing, now_due
):
    """The server is there, and says of each mail that it should come later."""
    late = "mails wait for more than half an hour"
    mailing(NotSent("it is refused (451)"))
    ask(call)
    send_mails(call.app)
    assert problems.standing() == []
    now_due(ago_s=1801)
    send_mails(call.app)
    assert call(None, "GET", "/health").json["problems"] == [late]
    mailing()
    now_due(ago_s=1801)
    send_mails(call.app)
    assert problems.standing() == []


def test_one_mail_that_is_refused_holds_up_no_other(call, world, app, rows, smtp, caplog):
    inbox = Inbox()

    async def handle_RCPT(server, session, envelope, address, options):
        if address.startswith("viewer"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    inbox.handle_RCPT = handle_RCPT
    settings = app.config["SETTINGS"]
    local = {"server": "127.0.0.1", "port": smtp(inbox), "MAIL_USE_TLS": False}
    app.extensions["mailer"] = Mailer(
        settings.model_copy(update={"smtp": settings.smtp.model_copy(update=local)})
    )
    ask(call)
    ask(call, "researcher")
    send_mails(app)
    assert [envelope.rcpt_tos for envelope, _ in inbox.mails] == [["researcher@north.example"]]
    assert rows() == []
    assert "the recipient is refused (550)" in caplog.text
    mine = [record for record in caplog.records if record.name.startswith("v6srv")]
    assert mine
    assert not any("viewer@" in record.getMessage() for record in mine)


def test_several_processes_send_each_mail_once(call, world, app, rows, monkeypatch):
    """Threads with sessions of their own, as processes have; each stays in its first mail."""
    sent, all_inside = [], Event()

    def send(kind, to, values):
        sent.append(to)
        if len(sent) >= 3:
            all_inside.set()
        assert all_inside.wait(20)

    monkeypatch.setattr(app.extensions["mailer"], "send", send)
    for name in ("viewer", "researcher", "org_admin"):
        ask(call, name)
    with ThreadPoolExecutor(3) as processes:
        list(processes.map(send_mails, [app] * 3))
    assert len(sent) == len(set(sent)) == 3
    assert rows() == []


def test_a_mail_of_a_process_that_died_is_sent_by_another_later(
    call, world, app, rows, mailing, now_due
):
    tried = mailing()
    ask(call)
    with app.app_context():
        assert mail_queue.take().kind == "password_reset"  # and nothing more is heard of it
    send_mails(app)
    assert tried == []
    now_due()
    send_mails(app)
    assert len(tried) == 1
    assert rows() == []


def test_a_second_factor_mail_is_written_after_the_password_was_right(call, world, app, rows):
    for password in (PASSWORD, WRONG["password"]):
        call(None, "POST", "/recover/2fa/lost", json={**LOGIN, "password": password})
    assert [mail.kind for mail in rows()] == ["second_factor_reset"]
