"""Everybody whose decisions are compared: real users and nodes, and those who could be there."""

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import fact_name
from v6srv.authz.principal import Principal
from v6srv.authz.theory.patterns import words
from v6srv.identity.principals import everyone
from v6srv.vocabulary import PrincipalKind

UNKNOWN = 0
"""The number of an account, organization, collaboration or task that is made up; none has it."""


class Imagined(Principal):
    """Somebody who could be there, such as a member of a role; `name` is what it is called."""

    __slots__ = ()

    @property
    def subject(self) -> str:
        """What reports call it: `role:viewer`, `kind:container`."""
        return self.name


def stored() -> list[Principal]:
    """All users and nodes of the database."""
    return [known.principal for known in everyone()]


def imagined(policies: Collection[Enforcer], real: Iterable[Principal] = ()) -> list[Principal]:
    """A user, node and container without a role, a member of each role, and whoever lines name.

    Each with an organization in a collaboration, and once more in each organization that a line
    asks for; containers also with each kind of image. Of `real`, who need not be made up, those in
    no collaboration, as if they were in one.
    """
    known = list(real)
    names = {name for policy in policies for name in _subjects(policy)}
    found: list[Principal] = []
    for org in sorted({UNKNOWN, *_asked_orgs(policies, names)}):
        found += _of_organization(org, names, policies)
    found += _named(names - {who.subject for who in known})
    found += _once_in_a_collaboration(known)
    return found


def member_of(role: str) -> Principal:
    """Somebody who has this role and nothing else; its `subject` is the role."""
    return _make(PrincipalKind.USER, UNKNOWN, role, roles=(role,))


def _subjects(policy: Enforcer) -> Iterator[str]:
    """Everything that lines call a subject or a role."""
    fields = list(policy.definition.policy)
    if "p_sub" in fields:
        at = fields.index("p_sub")
        yield from (line.values[at] for line in policy.program.lines)
    for member, roles in policy.graphs.get("g", {}).items():
        yield member
        yield from roles


def _of_organization(
    org: int, names: Iterable[str], policies: Collection[Enforcer]
) -> Iterator[Principal]:
    label = "" if org == UNKNOWN else f" in org:{org}"
    for role in sorted(name for name in names if name.startswith("role:")):
        yield _make(PrincipalKind.USER, org, f"{role}{label}", roles=(role,))
    for kind in (PrincipalKind.USER, PrincipalKind.NODE):
        yield _make(kind, org, f"kind:{kind}{label}")
    images = _images(policies)
    for image in images:
        shown = f" with image {image!r}" if len(images) > 1 else ""
        name = f"kind:container{label}{shown}"
        yield replace(_make(PrincipalKind.CONTAINER, org, name), image=image)


def _make(
    kind: PrincipalKind,
    org: int,
    name: str,
    roles: tuple[str, ...] = (),
    account: int = UNKNOWN,
) -> Imagined:
    task = UNKNOWN if kind is PrincipalKind.CONTAINER else None
    collabs = frozenset({UNKNOWN})
    return Imagined(kind, account, org, collabs, roles, name, task_id=task, run_id=task)


def _named(names: Iterable[str]) -> Iterator[Principal]:
    for name in sorted(names):
        kind, _, number = name.partition(":")
        if kind in (PrincipalKind.USER, PrincipalKind.NODE):
            yield _make(PrincipalKind(kind), UNKNOWN, name, account=int(number))


def _once_in_a_collaboration(real: Iterable[Principal]) -> Iterator[Principal]:
    for who in real:
        if not who.collaboration_ids and who.organization_id is not None:
            yield Imagined(
                who.kind,
                who.account_id,
                who.organization_id,
                frozenset({UNKNOWN}),
                who.roles,
                who.subject,
            )


# --- what conditions ask of principals


def _asked_orgs(policies: Collection[Enforcer], names: Iterable[str]) -> Iterator[int]:
    yield from (int(name.removeprefix("org:")) for name in names if name.startswith("org:"))
    for value in _compared_with(policies, "org"):
        if isinstance(value, int) and not isinstance(value, bool):
            yield value


def _images(policies: Collection[Enforcer]) -> Sequence[str]:
    """One image for each way that conditions tell images of containers apart."""
    patterns = set(_patterns(policies, "image"))
    texts = {value for value in _compared_with(policies, "image") if isinstance(value, str)}
    return words(sorted(patterns), sorted(texts)) if patterns | texts else ["an image"]


def _nodes(policies: Iterable[Enforcer]) -> Iterator[tuple[ast.AST, str]]:
    """Every part of every matcher and condition, and what it calls the principal."""
    for policy in policies:
        for tree in (policy.program.tree, *policy.conditions):
            yield from ((node, policy.program.subject) for node in ast.walk(tree))


def _patterns(policies: Iterable[Enforcer], fact: str) -> Iterator[str]:
    for node, subject in _nodes(policies):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "glob"
            and fact_name(node.args[0], subject) == fact
            and isinstance(node.args[1], ast.Constant)
        ):
            yield str(node.args[1].value)


def _compared_with(policies: Iterable[Enforcer], fact: str) -> Iterator[object]:
    """The constants that a fact of principals is compared with."""
    for node, subject in _nodes(policies):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if any(fact_name(side, subject) == fact for side in sides):
                parts = (part for side in sides for part in ast.walk(side))
                yield from (part.value for part in parts if isinstance(part, ast.Constant))
