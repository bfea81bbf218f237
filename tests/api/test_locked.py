"""A lock keeps strangers out, and not the owner: second factors and mailed tokens open it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from tests.api.test_recover import NEW, mailed
from tests.api.test_token import LOGIN, WRONG, Outbox
from tests.support import Caller, open_app, send_mails
from tests.unit.test_mail import Inbox, smtp
from v6srv import db
from v6srv.model import User

__all__ = ["smtp"]

FAILED = (401, "Failed to login")


class Owner:
    """Of the account `viewer`, whose second factor is set up."""

    def __init__(self, app, world):
        self.app, self.id, self.outbox = app, world.user.viewer, Outbox(app)
        self.totp = pyotp.TOTP(self.log_in().json["otp_secret"])
        assert "access_token" in self.log_in(mfa_code=self.code()).json
        self.store(otp_last_step=None)  # the code of this half minute may be used once more

    def log_in(self, **more):
        return Caller(self.app)(None, "POST", "/token/user", json={**LOGIN, **more})

    def code(self):
        return self.totp.now()

    def wrong_code(self):
        now = int(time.time())
        good = {self.totp.at(now + offset_s) for offset_s in range(-60, 90, 30)}
        return next(code for code in map(str, range(100_000, 100_009)) if code not in good)

    def store(self, **changes):
        with self.app.app_context(), db.writing():
            user = db.session.get(User, self.id)
            for name, value in changes.items():
                setattr(user, name, value)
            db.session.commit()

    def lock(self):
        """What strangers can do to any account."""
        for _ in range(6):
            assert told(self.log_in(**WRONG)) == FAILED

    def ask(self, path, **body):
        return Caller(self.app)(None, "POST", f"/recover/{path}", json=body)

    def recover(self, password=NEW):
        """A new password with a mailed token."""
        self.ask("lost", username="viewer")
        token = [values["token"] for kind, _, values in self.outbox if kind == "password_reset"][-1]
        answer = self.ask("reset", reset_token=token, password=password)
        assert answer.status_code == 200


def told(answer):
    return answer.status_code, answer.json.get("msg")


@pytest.fixture
def owner(backend, databases):
    settings = {"two_factor_auth": True, "login_rate_limit": "off"}  # strangers come from anywhere
    with open_app(databases, backend, True, **settings) as (app, world):
        yield Owner(app, world)


def test_who_has_the_second_factor_opens_a_lock_that_strangers_caused(owner):
    owner.lock()
    code = owner.code()
    assert told(owner.log_in()) == FAILED
    assert told(owner.log_in(mfa_code=owner.wrong_code())) == FAILED
    assert told(owner.log_in(password="Wr0ng-Pass!", mfa_code=code)) == FAILED
    assert "access_token" in owner.log_in(mfa_code=code).json
    assert "include" in owner.log_in().json["msg"]  # the lock is over
    assert [kind for kind, _, _ in owner.outbox] == ["blocked"]


def test_a_used_code_opens_no_lock(owner):
    code = owner.code()
    assert "access_token" in owner.log_in(mfa_code=code).json
    owner.lock()
    assert told(owner.log_in(mfa_code=code)) == FAILED


def test_who_knows_the_password_cannot_guess_codes_behind_the_lock(owner):
    """As many as before a lock, and no more until it ends."""
    owner.lock()
    for _ in range(5):
        assert told(owner.log_in(mfa_code=owner.wrong_code())) == FAILED
    assert told(owner.log_in(mfa_code=owner.code())) == FAILED
    owner.store(last_login_attempt=db.utcnow().replace(year=2020))
    assert "access_token" in owner.log_in(mfa_code=owner.code()).json


@pytest.mark.parametrize("locked", [False, True])
def test_of_all_who_use_one_code_at_once_one_gets_in(owner, locked):
    if locked:
        owner.lock()
    code = owner.code()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: owner.log_in(mfa_code=code), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    refused = {answer.json["msg"] for answer in answers if answer.status_code == 401}
    [says] = refused - {FAILED[1]}
    assert "already used: wait until your app shows the next" in says


def test_a_recovered_password_opens_the_lock_also_when_strangers_go_on(owner):
    owner.lock()
    owner.recover()
    owner.lock()  # before the owner could log in
    assert "include" in owner.log_in(password=NEW).json["msg"]
    assert told(owner.log_in()) == FAILED
    assert told(owner.log_in(password=NEW, mfa_code=owner.wrong_code()))[0] == 401
    assert "access_token" in owner.log_in(password=NEW, mfa_code=owner.code()).json
    owner.lock()  # that was once
    assert told(owner.log_in(password=NEW)) == FAILED


def test_recovery_by_mail_never_replaces_both_the_password_and_the_second_factor(owner):
    """Who reads the owner's mails has one of the two proofs, and does not get the other by it."""
    lost = {"username": "viewer", "password": NEW}
    owner.recover()
    assert owner.ask("2fa/lost", **lost).status_code == 200
    assert "second_factor_reset" not in [kind for kind, _, _ in owner.outbox]
    assert "include" in owner.log_in(password=NEW).json["msg"]  # the second factor is as it was
    assert owner.ask("2fa/lost", **lost).status_code == 200
    assert "second_factor_reset" not in [kind for kind, _, _ in owner.outbox]
    assert "access_token" in owner.log_in(password=NEW, mfa_code=owner.code()).json
    owner.ask("2fa/lost", **lost)
    assert owner.ask("2fa/reset", reset_token=mailed(owner.outbox, "second_factor_reset")).json[
        "otp_secret"
    ]


def test_a_token_for_a_second_factor_ends_with_the_password_that_was_asked_for(owner):
    owner.ask("2fa/lost", **LOGIN)
    token = mailed(owner.outbox, "second_factor_reset")
    owner.recover()
    answer = owner.ask("2fa/reset", reset_token=token)
    assert told(answer) == (400, "Invalid recovery token!")
    assert "access_token" in owner.log_in(password=NEW, mfa_code=owner.code()).json


def test_a_slow_mail_server_holds_up_neither_the_lock_nor_its_end(backend, databases, smtp):
    released = threading.Event()
    inbox = Inbox()
    take = inbox.handle_DATA

    async def slowly(server, session, envelope):
        while not released.is_set():
            await server.loop.run_in_executor(None, released.wait, 0.05)
        return await take(server, session, envelope)

    inbox.handle_DATA = slowly
    mail = {"server": "127.0.0.1", "port": smtp(inbox), "MAIL_USE_TLS": False}
    with open_app(databases, backend, True, smtp=mail) as (app, _world):
        call = Caller(app)
        for _ in range(6):
            assert told(call(None, "POST", "/token/user", json=WRONG)) == FAILED
        with ThreadPoolExecutor(1) as loop:
            try:
                sending = loop.submit(send_mails, app)
                ask = {"username": "viewer"}
                assert call(None, "POST", "/recover/lost", json=ask).status_code == 200
                assert told(call(None, "POST", "/token/user", json=LOGIN)) == FAILED
                assert inbox.mails == []
            finally:
                released.set()
            sending.result()
        send_mails(app)
        text = inbox.mails[-1][1].get_body(("plain",)).get_content()
        [token] = [line for line in text.splitlines() if line.startswith("ey")]
        released.clear()
        reset = {"reset_token": token, "password": NEW}
        assert call(None, "POST", "/recover/reset", json=reset).status_code == 200
        with ThreadPoolExecutor(1) as loop:
            try:
                sending = loop.submit(send_mails, app)
                new = {**LOGIN, "password": NEW}
                assert "access_token" in call(None, "POST", "/token/user", json=new).json
            finally:
                released.set()
            sending.result()
        assert [message["Subject"] for _, message in inbox.mails] == [
            "Failed login attempts on your vantage6 account",
            "Password reset vantage6",
            "Your vantage6 password has been reset",
        ]
