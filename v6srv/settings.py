"""All settings: one frozen object from a YAML file and the environment. Nothing else reads either.

Environment variables win over the file, the file wins over defaults (operations.md 1 and 2).
Unknown keys are refused with a suggestion: a setting that is misspelt has no effect, and nobody
would notice.
"""

import difflib
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from v6srv.errors import Invalid

log = logging.getLogger(__name__)

ENVIRONMENTS = ("application", "prod", "acc", "test", "dev")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
PREFIX = "V6SRV_"

_SHORTEST_TOKEN_S = 1800
_ACCESS_HOURS, _REFRESH_HOURS = 6.0, 48.0

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "HOST": ("ip",),
    "PORT": ("port",),
    "VANTAGE6_DB_URI": ("uri",),
    "V6SRV_DATABASE_URL": ("uri",),
    "V6SRV_JWT_SECRET": ("jwt_secret_key",),
    "V6SRV_WATCHDOG_SECONDS": ("watchdog_s",),
}
"""Variables that set a key under another name; later ones win."""

_ELSEWHERE = frozenset({"V6SRV_CONFIG", "V6SRV_ENVIRONMENT", "V6SRV_INSTANCE"})
"""Variables that say where to look and are no settings."""

_NOT_IN_FILES = frozenset({"instance", "config_file", "name", "environment", "scope"})
"""What is known before a file is read; in a file it would have no effect."""

QUEUES = ("amqp", "amqps", "redis", "rediss")


class SettingsError(Invalid):
    """Settings that cannot be used; `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


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


class _Part(BaseModel):
    """A group of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PasswordPolicy(_Part):
    """When an account is blocked (auth.md 4)."""

    max_failed_attempts: int = Field(5, ge=1)
    inactivation_minutes: float = Field(15, gt=0)


class Smtp(_Part):
    """How mails leave (operations.md 7)."""

    server: str = "localhost"
    port: int = Field(1025, ge=1, le=65535)
    username: str = "support@v6srv.example"
    password: SecretStr = SecretStr("")
    MAIL_USE_TLS: Flag = True
    MAIL_USE_SSL: Flag = False
    email_token_validity_minutes: float | None = Field(None, gt=0)


class VpnServer(_Part):
    """An eduVPN portal; all keys are needed (operations.md 6)."""

    url: str = Field(min_length=1)
    redirect_url: str = Field(min_length=1)
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    portal_username: str = Field(min_length=1)
    portal_userpass: SecretStr


class LoggerLevel(_Part):
    """The level of one logger."""

    name: str
    level: str

    @field_validator("level")
    @classmethod
    def _known(cls, value: str) -> str:
        return _level(value)


class Logging(_Part):
    """What is logged, and where."""

    level: str = "INFO"
    file: str | None = None
    use_console: Flag = True
    backup_count: int = Field(5, gt=0)
    max_size: int = Field(1024, gt=16)
    """Of one file, in kB."""
    format: str = "%(asctime)s - %(name)-14s - %(levelname)-8s - %(message)s"
    datefmt: str = "%Y-%m-%d %H:%M:%S"
    loggers: tuple[LoggerLevel, ...] = ()

    @field_validator("level")
    @classmethod
    def _known(cls, value: str) -> str:
        return _level(value)

    @field_validator("format")
    @classmethod
    def _formats(cls, value: str) -> str:
        try:
            logging.Formatter(value).format(logging.makeLogRecord({}))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("is no format of Python's logging") from error
        return value


class DecisionLogging(_Part):
    """The decision log (`v6srv audit`): denials always, allowances as far as they are sampled."""

    enabled: Flag = True
    sample: float = Field(0.01, ge=0, le=1)
    """Which part of the allowances is written: 0 none, 1 all. A sample keeps the log small and
    still shows what a change of the policy would take away; all of them write as much as the
    access log of a busy server."""
    max_mb: float = Field(50, gt=0)
    """Of one file; a longer one is followed by the next."""
    keep: int = Field(10, ge=2)
    """How many files stay."""


class Debug(_Part):
    """More than users want to read."""

    socketio: Flag = False
    flask: Flag = False


class Directories(_Part):
    """Folders instead of those of the operating system."""

    log: Path | None = None
    data: Path | None = None


def _level(value: str) -> str:
    if value.upper() not in LOG_LEVELS:
        raise ValueError(f"is not one of {', '.join(LOG_LEVELS)}")
    return value.upper()


class Settings(_Part):
    """Every setting. Attribute names are the keys of the configuration file."""

    # Where these come from
    instance: Path
    """The folder of database, secrets, policies in use and logs."""
    config_file: Path | None = None
    name: str = "v6srv"
    environment: str = "prod"
    scope: Literal["system", "user"] = "system"
    """Whose folders the instance belongs to; a part of the name of its log file."""

    # The keys of the contract
    description: str = ""
    type: str | None = None
    ip: str = "127.0.0.1"
    port: int = Field(5000, ge=1, le=65535)
    api_path: str = "/api"
    uri: str = Field("sqlite:///v6srv.sqlite", repr=False)
    allow_drop_all: Flag = False
    jwt_secret_key: SecretStr | None = Field(None)
    token_expires_hours: float | str = _ACCESS_HOURS
    refresh_token_expires_hours: float | str = _REFRESH_HOURS
    two_factor_auth: Flag = False
    password_policy: PasswordPolicy = PasswordPolicy()
    logging: Logging = Logging()
    decision_log: DecisionLogging = DecisionLogging()
    metrics: Flag = False
    """Whether `/metrics` is served, to anybody who can reach the server: numbers, no names."""
    debug: Debug = Debug()
    smtp: Smtp = Smtp()
    email_token_validity_minutes: float = Field(60, gt=0)
    support_email: str = ""
    vpn_server: VpnServer | None = None
    rabbitmq_uri: SecretStr | None = None
    directories: Directories = Directories()
    images: Any = None
    image: Any = None
    ui: Any = None

    # Keys of this server
    jwt_previous_keys: Words = Field((), repr=False)
    """Keys that once signed and still verify (auth.md 2.6)."""
    container_token_expires_days: float = Field(30, gt=0)
    otp_issuer: str = "v6srv"
    password_rounds: int = Field(12, ge=4, le=16)
    """Cost of bcrypt; below 12 only for tests."""
    cors_origins: Words = ("*",)
    watchdog_s: float = Field(65, gt=0)
    trusted_proxies: int = Field(0, ge=0)
    """How many reverse proxies in front may say where a request comes from."""
    max_per_page: int = Field(1000, ge=1)
    max_body_mb: int = Field(1024, ge=1)
    policies: Path = Path("policies")
    """Folder of model.conf and the CSV files; a relative one is in the instance folder."""
    root_password: SecretStr | None = None
    root_email: str = "root@domain.ext"

    @field_validator("api_path")
    @classmethod
    def _one_slash(cls, value: str) -> str:
        path = "/" + value.strip("/")
        if path == "/":
            raise ValueError("must not be empty: /socket.io and /apidocs live beside it")
        return path

    @field_validator("jwt_secret_key", "root_password", "rabbitmq_uri", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

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
    def token_expires_s(self) -> int:
        """Life of an access token (auth.md 2.3)."""
        if self.type == "test":
            return 24 * 3600
        return _lifetime(
            "token_expires_hours", self.token_expires_hours, _SHORTEST_TOKEN_S, _ACCESS_HOURS
        )

    @property
    def refresh_token_expires_s(self) -> int:
        """Life of a refresh token, longer than that of the access token."""
        return _lifetime(
            "refresh_token_expires_hours",
            self.refresh_token_expires_hours,
            self.token_expires_s + 1,
            max(_REFRESH_HOURS, 2 * self.token_expires_s / 3600),
        )

    @property
    def container_token_expires_s(self) -> int:
        """Life of a container's token: longer than the longest run (A1)."""
        return int(self.container_token_expires_days * 24 * 3600)

    @property
    def email_token_expires_s(self) -> int:
        """Life of a mailed token; the key may stand at the top level or under smtp."""
        minutes = self.smtp.email_token_validity_minutes or self.email_token_validity_minutes
        return int(minutes * 60)


def _lifetime(key: str, hours: float | str, least_s: int, default_hours: float) -> int:
    """Seconds of a number of hours; a useless value is reported and replaced (auth.md 2.3)."""
    try:
        seconds = int(float(hours) * 3600)
    except (ValueError, OverflowError):
        log.error("%s: %r is no number, %s hours are used", key, hours, default_hours)
        return int(default_hours * 3600)
    if seconds < least_s:
        log.warning(
            "%s: %s hours are less than %s s, %s hours are used", key, hours, least_s, default_hours
        )
        return int(default_hours * 3600)
    return seconds


# --- loading


def load(
    config: Path | None = None,
    environment: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a configuration file (or none) and of the environment.

    `environment` names the part of the file to use; None: the only one there, else prod, else
    application. Raises SettingsError with a line for each problem.
    """
    env = os.environ if environ is None else environ
    file = config or (Path(env["V6SRV_CONFIG"]) if env.get("V6SRV_CONFIG") else None)
    wanted = environment or env.get("V6SRV_ENVIRONMENT") or None
    chosen, values = read_environment(file, wanted) if file else (wanted or "prod", {})
    values.update(
        {
            "instance": Path(env.get("V6SRV_INSTANCE") or "instance").absolute(),
            "config_file": file,
            "name": env.get("VANTAGE6_CONFIG_NAME") or (file.stem if file else "v6srv"),
            "environment": chosen,
        }
    )
    problems = _apply_environment(values, env)
    where = file.name if file else "environment"
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_describe(where, one) for one in error.errors()]
        raise SettingsError(problems) from error
    if problems:
        raise SettingsError(problems)
    return _resolved(settings)


def read_environment(file: Path, wanted: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the keys of one environment of a configuration file.

    A file without `application` and `environments` is one environment itself, whatever its name.
    A key without a value counts as left out. Raises SettingsError.
    """
    document = _document(file)
    if _is_flat(document):
        wanted, keys = wanted or "application", document
    else:
        found = _environments(file, document)
        wanted = wanted or _preferred(file, found)
        if wanted not in found:
            there = ", ".join(found) or "none"
            raise SettingsError(
                [f"{file.name}: environment {wanted} is not in the configuration (found: {there})"]
            )
        keys = found[wanted]
    useless = sorted(_NOT_IN_FILES & set(keys))
    if useless:
        raise SettingsError(f"{file.name}: {key}: cannot be set in a file" for key in useless)
    return wanted, _without_nulls(keys)


def environments_of(file: Path) -> list[str]:
    """Names of the environments of a file that are not empty; raises SettingsError."""
    document = _document(file)
    return ["application"] if _is_flat(document) else list(_environments(file, document))


def environments_in(file: Path) -> dict[str, dict[str, Any]]:
    """All five environments of a file with their keys as they stand there, empty ones too.

    A file that is one environment itself is `application`. Raises SettingsError.
    """
    document = _document(file)
    found = {"application": document} if _is_flat(document) else _environments(file, document)
    return {name: dict(found.get(name, {})) for name in ENVIRONMENTS}


def _document(file: Path) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file.name}: cannot be read: {error.__class__.__name__}"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"{file.name}: is not YAML{_place(error)}"]) from error
    if not isinstance(document, dict):
        raise SettingsError([f"{file.name}: is not a mapping of keys"])
    return document


def _place(error: yaml.YAMLError) -> str:
    """Where and what, without the line itself: it may hold a password."""
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{where}: {getattr(error, 'problem', None) or type(error).__name__}"


def _is_flat(document: Mapping[Any, Any]) -> bool:
    return not {"application", "environments"} & set(document)


def _environments(file: Path, document: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Environments that are not empty, by name."""
    problems = [
        f"{file.name}: {key}: unknown key{_suggest(str(key), ('application', 'environments'))}"
        for key in document
        if key not in ("application", "environments")
    ]
    named = document.get("environments") or {}
    if not isinstance(named, dict):
        raise SettingsError([*problems, f"{file.name}: environments: is not a mapping of keys"])
    problems += [
        f"{file.name}: environments.{name}: unknown environment"
        f"{_suggest(str(name), ENVIRONMENTS[1:])}"
        for name in named
        if name not in ENVIRONMENTS[1:]
    ]
    parts = {"application": document.get("application"), **named}
    problems += [
        f"{file.name}: {name}: is not a mapping of keys"
        for name, part in parts.items()
        if part and not isinstance(part, dict)
    ]
    if problems:
        raise SettingsError(problems)
    return {name: part for name, part in parts.items() if part}


def _preferred(file: Path, found: Mapping[str, Any]) -> str:
    """The environment to use when nobody names one."""
    if len(found) == 1:
        return next(iter(found))
    for name in ("prod", "application"):
        if name in found:
            return name
    if not found:
        raise SettingsError([f"{file.name}: all environments are empty"])
    raise SettingsError([f"{file.name}: name the environment to use: {', '.join(found)}"])


def _without_nulls(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in keys.items()
        if value is not None
    }


def _apply_environment(values: dict[str, Any], env: Mapping[str, str]) -> list[str]:
    """Put the variables over the values of the file; returns what is wrong with them."""
    problems: list[str] = []
    for variable, path in _ALIASES.items():
        if env.get(variable):
            _put(values, path, env[variable])
    for variable, text in sorted(env.items()):
        if not variable.startswith(PREFIX) or variable in _ELSEWHERE or variable in _ALIASES:
            continue
        if variable.startswith(f"{PREFIX}TEST_"):
            continue
        path = _path_of(variable)
        if path is None:
            known = [*_ALIASES, *_ELSEWHERE, *_variables(Settings, PREFIX)]
            problems.append(f"{variable}: unknown variable{_suggest(variable, known)}")
        elif text:
            _put(values, path, text)
    return problems


def _path_of(variable: str) -> tuple[str, ...] | None:
    """`V6SRV_SMTP__PORT` -> ("smtp", "port"); None when there is no such setting."""
    model: type[BaseModel] | None = Settings
    path: list[str] = []
    for word in variable.removeprefix(PREFIX).split("__"):
        fields = model.model_fields if model else {}
        key = next((k for k in fields if k.upper() == word), None)
        if key is None or (not path and key in ("instance", "config_file", "environment")):
            return None
        path.append(key)
        model = _group(fields[key].annotation)
    return tuple(path)


def _group(annotation: Any) -> type[BaseModel] | None:
    """The group of keys that a setting of this type holds, if it holds one."""
    for part in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """All variables that set something in `model`."""
    for key, info in model.model_fields.items():
        if model is not Settings or key not in _NOT_IN_FILES:
            yield prefix + key.upper()
            group = _group(info.annotation)
            if group:
                yield from _variables(group, f"{prefix}{key.upper()}__")


def _put(values: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    *parents, key = path
    for parent in parents:
        part = values.get(parent)
        values[parent] = values = dict(part) if isinstance(part, dict) else {}
    values[key] = text


def _describe(where: str, error: Any) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        model: type[BaseModel] | None = Settings
        for part in error["loc"][:-1]:
            if model and part in model.model_fields:  # a number is a place in a list
                model = _group(model.model_fields[part].annotation)
        known = model.model_fields if model else {}
        return f"{where}: {location}: unknown key{_suggest(str(error['loc'][-1]), known)}"
    return f"{where}: {location}: {error['msg']}"


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""


def _resolved(settings: Settings) -> Settings:
    """With the URI in the form this server connects with; relative paths are in the instance."""
    try:
        url = make_url(settings.uri)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(["uri: is not a database URI"]) from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif backend != "sqlite":
        raise SettingsError([f"uri: {backend} is not supported, use sqlite or postgresql"])
    elif url.database not in (None, "", ":memory:") and not Path(url.database).is_absolute():
        folder = settings.directories.data or settings.instance
        url = url.set(database=str(folder / url.database))
    return settings.model_copy(
        update={
            "uri": url.render_as_string(hide_password=False),
            "policies": settings.instance / settings.policies,
        }
    )


# --- secrets


def jwt_secret(settings: Settings) -> str:
    """The key that signs tokens: the configured one, else one kept in the instance folder.

    The file is made once, with mode 0600, so that restarts and further processes keep tokens valid.
    """
    if settings.jwt_secret_key:
        return settings.jwt_secret_key.get_secret_value()
    path = settings.instance / "jwt_secret"
    if path.exists():
        return _kept_secret(path)
    settings.instance.mkdir(parents=True, exist_ok=True)
    fresh = settings.instance / f".jwt_secret.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        os.link(fresh, path)  # fails if another process was first: then its key is the one
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return _kept_secret(path)


def _kept_secret(path: Path) -> str:
    kept = path.read_text(encoding="utf-8").strip()
    if not kept:  # anybody could sign with no key at all
        raise SettingsError([f"{path} is empty: remove it, and the next start makes a new key"])
    return kept


def masked(settings: Settings) -> dict[str, Any]:
    """The settings for people to read: no passwords, keys or secrets."""
    shown = settings.model_dump(mode="json")
    shown["uri"] = _without_passwords(make_url(settings.uri))
    for key in ("rabbitmq_uri", "jwt_previous_keys"):
        if shown[key]:
            shown[key] = "**********"
    return shown


def _without_passwords(url: URL) -> str:
    """A database URI to show: a password may stand before the host or in the query."""
    query = {k: "***" if "password" in k.lower() else v for k, v in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True)
