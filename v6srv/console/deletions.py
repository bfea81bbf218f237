"""What goes with a row that somebody is about to delete, counted before it is asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from v6srv.authz.offers import Offers
from v6srv.service import dependents
from v6srv.service.dependents import Dependents
from v6srv.vocabulary import Operation


@dataclass(frozen=True, slots=True)
class Going:
    """Rows of one resource."""

    text: str
    """How many, for somebody who may not view all of them."""
    deletable: int | None
    """How many of them may be deleted by whoever asks; None: all."""


def going(may: Offers, hanging: Iterable[Dependents]) -> list[Going]:
    """What goes along, of that which there is."""
    return list(_counted(may, hanging))


def _counted(may: Offers, hanging: Iterable[Dependents]) -> Iterator[Going]:
    for each in hanging:
        total = dependents.count(each)
        if total and each.remove is not None:
            seen = may.count(each.resource, Operation.VIEW, each.condition)
            deletable = may.count(each.resource, Operation.DELETE, each.condition)
            text = dependents.told(each.resource, total, seen)
            yield Going(text, None if deletable == total else deletable)
