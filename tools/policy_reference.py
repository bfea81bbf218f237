"""docs/policies/reference.md, from code and policies."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import click

from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.line import Line
from v6srv.authz.path_patterns import PATH_PATTERNS
from v6srv.authz.principal import SUBJECT_FACTS, Principal
from v6srv.authz.rules import DECLARED, DEFAULT_ROLES
from v6srv.authz.source.codes import CODES
from v6srv.authz.source.load import build, declared_grants
from v6srv.cli.audit import audit
from v6srv.cli.policy import policy
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

ROOT = Path(__file__).parents[1]

_HEAD = """# Policies: reference

Generated from the code and `policies/` by `make docs`; do not edit.

## Lines

A line of a CSV file grants or denies:

```text
p, subject, resource, scope, operation, condition, effect
p, subject, resource, scope, operation, condition, effect, valid_from=2026-06-01, valid_until=2026-06-30T18:00:00+02:00
g, member, role
```

A subject is `role:<name>` (default roles, and roles that files make up), `role:<id>` (custom roles of the database), `rule:<id>`
(an extra rule), `user:<id>`, `node:<id>`, `org:<id>` or `kind:<user|node|container>`. `g` lets a member have what a role has; a
member may be a role. What a line means is said by the matcher in `model.conf`. A matching `deny` beats every `allow`; nothing
matching is a denial.

`valid_from` and `valid_until` are optional and stand at the end. Times are ISO 8601, UTC unless they say otherwise; the line
counts from `valid_from` on and until just before `valid_until`. A day without a time is meant as a whole: from its beginning, or
until its end. They become part of the condition, as `timeMatch('<from>', '<until>')`.

What every user, node or container gets by lines for `kind:...`, or for a role that is given to a kind, must be about what is theirs:
to view what they own or take part in, to edit and delete what they own, and what the protocol needs. What goes further is meant only where
it is given to `role:any_user`, `role:any_node` or `role:any_container`, with a resource and an operation
([ADR 13](../adr/0013-strangers.md)):

```text
g, kind:user, role:any_user
p, role:any_user, organization, global, view, True, allow
```

Changed files go live by themselves when they are valid, within a second; otherwise the old policy stays, and the log,
`/api/health` and `/api/policy` say what is wrong.
"""

_TYPES = {int: "number", str: "text", bool: "true or false"}
_SETS = {
    "collabs": "set of numbers",
    "changes": "set of names of fields",
    "roles": "set of roles",
    "lacks": "set of rules",
}

_SUBJECT_MEANING = {
    "id": "`user:5`, `node:3`, `container:9` (the number of its task)",
    "kind": "`kind:user`, `kind:node` or `kind:container`",
    "group": "`org:3`: the organization as a subject of lines",
    "account": "number of the user or node; of a container, of the node that runs it",
    "org": "number of the organization",
    "task": "the task of a container",
    "run": "the run of a container",
    "image": "the image of a container",
    "collabs": "the collaborations of the organization; of a node, its own",
    "roles": "the roles held directly, as lines name them; `g(r.sub.id, 'role:x')` knows the inherited ones, too",
    "changes": "what an edit asks to change",
    "lacks": "the rules that it may not hand out, by the matcher `m2`: `task:organization:view`",
}


_BELONGS = {
    Resource.ORGANIZATION: ("nobody's", "itself", "itself", "those it takes part in"),
    Resource.COLLABORATION: ("nobody's", "none", "its members", "itself"),
    Resource.NODE: ("its own", "its organization", "its organization", "its collaboration"),
    Resource.USER: ("its own", "its organization", "its organization", "those of its organization"),
    Resource.ROLE: (
        "the users' who have it",
        "its organization",
        "its organization; of a default role, all",
        "those of its organization; of a default role, all",
    ),
    Resource.TASK: (
        "the user's who started it",
        "the one that started it",
        "the members of its collaboration",
        "its collaboration",
    ),
    Resource.RESULT: (
        "the user's who started its task",
        "as its task",
        "as its task",
        "as its task",
    ),
    Resource.PORT: ("the user's who started its task", "as its task", "as its task", "as its task"),
    Resource.STUDY: ("nobody's", "none", "those that are in it", "its collaboration"),
    Resource.EVENT: (
        "of a room nobody's, else as the task or node",
        "of a room that of organization, else as the task or node",
        "of the room of one organization, that one; of the room of all, none",
        "the collaboration of the room",
    ),
    Resource.POLICY: ("nobody's", "none", "none", "none"),
}
"""Whose each row is, which organization's, its organizations, its collaborations."""


def _scopes() -> str:
    """What the matcher leaves of each scope, and what that means for each resource."""
    enforcer = build(ROOT / "policies")
    program = enforcer.program
    fields = {token.removeprefix("p_"): at for at, token in enumerate(enforcer.definition.policy)}
    user = Principal(PrincipalKind.USER, 1, 1).facts
    lines = [
        "## Scopes",
        "",
        "What a scope asks of a row is said by the matcher; compiled, a line of this scope without a condition"
        " asks:",
        "",
        "| scope | asks | of |",
        "|---|---|---|",
    ]
    for scope in Scope:
        asked: dict[str, list[str]] = {}
        for resource in Resource:
            values = ["role:viewer", "", "", "", "True", "allow"]
            for name, value in (("res", resource), ("scope", scope), ("act", Operation.VIEW)):
                values[fields[name]] = value.value
            key = program.key_of(user, SimpleNamespace(type=resource.value), Operation.VIEW.value)
            rest = program.remainder(Line("p", tuple(values), "docs"), key)
            text = rest.text.replace("r_sub.", "r.sub.").replace("r_obj.", "r.obj.")
            asked.setdefault("nothing: every row" if text == "True" else f"`{text}`", []).append(
                resource
            )
        for text, resources in asked.items():
            everything = (
                "all resources" if len(resources) == len(Resource) else ", ".join(resources)
            )
            lines.append(f"| {scope} | {_cell(text)} | {everything} |")
    lines += [
        "",
        "| resource | own (`owners`) | own_organization (`owner_orgs`) | organization (`orgs`)"
        " | collaboration (`collabs`) |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(
        [*lines, *(f"| {resource} | {' | '.join(_BELONGS[resource])} |" for resource in Resource)]
    )


def _words() -> str:
    rows = [
        ("resource", [*Resource, "*"]),
        ("scope", list(Scope)),
        ("operation", [*Operation, "*"]),
        ("effect", list(Effect)),
        ("kind", list(PrincipalKind)),
    ]
    lines = ["## Words", "", "| field | words |", "|---|---|"]
    lines += [f"| {name} | {', '.join(f'`{word}`' for word in words)} |" for name, words in rows]
    return "\n".join(lines)


def _facts() -> str:
    lines = ["## Facts of the caller", "", "| fact | type | what it is |", "|---|---|---|"]
    lines += [
        f"| `r.sub.{name}` | {_SETS.get(name) or _TYPES[fact.of]} | {_SUBJECT_MEANING[name]} |"
        for name, fact in SUBJECT_FACTS.items()
    ]
    lines += [
        "",
        "## Facts of rows",
        "",
        "`org` is the one organization a row belongs to (of a task, the one that started it; of a result, the one"
        " that computes it), `owner_orgs` what scope own_organization means, `orgs` all that"
        " scope organization means, `collabs` all that scope collaboration means, `owners` whose own it is. Of a"
        " user, `rules` are its extra rules, `role_rules` those of its roles, and `foreign_roles` says that it has a"
        " role of another organization; of a role, `rules` are those in it, and `default` says that it is a default"
        " role; of a task, `refused` are the users of whom a node that it is addressed to takes no tasks, and `database` is the first that it reads: a new one is decided with each of them. What a denial says of `r.sub.changes`, `r.sub.lacks` and `r.obj.default` is asked when a change is"
        " written, and not before its body is read.",
        "",
        "| resource | one value | sets |",
        "|---|---|---|",
    ]
    for resource in Resource:
        if resource not in MODELS:
            lines.append(f"| {resource} | as the task, node or room it is about | |")
            continue
        table = TABLES[MODELS[resource]]
        scalars = [f"`{name}` ({_TYPES[s.of]})" for name, s in table.scalars.items()]
        sets = [
            f"`{name}` ({'always empty' if s.never else f'of {_TYPES[s.of]}s'})"
            for name, s in table.sets.items()
        ]
        lines.append(f"| {resource} | {', '.join(scalars)} | {', '.join(sets)} |")
    return "\n".join(lines)


def _conditions() -> str:
    meanings = {
        "meets": "two sets have a member in common: `meets(r.sub.collabs, r.obj.collabs)`",
        "within": "a set has no member but these: `within(r.sub.changes, ('ip', 'name'))`",
        "glob": "a text matches a pattern of `*` and `?`, case counts: `glob(r.obj.image, 'registry.example/*')`",
        "timeMatch": "it is the first time or later and not yet the second, UTC; `_` leaves an end open:"
        " `timeMatch('2026-06-01 08:00:00', '_')`",
        "keyMatch": "as in Casbin: a text begins as a pattern up to its `*`: `keyMatch(r.obj.image, 'harbor/*')`",
        "keyMatch2": "as in Casbin: `:name` is one segment of a path: `keyMatch2(r.obj.image, 'harbor/:project/tool')`",
        "globMatch": "as in Casbin: `*` and `?` stay inside of a segment: `globMatch(r.obj.image, 'harbor/*/tool')`",
    }
    lines = [
        "## Conditions",
        "",
        "`True`, or comparisons of facts with `==`, `!=`, `in` and `not in`, and the functions below, joined by"
        " `&&`, `||` and `!`. Texts stand in straight quotes. A condition that cannot be evaluated"
        " denies, and the log says so.",
        "",
        "| function | true when |",
        "|---|---|",
    ]
    return "\n".join(
        [*lines, *(f"| `{name}` | {meanings[name]} |" for name in (*FUNCTIONS, *PATH_PATTERNS))]
    )


def _matrix() -> str:
    grants = declared_grants(ROOT / "policies")
    names = " | ".join(role.name for role in DEFAULT_ROLES)
    lines = [
        "## Default roles",
        "",
        f"| resource | operation | {names} |",
        "|---|---|" + "---|" * len(DEFAULT_ROLES),
    ]
    pairs = dict.fromkeys((rule.resource, rule.operation) for rule in DECLARED)
    for resource, operation in pairs:
        cells = []
        for role in DEFAULT_ROLES:
            held = [s for s in reversed(Scope) if (resource, s, operation) in grants[role.slug]]
            cells.append(", ".join(held))
        lines.append(f"| {resource} | {operation} | {' | '.join(cells)} |")
    lines += [
        "",
        "Root also has the rules of `policy`, by its line for all resources.",
    ]
    return "\n".join(lines)


def _codes() -> str:
    lines = [
        "## What `v6srv policy lint` finds",
        "",
        "An error keeps a policy from going live. A warning goes live, and hardly ever means what it says.",
        "",
        "| code | | what it is | why it matters | what to do |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(
        [
            *lines,
            *(
                f"| `{code.slug}` | {code.severity} | {_cell(code.title)} | {_cell(code.why)} |"
                f" {_cell(code.mend)} |"
                for code in CODES.values()
            ),
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _commands() -> str:
    lines = ["## Commands", "", "Each has `--help`.", "", "| command | what it does |", "|---|---|"]
    return "\n".join([*lines, *_group("v6srv policy", policy), *_group("v6srv audit", audit)])


def _group(name: str, group: click.Group) -> Iterable[str]:
    for command in group.commands.values():
        summary = (command.help or "").split("\n\n")[0].replace("\n", " ")
        yield f"| `{name} {command.name}` | {_cell(summary)} |"


def text() -> str:
    """The whole page."""
    parts = (
        _HEAD.strip(),
        _words(),
        _scopes(),
        _facts(),
        _conditions(),
        _matrix(),
        _codes(),
        _commands(),
    )
    return "\n\n".join(parts) + "\n"
