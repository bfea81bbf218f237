"""Every setting, in one frozen object. Attribute names are the keys of the configuration file.

docs/reference/settings.md is made of the docstrings here (`make docs`).
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from v6srv.errors import Invalid
from v6srv.settings.groups import (
    DAY_S,
    LONGEST_DAYS,
    LONGEST_MINUTES,
    DatabaseLimits,
    Debug,
    DecisionLogging,
    Dialects,
    Directories,
    Flag,
    Group,
    Http,
    KeptEvents,
    Logging,
    Oidc,
    PasswordPolicy,
    Smtp,
    Traces,
    VpnServer,
    WebHooks,
    Words,
)
from v6srv.vocabulary import V3, V4

_SHORTEST_TOKEN_S = 1800
_ACCESS_HOURS, _REFRESH_HOURS = 6.0, 48.0
QUEUES = ("amqp", "amqps", "redis", "rediss")
REDIS = ("redis://", "rediss://")
_YEAR_S = 366 * DAY_S

SHORTEST_KEY = 32
"""Bytes of a key that signs tokens: what is shorter can be guessed from any token (RFC 7518)."""

TOO_SHORT = (
    f"is shorter than {SHORTEST_KEY} bytes: whoever has a token can guess it and sign others. Make"
    " a new one (openssl rand -hex 32) and put the old one into jwt_previous_keys, for second"
    " factors are encrypted with it. Everybody has to log in again"
)


def is_short(key: str) -> bool:
    """Whether a key can be guessed."""
    return len(key.encode()) < SHORTEST_KEY


class SettingsError(Invalid):
    """Settings that cannot be used; `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


EXACT = {V3: "/v3/api", V4: "/v4/api"}
"""Base paths that are for one generation of programs each."""
_PATH = r"(/\w[\w.~-]*)+"
_ORIGIN = r"(https?)://([a-z0-9_.-]+)(:\d{1,5})?/?"
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_NO_PATH = "may only have letters, digits and . _ ~ - between its slashes"


class Settings(Group):
    """Every setting. Attribute names are the keys of the configuration file."""

    # Where these come from
    instance: Path
    """The folder of database, secrets, policies in use and logs."""
    config_file: Path | None = None
    """The file that was read."""
    name: str = "v6srv"
    """The name of the instance: that of its configuration file."""
    environment: str = "prod"
    """Which environment of the configuration file this is."""
    scope: Literal["system", "user"] = "system"
    """Whose folders the instance belongs to; a part of the name of its log file."""

    # The keys of the contract
    description: str = ""
    """A text for people."""
    type: str | None = None
    """`test`: access tokens live for 24 hours. Anything else has no effect."""
    ip: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0`: all of this machine."""
    port: int = Field(5000, ge=1, le=65535)
    """The port to listen on."""
    api_path: str = "/api"
    """What all REST paths begin with; the documentation writes `/api`. Socket.IO is at
    `/socket.io`, whatever this is. `/v3/api` and `/v4/api` are there beside it, for programs of one
    generation each."""
    uri: str = Field("sqlite:///v6srv.sqlite", repr=False)
    """The database: `postgresql://user:password@host/database` or `sqlite:///file`; a relative file
    is in the folder of the instance. Several processes need PostgreSQL."""
    allow_drop_all: Flag = False
    """Whether `v6srv import --drop-all` may delete everything first."""
    jwt_secret_key: SecretStr | None = Field(None)
    """The key that signs tokens, of at least 32 bytes, the same in all processes of a database.
    Unset: one is made at the first start and kept in the file `jwt_secret` of the instance."""
    token_expires_hours: float | str = _ACCESS_HOURS
    """Life of an access token, at least half an hour; a value that is less or no number is logged,
    and the default used."""
    refresh_token_expires_hours: float | str = _REFRESH_HOURS
    """Life of a refresh token, longer than that of an access token; likewise."""
    two_factor_auth: Flag = False
    """Whether all users need a second factor."""
    password_policy: PasswordPolicy = PasswordPolicy()
    logging: Logging = Logging()
    decision_log: DecisionLogging = DecisionLogging()
    database: DatabaseLimits = DatabaseLimits()
    http: Http = Http()
    events: KeptEvents = KeptEvents()
    metrics: Flag = False
    """Whether `/api/metrics` is served, to anybody who can reach the server: numbers, no names."""
    console: Flag = True
    """Whether there are pages for browsers at `/console`."""
    console_publishing: Flag = False
    """Whether browsers can publish policies; password and second factor are asked for anew."""
    traces: Traces = Traces()
    debug: Debug = Debug()
    smtp: Smtp = Smtp()
    email_token_validity_minutes: float = Field(60, gt=0, le=LONGEST_MINUTES)
    """Life of the tokens that are sent by mail, to recover an account."""
    support_email: str = ""
    """Whom mails name for help; empty: `smtp.username`."""
    vpn_server: VpnServer | None = None
    web_hooks: WebHooks = WebHooks()
    oidc: Oidc | None = None
    rabbitmq_uri: SecretStr | None = None
    """The message queue that several processes share: an `amqp://`, `amqps://`, `redis://` or
    `rediss://` URL. Unset: there is one process."""
    directories: Directories = Directories()
    images: Any = None
    """For the program that starts containers; taken, and without effect here."""
    image: Any = None
    """As `images`."""
    ui: Any = None
    """As `images`."""

    # Keys of this server
    jwt_previous_keys: Words = Field((), repr=False)
    """Keys that verify and do not sign: those that once signed, and the next one before it does
    ([changing the signing key](../operations.md#changing-the-signing-key)). In a variable with
    commas between them. What is shorter than 32 bytes verifies no token."""
    runs_data_cleanup_days: int | None = Field(None, ge=1, le=LONGEST_DAYS)
    """Inputs, results and logs are deleted so many days after the last result of a run, that is of
    a task and its subtasks, has ended; who computed what and when stays. Unset: they are kept for
    ever. A task can ask for less (`keep_days`), never for more. `v6srv retention preview` shows
    what would go: what is gone comes back from a backup only."""
    dialects: Dialects = Field(default_factory=dict)
    """Which programs call at a base path or, where that is for both generations, at a host name:
    `3`, `4`, or `auto`. `{"/api": 3}` is for networks without any 4.x program whose own scripts use
    new HTTP libraries. Unset: `auto` at `api_path`: the token, what only one generation sends, and
    at a login the version of the HTTP library tell. In a variable `/api=3,old.example=3`."""
    mixed_generation_tasks: Literal["refuse", "allow"] = "refuse"
    """Whether a 3.x program may start a task at the node of an organization that was seen to be of
    4.x, and the other way round. They read inputs and write results in different forms: `allow` is
    for algorithms whose images understand both. A 3.x node is never sent a task with several
    databases, or with parameters of one: it would not see them."""
    between_collaborations: Literal["strict", "reference"] = "strict"
    """What a node sees: `strict`, its own collaboration; `reference`, as in 3.x and 4.x, all that
    its organization takes part in. Programs of either release need no more than `strict`."""
    column_image: str = "ghcr.io/vantage6/algorithm-basics:latest"
    """The image of tasks that read the names of columns, which the web interface of 4.x asks for
    where no node shares them. Nodes of 4.x know this one and run it, unless they are set not to;
    another one they have to allow like any algorithm."""
    algorithm_store_hosts: Words = ("*",)
    """Hosts of algorithm stores that this server calls, such as `store.example` or `*.example`;
    `*`: any. Who may edit a collaboration says where its store is, which may be a server that only
    this one reaches. In a variable with commas between them."""
    container_token_expires_days: float = Field(30, gt=0, le=LONGEST_DAYS)
    """Life of the token of a running algorithm, unless its task ends before: longer than the
    longest run."""
    otp_issuer: str = "v6srv"
    """What authenticator apps show as the name of this server."""
    password_rounds: int = Field(12, ge=4, le=16)
    """Cost of bcrypt; below 12 only for tests. Older hashes get it when their users log in."""
    hash_threads: int = Field(0, ge=0)
    """Passwords that are hashed at the same time; 0: one fewer than the cores, at least 1."""
    hash_queue: int = Field(64, ge=1)
    """Passwords that may wait to be hashed; beyond, the answer is 503 with `Retry-After`."""
    login_rate_limit: str = "20 per 15 minutes"
    """How many logins of one address into one account may fail before further ones are answered
    with 429: a number, `per`, and a time; several are separated by `;`. `off`, or `""` in a file:
    no limit. The same holds for an address and a wrong key of a node. The lock-out of the account
    (`password_policy`) is apart from this."""
    rate_limit_uri: SecretStr | None = None
    """redis:// URL where failed logins are counted when several processes share them; unset: the
    message queue if that is Redis, else each process counts for itself. Each also does so, from
    zero, while Redis does not answer."""
    refresh_grace_s: int = Field(60, ge=0, le=LONGEST_DAYS * DAY_S)
    """How long a refresh token that was replaced is still good, for what a program does at the same
    time. Used later, it ends its session: somebody has a copy. Programs that share one login, each
    in a process of its own, need as long as a refresh token lives."""
    longest_session_days: float = Field(30, ge=0, le=LONGEST_DAYS)
    """How long users stay logged in at most, however often a program refreshes; 0: for ever. Nodes,
    which refresh for months, are not meant."""
    clock_leeway_s: int = Field(300, ge=0, le=DAY_S)
    """How far the clocks of two processes may differ, or one clock be set back, before fresh tokens
    are refused (401). A token never lives longer for it: its end is compared with the clock of
    whoever is asked."""
    cors_origins: Words = ("*",)
    """Web pages that may call this server, such as `https://ui.example`; `*`: all, but without the
    credentials that the web interface of 4.x asks with; none: pages of this server's own address.
    It holds for REST and for sockets. In a variable with commas between them."""
    cors_allowed_origins: Words | None = None
    """As `cors_origins`, by the name that it has in 4.x; this one wins."""
    watchdog_s: float = Field(65, gt=0, le=DAY_S)
    """After how many silent seconds a node counts as offline. Nodes report every 60 seconds."""
    trusted_proxies: int = Field(0, ge=0)
    """How many reverse proxies in front may say where a request comes from."""
    max_per_page: int = Field(10_000, ge=1)
    """The largest `per_page` of a list."""
    max_body_mb: int = Field(1024, ge=1)
    """The largest body of a request; a reverse proxy in front must let through as much. Results and
    inputs of tasks travel in bodies."""
    policies: Path = Path("policies")
    """Folder of model.conf and the CSV files; a relative one is in the instance folder."""
    policy_tests: Literal["refuse", "warn", "off"] = "warn"
    """What the tests beside the policies are for when files are edited. `warn`: the edit is live
    within a second, then they are run, and those that fail are problems. `refuse`: it goes live
    when they pass, and stays out when one fails; until then what was live decides. `off`: a server
    does not run them. Versions that are published are tested before, whatever this is."""
    root_password: SecretStr | None = None
    """The password of `root` when that account is made, at the first start. Unset: one is made up
    and shown once."""
    root_email: str = "root@domain.ext"
    """Its address: to recover the password by mail."""

    @field_validator("api_path")
    @classmethod
    def _one_slash(cls, value: str) -> str:
        path = "/" + value.strip("/")
        if path == "/":
            raise ValueError("must not be empty: /socket.io and /apidocs live beside it")
        if path in EXACT.values():
            raise ValueError("is there anyway, for one generation of programs: leave out api_path")
        if not re.fullmatch(_PATH, path, re.ASCII):
            raise ValueError(_NO_PATH)
        return path

    @field_validator("dialects")
    @classmethod
    def _are_names(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, dialect in value.items():
            if name in EXACT.values():
                raise ValueError(f"{name} is for the programs whose generation it names")
            if name.startswith("/") and not re.fullmatch(_PATH, name, re.ASCII):
                raise ValueError(_NO_PATH)
            if not name.startswith("/") and dialect == "auto":
                raise ValueError(f"{name}: a host name is for one generation, 3 or 4")
        return value

    @field_validator("cors_origins", "cors_allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(map(_origin, value))

    @field_validator("runs_data_cleanup_days", mode="before")
    @classmethod
    def _no_text_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator(
        "jwt_secret_key", "root_password", "rabbitmq_uri", "rate_limit_uri", mode="before"
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("policy_tests", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        return "off" if value is False else value  # YAML's understanding of it

    @field_validator("login_rate_limit", mode="before")
    @classmethod
    def _off_is_empty(cls, value: object) -> object:
        text = "" if value is False else str(value).strip()
        return "" if text.lower() == "off" else text

    @field_validator("login_rate_limit")
    @classmethod
    def _is_a_limit(cls, value: str) -> str:
        from limits import parse_many  # takes a while, and most settings leave this alone

        try:
            limits = parse_many(value) if value else []
        except ValueError:
            limits = [None]
        if not all(one and one.amount > 0 and one.get_expiry() <= _YEAR_S for one in limits):
            raise ValueError("is no limit such as `20 per 15 minutes`; `off` for none")
        return value

    @field_validator("rabbitmq_uri", "rate_limit_uri")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            urlsplit(value.get_secret_value() if value else "").port  # noqa: B018 - reads it
        except ValueError:  # which quotes what it could not read
            raise ValueError(
                "is no URL: in a password, / # ? @ : and [ are written as %2F and so on"
            ) from None
        return value

    @field_validator("rate_limit_uri")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(REDIS):
            raise ValueError(f"must start with one of {', '.join(REDIS)}")
        return value

    @field_validator("jwt_secret_key")
    @classmethod
    def _cannot_be_guessed(cls, value: SecretStr | None) -> SecretStr | None:
        if value and is_short(value.get_secret_value()):
            raise ValueError(TOO_SHORT)
        return value

    @field_validator("rabbitmq_uri")
    @classmethod
    def _is_a_queue(cls, value: SecretStr | None) -> SecretStr | None:
        if value and value.get_secret_value().partition("://")[0] not in QUEUES:
            raise ValueError(f"must start with one of {', '.join(q + '://' for q in QUEUES)}")
        return value

    # What follows from them

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.ip

    @property
    def mixes_generations(self) -> bool:
        """Whether a task may be for nodes of both generations."""
        return self.mixed_generation_tasks == "allow"

    @property
    def mounts(self) -> dict[int, str]:
        """Where the endpoints of each dialect are."""
        return {**EXACT, V3: self.api_path}

    @property
    def base_paths(self) -> dict[str, int | None]:
        """The dialect of each base path and host name, None where it has to be found out."""
        known = {path: str(dialect) for dialect, path in EXACT.items()}
        every = {self.api_path: "auto", **known, **self.dialects}
        return {name: None if one == "auto" else int(one) for name, one in every.items()}

    @property
    def log_folder(self) -> Path:
        """Where this instance keeps its log files (operations.md 2.2)."""
        return (self.directories.log or self.instance / "log") / self.name

    @property
    def log_suffix(self) -> str:
        """A part of the names of all log files: instances of several scopes share a folder."""
        return f"{self.environment}_{self.scope}"

    @property
    def message_queue(self) -> str | None:
        """amqp:// or redis:// URL that several server processes share."""
        return self.rabbitmq_uri.get_secret_value() if self.rabbitmq_uri else None

    @property
    def rate_limit_store(self) -> str | None:
        """redis:// URL where several processes count failed logins together."""
        if self.rate_limit_uri:
            return self.rate_limit_uri.get_secret_value()
        queue = self.message_queue
        return queue if queue and queue.startswith(REDIS) else None

    @property
    def token_expires_s(self) -> int:
        """Life of an access token (auth.md 2.3)."""
        return self._access_life[0]

    @property
    def refresh_token_expires_s(self) -> int:
        """Life of a refresh token, longer than that of the access token."""
        return self._refresh_life[0]

    @property
    def _access_life(self) -> tuple[int, str | None]:
        if self.type == "test":
            return 24 * 3600, None
        return _lifetime(
            "token_expires_hours", self.token_expires_hours, _SHORTEST_TOKEN_S, _ACCESS_HOURS
        )

    @property
    def _refresh_life(self) -> tuple[int, str | None]:
        return _lifetime(
            "refresh_token_expires_hours",
            self.refresh_token_expires_hours,
            self.token_expires_s + 1,
            max(_REFRESH_HOURS, 2 * self.token_expires_s / 3600),
        )

    @property
    def replaced(self) -> tuple[str, ...]:
        """A line for each value that is not used because it cannot be: a default stands in."""
        lines = (self._access_life[1], self._refresh_life[1])
        return tuple(line for line in lines if line)

    @property
    def remarks(self) -> Iterator[str]:
        """What an admin should know of these settings. Said once, at the start."""
        yield from self.replaced
        if len(self.verifying_keys) < len(self.jwt_previous_keys):
            yield (
                f"jwt_previous_keys: one of less than {SHORTEST_KEY} bytes verifies no token;"
                " second factors that are encrypted with it can still be read"
            )
        if self.http.processes > 1 and not self.rate_limit_store:
            yield (
                "rate_limit_uri: is not set, and the message queue is not Redis: each of"
                f" {self.http.processes} processes counts failed logins for itself"
            )

    @property
    def lacking(self) -> Iterator[str]:
        """What these settings need and do not have."""
        if self.http.processes > 1 and self.uri.startswith("sqlite"):
            yield (
                f"uri: {self.http.processes} processes (http.processes) cannot share SQLite, where"
                " one writes at a time: use PostgreSQL (postgresql://user:password@host/database),"
                " or one process"
            )
        if self.http.processes > 1 and not self.message_queue:
            yield (
                f"rabbitmq_uri: {self.http.processes} processes (http.processes) need a message"
                " queue, or events reach only the sockets of the process where they happen: set it"
                " to a redis:// or amqp:// URL, or use one process"
            )
        yield from self.traces.lacking

    @property
    def origins(self) -> tuple[str, ...]:
        """Whose pages may call this server, as browsers say it; `*` is all of them."""
        named = self.cors_allowed_origins
        return self.cors_origins if named is None else named

    @property
    def verifying_keys(self) -> tuple[str, ...]:
        """The previous keys whose tokens are still good: a short one can be guessed."""
        return tuple(key for key in self.jwt_previous_keys if not is_short(key))

    @property
    def container_token_expires_s(self) -> int:
        """Life of a container's token: longer than the longest run (A1)."""
        return int(self.container_token_expires_days * 24 * 3600)

    @property
    def email_token_expires_s(self) -> int:
        """Life of a mailed token; the key may stand at the top level or under smtp."""
        minutes = self.smtp.email_token_validity_minutes or self.email_token_validity_minutes
        return int(minutes * 60)


def _origin(text: str) -> str:
    """An origin as browsers write it: in small letters, without a path or the usual port."""
    if text == "*":
        return text
    written = re.fullmatch(_ORIGIN, text.lower(), re.ASCII)
    if written is None:
        raise ValueError(f"{text!r} is no origin such as https://ui.example")
    scheme, host, port = written.groups()
    return f"{scheme}://{host}{'' if port == _USUAL_PORTS[scheme] else port or ''}"


def _lifetime(
    key: str, hours: float | str, least_s: float, default_hours: float
) -> tuple[int, str | None]:
    """Seconds of a number of hours; a useless value is replaced (auth.md 2.3), and why."""
    default_s = int(default_hours * 3600)
    try:
        seconds = float(hours) * 3600
    except ValueError:
        return default_s, f"{key}: {hours!r} is no number, {default_hours:g} hours are used"
    if not math.isfinite(seconds) or seconds > LONGEST_DAYS * DAY_S:
        return default_s, f"{key}: {hours!r} is no time, {default_hours:g} hours are used"
    if seconds < least_s:
        short = f"{key}: {hours} hours are less than {least_s:g} s"
        return default_s, f"{short}, {default_hours:g} hours are used"
    return int(seconds), None
