"""All settings: one frozen object from a YAML file and the environment. Nothing else reads either.

Environment variables win over the file, the file wins over defaults (operations.md 1 and 2).
Unknown keys are refused with a suggestion: a setting that is misspelt has no effect, and nobody
would notice.
"""

import difflib
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

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
from sqlalchemy.engine import make_url
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
    jwt_previous_keys: tuple[str, ...] = Field((), repr=False)
    """Keys that once signed and still verify (auth.md 2.6)."""
    container_token_expires_days: float = Field(30, gt=0)
    otp_issuer: str = "v6srv"
    password_rounds: int = Field(12, ge=4, le=16)
    """Cost of bcrypt; below 12 only for tests."""
    cors_origins: tuple[str, ...] = ("*",)
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

    # What follows from them

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.ip

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
        settings = Settings(**values)
    except ValidationError as error:
        problems += [_describe(where, one) for one in error.errors()]
        raise SettingsError(problems) from error
    if problems:
        raise SettingsError(problems)
    return _resolved(settings)


def read_environment(file: Path, wanted: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the keys of one environment of a configuration file.

    A file without `application` and `environments` is one environment itself.
    """
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file.name}: cannot be read: {error.__class__.__name__}"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"{file.name}: is not YAML: {error}"]) from error
    if not isinstance(document, dict):
        raise SettingsError([f"{file.name}: is not a mapping of keys"])
    if not {"application", "environments"} & set(document):
        return wanted or "application", dict(document)
    unknown = set(document) - {"application", "environments"}
    if unknown:
        raise SettingsError(
            f"{file.name}: {key}: unknown key{_suggest(key, ('application', 'environments'))}"
            for key in sorted(map(str, unknown))
        )
    found = _environments(file, document)
    if wanted is None:
        wanted = next(iter(found)) if len(found) == 1 else ("prod" if "prod" in found else None)
        wanted = wanted or ("application" if "application" in found else None)
    if wanted not in found:
        there = ", ".join(found) or "none"
        raise SettingsError(
            [f"{file.name}: environment {wanted} is not in the configuration (found: {there})"]
        )
    return wanted, dict(found[wanted])


def _environments(file: Path, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Environments that are not empty, by name."""
    parts = {"application": document.get("application"), **(document.get("environments") or {})}
    unknown = [str(name) for name in parts if name not in ENVIRONMENTS]
    if unknown:
        raise SettingsError(
            f"{file.name}: environments.{name}: unknown environment{_suggest(name, ENVIRONMENTS)}"
            for name in unknown
        )
    for name, part in parts.items():
        if part and not isinstance(part, dict):
            raise SettingsError([f"{file.name}: {name}: is not a mapping of keys"])
    return {name: part for name, part in parts.items() if part}


def environments_of(file: Path) -> list[str]:
    """Names of the environments of a file that are not empty; raises SettingsError."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise SettingsError([f"{file.name}: is not a mapping of keys"])
    if not {"application", "environments"} & set(document):
        return ["application"]
    return list(_environments(file, document))


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
            known = [*_ALIASES, *_ELSEWHERE, *(PREFIX + k.upper() for k in Settings.model_fields)]
            problems.append(f"{variable}: unknown variable{_suggest(variable, known)}")
        elif text:
            _put(values, path, text)
    return problems


def _path_of(variable: str) -> tuple[str, ...] | None:
    """`V6SRV_SMTP__PORT` -> ("smtp", "port"); None when there is no such setting."""
    model: type[BaseModel] = Settings
    path: list[str] = []
    for word in variable.removeprefix(PREFIX).split("__"):
        key = next((k for k in model.model_fields if k.upper() == word), None)
        if key is None or (not path and key in ("instance", "config_file", "environment")):
            return None
        path.append(key)
        annotation = model.model_fields[key].annotation
        parts = [annotation, *getattr(annotation, "__args__", ())]
        nested = [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]
        model = nested[0] if nested else BaseModel
    return tuple(path)


def _put(values: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    *parents, key = path
    for parent in parents:
        part = values.get(parent)
        values[parent] = values = dict(part) if isinstance(part, dict) else {}
    lists = ("cors_origins", "jwt_previous_keys")
    values[key] = [word.strip() for word in text.split(",")] if key in lists else text


def _describe(where: str, error: Any) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        model: Any = Settings
        for part in error["loc"][:-1]:
            annotation = model.model_fields[part].annotation
            parts = [annotation, *getattr(annotation, "__args__", ())]
            model = next(p for p in parts if isinstance(p, type) and issubclass(p, BaseModel))
        key = str(error["loc"][-1])
        return f"{where}: {location}: unknown key{_suggest(key, model.model_fields)}"
    return f"{where}: {location}: {error['msg']}"


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""


def _resolved(settings: Settings) -> Settings:
    """With the URI in the form this server connects with; relative paths are in the instance."""
    try:
        url = make_url(settings.uri)
    except ArgumentError as error:
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
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
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
    return path.read_text(encoding="ascii").strip()


def masked(settings: Settings) -> dict[str, Any]:
    """The settings for people to read: no passwords, keys or secrets."""
    shown = settings.model_dump(mode="json")
    shown["uri"] = make_url(settings.uri).render_as_string(hide_password=True)
    for key in ("rabbitmq_uri", "jwt_previous_keys"):
        if shown[key]:
            shown[key] = "**********"
    return shown
