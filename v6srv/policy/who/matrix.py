"""What lines grant to each role: the widest scope of every operation on every resource."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from v6srv.authz.compiler import Remainder, closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import Role
from v6srv.suggestions import suggestion
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

_WIDENING = tuple(Scope)
_ANYTHING = "True"
STORED = "db:role:"
"""Origin of the lines that are the rules of custom roles."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A line that does not always count: an allowance under a condition, or a denial."""

    line: str
    origin: str
    """`file:line` or `db:table:id`."""
    scope: Scope
    condition: str
    """`True` when there is none."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far some lines let somebody do one operation on one resource."""

    resource: Resource
    operation: Operation
    scope: Scope | None
    """The widest that is granted without a condition."""
    conditional: tuple[Limited, ...]
    """What is granted under conditions."""
    denials: tuple[Limited, ...]
    """Each beats every grant where it matches."""

    @property
    def conditional_scope(self) -> Scope | None:
        """The widest that is granted under a condition, if that is more than without."""
        scopes = [one.scope for one in self.conditional]
        widest = max(scopes, key=_WIDENING.index, default=None)
        return widest if width(widest) > width(self.scope) else None

    @property
    def forbidden(self) -> bool:
        """Whether a denial matches every row."""
        return any(one.condition == _ANYTHING and one.scope is Scope.GLOBAL for one in self.denials)

    @property
    def nothing(self) -> bool:
        """No row can be allowed."""
        return self.forbidden or (self.scope is None and not self.conditional)


def width(scope: Scope | None) -> int:
    """How far a scope reaches, from 0; -1 for none."""
    return -1 if scope is None else _WIDENING.index(scope)


def reach(
    enforcer: Enforcer, resource: Resource, operation: Operation, lines: Iterable[Remainder]
) -> Reach:
    """How far these lines reach."""
    scope: Scope | None = None
    conditional: list[Limited] = []
    denials: list[Limited] = []
    for rest in lines:
        if rest.text == "False":
            continue
        limited = _limited(enforcer, rest.line)
        if rest.effect is Effect.DENY:
            denials.append(limited)
        elif limited.condition != _ANYTHING:
            conditional.append(limited)
        elif width(limited.scope) > width(scope):
            scope = limited.scope
    return Reach(resource, operation, scope, tuple(conditional), tuple(denials))


def _limited(enforcer: Enforcer, line: Line) -> Limited:
    policy = enforcer.definition.policy
    fields = dict(zip(policy, line.values, strict=False))
    return Limited(
        str(line),
        line.origin,
        Scope(fields.get("p_scope", Scope.GLOBAL)),
        fields.get("p_cond", _ANYTHING),
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody that lines can speak of: a role, or a kind of principal."""

    subject: str
    """`role:viewer`, `role:12`, `kind:user`."""
    name: str
    organization_id: int | None
    """Of custom roles that belong to one."""
    inherits: tuple[str, ...]
    """All roles that come with it, itself left out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One role, and how far it reaches with everything."""

    holder: Holder
    cells: tuple[Reach, ...]
    """Resource by resource, each with all operations."""


def matrix(
    enforcer: Enforcer,
    roles: Collection[str] = (),
    resources: Collection[Resource] = (),
) -> list[Row]:
    """Kinds of principals, default roles, roles of the files only, and custom roles.

    A role is shown by itself, as if nobody but the role asked: what every user is comes on top of
    it, and is the row `kind:user`. `roles` (`role:viewer`, `role:12`, `kind:user`, or without
    `role:`) and `resources` pick some. Raises Invalid for a role that does not exist.
    """
    picked = _picked(holders(enforcer), roles)
    wanted = [resource for resource in Resource if not resources or resource in resources]
    return [
        Row(
            holder,
            tuple(
                _cell(enforcer, holder, resource, act) for resource in wanted for act in Operation
            ),
        )
        for holder in picked
    ]


@dataclass(frozen=True, slots=True)
class Behind:
    """One role and one operation on one resource, with all that lines say of it."""

    holder: Holder
    cell: Reach
    lines: tuple[tuple[Effect, Limited], ...]
    """In the order of the policy; those that never match are left out."""


def behind(enforcer: Enforcer, role: str, resource: Resource, operation: Operation) -> Behind:
    """What is behind a cell of the matrix. Raises Invalid for a role that does not exist."""
    [holder] = _picked(holders(enforcer), [role])
    lines = tuple(
        (rest.effect, _limited(enforcer, rest.line))
        for rest in _remainders(enforcer, holder, resource, operation)
        if rest.text != "False"
    )
    return Behind(holder, _cell(enforcer, holder, resource, operation), lines)


def holders(enforcer: Enforcer) -> list[Holder]:
    """All that the matrix has rows for."""
    kinds = {f"kind:{kind}": (f"every {kind}", None) for kind in PrincipalKind}
    stored = list(session.scalars(select(Role).order_by(Role.slug.is_(None), Role.id)))
    known = {role.subject: (role.name or "", role.organization_id) for role in stored}
    default = {role.subject: known[role.subject] for role in stored if role.slug}
    in_files = dict.fromkeys(sorted(_roles_of_lines(enforcer)), ("", None))
    # Each stays where it comes first, with what the database knows of it.
    everybody = {**kinds, **default, **in_files, **known}
    return [
        Holder(subject, name, organization, inherited(enforcer, subject))
        for subject, (name, organization) in everybody.items()
    ]


def _roles_of_lines(enforcer: Enforcer) -> set[str]:
    """Roles that lines speak of, but for those that are only rows of the database."""
    graph = enforcer.graphs.get("g", {})
    names = {*graph, *(role for above in graph.values() for role in above)}
    at = field_of(enforcer, "sub")
    if at is not None:
        spoken = (line for line in enforcer.program.lines if not line.origin.startswith(STORED))
        names |= {line.values[at] for line in spoken}
    return {name for name in names if name.startswith("role:")}


def inherited(enforcer: Enforcer, subject: str) -> tuple[str, ...]:
    """All that comes with a role, a kind or a principal by `g` lines, itself left out."""
    return tuple(sorted(closure(enforcer.graphs.get("g", {}), subject) - {subject}))


def field_of(enforcer: Enforcer, name: str) -> int | None:
    """Where a field of the policy definition is among the values of a line; None if nowhere."""
    policy = enforcer.definition.policy
    return policy.index(f"p_{name}") if f"p_{name}" in policy else None


def _picked(all_of_them: list[Holder], roles: Collection[str]) -> list[Holder]:
    if not roles:
        return all_of_them
    known = {holder.subject for holder in all_of_them}
    wanted = {role if role in known else f"role:{role}": role for role in roles}
    for subject, said in wanted.items():
        if subject not in known:
            raise Invalid(f"there is no role {said!r}{suggestion(subject, known)}")
    return [holder for holder in all_of_them if holder.subject in wanted]


def _cell(enforcer: Enforcer, holder: Holder, resource: Resource, operation: Operation) -> Reach:
    return reach(enforcer, resource, operation, _remainders(enforcer, holder, resource, operation))


def _remainders(
    enforcer: Enforcer, holder: Holder, resource: Resource, operation: Operation
) -> list[Remainder]:
    program = enforcer.program
    key = program.key_of(_only(holder.subject), _Kind(resource.value), operation.value)
    return [program.remainder(line, key) for line in program.candidates(key, ())]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A row of which only the resource is known."""

    type: str


def _only(subject: str) -> SubjectFacts:
    """As if a role itself asked: nobody's kind, organization or roles come on top."""
    facts = SubjectFacts(Principal(PrincipalKind.USER, 0, None))
    facts.id, facts.kind, facts.group = subject, "", ""
    return facts


def cell_words(cell: Reach) -> str:
    """What a cell says, in a few words."""
    if cell.forbidden:
        return "forbidden"
    wider = cell.conditional_scope
    words = [
        *([_spoken(cell.scope)] if cell.scope else []),
        *([f"under a condition {_spoken(wider)}"] if wider else []),
        *(["some of it forbidden"] if cell.denials else []),
    ]
    return ", ".join(words) or "nothing"


def _spoken(scope: Scope) -> str:
    return scope.replace("_", " ")


_SHORT: Mapping[Scope, str] = {
    Scope.OWN: "own",
    Scope.OWN_ORGANIZATION: "own-org",
    Scope.ORGANIZATION: "org",
    Scope.COLLABORATION: "collab",
    Scope.GLOBAL: "global",
}


def cell_text(cell: Reach) -> str:
    """`org`; `own org?` when a condition widens it; `!` when a line forbids some, `!!` if all."""
    if cell.forbidden:
        return "!!"
    wider = cell.conditional_scope
    words = [
        *([_SHORT[cell.scope]] if cell.scope else []),
        *([f"{_SHORT[wider]}?"] if wider else []),
        *(["!"] if cell.denials else []),
    ]
    return " ".join(words) or "-"
