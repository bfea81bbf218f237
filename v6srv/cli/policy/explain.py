"""`policy explain`: why somebody may or may not do something, and what would change it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, readable_errors
from v6srv.cli.policy.engine import opened
from v6srv.vocabulary import Effect

if TYPE_CHECKING:
    from v6srv.policy.explain.explanation import Explanation
    from v6srv.policy.explain.remedy import Fix
    from v6srv.policy.inquiry.considered import Considered

_MOST_ROLES = 6


@click.command()
@selected
@click.argument("question", nargs=-1, metavar="[PRINCIPAL] OPERATION ROW")
@click.option(
    "--as",
    "made_up",
    metavar="WHO",
    help="A principal that does not exist: role:researcher,org:3 or, as JSON, "
    '{"org": 3, "roles": ["researcher"]}; beside PRINCIPAL, what is different about it. '
    "Keys: kind, id, org, collabs, roles, rules, task, run, image.",
)
@click.option("--resource", help="Decide this resource on ROW: --resource node organization:3.")
@click.option("--changes", metavar="FIELDS", help="Names of the fields that an edit changes.")
@click.option("--at", metavar="TIME", help="As if it were this time; UTC unless it says otherwise.")
@click.option(
    "--expect",
    type=click.Choice([effect.value for effect in Effect]),
    help="Exit with 1 when it is decided otherwise, and with 2 when that cannot be told.",
)
@click.option(
    "--format",
    "format_",
    type=FORMATS,
    default="text",
    help="How to print.",
)
def explain(
    question: tuple[str, ...],
    made_up: str | None,
    resource: str | None,
    changes: str | None,
    at: str | None,
    expect: str | None,
    format_: str,
    **options: Any,
) -> None:
    """Why PRINCIPAL may or may not do OPERATION with ROW, and what would change it.

    \b
    PRINCIPAL  user:7, node:3 or container:<task id>; with --as it may be left out
    OPERATION  view, edit, create or delete
    ROW        task:12, or one that does not exist: task:{"image": "x", "orgs": [3]},
               or a socket room: room:collaboration_1; task alone asks for which rows it is so
    """
    from v6srv.authz import clock
    from v6srv.policy import ask
    from v6srv.policy.explain.explanation import explain as why

    principal, operation, row = _parts(question, made_up is not None)
    with _answering(expect is not None), opened(choose(**options)) as authz:
        who = ask.named(authz.policy, principal, made_up)
        asked = ask.resource(resource) if resource else None
        thing = ask.thing(row, asked)
        fields = ask.changed(thing, _words(changes))
        with clock.stopped(ask.moment(at)) if at else nullcontext():
            found = why(authz.policy, who, ask.operation(operation), thing, fields)
    if format_ == "json":
        from v6srv.wire.policy_explain import ExplanationOut

        click.echo(json.dumps(ExplanationOut().dump(found), indent=2))
    else:
        click.echo("\n".join(_text(found)))
    effect = Effect.ALLOW if found.allowed else Effect.DENY
    raise SystemExit(0 if expect in (None, effect) else 1)


@contextmanager
def _answering(expecting: bool) -> Iterator[None]:
    """End readably when there is no answer: with 2 where 1 is an answer that was not expected."""
    try:
        with readable_errors():
            yield
    except SystemExit as stop:
        raise SystemExit(2 if expecting else stop.code) from stop


def _parts(question: tuple[str, ...], described: bool) -> tuple[str | None, str, str]:
    if len(question) == 3:
        return question[0], question[1], question[2]
    if len(question) == 2 and described:
        return None, question[0], question[1]
    raise click.UsageError("Say PRINCIPAL OPERATION ROW, or OPERATION ROW with --as")


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


# --- text


def _text(found: "Explanation") -> Iterator[str]:
    who, color = found.principal["id"], "green" if found.allowed else "red"
    may = "may" if found.allowed else "may not"
    effect = click.style("ALLOWED" if found.allowed else "DENIED", fg=color, bold=True)
    yield f"{effect}  {who} {may} {found.operation} {_asked(found)}: {found.reason}"
    yield f"policy {found.policy}, at {found.at:%Y-%m-%d %H:%M:%S} UTC"
    yield ""
    yield f"principal  {_facts(found.principal)}"
    if not found.some_row:
        yield f"row        {_facts(found.facts)}"
    held = [one for one in found.lines if one.held]
    yield from _lines("lines that speak of this principal", held, found)
    near = [one for one in found.lines if not one.held]
    if near:
        yield from _lines("nearest lines that others hold", near, found)
    if found.fix is not None:
        yield ""
        yield from _fix(found.fix)


def _asked(found: "Explanation") -> str:
    """The row, and what is asked of it when that is not its own resource."""
    same = found.row.partition(":")[0] in (found.resource, "room")
    return found.row if same else f"{found.resource} on {found.row}"


def _facts(facts: Any) -> str:
    from v6srv.policy.inquiry.terms import shown

    return "  ".join(f"{name}={shown(value)}" for name, value in facts.items() if value is not None)


def _lines(title: str, lines: "list[Considered]", found: "Explanation") -> Iterator[str]:
    yield ""
    yield click.style(title, bold=True) + ("" if lines else ": none")
    width = max((len(one.origin) for one in lines), default=0)
    for one in lines:
        mark = "!" if one.failure else "+" if one.matched else "-"
        won = one.held and one.matched and one.origin in found.decided_by
        near = ", nearest" if one.origin == found.nearest else ""
        matches = "matches" if one.held else "would match"
        some = " some rows" if found.some_row else ""
        verdict = (matches + some if one.matched else f"does not match{some and ' any row'}") + (
            ", decides" if won else near
        )
        yield f"  {mark} {one.origin:{width}}  {one.line}"
        pad = " " * (width + 6)
        yield f"{pad}{verdict}{_because(one)}"


def _because(one: "Considered") -> str:
    if one.failure:
        return f": cannot be told, which denies: {one.failure}"
    if not one.terms:
        return "" if one.matched else ": it never does"
    return ": " + "; ".join(dict.fromkeys(term.words for term in one.terms))


def _fix(fix: "Fix") -> Iterator[str]:
    allow = click.style("To allow this", bold=True)
    if fix.grant is None:
        lines = ", ".join(fix.denials)
        yield f"{allow}: " + (
            f"take away what forbids it: {lines}"
            if fix.denials
            else "no grant without a condition is enough"
        )
        return
    grant, ways = fix.grant, list(_ways(fix))
    yield f"{allow}: grant {grant.operation} {grant.resource} with scope {grant.scope}"
    for number, (what, which) in enumerate(ways):
        yield f"  {'or ' if number else 'by'} {what:5} {which}"
    if fix.denials:
        yield f"  and take away what forbids it: {', '.join(fix.denials)}"


def _ways(fix: "Fix") -> Iterator[tuple[str, str]]:
    for role in fix.roles[:_MOST_ROLES]:
        yield "role", f"{role.name} ({role.subject})"
    if len(fix.roles) > _MOST_ROLES:
        yield "role", f"one of {len(fix.roles) - _MOST_ROLES} more"
    if fix.rule is not None:
        yield "rule", f"{fix.rule} (scope {fix.rule_scope})"
    if fix.line is not None:
        yield "line", fix.line
