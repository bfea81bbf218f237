"""Where settings come from: a YAML file and the environment. Nothing else reads either.

Environment variables win over the file, the file wins over defaults (operations.md 1 and 2).
Unknown keys are refused with a suggestion: a setting that is misspelt has no effect, and nobody
would notice.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from v6srv import yaml_files
from v6srv.settings.schema import Settings, SettingsError
from v6srv.suggestions import nearest, suggestion
from v6srv.vocabulary import ENVIRONMENTS
from v6srv.yaml_files import BadYaml

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

PREFIX = "V6SRV_"

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

_OF_4X: Mapping[tuple[str, ...], str] = {
    ("algorithm_stores",): "",
    ("dev",): "",
    ("large_result_store",): "",
    ("password_policy", "between_user_emails_minutes"): "",
    ("prometheus",): "metrics",
    ("rabbitmq",): "rabbitmq_uri",
    ("runs_data_cleanup_include_input",): "",
    ("server_name",): "otp_issuer",
    ("server_url",): "",
    ("smtp", "email_from"): "smtp.username",
}
"""Settings of the 4.x server that this one does not know, and what they are called here."""

_INJECTED = re.compile(
    r"V6SRV_(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR|START|END))?)"
    r"|V6SRV_ENV_\w+"
)
"""Variables that container platforms make for a service of the name v6srv (or v6srv-...)."""
_INJECTED_PORT = re.compile(r"(?:tcp|udp|sctp)://")
_INJECTED_NAME = re.compile(r"/\S*/")
"""Values of V6SRV_PORT and V6SRV_NAME that such platforms make."""


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
    settings = _resolved(settings)
    if lacking := list(settings.lacking):
        raise SettingsError(lacking)
    return settings


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
    document = _document(file, typed=True)
    found = {"application": document} if _is_flat(document) else _environments(file, document)
    return {name: dict(found.get(name, {})) for name in ENVIRONMENTS}


def _document(file: Path, *, typed: bool = False) -> dict[Any, Any]:
    try:
        document = yaml_files.values(yaml_files.read(file), typed=typed)
    except BadYaml as error:
        raise SettingsError(map(str, error.faults)) from error
    if not isinstance(document, dict):
        raise SettingsError([f"{file.name}: is not a mapping of keys"])
    return document


def _is_flat(document: Mapping[Any, Any]) -> bool:
    return not {"application", "environments"} & set(document)


def _environments(file: Path, document: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Environments that are not empty, by name."""
    problems = [
        f"{file.name}: {key}: unknown key{suggestion(str(key), ('application', 'environments'))}"
        for key in document
        if key not in ("application", "environments")
    ]
    named = document.get("environments") or {}
    if not isinstance(named, dict):
        raise SettingsError([*problems, f"{file.name}: environments: is not a mapping of keys"])
    problems += [
        f"{file.name}: environments.{name}: unknown environment"
        f"{suggestion(str(name), ENVIRONMENTS[1:])}"
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
        if _is_injected(variable, text):
            continue
        path = _path_of(variable)
        if path is None:
            known = [*_ALIASES, *_ELSEWHERE, *_variables(Settings, PREFIX)]
            words = tuple(variable.removeprefix(PREFIX).lower().split("__"))
            problems.append(f"{variable}: {_unknown('variable', words, _near(variable, known))}")
        elif text:
            _put(values, path, text)
    return problems


def _is_injected(variable: str, value: str) -> bool:
    """Whether a container platform made this variable, and nobody meant a setting."""
    if variable == f"{PREFIX}NAME":
        return _INJECTED_NAME.match(value) is not None
    if variable != f"{PREFIX}PORT" and _path_of(variable) is not None:
        return False
    if variable.endswith("_PORT") and _INJECTED_PORT.match(value):
        return True
    return _INJECTED.fullmatch(variable) is not None


def _near(variable: str, known: Iterable[str]) -> str:
    """The variable that was meant: what all begin with makes no two of them alike."""
    short = {name.removeprefix(PREFIX): name for name in known}
    return short.get(nearest(variable.removeprefix(PREFIX), short), "")


def _unknown(kind: str, path: Sequence[str], near: str) -> str:
    """What is said of a key or variable that sets nothing."""
    for known, here in _OF_4X.items():
        if tuple(path[: len(known)]) == known:
            instead = f"here it is {here}" if here else "it has no effect here"
            return f"a setting of the 4.x server, {instead}"
    return f"unknown {kind}" + (f", did you mean {near}?" if near else "")


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
        path = [str(part) for part in error["loc"]]
        return f"{where}: {location}: {_unknown('key', path, nearest(path[-1], known))}"
    return f"{where}: {location}: {error['msg']}"


def _resolved(settings: Settings) -> Settings:
    """With the URI in the form this server connects with; relative paths are in the instance."""
    from sqlalchemy.engine import make_url  # slow to import: not for those who only ask for help
    from sqlalchemy.exc import ArgumentError

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


def masked(settings: Settings) -> dict[str, Any]:
    """The settings for people to read: no passwords, keys or secrets."""
    from sqlalchemy.engine import make_url

    shown = settings.model_dump(mode="json")
    shown["uri"] = _without_passwords(make_url(settings.uri))
    for key in ("rabbitmq_uri", "rate_limit_uri", "jwt_previous_keys"):
        if shown[key]:
            shown[key] = "**********"
    return shown


def _without_passwords(url: "URL") -> str:
    """A database URI to show: a password may stand before the host or in the query."""
    query = {k: "***" if "password" in k.lower() else v for k, v in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True)
