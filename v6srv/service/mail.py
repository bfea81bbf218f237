"""Mails to users: rendered and sent outside the request, failures only logged (auth.md 9)."""

import logging
import queue
import smtplib
import ssl
import threading
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from v6srv.settings import Settings

log = logging.getLogger(__name__)

PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a mail
PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the same
SECOND_FACTOR_RESET = "second_factor_reset"
BLOCKED = "blocked"

_SUBJECTS = {
    PASSWORD_RESET: "Password reset vantage6",
    PASSWORD_CHANGED: "Your vantage6 password has been reset",
    SECOND_FACTOR_RESET: "Two-factor authentication reset vantage6",
    BLOCKED: "Failed login attempts on your vantage6 account",
}

ATTEMPTS = 3
WAIT_S = 5.0
TIMEOUT_S = 20.0
MAX_WAITING = 1000
MAX_LINE = 990


@dataclass(frozen=True, slots=True)
class _Mail:
    kind: str
    to: str
    values: dict[str, object]


class Mailer:
    """Sends mails one after the other in a thread of its own, started with the first mail."""

    def __init__(self, settings: Settings, wait_s: float = WAIT_S) -> None:
        self._smtp = settings.smtp
        self._support = settings.support_email or settings.smtp.username
        self._wait_s = wait_s
        self._templates = Environment(
            loader=PackageLoader("v6srv", "templates/mail"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )
        self._waiting: queue.Queue[_Mail] = queue.Queue(MAX_WAITING)
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def send_later(self, kind: str, to: str | None, **values: object) -> None:
        """Send a mail of this kind soon, or never: nothing that goes wrong reaches the caller.

        `values` are what its templates show. Without an address nothing is sent.
        """
        if not to:
            return
        try:
            self._waiting.put_nowait(_Mail(kind, to, values))
        except queue.Full:
            log.error("Mailserver error! %d mails are waiting, one is dropped", MAX_WAITING)
            return
        with self._start:
            # A forked process has the object but not the thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()

    def wait(self, timeout_s: float = 30.0) -> bool:
        """Wait until all mails are sent or given up; False when that takes too long."""
        end = time.monotonic() + timeout_s
        while self._waiting.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.02)
        return not self._waiting.unfinished_tasks

    def message(self, kind: str, to: str, values: dict[str, object]) -> EmailMessage:
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

    def _run(self) -> None:
        while True:
            mail = self._waiting.get()
            try:
                self._deliver(self.message(mail.kind, mail.to, mail.values))
            except Exception:  # this thread is its own outermost handler
                log.exception("Mailserver error! A mail (%s) could not be made", mail.kind)
            finally:
                self._waiting.task_done()

    def _deliver(self, message: EmailMessage) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._send(message)
            except smtplib.SMTPRecipientsRefused:
                log.error("Mailserver error! The recipient is refused")
                return
            except (OSError, smtplib.SMTPException) as error:
                log.error("Mailserver error! Attempt %d of %d: %s", attempt, ATTEMPTS, error)
                if attempt < ATTEMPTS:
                    time.sleep(self._wait_s * attempt)
            else:
                return

    def _send(self, message: EmailMessage) -> None:
        smtp, context = self._smtp, ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(smtp.server, smtp.port, timeout=TIMEOUT_S, context=context)
            if smtp.MAIL_USE_SSL
            else smtplib.SMTP(smtp.server, smtp.port, timeout=TIMEOUT_S)
        ) as server:
            if smtp.MAIL_USE_TLS and not smtp.MAIL_USE_SSL:
                server.starttls(context=context)
            if password := smtp.password.get_secret_value():
                server.login(smtp.username, password)
            server.send_message(message)
