"""`new`, `list`, `files`, `config check`: configurations of instances (operations.md 4)."""

import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from v6srv.cli.instances import (
    SCOPES,
    choose,
    configuration_folder,
    files_of,
    scope_of,
    selected,
)
from v6srv.cli.logs import log_file
from v6srv.cli.output import FORMATS, error, info, readable_errors, warn
from v6srv.settings import (
    ENVIRONMENTS,
    LOG_LEVELS,
    Settings,
    SettingsError,
    environments_in,
    environments_of,
    load,
    masked,
)

if TYPE_CHECKING:
    from questionary import Question


@click.command("list")
@click.option("--format", "format_", type=FORMATS, default="text", help="How to print.")
def list_(format_: str) -> None:
    """All configurations that can be read, in the folders of the system and of the user."""
    rows: list[dict[str, Any]] = []
    failed = 0
    for scope in SCOPES:
        for file in files_of(scope):
            try:
                environments = environments_of(file)
            except SettingsError:
                failed += 1
                continue
            rows.append({"name": file.stem, "environments": environments, "scope": scope})
    if format_ == "json":
        click.echo(json.dumps(rows))
    else:
        lines = [("Name", "Environments", "System/User")]
        lines += [(r["name"], ", ".join(r["environments"]), r["scope"].capitalize()) for r in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:  # one each, however long: people pipe this into other programs
            click.echo("  ".join(map(str.ljust, line, widths)).rstrip())
    if failed:
        warn(f"Number of failed imports: {failed}")


@click.command()
@selected
@click.option("--format", "format_", type=FORMATS, default="text", help="How to print.")
def files(
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
    format_: str,
) -> None:
    """Where an instance keeps its configuration, log and database."""
    with readable_errors():
        settings = choose(name, config, environment, system)
    shown = masked(settings)
    log = log_file(settings) if settings.logging.file else None
    rows = {
        "Configuration file": settings.config_file,
        "Log file": log,
        "Database": shown["uri"],
        "Policies": settings.policies,
    }
    if format_ == "json":
        click.echo(json.dumps({key: value and str(value) for key, value in rows.items()}))
        return
    for key, value in rows.items():
        info(f"{key:<18} = {value or '-'}")


@click.group()
def config() -> None:
    """Look at configurations."""


@config.command()
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False
)
@click.option("-e", "--environment", type=click.Choice(ENVIRONMENTS))
@click.option(
    "--connect", is_flag=True, help="Also ask the database, queue, mail server, identity provider."
)
@click.option("--format", "format_", type=FORMATS, default="text", help="How to print.")
def check(file: Path | None, environment: str | None, connect: bool, format_: str) -> None:
    """Say whether FILE, or what the environment variables select, is a usable configuration.

    Prints the settings without secrets. Exit code 1 when something is wrong, also when it would not
    stop a start: a value that is no number, a policy folder that does not exist.
    """
    from v6srv.identity import provider
    from v6srv.service import connections

    with readable_errors():
        wanted = [environment] if environment or file is None else environments_of(file)
        if not wanted:
            raise SettingsError([f"{file and file.name}: all environments are empty"])
        checked, faults = {}, []
        for one in wanted:
            settings = load(file, one)
            checked[settings.environment] = masked(settings)
            found = [*useless(settings)]
            if connect:
                found += [*connections.failures(settings), *provider.failures(settings)]
            faults += [f"environment {settings.environment}: {fault}" for fault in found]
            for remark in set(settings.remarks) - set(settings.replaced):
                warn(remark)
        if faults:
            raise SettingsError(faults)
    if format_ == "json":
        click.echo(json.dumps(checked))
        return
    for one, values in checked.items():
        info(f"environment {one} is usable")
        click.echo(yaml.safe_dump(values, sort_keys=False).rstrip())


def useless(settings: Settings) -> Iterator[str]:
    """What has no effect, or another one than somebody meant."""
    yield from settings.replaced
    if settings.policies != settings.instance / "policies" and not settings.policies.is_dir():
        yield (
            f"policies: there is no folder {settings.policies}: a start would make one, with the"
            " policies that come with the server"
        )


@click.command()
@click.option("-n", "--name", help="Name of the new configuration.")
@click.option("-e", "--environment", type=click.Choice(ENVIRONMENTS), default="prod")
@click.option("--system/--user", "system", default=True, help="Whose folder it goes into.")
def new(name: str | None, environment: str, system: bool) -> None:
    """Ask some questions and write a configuration. A wrong answer is asked for again."""
    import questionary  # slow to import: not for help, nor for the other commands here

    folder = configuration_folder(scope_of(system))
    with suppress(OSError):  # said right below, as for any folder that cannot be written to
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        error(f"Cannot write configuration files to {folder}")
        raise SystemExit(1)
    if name is None:
        question = "Please enter a configuration-name:"
        fits = partial(_may_be_called, folder, environment)
        name = str(_answer(questionary.text(question, validate=fits)))
    problem = _may_be_called(folder, environment, name)
    if problem is not True:
        error(str(problem))
        raise SystemExit(1)
    if " " in name:
        name = name.replace(" ", "-")
        info(f"Replaced spaces from configuration name: {name}")
    path = folder / f"{name}.yaml"
    stored = environments_in(path) if path.exists() else {one: {} for one in ENVIRONMENTS}
    stored[environment] = _ask_all()
    application = stored.pop("application")
    with readable_errors():
        _write(path, {"application": application, "environments": stored})
    info(f"New configuration created: {path}")
    scope = "--system" if system else "--user"
    info(f"You can start the server with: v6srv start -n {name} -e {environment} {scope}")


def _may_be_called(folder: Path, environment: str, name: str) -> bool | str:
    """Whether a new configuration can have this name; if not, why."""
    name = name.replace(" ", "-")
    if not re.fullmatch(r"\w[\w.-]*", name):
        return "A configuration-name has letters, digits, . - and _, and starts with no . or -"
    path = folder / f"{name}.yaml"
    try:
        if path.exists() and environments_in(path)[environment]:
            return f"Configuration {name} with environment {environment} already exists!"
    except SettingsError as problem:
        return str(problem)
    return True


def _write(path: Path, content: dict[str, Any]) -> None:
    """All or nothing, and for nobody else to read: the file holds secrets."""
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink()
        raise


def _answer(question: "Question") -> Any:
    """The answer; a person who gives up, or the lack of one, ends the command."""
    if not sys.stdin.isatty():
        error("This command asks questions: run it in a terminal")
        raise SystemExit(1)
    answer = question.ask()
    if answer is None:
        raise SystemExit(1)
    return answer


def _ask_all() -> dict[str, Any]:
    """The questions of operations.md 4.3 in their order, with defaults that are safe."""
    import questionary

    text, yes = questionary.text, questionary.confirm
    port = "Enter port to which the server listens:"
    answers: dict[str, Any] = {
        "description": _answer(text("Enter a human-readable description:")),
        "ip": _answer(text("ip:", default="127.0.0.1", validate=_is_address)),
        "port": int(_answer(text(port, default="5000", validate=_fits("port")))),
        "api_path": _answer(text("Path of the api:", default="/api", validate=_fits("api_path"))),
        "uri": _answer(
            text("Database URI:", default="sqlite:///default.sqlite", validate=_fits("uri"))
        ),
        "allow_drop_all": _answer(
            questionary.select("Allowed to drop all tables:", choices=["False", "True"])
        )
        == "True",
    }
    if _answer(yes("Do you want a constant JWT secret?", default=True)):
        answers["jwt_secret_key"] = secrets.token_urlsafe(48)
    level = "Which level of logging would you like?"
    level = _answer(questionary.select(level, choices=list(LOG_LEVELS), default="INFO"))
    answers["logging"] = {"level": level, "file": "server.log", "use_console": True}
    if _answer(yes("Do you want to enforce two-factor authentication?", default=True)):
        answers["two_factor_auth"] = True
    if _answer(yes("Do you want to add a VPN server?", default=False)):
        answers["vpn_server"] = {
            "url": _answer(text("VPN server URL:", validate=bool)),
            "portal_username": _answer(text("VPN portal username:", validate=bool)),
            "portal_userpass": _answer(questionary.password("VPN portal password:", validate=bool)),
            "client_id": _answer(text("VPN client ID:", validate=bool)),
            "client_secret": _answer(questionary.password("VPN client secret:", validate=bool)),
            "redirect_url": _answer(
                text("Redirect URL:", default="http://localhost", validate=bool)
            ),
        }
    if _answer(yes("Do you want to add a RabbitMQ message queue?", default=False)):
        answers["rabbitmq_uri"] = _answer(
            text("Enter the URI for your RabbitMQ or Redis:", validate=_fits("rabbitmq_uri"))
        )
    return answers


def _fits(key: str) -> Callable[[str], bool | str]:
    """Whether an answer can be the value of a setting; if not, why."""

    def fits(answer: str) -> bool | str:
        if not answer.strip():
            return "an answer is needed"
        try:
            load(environ={f"V6SRV_{key.upper()}": answer})
        except SettingsError as problem:
            return str(problem).removeprefix("environment: ").removeprefix(f"{key}: ")
        return True

    return fits


def _is_address(answer: str) -> bool | str:
    try:
        return answer == "localhost" or bool(ip_address(answer))
    except ValueError:
        return "an address of this machine is needed; 0.0.0.0 listens on all of them"
