"""What a change of a role does, and to whom, in words for people."""

from collections.abc import Iterable
from dataclasses import dataclass

from v6srv.authz.offers import Offers
from v6srv.console.matrix import words
from v6srv.policy.diff.cases import Case
from v6srv.policy.diff.compare import Change, Kind, PolicyDiff
from v6srv.vocabulary import Operation, PrincipalKind, Resource

_SAID = 2
"""So many cases are said in words; of more, what they have in common."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What the same people may do with a resource, or may no longer."""

    gained: bool
    operation: Operation
    resource: Resource
    hand_out: bool
    """Not doing it, but giving others the rule to do it."""
    people: tuple[str, ...]
    """Who there is, by name: users and nodes that one may view."""
    unseen: int
    """How many others there are."""
    where: str
    """Of which rows, as far as all cases have that in common, or the scopes that are handed out."""
    cases: tuple[str, ...]
    """Each of them, where there are many."""


def consequences(diff: PolicyDiff, may: Offers) -> list[Consequence]:
    """All of them, gains first."""
    changes = (*diff.gains, *diff.losses)
    names = {
        f"{kind}:{id}": name
        for kind in (PrincipalKind.USER, PrincipalKind.NODE)
        for id, name in may.names(Resource(kind), _ids(changes, kind)).items()
    }
    alike: dict[object, list[Change]] = {}
    for one in changes:
        key = one.kind, one.operation, one.resource, one.hand_out, one.principals
        alike.setdefault(key, []).append(one)
    return [_of(same, names) for same in alike.values()]


def _of(same: list[Change], names: dict[str, str]) -> Consequence:
    first = same[0]
    real = [one for one in first.principals if _is_real(one)]
    people = tuple(names[one] for one in real if one in names)
    told = [one.case.name for one in same]
    many = len(told) > _SAID and not first.hand_out
    return Consequence(
        first.kind is Kind.GAINED,
        first.operation,
        first.resource,
        first.hand_out,
        people,
        len(real) - len(people),
        _common([one.case for one in same]) if many else _told(same),
        tuple(told) if many else (),
    )


def _told(same: list[Change]) -> str:
    if same[0].hand_out:
        return ", ".join(words(one.case.name) for one in same)
    return "; ".join(one.case.name for one in same)


def _common(cases: list[Case]) -> str:
    """What all cases ask of a row, in words; empty when that is nothing."""
    first, *others = (set(case.conditions) for case in cases)
    shared = first.intersection(*others)
    return Case(tuple(one for one in cases[0].conditions if one in shared)).name if shared else ""


def _is_real(subject: str) -> bool:
    """Not a role, which is a member that is made up."""
    return subject.partition(":")[0] in tuple(PrincipalKind)


def _ids(changes: Iterable[Change], kind: PrincipalKind) -> set[int]:
    subjects = {subject.partition(":") for change in changes for subject in change.principals}
    return {int(number) for word, _, number in subjects if word == kind}
