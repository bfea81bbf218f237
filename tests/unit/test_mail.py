"""Mails as they arrive at a real SMTP server (auth.md 9)."""

import email
import email.policy
import logging
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from v6srv.service import mail
from v6srv.service.mail import Mailer
from v6srv.settings import Settings

TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "x" * 400 + ".signature"
VALUES = {
    mail.PASSWORD_RESET: {"token": TOKEN},
    mail.SECOND_FACTOR_RESET: {"token": TOKEN},
    mail.PASSWORD_CHANGED: {},
    mail.BLOCKED: {
        "attempts": 5,
        "address": "192.0.2.7",
        "time": "2024-05-01 08:00",
        "minutes": 15,
    },
}


class Inbox:
    """Keeps what arrives; refuses the first `refusals` mails for a while."""

    def __init__(self, refusals=0):
        self.mails = []
        self.refusals = refusals

    async def handle_DATA(self, server, session, envelope):
        if self.refusals:
            self.refusals -= 1
            return "451 try again"
        self.mails.append(
            (envelope, email.message_from_bytes(envelope.content, policy=email.policy.default))
        )
        return "250 OK"


@pytest.fixture
def smtp():
    running = []

    def start(inbox, **options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Controller(inbox, hostname="127.0.0.1", port=port, **options)
        server.start()
        running.append(server)
        return port

    yield start
    for server in running:
        server.stop()


def mailer(port, **smtp):
    settings = Settings(
        instance=Path("unused"),
        smtp={
            "server": "127.0.0.1",
            "port": port,
            "username": "noreply@registry.example",
            "MAIL_USE_TLS": False,
            **smtp,
        },
        support_email="helpdesk@registry.example",
    )
    return Mailer(settings, wait_s=0.01)


def parts(message):
    return {part.get_content_type(): part.get_content() for part in message.iter_parts()}


@pytest.mark.parametrize("kind", VALUES)
def test_every_mail_has_a_text_and_an_html_part_with_the_same_facts(smtp, kind):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send_later(kind, "rita@alpha.example", firstname="Rita <3", **VALUES[kind])
    assert sender.wait(10)
    [(envelope, message)] = inbox.mails
    assert envelope.rcpt_tos == ["rita@alpha.example"]
    assert message["From"] == "noreply@registry.example"
    shown = parts(message)
    assert list(shown) == ["text/plain", "text/html"]
    assert "Hello Rita <3," in shown["text/plain"]
    assert "Hello Rita &lt;3," in shown["text/html"]
    for text in shown.values():
        assert "helpdesk@registry.example" in text
        for value in VALUES[kind].values():
            assert str(value) in text


@pytest.mark.parametrize(
    ("kind", "subject", "advice"),
    [
        (mail.PASSWORD_RESET, "Password reset vantage6", "simply ignore this message"),
        (
            mail.SECOND_FACTOR_RESET,
            "Two-factor authentication reset vantage6",
            "please reset it right away",
        ),
        (mail.BLOCKED, "Failed login attempts on your vantage6 account", "192.0.2.7"),
    ],
)
def test_subjects_and_advice_are_those_of_the_contract(smtp, kind, subject, advice):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send_later(kind, "rita@alpha.example", firstname="Rita", **VALUES[kind])
    assert sender.wait(10)
    [(_, message)] = inbox.mails
    assert message["Subject"] == subject
    assert advice in " ".join(parts(message)["text/plain"].split())


@pytest.mark.parametrize("kind", [mail.PASSWORD_RESET, mail.SECOND_FACTOR_RESET])
def test_the_token_stands_alone_on_its_line_even_in_the_source(smtp, kind):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send_later(kind, "rita@alpha.example", firstname="Rita", token=TOKEN)
    assert sender.wait(10)
    [(envelope, message)] = inbox.mails
    assert TOKEN in parts(message)["text/plain"].splitlines()
    assert TOKEN.encode() in envelope.content.splitlines()


def test_names_in_other_scripts_arrive(smtp):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send_later(mail.PASSWORD_CHANGED, "rita@alpha.example", firstname="Рита")
    assert sender.wait(10)
    assert "Рита" in parts(inbox.mails[0][1])["text/plain"]


def test_without_an_address_nothing_is_sent(smtp):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    for nobody in (None, ""):
        sender.send_later(mail.PASSWORD_CHANGED, nobody, firstname="Rita")
    sender.send_later(mail.PASSWORD_CHANGED, "cody@beta.example", firstname="Cody")
    assert sender.wait(10)
    assert [envelope.rcpt_tos for envelope, _ in inbox.mails] == [["cody@beta.example"]]


def test_a_mail_that_is_refused_for_now_is_sent_again(smtp):
    inbox = Inbox(refusals=mail.ATTEMPTS - 1)
    sender = mailer(smtp(inbox))
    sender.send_later(mail.PASSWORD_CHANGED, "rita@alpha.example", firstname="Rita")
    assert sender.wait(10)
    assert len(inbox.mails) == 1


def test_a_failing_server_is_logged_given_up_and_holds_up_nobody(smtp, caplog):
    inbox = Inbox(refusals=mail.ATTEMPTS)
    sender = mailer(smtp(inbox))
    with caplog.at_level(logging.ERROR):
        begun = time.monotonic()
        sender.send_later(mail.PASSWORD_CHANGED, "rita@alpha.example", firstname="Rita")
        assert time.monotonic() - begun < 1
        sender.send_later(mail.PASSWORD_CHANGED, "cody@beta.example", firstname="Cody")
        assert sender.wait(10)
    assert caplog.text.count("Mailserver error!") == mail.ATTEMPTS
    assert [envelope.rcpt_tos for envelope, _ in inbox.mails] == [["cody@beta.example"]]


def test_an_address_that_would_forge_headers_is_not_mailed_to(smtp, caplog):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send_later(
        mail.PASSWORD_CHANGED, "rita@alpha.example\nBcc: all@beta.example", firstname="Rita"
    )
    assert sender.wait(10)
    assert inbox.mails == []
    assert "Mailserver error!" in caplog.text


def test_with_tls_and_a_password_it_logs_in_over_an_encrypted_connection(
    smtp, tmp_path, monkeypatch
):
    certificate = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    seen = []

    def authenticate(_server, _session, _envelope, _mechanism, data):
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    inbox = Inbox()
    port = smtp(
        inbox,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    sender = mailer(port, MAIL_USE_TLS=True, password="hush", server="localhost")
    sender.send_later(mail.PASSWORD_CHANGED, "rita@alpha.example", firstname="Rita")
    assert sender.wait(10)
    assert seen == [(b"noreply@registry.example", b"hush")]
    assert len(inbox.mails) == 1


def test_with_tls_nothing_is_sent_to_a_server_that_cannot_encrypt(smtp, caplog):
    inbox = Inbox()
    sender = mailer(smtp(inbox), MAIL_USE_TLS=True)
    sender.send_later(mail.PASSWORD_CHANGED, "rita@alpha.example", firstname="Rita")
    assert sender.wait(10)
    assert inbox.mails == []
    assert "Mailserver error!" in caplog.text


def _certificate(folder):
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
