"""What a change of a role does, and to whom, in words for people."""

from collections.abc import Iterable
from dataclasses import dataclass

from v6srv.authz.offers import Offers
from v6srv.policy.diff.compare import Change, Kind, PolicyDiff
from v6srv.vocabulary import Operation, PrincipalKind, Resource


@dataclass(frozen=True, slots=True)
class Consequence:
    """A decision that becomes another one."""

    gained: bool
    operation: Operation
    resource: Resource
    where: str
    """Of which rows, or rooms, or with which scope."""
    hand_out: bool
    people: tuple[str, ...]
    """Who there is, by name: users and nodes that one may view."""
    unseen: int
    """How many others there are."""


def consequences(diff: PolicyDiff, may: Offers) -> list[Consequence]:
    """All of them, gains first."""
    changes = (*diff.gains, *diff.losses)
    ids = {kind: _ids(changes, kind) for kind in (PrincipalKind.USER, PrincipalKind.NODE)}
    names = {
        f"{kind}:{id}": name
        for kind, wanted in ids.items()
        for id, name in may.names(Resource(kind), wanted).items()
    }
    return [_of(change, names) for change in changes]


def _of(change: Change, names: dict[str, str]) -> Consequence:
    real = [one for one in change.principals if _is_real(one)]
    people = tuple(names[one] for one in real if one in names)
    return Consequence(
        change.kind is Kind.GAINED,
        change.operation,
        change.resource,
        change.case.name,
        change.hand_out,
        people,
        len(real) - len(people),
    )


def _is_real(subject: str) -> bool:
    """Not a role, which is a member that is made up."""
    return subject.partition(":")[0] in tuple(PrincipalKind)


def _ids(changes: Iterable[Change], kind: PrincipalKind) -> set[int]:
    subjects = {subject.partition(":") for change in changes for subject in change.principals}
    return {int(number) for word, _, number in subjects if word == kind}
