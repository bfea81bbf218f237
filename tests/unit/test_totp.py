"""The second factor (auth.md 5)."""

from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pyotp
import pytest
from flask import Flask

from v6srv.identity import tokens, totp
from v6srv.identity.totp import Code
from v6srv.model import User
from v6srv.settings import Settings

KEY = "the key of these tests, long enough for HS256"
NOW = 1_700_000_000


def application(**settings):
    app = Flask("totp")
    made = Settings(**{"instance": "unused", "jwt_secret_key": KEY, **settings})
    app.config["SETTINGS"] = made
    tokens.init_app(app, made)
    return app


@pytest.fixture(autouse=True)
def _app(monkeypatch):
    monkeypatch.setattr(totp.time, "time", lambda: NOW)
    with application().app_context():
        yield


@pytest.fixture
def rita():
    return User(id=5, username="rita")


def code(secret, offset_s=0):
    return pyotp.TOTP(secret).at(NOW + offset_s)


def test_the_secret_has_the_length_of_the_contract_and_is_stored_encrypted(rita):
    secret = totp.start_enrolment(rita)
    assert len(secret) == 32
    assert secret not in rita.otp_secret
    assert totp.secret_of(rita) == secret


def test_a_secret_is_pending_until_its_first_valid_code(rita):
    secret = totp.start_enrolment(rita)
    assert not rita.otp_confirmed
    assert totp.accept_code(rita, "000000" if code(secret) != "000000" else "000001") is Code.WRONG
    assert not rita.otp_confirmed
    assert totp.accept_code(rita, code(secret)) is Code.RIGHT
    assert rita.otp_confirmed


@pytest.mark.parametrize(
    ("offset_s", "accepted"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)]
)
def test_codes_of_the_neighbouring_steps_are_accepted(rita, offset_s, accepted):
    secret = totp.start_enrolment(rita)
    assert totp.accept_code(rita, code(secret, offset_s)) is (
        Code.RIGHT if accepted else Code.WRONG
    )


def test_no_code_is_accepted_twice_nor_an_older_one_after_it(rita):
    secret = totp.start_enrolment(rita)
    assert totp.accept_code(rita, code(secret)) is Code.RIGHT
    assert totp.accept_code(rita, code(secret)) is Code.USED
    assert totp.accept_code(rita, code(secret, -30)) is Code.USED
    assert totp.accept_code(rita, code(secret, 60)) is Code.WRONG
    assert totp.accept_code(rita, code(secret, 30)) is Code.RIGHT


def test_blanks_and_lost_zeros_do_not_matter(rita, monkeypatch):
    secret = totp.start_enrolment(rita)
    with_zero = next(s for s in range(2, 100_000) if pyotp.HOTP(secret).at(s).startswith("00"))
    monkeypatch.setattr(totp.time, "time", lambda: with_zero * 30)
    assert totp.accept_code(rita, str(int(pyotp.HOTP(secret).at(with_zero)))) is Code.RIGHT
    monkeypatch.setattr(totp.time, "time", lambda: (with_zero + 1) * 30)
    next_code = pyotp.HOTP(secret).at(with_zero + 1)
    assert totp.accept_code(rita, f" {next_code[:3]} {next_code[3:]}") is Code.RIGHT


@pytest.mark.parametrize("text", ["", "abc", "12345", "1234567", "é" * 6, "-1"])
def test_what_is_no_code_is_refused(rita, text):
    totp.start_enrolment(rita)
    assert totp.accept_code(rita, text) is Code.WRONG


def test_without_a_secret_no_code_is_right(rita):
    assert totp.accept_code(rita, "000000") is Code.WRONG


def test_a_new_enrolment_starts_over(rita):
    old = totp.start_enrolment(rita)
    assert totp.accept_code(rita, code(old)) is Code.RIGHT
    new = totp.start_enrolment(rita)
    assert new != old
    assert not rita.otp_confirmed
    assert totp.accept_code(rita, code(old, 30)) is Code.WRONG
    assert totp.accept_code(rita, code(new)) is Code.RIGHT


def test_a_plain_secret_of_a_3x_server_works_and_is_encrypted_then(rita):
    secret = pyotp.random_base32(32)
    rita.otp_secret, rita.otp_confirmed = secret, True
    assert totp.accept_code(rita, code(secret)) is Code.RIGHT
    assert secret not in rita.otp_secret
    assert totp.secret_of(rita) == secret


def test_a_secret_outlives_a_change_of_the_key_only_if_the_old_key_is_kept(rita, caplog):
    secret = totp.start_enrolment(rita)
    new = "another key that came later, of good length"
    with application(jwt_secret_key=new, jwt_previous_keys=[KEY]).app_context():
        assert totp.secret_of(rita) == secret
    with application(jwt_secret_key=new).app_context():
        assert totp.secret_of(rita) is None
        assert totp.accept_code(rita, code(secret)) is Code.WRONG
    assert "cannot be decrypted" in caplog.text
    assert secret not in caplog.text


def test_a_login_seals_the_secret_with_the_key_that_signs_now(rita):
    """So that the old key can be forgotten some day."""
    secret = totp.start_enrolment(rita)
    new = "another key that came later, of good length"
    with application(jwt_secret_key=new, jwt_previous_keys=[KEY]).app_context():
        assert totp.accept_code(rita, code(secret)) is Code.RIGHT
        sealed = rita.otp_secret
        assert totp.accept_code(rita, code(secret, 30)) is Code.RIGHT
        assert rita.otp_secret == sealed  # once: a mailed token is for the secret as it is stored
    with application(jwt_secret_key=new).app_context():
        assert totp.secret_of(rita) == secret


def test_the_address_for_apps_names_issuer_and_user(rita):
    secret = totp.start_enrolment(rita)
    address = urlsplit(totp.uri(rita, secret))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert unquote(address.path) == "/v6srv:rita"
    assert parse_qs(address.query) == {"secret": [secret], "issuer": ["v6srv"]}


def test_the_qr_code_is_one_svg_element(rita):
    secret = totp.start_enrolment(rita)
    picture = ElementTree.fromstring(totp.qr_svg(totp.uri(rita, secret)))
    assert picture.tag.endswith("svg")
