"""Who asks. Frozen facts about the caller, built once per request; holds no database session."""

from copy import copy
from dataclasses import dataclass, field

from v6srv.vocabulary import PrincipalKind


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """The caller, as policies see it (`r.sub`) and as services need it.

    For a container `account_id` is the id of the node that runs it, and `collaboration_ids` holds
    only the collaboration of its task.
    """

    kind: PrincipalKind
    account_id: int
    organization_id: int | None
    collaboration_ids: frozenset[int] = frozenset()
    roles: tuple[str, ...] = ()
    """What policy lines call the roles (`role:viewer`, `role:12`) and extra rules (`rule:3`)."""
    name: str = ""
    """User name or node name, for messages."""
    task_id: int | None = None
    run_id: int | None = None
    image: str | None = None
    """Containers only: the task they run, its run and its image."""
    session_id: str | None = None
    """The pair of tokens that the caller presents one of."""

    # What the matcher reads, computed once.
    id: str = field(init=False)
    group: str = field(init=False)
    facts: "SubjectFacts" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        number = self.task_id if self.kind is PrincipalKind.CONTAINER else self.account_id
        object.__setattr__(self, "id", f"{self.kind.value}:{number}")
        object.__setattr__(self, "group", f"org:{self.organization_id}")
        object.__setattr__(self, "facts", SubjectFacts(self))

    @property
    def subject(self) -> str:
        """The name policies and logs know this principal by: `user:5`, `node:3`, `container:9`."""
        return self.id

    @property
    def node_id(self) -> int | None:
        """The node that calls, or that runs the calling container."""
        return None if self.kind is PrincipalKind.USER else self.account_id


class SubjectFacts:
    """`r.sub`: the facts a policy may ask of a principal. Attributes are the words of policies."""

    __slots__ = (
        "account",
        "changes",
        "collabs",
        "group",
        "id",
        "image",
        "kind",
        "membership",
        "org",
        "roles",
        "run",
        "task",
    )

    def __init__(self, who: Principal) -> None:
        self.id = who.id
        self.kind = f"kind:{who.kind.value}"
        self.group = who.group
        self.account = who.account_id
        self.org = who.organization_id
        self.collabs = who.collaboration_ids
        self.task = who.task_id
        self.run = who.run_id
        self.image = who.image
        self.membership = tuple(sorted(who.roles))
        self.roles = frozenset(role for role in who.roles if role.startswith("role:"))
        self.changes: frozenset[str] = frozenset()

    def changing(self, fields: frozenset[str]) -> "SubjectFacts":
        """The same facts, of somebody who is about to change these fields of a row."""
        facts = copy(self)
        facts.changes = fields
        return facts


SUBJECT_FACTS: dict[str, type] = {
    "id": str,
    "kind": str,
    "group": str,
    "account": int,
    "org": int,
    "task": int,
    "run": int,
    "image": str,
    "collabs": frozenset,
    "roles": frozenset,
    "changes": frozenset,
}
"""Every fact of `r.sub` and its type."""

SUBJECT_SETS: dict[str, type] = {"collabs": int, "roles": str, "changes": str}
"""Type of the members of each set. `changes` are names of fields.

`roles` are the roles held directly, as lines call them (`role:viewer`, `role:12`); the function
`g(r.sub.id, 'role:viewer')` knows the inherited ones, too.
"""
