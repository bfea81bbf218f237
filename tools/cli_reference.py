"""docs/reference/cli.md, from the commands themselves."""

from collections.abc import Iterator

import click

from v6srv.cli.main import cli

_HEAD = """# Commands

Generated from the commands by `make docs`; do not edit.

`v6srv COMMAND --help` says the same. Commands end with 0 when they have done what was asked for, with 1 when they have not or
found something wrong, and with 2 when the command line is no good. What they print for people goes to standard output, what is
wrong and progress to standard error; `--format json` is for scripts. `NO_COLOR` switches colours off.

**Rows** (`user`, `organization`, `collaboration`, `study`, `node`, `role`, `rule`, `task`, `run`) are those of the endpoints of
4.x: the same fields, the same checks, the same texts of refusals. A row is named by its name or its id, a rule by its words
(`task:organization:view`). Whoever may run a command on the database is the **system**: it may do what the policy that comes
with this release lets root, whatever the policy of the instance says; the log file (`logging.file`), if there is one, says what it changed. With
`--as USERNAME` the policy of the instance decides, as if that user had asked over the network, and the decision log has it. A
server that runs takes notice at once. Passwords are asked for, read from standard input or made, and never arguments; they and
the keys of nodes are shown once.

Every command that works with an instance has these options, which are not repeated below:

"""

_SELECT = ("--name", "--config", "--environment", "--system")


def text() -> str:
    """The page."""
    context = click.Context(cli, info_name="v6srv")
    shared = [one for one in _command("node", "list").params if _is_shared(one)]
    options = "".join(_option(one, click.Context(cli)) for one in shared)
    return _HEAD + options + "".join(_sections(cli, context))


def _command(*words: str) -> click.Command:
    found: click.Command = cli
    for word in words:
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            inner = command.commands[name]
            yield from _sections(inner, click.Context(inner, context, info_name=name))
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"\n## {context.command_path}\n\n```text\n{context.command_path} {usage}\n```\n\n"
    yield f"{_told(command)}\n"
    options = [one for one in command.params if isinstance(one, click.Option)]
    own = [_option(one, context) for one in options if not _is_shared(one)]
    if own:
        yield "\n" + "".join(own)


def _told(command: click.Command) -> str:
    return "\n\n".join(
        " ".join(part.split()) for part in (command.help or "").split("\n\n") if part.strip("\b \n")
    )


def _option(option: click.Parameter, context: click.Context) -> str:
    record = option.get_help_record(context)
    if record is None:
        return ""
    name, help = (" ".join(part.split()) for part in record)
    return f"- `{name}`" + (f": {help}" if help else "") + "\n"


def _is_shared(option: click.Parameter) -> bool:
    return any(name in _SELECT for name in option.opts)
