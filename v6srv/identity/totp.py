"""The second factor: time-based one-time codes (auth.md 5).

Secrets are stored encrypted, under a key derived from the JWT secret. So a copy of the database
alone gives no codes. The consequence: when the JWT secret changes and the old one is not listed
among the previous keys, stored secrets are lost, and users enrol again through the recovery mail.
"""

import hmac
import io
import logging
import time
from collections.abc import Iterable
from enum import Enum

import pyotp
import segno
from cryptography.fernet import InvalidToken, MultiFernet
from flask import current_app

from v6srv.identity import tokens
from v6srv.identity.vault import fernets, vault
from v6srv.model import User
from v6srv.settings import Settings

log = logging.getLogger(__name__)

STEP_S = 30
DIGITS = 6
SECRET_LENGTH = 32
_USE = "otp secret"


class Code(Enum):
    """What a code that somebody gave turns out to be."""

    RIGHT = "right"
    WRONG = "wrong"
    USED = "used"
    """Right for a time step that is over, because this code or a later one was accepted."""


def start_enrolment(user: User) -> str:
    """Give the user a new secret, pending until its first valid code (A6), and return it."""
    secret = pyotp.random_base32(SECRET_LENGTH)
    user.otp_secret = _vault().encrypt(secret.encode()).decode()
    user.otp_confirmed = False
    user.otp_last_step = None
    return secret


def secret_of(user: User) -> str | None:
    """The user's secret; None when there is none, or none that can be decrypted."""
    stored = user.otp_secret
    if not stored:
        return None
    if len(stored) == SECRET_LENGTH:  # base32 in plain text, taken over from a 3.x server
        return stored
    try:
        return _vault().decrypt(stored.encode()).decode()
    except InvalidToken:
        log.error("The 2FA secret of user %s cannot be decrypted: was the key changed?", user.id)
        return None


def judge(user: User, code: str) -> tuple[Code, int]:
    """What `code` is now, and the time step that it is right for.

    The steps before and after the current one count as well. Blanks are ignored, and zeros that a
    client lost in front are put back.
    """
    secret = secret_of(user)
    if secret is None:
        return Code.WRONG, 0
    text = code.replace(" ", "").zfill(DIGITS)
    now = int(time.time()) // STEP_S
    last = -1 if user.otp_last_step is None else user.otp_last_step
    generator = pyotp.HOTP(secret, digits=DIGITS)
    fits = [
        step
        for step in (now - 1, now, now + 1)
        if hmac.compare_digest(generator.at(step).encode(), text.encode())
    ]
    for step in fits:
        if step > last:
            return Code.RIGHT, step
    return (Code.USED if fits else Code.WRONG), 0


def accept_code(user: User, code: str) -> Code:
    """What `code` is now; one that is right is remembered, so that it is never accepted again (A7).

    The first accepted code confirms a pending secret.
    """
    judged, step = judge(user, code)
    if judged is Code.RIGHT:
        user.otp_last_step = step
        user.otp_confirmed = True
        secret = secret_of(user)
        if secret is not None and not _is_of_the_signing_key(user.otp_secret or ""):
            user.otp_secret = _vault().encrypt(secret.encode()).decode()
    return judged


def uri(user: User, secret: str) -> str:
    """The `otpauth://` address that authenticator apps read, label `<issuer>:<username>`."""
    settings: Settings = current_app.config["SETTINGS"]
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).provisioning_uri(
        name=user.username, issuer_name=settings.otp_issuer
    )


def qr_svg(address: str) -> str:
    """The address as a QR code: one inline SVG element."""
    image = io.BytesIO()
    segno.make(address, error="m").save(
        image, kind="svg", xmldecl=False, svgns=True, scale=5, title="QR code"
    )
    return image.getvalue().decode()


def _is_of_the_signing_key(stored: str) -> bool:
    try:
        return bool(fernets(_USE, tokens.secrets())[0].decrypt(stored.encode()))
    except InvalidToken:
        return False


def count_unreadable(keys: Iterable[str], stored: Iterable[str]) -> int:
    """How many of these secrets none of the keys decrypts."""
    opening = MultiFernet(fernets(_USE, keys))
    lost = 0
    for secret in stored:
        try:
            len(secret) == SECRET_LENGTH or opening.decrypt(secret.encode())
        except InvalidToken:
            lost += 1
    return lost


def _vault() -> MultiFernet:
    return vault(_USE)
