"""Who asks. Frozen facts about the caller, built once per request; holds no database session."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

from v6srv.authz.fact_types import Fact, types_of
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
    def user_id(self) -> int | None:
        """The user that calls."""
        return self.account_id if self.kind is PrincipalKind.USER else None

    @property
    def node_id(self) -> int | None:
        """The node that calls, or that runs the calling container."""
        return None if self.kind is PrincipalKind.USER else self.account_id


class SubjectFacts:
    """`r.sub`: the facts a policy may ask of a principal. Attributes are the words of policies.

    `lacks` is what a version of the policy says of it: each works it out where a line asks for it.
    """

    __slots__ = (
        "account",
        "changes",
        "collabs",
        "group",
        "id",
        "image",
        "kind",
        "lacks",
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
        self.lacks: frozenset[str] | None = None

    def lacking(self, rules: frozenset[str]) -> "SubjectFacts":
        """The same facts, of somebody who may not hand out these rules."""
        facts = copy(self)
        facts.lacks = rules
        return facts

    def changing(self, fields: frozenset[str]) -> "SubjectFacts":
        """The same facts, of somebody who is about to change these fields of a row."""
        facts = copy(self)
        facts.changes = fields
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFact(Fact):
    """A fact of `r.sub`."""

    kinds: frozenset[PrincipalKind] = frozenset(PrincipalKind)
    """Who has it; for others it is absent."""
    edits_only: bool = False
    """It is absent but for who is about to edit a row."""


_CONTAINERS = frozenset({PrincipalKind.CONTAINER})

SUBJECT_FACTS: Mapping[str, SubjectFact] = {
    "id": SubjectFact(of=str, always=True, same="account"),
    "kind": SubjectFact(of=str, always=True, words=tuple(f"kind:{kind}" for kind in PrincipalKind)),
    "group": SubjectFact(of=str, always=True, same="org", kind="org"),
    "account": SubjectFact(always=True),
    "org": SubjectFact(),
    "task": SubjectFact(kinds=_CONTAINERS),
    "run": SubjectFact(kinds=_CONTAINERS),
    "image": SubjectFact(of=str, kinds=_CONTAINERS),
    "collabs": SubjectFact(is_set=True),
    "roles": SubjectFact(of=str, is_set=True, kinds=frozenset({PrincipalKind.USER})),
    "changes": SubjectFact(of=str, is_set=True, edits_only=True, late=True),
    "lacks": SubjectFact(of=str, is_set=True, late=True),
}
"""Every fact of `r.sub`, and what it can be. `changes` are names of fields.

`lacks` are the declared rules that it may not hand out, by the second matcher of the model.

`id` is the name of the kind and account of a user or node, of a container that of its task.

`roles` are the roles held directly, as lines call them (`role:viewer`, `role:12`); the function
`g(r.sub.id, 'role:viewer')` knows the inherited ones, too.
"""

SUBJECT_TYPES = types_of(SUBJECT_FACTS)
"""The types of the facts of `r.sub`."""
