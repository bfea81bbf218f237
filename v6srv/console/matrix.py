"""Rules as a table: resource and scope, by operation."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.rules import DEFAULT_ROLES, RULE_TEXTS
from v6srv.policy.who.held import Held, How, held
from v6srv.service import roles
from v6srv.vocabulary import Operation, Resource, Scope

KNOWN = frozenset(RULE_TEXTS)
"""Pages speak neither dialect: they know every rule."""
OPERATIONS = (Operation.VIEW, Operation.CREATE, Operation.EDIT, Operation.DELETE)

_NAMES = {f"role:{role.slug}": role.name for role in DEFAULT_ROLES}


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule."""

    id: int
    held: Held
    chosen: bool
    """It is one of those that are to be shown as set."""
    yours: bool
    """Whoever looks could hand it out."""

    @property
    def text(self) -> str:
        """What it is called."""
        rule = self.held.rule
        return f"{rule.operation} {rule.resource}, scope {words(rule.scope)}"

    @property
    def by(self) -> str:
        """What it comes with, in words."""
        return ", ".join(_NAMES.get(one, words(one)) for one in self.held.by)

    @property
    def told(self) -> str:
        """How it is held."""
        return _TOLD[self.held.how].format(self.by)


_TOLD = {
    How.OWN: "yes, a rule of its own",
    How.COVERED: "yes, with {}",
    How.PARTLY: "under conditions: {}",
    How.NOT: "no",
}


@dataclass(frozen=True, slots=True)
class Line:
    """The rules of one scope of a resource."""

    scope: Scope
    cells: tuple[Cell | None, ...]
    """One for each of `OPERATIONS`; None: there is no such rule."""


Matrix = Mapping[Resource, list[Line]]


def matrix(
    who: Principal,
    authz: Authorizer,
    names: Collection[str],
    chosen: Collection[int] | None = None,
) -> Matrix:
    """All rules, as they are held by somebody with these roles and rules (`held.held`).

    `chosen`: the ids of those that are set; those of its own unless told.
    """
    ids = roles.ids_of_rules(who, authz, KNOWN)
    lacks = authz.policy.lacks(who.facts)
    cells = {
        text: Cell(
            ids[text],
            one,
            one.how == "own" if chosen is None else ids[text] in chosen,
            text not in lacks,
        )
        for text, one in held(authz.policy, names).items()
        if text in ids
    }
    table: dict[Resource, list[Line]] = {}
    for resource in Resource:
        for scope in reversed(Scope):
            of = [cells.get(f"{resource}:{scope}:{operation}") for operation in OPERATIONS]
            if any(of):
                table.setdefault(resource, []).append(Line(scope, tuple(of)))
    return table


def words(name: str) -> str:
    """`own organization`."""
    return name.replace("_", " ")
