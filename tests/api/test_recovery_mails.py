"""One mail with a token per account, purpose and ten minutes, whoever asks and however often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.api.test_recover import LOST, NEW, mailed
from tests.api.test_token import LOGIN, WRONG, Outbox
from tests.support import Caller, counting, send_mails
from v6srv import db
from v6srv.app import create_app
from v6srv.model import Mail, User

BY_NAME, BY_ADDRESS = {"username": "viewer"}, {"email": "Viewer@NORTH.example"}


def ask(call, **body):
    answer = call(None, "POST", "/recover/lost", json=body or BY_NAME)
    assert (answer.status_code, answer.json["msg"]) == (200, LOST)


@pytest.fixture
def outbox(app):
    return Outbox(app)


@pytest.fixture
def waiting(app):
    """Kinds of the mails that wait."""

    def read():
        with app.app_context():
            return list(db.session.scalars(select(Mail.kind).order_by(Mail.id)))

    return read


@pytest.fixture
def minutes_pass(app, world):
    """Let it be longer ago that the owner of `viewer` got a token by mail."""

    def change(minutes):
        with app.app_context(), db.writing():
            user = db.session.get(User, world.user.viewer)
            for column in ("password_mail_at", "second_factor_mail_at"):
                if (before := getattr(user, column)) is not None:
                    setattr(user, column, before - timedelta(minutes=minutes))
            db.session.commit()

    return change


def test_of_all_who_ask_at_once_by_name_and_by_address_one_gets_a_mail(app, world, waiting):
    """Two applications share nothing but the database, as two processes do."""
    callers = [Caller(app), Caller(create_app(app.config["SETTINGS"]))]
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(ask, callers[number % 2], **(BY_NAME if number % 4 < 2 else BY_ADDRESS))
            for number in range(12)
        ]
        for one in asked:
            one.result()
    assert waiting() == ["password_reset"]


def test_the_next_mail_may_be_asked_for_ten_minutes_after_the_last_was_sent(
    call, world, outbox, waiting, minutes_pass
):
    ask(call)
    minutes_pass(11)
    ask(call)  # the mail server is away all the time: one mail waits, and no second one
    assert waiting() == ["password_reset"]
    assert len(outbox) == 1
    ask(call)
    minutes_pass(9)
    ask(call)
    assert waiting() == []
    minutes_pass(2)
    ask(call)
    assert waiting() == ["password_reset"]


def test_the_mail_that_went_out_is_good_whatever_strangers_ask_for(call, world, outbox):
    ask(call)
    token = mailed(outbox, "password_reset")
    for body in (BY_NAME, BY_ADDRESS):
        ask(call, **body)
    reset = {"reset_token": token, "password": NEW}
    assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
    # It was used, so its owner may need another one.
    ask(call)
    assert [kind for kind, _, _ in outbox] == [
        "password_reset",
        "password_changed",
        "password_reset",
    ]


def test_each_purpose_has_a_mail_of_its_own(call, world, outbox):
    for _ in range(3):
        ask(call)
        call(None, "POST", "/recover/2fa/lost", json=LOGIN)
    assert sorted(kind for kind, _, _ in outbox) == ["password_reset", "second_factor_reset"]


def work(call, path, body):
    """The statements of a request: what is done to which table."""
    with counting() as statements:
        call(None, "POST", path, json=body)
    return [" ".join(text.replace('"', "").split()[:3]) for text in statements]


@pytest.mark.parametrize("key", ["username", "email"])
def test_asking_for_a_mail_is_the_same_work_for_everybody(app, call, world, key):
    known = {"username": "viewer", "email": "viewer@north.example"}[key]
    first, again, stranger = (
        work(call, "/recover/lost", {key: name}) for name in (known, known, f"x{known}")
    )
    assert first == again == stranger
    assert "INSERT INTO mail" in first


@pytest.mark.parametrize("path", ["/token/user", "/recover/2fa/lost"])
def test_a_failed_login_is_the_same_work_for_everybody(app, call, world, path):
    stranger = work(call, path, {**WRONG, "username": "stranger"})
    wrong = [work(call, path, WRONG) for _ in range(5)]
    locked = [work(call, path, body) for body in (WRONG, WRONG, LOGIN)]
    assert all(one == stranger for one in (*wrong, *locked))
    assert "UPDATE user SET" in stranger
    send_mails(app)
