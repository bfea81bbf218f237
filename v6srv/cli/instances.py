"""Which configuration a command works with (operations.md 2.1 and 4.1)."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from platformdirs import PlatformDirs

from v6srv.cli.output import error
from v6srv.vocabulary import ENVIRONMENTS

if TYPE_CHECKING:
    from v6srv.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_DIRS = PlatformDirs("vantage6", appauthor=False)
SCOPES = ("system", "user")


def configuration_folder(scope: str) -> Path:
    """Where configurations are, by platform convention."""
    base = Path(_DIRS.site_config_dir if scope == "system" else _DIRS.user_config_dir)
    return base / "server"


def data_folder(scope: str, name: str) -> Path:
    """Where an instance keeps its database."""
    base = Path(_DIRS.site_data_dir if scope == "system" else _DIRS.user_data_dir)
    return base / "server" / name


def log_folder(scope: str) -> Path:
    """Where the log files of all instances are."""
    if scope == "system":
        return Path(_DIRS.site_data_dir) / "server"
    return Path(_DIRS.user_cache_dir) / "log" / "server"


def files_of(scope: str) -> list[Path]:
    """All configuration files of a scope, by name."""
    folder = configuration_folder(scope)
    found = [*folder.glob("*.yaml"), *folder.glob("*.yml")] if folder.is_dir() else []
    return sorted(found)


def selected(command: Command) -> Command:
    """Options of every command that works with an instance; it gets `settings`."""
    options = (
        click.option("-n", "--name", help="Name of a configuration."),
        click.option(
            "-c",
            "--config",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="A configuration file; wins over the name.",
        ),
        click.option(
            "-e",
            "--environment",
            type=click.Choice(ENVIRONMENTS),
            help="Which environment of the configuration.",
        ),
        click.option(
            "--system/--user",
            "system",
            default=None,
            help="The folders to look in; alone, choose from what is there.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def scope_of(system: bool | None) -> str:
    """Whose folders are meant; those of the system unless told."""
    return "user" if system is False else "system"


def is_named(**options: Any) -> bool:
    """Whether it is said which instance is meant, by an option of `selected` or a variable."""
    variables = ("V6SRV_INSTANCE", "V6SRV_CONFIG")
    given = any(option is not None for option in options.values())
    return given or any(os.environ.get(variable) for variable in variables)


def choose(
    name: str | None, config: Path | None, environment: str | None, system: bool | None
) -> "Settings":
    """The settings that the options select.

    Without a name and a file they are those of the environment variables; with a scope alone a
    person chooses from its configurations. Raises SettingsError.
    """
    from v6srv.settings import load

    environ = dict(os.environ)
    if system is not None or name is not None:
        environ["V6SRV_SCOPE"] = scope_of(system)
    if config is not None:
        return load(config, environment, environ)
    if name is None and system is None:
        return load(None, environment, environ)
    scope = scope_of(system)
    if name is None:
        file, environment = ask(scope)
    else:
        file = _by_name(name, scope)
    if environ.get("V6SRV_INSTANCE"):
        return load(file, environment, environ)
    environ["V6SRV_INSTANCE"] = str(data_folder(scope, file.stem))
    settings = load(file, environment, environ)
    if settings.directories.log:
        return settings
    directories = settings.directories.model_copy(update={"log": log_folder(scope)})
    return settings.model_copy(update={"directories": directories})


def ask(scope: str) -> tuple[Path, str]:
    """Let a person at a terminal choose among all configurations of a scope.

    Exits with 1 when there is none to choose from, or nobody to ask.
    """
    import questionary

    from v6srv.settings import SettingsError, environments_of

    pairs = []
    for file in files_of(scope):
        try:
            pairs += [(file, environment) for environment in environments_of(file)]
        except SettingsError:
            continue
    if not pairs:
        error("No configurations could be found!")
        raise SystemExit(1)
    if not sys.stdin.isatty():
        error("Nobody can be asked here: choose a configuration with --name or --config")
        raise SystemExit(1)
    titles = {f"{file.stem}  {environment}": (file, environment) for file, environment in pairs}
    answer = questionary.select("Select the configuration:", choices=list(titles)).ask()
    if answer is None:
        raise SystemExit(1)
    return titles[answer]


def _by_name(name: str, scope: str) -> Path:
    from v6srv.settings import SettingsError

    for folder in (configuration_folder(scope), Path.cwd()):
        for ending in (".yaml", ".yml"):
            if (folder / f"{name}{ending}").is_file():
                return folder / f"{name}{ending}"
    raise SettingsError([f"Configuration {name} does not exist in the {scope} folders!"])
