"""The groups of keys that settings have, and the types of their values."""

import logging
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

DAY_S = 86_400
"""Nothing here waits longer: sockets and databases count milliseconds in 32 bits."""
LONGEST_DAYS = 3_650
LONGEST_MINUTES = LONGEST_DAYS * 24 * 60
"""No token and no lock lives longer: not much further away there is no date."""


def _boolean(value: object) -> object:
    """Booleans as people and the 3.x wizard write them: the text "False" is false (O1)."""
    if isinstance(value, str):
        return value.strip()
    return value


Flag = Annotated[bool, BeforeValidator(_boolean)]


def _words(value: object) -> object:
    """A list, or text with commas between its entries, as in a variable."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


def _dialects(value: object) -> object:
    """A mapping, or `name=dialect` with commas between them, as in a variable."""
    if isinstance(value, str):
        pairs = (word.partition("=") for word in value.split(",") if word.strip())
        value = {name.strip(): dialect.strip() for name, _, dialect in pairs}
    if isinstance(value, Mapping):
        return {name: str(dialect) for name, dialect in value.items()}
    return value


Dialects = Annotated[Mapping[str, Literal["auto", "3", "4"]], BeforeValidator(_dialects)]


class Group(BaseModel):
    """A group of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PasswordPolicy(Group):
    """When an account is blocked."""

    max_failed_attempts: int = Field(5, ge=1)
    """Wrong passwords in a row that block the account."""
    inactivation_minutes: float = Field(15, gt=0, le=LONGEST_MINUTES)
    """How long it stays blocked, from the last wrong password on."""


class Smtp(Group):
    """How mails leave."""

    server: str = "localhost"
    """The host that takes mails. While it is away mails wait, and are sent when it is back."""
    port: int = Field(1025, ge=1, le=65535)
    """Its port: 587 with `MAIL_USE_TLS`, 465 with `MAIL_USE_SSL`."""
    username: str = "support@v6srv.example"
    """The name to log in with, and the sender of all mails."""
    password: SecretStr = SecretStr("")
    """Empty: mails are sent without a login."""
    MAIL_USE_TLS: Flag = True
    """Begin in clear and change to TLS (STARTTLS)."""
    MAIL_USE_SSL: Flag = False
    """TLS from the first byte on, instead."""
    email_token_validity_minutes: float | None = Field(None, gt=0, le=LONGEST_MINUTES)
    """As the key of that name at the top; this one wins."""


class VpnServer(Group):
    """An eduVPN portal that gives nodes VPN configurations; all keys are needed, or none."""

    url: str = Field(min_length=1)
    """Where the portal is, without a slash at the end."""
    redirect_url: str = Field(min_length=1)
    """The redirect that is registered with the portal for this client."""
    client_id: str = Field(min_length=1)
    """The OAuth client of this server."""
    client_secret: SecretStr
    """Its secret."""
    portal_username: str = Field(min_length=1)
    """The user of the portal whose configurations the nodes get."""
    portal_userpass: SecretStr
    """The password of that user."""


class NewAccounts(Group):
    """Who gets an account at the first log-in through the identity provider. Only in a file."""

    value: str = Field(min_length=1)
    """What `groups_claim` has, as one of several or alone."""
    organization: str = Field(min_length=1)
    """The name of the organization that the account is of."""
    roles: Words = ()
    """Names of the roles that it has: of default roles, or of roles of that organization."""


Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"
]


class Oidc(Group):
    """An identity provider (OpenID Connect) that users can log in through, beside passwords."""

    issuer: str
    """Where the provider is, exactly as it calls itself."""
    client_id: str = Field(min_length=1)
    """What this server is called at the provider."""
    client_secret: SecretStr | None = None
    """Its secret. Unset: none is needed there, and the log-in is kept safe by PKCE alone."""
    callback_url: str
    """Where the provider sends browsers back to, as registered there: this server as browsers know
    it, such as `https://v6.example/api/oidc/callback`."""
    logged_out_url: str | None = None
    """Where the provider sends browsers to that have logged out (`GET /api/oidc/logout`), as
    registered there. Unset: it shows a page of its own."""
    scopes: Words = ("openid", "email", "profile")
    """What the provider is asked to tell; `openid` among it."""
    algorithm: Algorithm = "RS256"
    """How the provider signs. Nothing else is accepted."""
    claim: str = Field("email", min_length=1)
    """What of a person tells whose account it is. It must be something that people cannot choose
    for themselves at the provider."""
    account: Literal["email", "username"] = "email"
    """What of an account `claim` is compared with: names as they are, addresses whatever the case
    of their letters from A to Z."""
    accept_unverified_email: Flag = False
    """Whether an address counts of which the provider does not say that it is verified: only where
    the provider lets nobody enter one."""
    groups_claim: str = Field("groups", min_length=1)
    """What `new_accounts` looks at."""
    new_accounts: tuple[NewAccounts, ...] = ()
    """The first that fits makes the account of somebody who has none. Empty: none is made."""
    timeout_s: float = Field(5, gt=0, le=60)
    """How long a log-in waits for the provider, twice."""

    @field_validator("issuer", "callback_url", "logged_out_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe(value):
            raise ValueError("must begin with https://, but for addresses of this machine")
        return value

    @field_validator("callback_url")
    @classmethod
    def _is_ours(cls, value: str) -> str:
        address = urlsplit(value)
        if not address.path.endswith(CALLBACK) or address.query or address.fragment:
            raise ValueError(f"must end with {CALLBACK}, as in https://v6.example/api{CALLBACK}")
        return value

    @field_validator("scopes")
    @classmethod
    def _asks_who(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("must have openid among them")
        return value


CALLBACK = "/oidc/callback"
"""What the address ends with to which an identity provider sends browsers back."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_safe(url: str) -> bool:
    """Whether what is sent to this address can be read by nobody on its way."""
    try:
        address = urlsplit(url)
        return (address.scheme == "https" and bool(address.hostname)) or (
            address.scheme == "http" and address.hostname in _LOOPBACK
        )
    except ValueError:
        return False


class WebHooks(Group):
    """Programs of users that are told when their tasks have ended."""

    hosts: Words = ()
    """Where such programs may be, such as `hooks.example` or `*.example`; `*`: anywhere. Empty:
    there are none. This server calls them: allow no host that only it can reach. In a variable
    with commas between them."""


class LoggerLevel(Group):
    """The levels of single loggers, each with both keys. Only in a file."""

    name: str
    """As in the log lines, such as `sqlalchemy.engine`."""
    level: str
    """One of the levels of `logging.level`."""

    @field_validator("level")
    @classmethod
    def _known(cls, value: str) -> str:
        return _level(value)


class Logging(Group):
    """What is logged, and where."""

    level: str = "INFO"
    """DEBUG, INFO, WARNING, ERROR or CRITICAL: what is less important is not logged."""
    file: str | None = None
    """Any text: log to a file, too. Its name is not this one: `v6srv files` shows it. Unset: no
    file."""
    use_console: Flag = True
    """Log to the standard error output."""
    backup_count: int = Field(5, gt=0)
    """How many older files stay."""
    max_size: int = Field(1024, gt=16)
    """Of one file, in kB."""
    output: Literal["text", "json"] = "text"
    """`json`: an object for each line (`time`, `level`, `logger`, `message`, `process`,
    `request_id`, `exception`), instead of `format`."""
    format: str = "%(asctime)s - %(name)-14s - %(levelname)-8s - %(message)s"
    """A line, in the words of Python's `logging`. `%(request_id)s` is the id of the request, or of
    the socket; a format without it gets it at the end of the lines that have one."""
    datefmt: str = "%Y-%m-%d %H:%M:%S"
    """The time in a line, as of `strftime`."""
    loggers: tuple[LoggerLevel, ...] = ()
    """Levels of single loggers; `v6srv.access` has a line for each request at DEBUG."""

    @field_validator("level")
    @classmethod
    def _known(cls, value: str) -> str:
        return _level(value)

    @field_validator("format")
    @classmethod
    def _formats(cls, value: str) -> str:
        try:
            logging.Formatter(value).format(logging.makeLogRecord({"request_id": "-"}))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("is no format of Python's logging") from error
        return value


class DecisionLogging(Group):
    """The decision log (`v6srv audit`): denials always, allowances as far as they are sampled."""

    enabled: Flag = True
    """Whether it is written at all."""
    sample: float = Field(0.01, ge=0, le=1)
    """Which part of the allowances is written: 0 none, 1 all. A sample keeps the log small and
    still shows what a change of the policy would take away; all of them write as much as the
    access log of a busy server."""
    max_mb: float = Field(50, gt=0)
    """Of one file; a longer one is followed by the next."""
    keep: int = Field(10, ge=2)
    """How many files stay."""


class DatabaseLimits(Group):
    """How many connections a process keeps, and how long it waits: beyond, the answer is 503."""

    pool_size: int = Field(20, ge=1)
    """Connections that stay open."""
    max_overflow: int = Field(30, ge=0)
    """Further connections while they are needed. Requests for one resource hold a third of all at
    most; the others wait for their turn."""
    pool_timeout_s: float = Field(5, gt=0, le=DAY_S)
    """For a free connection."""
    connect_timeout_s: int = Field(3, ge=2, le=DAY_S)
    """For PostgreSQL to accept a new connection."""
    lock_timeout_s: float = Field(10, gt=0, le=DAY_S)
    """For a lock that somebody else holds; on SQLite for the one write lock of the file. Commands
    wait longer."""
    statement_timeout_s: float = Field(30, gt=0, le=DAY_S)
    """For one statement of a server, not of a command. PostgreSQL only."""
    tcp_user_timeout_s: float = Field(10, gt=0, le=DAY_S)
    """For the network to confirm what was sent to PostgreSQL."""


class Traces(Group):
    """Spans of OpenTelemetry: one for each request and socket event, with what was decided for it.
    Needs the extra `traces` (`pip install v6srv[traces]`)."""

    endpoint: str | None = None
    """The OTLP/HTTP address of a collector, such as `http://127.0.0.1:4318/v1/traces`. Unset: there
    are no spans. What it wants as headers, `OTEL_EXPORTER_OTLP_HEADERS` says."""
    sample: float = Field(0.1, ge=0, le=1)
    """Which part of the requests: 0 none, 1 all."""

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("must begin with http:// or https://")
        return value or None

    @property
    def lacking(self) -> Iterator[str]:
        """The packages that sending needs, where they are not."""
        try:
            there = not self.endpoint or find_spec("opentelemetry.sdk") is not None
        except ModuleNotFoundError:
            there = False
        if not there:
            yield "traces.endpoint: needs the extra of the package: pip install v6srv[traces]"


class Http(Group):
    """The processes that serve, and what a connection may cost before anybody is known."""

    processes: int = Field(1, ge=1, le=64)
    """How many processes serve the port, each on a core of its own. More than one need PostgreSQL
    and a message queue."""

    header_timeout_s: float = Field(10, gt=0, le=DAY_S)
    """For the head of a request."""
    body_timeout_s: float = Field(30, gt=0, le=DAY_S)
    """For the body of a request, and longer as long as it arrives at `body_min_rate`."""
    body_min_rate: int = Field(2000, ge=1)
    """Bytes per second that a body must average once `body_timeout_s` is over."""
    bodies_at_once_mb: int = Field(256, ge=1)
    """Bodies of more than 1 MB that are worked on at once, in MB of all of them; what is beyond
    waits on disk, in the folder for temporary files (`TMPDIR`), for at most ten minutes. One that
    is larger has its turn alone. Memory is six times that."""
    answer_timeout_s: float = Field(60, gt=0, le=DAY_S)
    """For a client to take some of what is sent to it, on sockets as well. It may be slow, but not
    stand still."""
    unfinished_per_address: int = Field(256, ge=1)
    """Requests of one address that may be on their way in at once; the oldest gives way to a new
    one. Behind proxies (`trusted_proxies`) the proxy has to see to that."""
    unknown_sockets_per_address: int = Field(2_000, ge=1)
    """Sockets of one address that have not said who they are, for at most a minute; the oldest
    gives way to a new one. More than the nodes behind one address, which come at once after a
    restart."""
    shutdown_s: float = Field(4, gt=0, le=DAY_S)
    """For requests to end when the server is told to stop."""


class KeptEvents(Group):
    """For how long events stay for those who were away (`GET /api/event`)."""

    keep_hours: float = Field(24, ge=0.25, le=LONGEST_DAYS * 24)
    """After it was sent. Who was away for longer is told that something may be missing."""
    keep_at_most: int = Field(100_000, ge=1)
    """Events: older ones go sooner, but none within a quarter of an hour."""


class Debug(Group):
    """More than users want to read."""

    socketio: Flag = False
    """Log what every socket sends and receives."""
    flask: Flag = False
    """Taken because configurations of 3.x have it; without effect. `v6srv start --debug` is for
    developers."""


class Directories(Group):
    """Folders instead of those of the operating system."""

    log: Path | None = None
    """Of log files, of all instances."""
    data: Path | None = None
    """Of a SQLite database with a relative path."""


def _level(value: str) -> str:
    if value.upper() not in LOG_LEVELS:
        raise ValueError(f"is not one of {', '.join(LOG_LEVELS)}")
    return value.upper()
