"""`user`, `organization`, `node` and so on: a group of commands for the rows of each resource."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import info, readable_errors
from v6srv.cli.records import credentials, printing
from v6srv.cli.records.resources import (
    FLAG,
    NUMBER,
    RESOURCES,
    Field,
    Part,
    fields,
    plural,
)

if TYPE_CHECKING:
    from v6srv.cli.records.asking import Endpoints

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
Row = dict[str, Any]

_INSTANCE = ("name", "config", "environment", "system")
_TYPES = {FLAG: bool, NUMBER: int}
_FIELD = "field_"
"""Before fields among the parameters of a command, which have names of their own."""

_LIKE = "In NAME and other texts, % stands for any characters and _ for one."

_as: Option = click.option(
    "--as",
    "username",
    metavar="USERNAME",
    help="As this user may, by the policy of the instance. Without it: as the system.",
)
_one: Option = click.argument("row", metavar="NAME")
_several: Option = click.argument("rows", metavar="NAME...", nargs=-1, required=True)
_columns: Option = click.option("--columns", help="Which to print, with commas; JSON has all.")
_sort: Option = click.option("--sort", help="By which fields, with commas; a - reverses one.")
_limit: Option = click.option("--limit", type=click.IntRange(1), help="At most so many.")
_dependents: Option = click.option(
    "--with-dependents", is_flag=True, help="And what hangs on it, instead of refusing."
)
_sure: Option = click.confirmation_option("--yes", "-y", prompt="Delete for good?")
_input: Option = click.option(
    "--input",
    "input_",
    type=click.File("rb"),
    help="What the algorithm gets, a file or - for standard input. It is not encrypted.",
)


def _format(*forms: str) -> Option:
    return click.option(
        "--format", "form", type=click.Choice(forms), default=forms[0], help="How to print."
    )


_row_format = _format("text", "json")


def _group(kind: str) -> click.Group:
    """What can be done with the rows of a resource."""
    known = RESOURCES[kind]
    group = click.Group(kind, help=f"{plural(kind).capitalize()}: {known.about}")
    add = partial(_command, group, kind)
    shown = (_columns, _sort, _limit, _format("text", "json", "csv"))
    add(
        "list",
        _list,
        *_options(kind, known.filters),
        *shown,
        help=f"List {plural(kind)}. {_LIKE if known.name != 'id' else ''}",
    )
    add("show", _show, _one, _row_format, help=f"Show one {kind}, by its name or id.")
    if known.create:
        extra = {"user": credentials.options, "task": (_input,)}.get(kind, ())
        options = (*_options(kind, known.create), *extra, _row_format)
        add("create", _create, *options, help=f"Make a {kind}.", writes=True)
    if known.edit:
        options = (_one, *_options(kind, known.edit, "--rename"), _row_format)
        add("edit", _edit, *options, help="Change what is given; the rest stays.", writes=True)
    if known.deletes:
        options = (_several, *((_dependents,) if known.dependents else ()), _sure)
        add("delete", _delete, *options, help=f"Delete {plural(kind)} for good.", writes=True)
    for part in known.parts:
        metavar = f"{part.word.upper()}..."
        others = click.argument("others", metavar=metavar, nargs=-1, required=True)
        for word, method in (("add", "POST"), ("remove", "DELETE")):
            work = partial(_change_parts, part=part, method=method)
            help = f"{word.capitalize()} {part.word}s of a {kind}."
            add(f"{word}-{part.word}", work, _one, others, help=help, writes=True)
    return group


def _command(
    group: click.Group,
    kind: str,
    word: str,
    work: Callable[..., None],
    *options: Option,
    help: str,
    writes: bool = False,
) -> None:
    """A command that does `work` with the endpoints of the instance and caller that are named."""

    def run(username: str | None, **given: Any) -> None:
        from v6srv.cli.records.asking import opened

        where = {name: given.pop(name) for name in _INSTANCE}
        with readable_errors(), opened(choose(**where), username, writes=writes) as endpoints:
            work(endpoints, kind, **given)

    command: Callable[..., Any] = run
    for option in (selected, _as, *reversed(options)):
        command = option(command)
    group.command(word, help=help)(command)


def _options(kind: str, text: str, rename: str = "") -> list[Option]:
    """Options for fields; what a row goes by is an argument, or the option `rename`."""
    known = RESOURCES[kind]
    return [_option(one, rename if one.name == known.name else one.option) for one in fields(text)]


def _option(field: Field, option: str) -> Option:
    parameter = _FIELD + field.name
    if not option:
        nargs, metavar = (-1, "NAME...") if field.many else (1, "NAME")
        metavar = metavar if field.needed else f"[{metavar}]"
        return click.argument(parameter, metavar=metavar, nargs=nargs, required=field.needed)
    if field.kind == FLAG:
        option = f"{option}/--no-{option.removeprefix('--')}"
    return click.option(
        option,
        parameter,
        type=_TYPES.get(field.kind, str),
        metavar=None if field.kind in _TYPES else field.kind.upper(),
        multiple=field.many,
        required=field.needed,
        help=_help(field),
        **({} if field.needed else {"default": None}),
    )


def _help(field: Field) -> str | None:
    told = ["Name or id"] if field.names_rows else []
    if field.name.endswith(("_from", "_till", "_at")):
        told = ["A time, such as 2026-03-01T12:00"]
    if field.many:
        told.append("can be given several times" if told else "Can be given several times")
    return "; ".join(told) + "." if told else None


# --- what they do


def _list(
    endpoints: "Endpoints",
    kind: str,
    columns: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    **given: Any,
) -> None:
    known = RESOURCES[kind]
    query = _body(endpoints, known.filters, given)
    if sort:
        query["sort"] = sort
    rows = [printing.plain(row, endpoints) for row in endpoints.rows(kind, limit, **query)]
    shown = (columns or known.columns).replace(",", " ").split()
    if kind == "node" and endpoints.is_system:
        _add_generations(endpoints, rows, form)
        shown += [] if columns else ["generation"]
    printing.print_list(kind, rows, shown, form)


def _add_generations(endpoints: "Endpoints", rows: list[Row], form: str) -> None:
    known = endpoints.generations()
    for row in rows:
        generation = known.get(row["id"])
        spoken = f"{generation}.x" if generation else "not seen yet"
        row["generation"] = spoken if form == "text" else generation


def _show(endpoints: "Endpoints", kind: str, row: str, form: str) -> None:
    id = endpoints.id_of(kind, row)
    found = printing.plain(endpoints.ask("GET", f"{kind}/{id}"), endpoints)
    for part in RESOURCES[kind].parts:
        found[f"{part.word}s"] = endpoints.named(part.kind, **{f"{kind}_id": id})
    printing.print_row(found, form)


def _create(
    endpoints: "Endpoints", kind: str, form: str, input_: IO[bytes] | None = None, **given: Any
) -> None:
    password, was_made = credentials.chosen(given) if kind == "user" else ("", False)
    body = _body(endpoints, RESOURCES[kind].create, given)
    if endpoints.is_system:
        _require_place(kind, body)
    if password:
        body["password"] = password
    if kind == "task":
        _write_order(body, input_)
    made = printing.plain(endpoints.ask("POST", kind, body), endpoints)
    if was_made:
        made["password"] = password
    _print_secret(f"was made: {made[RESOURCES[kind].name]}", kind, made, form)


def _require_place(kind: str, body: Row) -> None:
    """The system is in no organization, and starts nothing itself."""
    if kind == "task":
        raise click.UsageError("A task is somebody's: say with --as who starts it")
    if kind in ("user", "node", "role") and "organization_id" not in body:
        raise click.UsageError("Missing option '--organization': only users have one of their own")


def _write_order(body: Row, input_: IO[bytes] | None) -> None:
    """As 4.x has it: each organization with its input, each database with its label."""
    text = base64.b64encode(input_.read()).decode() if input_ else ""
    body["organizations"] = [{"id": id, "input": text} for id in body["organizations"]]
    body["databases"] = [{"label": label} for label in body.get("databases", ())]


def _print_secret(done: str, kind: str, row: Row, form: str) -> None:
    """What was done, with what nobody can look up later."""
    if form == "json":
        printing.print_json(row)
        return
    info(f"{kind} id={row['id']} {done}")
    for secret in ("password", "api_key"):
        if secret in row:
            click.echo(f"{secret} (shown only now): {row[secret]}")


def _edit(endpoints: "Endpoints", kind: str, row: str, form: str, **given: Any) -> None:
    changes = _body(endpoints, RESOURCES[kind].edit, given)
    if not changes:
        raise click.UsageError("Nothing is given that is to be changed")
    changed = endpoints.ask("PATCH", f"{kind}/{endpoints.id_of(kind, row)}", changes)
    printing.print_row(printing.plain(changed, endpoints), form)


def _delete(
    endpoints: "Endpoints", kind: str, rows: Sequence[str], with_dependents: bool = False
) -> None:
    query = {"delete_dependents": True} if with_dependents else {}
    for id in printing.each([endpoints.id_of(kind, row) for row in rows]):
        info(endpoints.ask("DELETE", f"{kind}/{id}", **query)["msg"])


def _change_parts(
    endpoints: "Endpoints", kind: str, row: str, others: Sequence[str], *, part: Part, method: str
) -> None:
    id = endpoints.id_of(kind, row)
    ids = [endpoints.id_of(part.kind, other) for other in others]
    if part.place:
        for other in printing.each(ids):
            path, body = f"{kind}/{id}/{part.place}", {"id": other}
            if part.by_path:
                path, body = f"{path}/{other}", None
            endpoints.ask(method, path, body)
    else:
        held = endpoints.roles_of(id)
        wanted = [*held, *ids] if method == "POST" else [one for one in held if one not in ids]
        endpoints.ask("PATCH", f"{kind}/{id}", {f"{part.word}s": wanted})
    verb = "added" if method == "POST" else "removed"
    info(f"{kind} id={id}: {part.word}s {verb}")


def _new_key(endpoints: "Endpoints", kind: str, row: str, form: str) -> None:
    id = endpoints.id_of(kind, row)
    key = endpoints.ask("POST", "recover/node", {"id": id})["api_key"]
    _print_secret("has a new key", kind, {"id": id, "api_key": key}, form)


def _new_password(endpoints: "Endpoints", kind: str, row: str, form: str, **given: Any) -> None:
    if not endpoints.is_system:
        raise click.UsageError("Users change their own; for others the system does, without --as")
    id = endpoints.id_of(kind, row)
    password, was_made = credentials.chosen(given)
    endpoints.set_password(id, password)
    shown = {"password": password} if was_made else {}
    _print_secret("has a new password, and is logged out", kind, {"id": id, **shown}, form)


def _kill(endpoints: "Endpoints", kind: str, rows: Sequence[str]) -> None:
    for id in printing.each([endpoints.id_of(kind, row) for row in rows]):
        info(endpoints.ask("POST", f"kill/{kind}", {"id": id})["msg"])


def _body(endpoints: "Endpoints", text: str, given: Row) -> Row:
    """What was given of these fields, as a body or query has it."""
    body = {}
    for field in fields(text):
        value = given[_FIELD + field.name]
        if value is None or value == ():
            continue
        if field.names_rows:
            ids = [endpoints.id_of(field.kind, one) for one in (value if field.many else (value,))]
            value = ids if field.many else ids[0]
        body[field.name] = list(value) if field.many else value
    return body


user, organization, collaboration, study, node, role, rule, task, run = map(_group, RESOURCES)
_command(
    user,
    "user",
    "new-password",
    _new_password,
    _one,
    *credentials.options,
    _row_format,
    help="Give somebody a new password, and unlock the account.",
    writes=True,
)
_command(
    node,
    "node",
    "new-key",
    _new_key,
    _one,
    _row_format,
    help="Give a node a new API key, and show it this once. The old one ends.",
    writes=True,
)
_command(
    task, "task", "kill", _kill, _several, help="Stop tasks wherever they still run.", writes=True
)
