"""Mails as they arrive at a real SMTP server (auth.md 9)."""

import contextlib
import email
import email.policy
import socket
import ssl
import subprocess
import time
from pathlib import Path
from threading import Thread

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.live import free_port
from v6srv.service import mail
from v6srv.service.mail import Mailer, NotSent
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
    """Keeps what arrives; what it says to some commands may be changed: `Inbox(DATA="451 later")`."""

    def __init__(self, **replies):
        self.mails = []
        self.replies = replies

    async def handle_RCPT(self, server, session, envelope, address, options):
        if "RCPT" in self.replies:
            return self.replies["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if "DATA" in self.replies:
            return self.replies["DATA"]
        self.mails.append(
            (envelope, email.message_from_bytes(envelope.content, policy=email.policy.default))
        )
        return "250 OK"


@pytest.fixture
def smtp():
    running = []

    def start(inbox, port=0, **options):
        port = port or free_port()
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
    return Mailer(settings)


def parts(message):
    return {part.get_content_type(): part.get_content() for part in message.iter_parts()}


@pytest.mark.parametrize("kind", VALUES)
def test_every_mail_has_a_text_and_an_html_part_with_the_same_facts(smtp, kind):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send(kind, "rita@alpha.example", {"firstname": "Rita <3", **VALUES[kind]})
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
    sender.send(kind, "rita@alpha.example", {"firstname": "Rita", **VALUES[kind]})
    [(_, message)] = inbox.mails
    assert message["Subject"] == subject
    assert advice in " ".join(parts(message)["text/plain"].split())


@pytest.mark.parametrize("kind", [mail.PASSWORD_RESET, mail.SECOND_FACTOR_RESET])
def test_the_token_stands_alone_on_its_line_even_in_the_source(smtp, kind):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send(kind, "rita@alpha.example", {"firstname": "Rita", "token": TOKEN})
    [(envelope, message)] = inbox.mails
    assert TOKEN in parts(message)["text/plain"].splitlines()
    assert TOKEN.encode() in envelope.content.splitlines()


def test_names_in_other_scripts_arrive(smtp):
    inbox = Inbox()
    sender = mailer(smtp(inbox))
    sender.send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Рита"})
    assert "Рита" in parts(inbox.mails[0][1])["text/plain"]


@pytest.mark.parametrize(
    ("replies", "for_good"),
    [
        ({"RCPT": "550 unknown"}, True),
        ({"RCPT": "450 later"}, False),
        ({"DATA": "451 later"}, False),
    ],
)
def test_what_is_refused_is_said_without_the_address(smtp, replies, for_good):
    inbox = Inbox(**replies)
    with pytest.raises(NotSent, match="refused") as refused:
        mailer(smtp(inbox)).send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert (refused.value.for_good, refused.value.away) == (for_good, False)
    assert "rita" not in str(refused.value)
    assert inbox.mails == []


@pytest.mark.parametrize(
    ("kind", "to", "values"),
    [
        (mail.PASSWORD_CHANGED, "rita@alpha.example\nBcc: all@beta.example", {"firstname": "Rita"}),
        (mail.PASSWORD_RESET, "rita@alpha.example", {"firstname": "Rita"}),  # without a token
        ("of a newer server", "rita@alpha.example", {}),
    ],
)
def test_a_mail_that_cannot_be_made_never_will_be(smtp, kind, to, values):
    inbox = Inbox()
    with pytest.raises(NotSent, match="cannot be made") as refused:
        mailer(smtp(inbox)).send(kind, to, values)
    assert refused.value.for_good
    assert inbox.mails == []


def test_a_server_that_is_not_there_is_away(smtp):
    with pytest.raises(NotSent) as refused:
        mailer(1).send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert refused.value.away
    assert not refused.value.for_good


def test_a_server_that_takes_nothing_of_this_sender_takes_no_mail_at_all(smtp):
    class Refusing(Inbox):
        async def handle_MAIL(self, server, session, envelope, address, options):
            return "550 not from you"

    sender = mailer(smtp(Refusing()))
    with pytest.raises(NotSent, match=r"the sender is refused \(550\)") as refused:
        sender.send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert (refused.value.away, refused.value.for_good) == (True, False)


def test_a_server_that_always_says_a_word_more_is_given_up(monkeypatch):
    monkeypatch.setattr(mail, "LONGEST_S", 0.3)

    def talk(listening):
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"220 hello\r\n")
            while True:
                connection.sendall(b"250-one more\r\n")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=talk, args=(listening,), daemon=True).start()
        sender = mailer(listening.getsockname()[1])
        with pytest.raises(NotSent) as refused:
            sender.send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert (refused.value.away, refused.value.for_good) == (True, False)


def test_a_server_whose_certificate_nobody_has_signed_gets_no_mail(smtp, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*_certificate(tmp_path))
    inbox = Inbox()
    sender = mailer(smtp(inbox, tls_context=context), MAIL_USE_TLS=True, server="localhost")
    with pytest.raises(NotSent, match="certificate verify failed") as refused:
        sender.send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert refused.value.away
    assert inbox.mails == []


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
    sender.send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert seen == [(b"noreply@registry.example", b"hush")]
    assert len(inbox.mails) == 1


def test_with_tls_nothing_is_sent_to_a_server_that_cannot_encrypt(smtp):
    inbox = Inbox()
    sender = mailer(smtp(inbox), MAIL_USE_TLS=True)
    with pytest.raises(NotSent, match="STARTTLS") as refused:
        sender.send(mail.PASSWORD_CHANGED, "rita@alpha.example", {"firstname": "Rita"})
    assert refused.value.away
    assert inbox.mails == []


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
