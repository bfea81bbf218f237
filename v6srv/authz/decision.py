"""What a decision is."""

from dataclasses import dataclass

from v6srv.model import Rule
from v6srv.vocabulary import Operation, Resource


@dataclass(frozen=True, slots=True)
class Decision:
    """The effect for one principal, resource, operation and row, and why."""

    allowed: bool
    subject: str
    resource: Resource
    operation: Operation
    reason: str
    policy: str
    """Version of the policy that decided."""
    id: str | None = None
    """Finds it in the decision log. Every denial has one, an allowance if it is written there."""
    told: str = ""
    """The reason of a denial as far as the principal may know it."""


class Lacking(list[Rule]):
    """Rules that may not be handed out; empty when all may."""

    decision: Decision | None = None
    """The denial, when there are any."""
