"""Mails to users: what they say, and how they leave (auth.md 9)."""

import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from threading import Event, Thread

from jinja2 import (
    Environment,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    select_autoescape,
)

from v6srv.settings import Settings

PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a mail
PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the same
SECOND_FACTOR_RESET = "second_factor_reset"
BLOCKED = "blocked"
TASK_ENDED = "task_ended"

_SUBJECTS = {
    PASSWORD_RESET: "Password reset vantage6",
    PASSWORD_CHANGED: "Your vantage6 password has been reset",
    SECOND_FACTOR_RESET: "Two-factor authentication reset vantage6",
    BLOCKED: "Failed login attempts on your vantage6 account",
    TASK_ENDED: "Your vantage6 task has ended",
}

TIMEOUT_S = 10.0
"""For each answer of the mail server."""
LONGEST_S = 60.0
"""For all of them together: one that says a word now and then would hold up all other mails."""
MAX_LINE = 990
PERMANENT = 500
"""Replies from here on say that it makes no sense to try again."""


class NotSent(Exception):
    """The mail server did not take a mail; the text says why, without the address.

    `for_good`: it never will. `away`: it takes none at all, so others need not be tried now.
    """

    def __init__(self, reason: str, *, for_good: bool = False, away: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good
        self.away = away


class Mailer:
    """Renders mails and hands them to the mail server."""

    def __init__(self, settings: Settings) -> None:
        self._smtp = settings.smtp
        self._support = settings.support_email or settings.smtp.username
        self._templates = Environment(
            loader=PackageLoader("v6srv", "templates/mail"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )

    def send(self, kind: str, to: str, values: Mapping[str, object]) -> None:
        """Send a mail of this kind; `values` are what its templates show. Raises NotSent.

        Takes as long as the mail server does: never call it inside a transaction.
        """
        try:
            message = self.message(kind, to, values)
        except (ValueError, KeyError, TemplateError) as error:  # such as an address that forges
            raise NotSent(f"it cannot be made: {type(error).__name__}", for_good=True) from error
        try:
            self._send(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            reason = f"the recipient is refused ({', '.join(map(str, codes))})"
            raise NotSent(reason, for_good=min(codes) >= PERMANENT) from error
        except smtplib.SMTPDataError as error:
            raise NotSent(f"it is refused ({error.smtp_code})") from error
        except smtplib.SMTPSenderRefused as error:  # who sends is the same for all mails
            raise NotSent(f"the sender is refused ({error.smtp_code})", away=True) from error
        except smtplib.SMTPNotSupportedError as error:
            reached = not to.isascii()  # the server is fine, but not with such an address
            raise NotSent(str(error), for_good=reached, away=not reached) from error
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise NotSent(str(error) or type(error).__name__, away=True) from error

    def message(self, kind: str, to: str, values: Mapping[str, object]) -> EmailMessage:
        """The mail as it goes out: a text part and an HTML part."""
        message = EmailMessage()
        message["Subject"] = _SUBJECTS[kind]
        message["From"] = self._smtp.username
        message["To"] = to
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._smtp.username.rpartition("@")[2])
        shown = {"support_email": self._support, **values}
        text = self._templates.get_template(f"{kind}.txt").render(shown)
        # Unencoded where possible: the token stays on one line in the source as well.
        plain = text.isascii() and max(map(len, text.splitlines())) < MAX_LINE
        message.set_content(text, cte="7bit" if plain else None)
        html = self._templates.get_template(f"{kind}.html").render(shown)
        message.add_alternative(html, subtype="html")
        return message

    def _send(self, message: EmailMessage) -> None:
        smtp, context = self._smtp, ssl.create_default_context()
        with (
            (
                smtplib.SMTP_SSL(smtp.server, smtp.port, timeout=TIMEOUT_S, context=context)
                if smtp.MAIL_USE_SSL
                else smtplib.SMTP(smtp.server, smtp.port, timeout=TIMEOUT_S)
            ) as server,
            _at_most(LONGEST_S, server),
        ):
            if smtp.MAIL_USE_TLS and not smtp.MAIL_USE_SSL:
                server.starttls(context=context)
            if password := smtp.password.get_secret_value():
                server.login(smtp.username, password)
            server.send_message(message)


@contextmanager
def _at_most(seconds: float, server: smtplib.SMTP) -> Iterator[None]:
    """Hang up on a mail server after so long; who waits for it is told that it went."""
    done = Event()

    def watch() -> None:
        wait_s = seconds
        while not done.wait(wait_s):
            if server.sock is not None:
                with suppress(OSError):
                    server.sock.shutdown(socket.SHUT_RDWR)
            wait_s = 1.0  # it may have been about to change to TLS

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
