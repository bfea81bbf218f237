"""The declared rules: every (resource, scope, operation) that a role or a user can be granted.

Those of 3.x have the ids 1 to 53 in this order on a fresh server (rules.csv). What 4.x says in
other words is the same rule; what only 4.x can say comes last
(docs/adr/0029-rules-of-two-dialects.md).
What the policy files grant beyond them (conditions, denials, fixed principals) has no rule.
"""

from dataclasses import dataclass

from v6srv.vocabulary import Operation, Resource, Scope


@dataclass(frozen=True, slots=True)
class Declared:
    """A grantable rule."""

    resource: Resource
    scope: Scope
    operation: Operation
    description: str

    @property
    def key(self) -> tuple[str, str, str]:
        """(resource, scope, operation), in the words of policy lines."""
        return self.resource.value, self.scope.value, self.operation.value

    @property
    def text(self) -> str:
        """The same as one word: `task:organization:view`."""
        return ":".join(self.key)


RULES: tuple[Declared, ...] = tuple(
    Declared(Resource(resource), Scope(scope), Operation(operation), description)
    for resource, scope, operation, description in (
        ("node", "global", "view", "See every registered node, whoever owns it"),
        ("node", "organization", "view", "See nodes owned by the caller's organization"),
        ("node", "global", "edit", "Change every registered node and renew its key"),
        (
            "node",
            "organization",
            "edit",
            "Change nodes owned by the caller's organization and renew their keys",
        ),
        ("node", "global", "create", "Register a node on behalf of whichever organization"),
        (
            "node",
            "organization",
            "create",
            "Register a node on behalf of the caller's organization only",
        ),
        ("node", "global", "delete", "Remove every registered node"),
        ("node", "organization", "delete", "Remove nodes owned by the caller's organization"),
        ("collaboration", "global", "view", "See all collaborations on the server"),
        (
            "collaboration",
            "organization",
            "view",
            "See collaborations that count the caller's organization among their members",
        ),
        (
            "collaboration",
            "global",
            "edit",
            "Change all collaborations, including their members and nodes",
        ),
        ("collaboration", "global", "create", "Set up collaborations"),
        (
            "collaboration",
            "global",
            "delete",
            "Remove collaborations and take members out of them",
        ),
        ("organization", "global", "view", "See all organizations on the server"),
        ("organization", "organization", "view", "See the record of the caller's organization"),
        (
            "organization",
            "collaboration",
            "view",
            "See organizations that share at least one collaboration with the caller's, plus "
            "the caller's own",
        ),
        ("organization", "global", "edit", "Change the record of all organizations"),
        (
            "organization",
            "organization",
            "edit",
            "Change the record of the caller's organization, public key included",
        ),
        ("organization", "global", "create", "Set up organizations"),
        ("task", "global", "view", "See tasks from all collaborations"),
        (
            "task",
            "organization",
            "view",
            "See tasks from collaborations that count the caller's organization as member",
        ),
        (
            "task",
            "global",
            "create",
            "Post tasks (the own organization must still be member of the collaboration); "
            "also gates stopping all work on a node",
        ),
        (
            "task",
            "organization",
            "create",
            "Post tasks in collaborations that count the caller's organization as member",
        ),
        ("task", "global", "delete", "Remove tasks from all collaborations"),
        (
            "task",
            "organization",
            "delete",
            "Remove tasks from collaborations that count the caller's organization as member",
        ),
        ("result", "global", "view", "See results from all collaborations"),
        (
            "result",
            "organization",
            "view",
            "See results from collaborations that count the caller's organization as member",
        ),
        ("user", "global", "view", "See all user accounts"),
        ("user", "organization", "view", "See user accounts inside the caller's organization"),
        ("user", "global", "create", "Open user accounts in whichever organization"),
        (
            "user",
            "organization",
            "create",
            "Open user accounts inside the caller's organization only",
        ),
        ("user", "global", "edit", "Change all user accounts"),
        ("user", "organization", "edit", "Change user accounts inside the caller's organization"),
        ("user", "own", "edit", "Change the caller's personal account"),
        ("user", "global", "delete", "Remove all user accounts"),
        (
            "user",
            "organization",
            "delete",
            "Remove user accounts inside the caller's organization",
        ),
        ("user", "own", "delete", "Remove the caller's personal account"),
        ("role", "global", "view", "See all roles"),
        (
            "role",
            "organization",
            "view",
            "See roles owned by the caller's organization (lists add the server-wide roles)",
        ),
        ("role", "global", "create", "Define roles for whichever organization"),
        ("role", "organization", "create", "Define roles for the caller's organization only"),
        ("role", "global", "edit", "Change all editable roles"),
        ("role", "organization", "edit", "Change roles owned by the caller's organization"),
        ("role", "global", "delete", "Remove all roles, or take rules out of them"),
        (
            "role",
            "organization",
            "delete",
            "Remove roles owned by the caller's organization, or take rules out of them",
        ),
        ("port", "global", "view", "See all VPN port records"),
        (
            "port",
            "organization",
            "view",
            "See VPN port records from collaborations that count the caller's organization "
            "as member",
        ),
        (
            "event",
            "organization",
            "view",
            "Listen to socket events addressed to the caller's organization within its "
            "collaborations",
        ),
        (
            "event",
            "collaboration",
            "view",
            "Listen to socket events of all collaborations the caller's organization is in",
        ),
        ("event", "global", "view", "Listen to socket events of all collaborations"),
        (
            "event",
            "organization",
            "create",
            "Trigger stop signals for tasks in collaborations that count the caller's "
            "organization as member",
        ),
        (
            "event",
            "collaboration",
            "create",
            "Trigger socket events across the caller's collaborations",
        ),
        ("event", "global", "create", "Trigger socket events in all collaborations"),
    )
)

OWN_RULES: tuple[Declared, ...] = (
    Declared(
        Resource.POLICY,
        Scope.GLOBAL,
        Operation.VIEW,
        "See the policy: its lines, its history, its decisions and why they were made",
    ),
    Declared(Resource.POLICY, Scope.GLOBAL, Operation.CREATE, "Add lines to the policy"),
    Declared(Resource.POLICY, Scope.GLOBAL, Operation.EDIT, "Change lines that were added"),
    Declared(Resource.POLICY, Scope.GLOBAL, Operation.DELETE, "Remove lines that were added"),
)
"""Rules of resources that the contract does not know; who holds one of them holds the server."""

_SHARED = "that share a collaboration with the caller's"

FINER_RULES: tuple[Declared, ...] = tuple(
    Declared(Resource(resource), Scope(scope), Operation(operation), description)
    for resource, scope, operation, description in (
        ("node", "collaboration", "view", "See nodes of the caller's collaborations"),
        ("node", "collaboration", "edit", "Change nodes of the caller's collaborations"),
        ("node", "collaboration", "create", "Register nodes in the caller's collaborations"),
        ("node", "collaboration", "delete", "Remove nodes of the caller's collaborations"),
        ("collaboration", "collaboration", "edit", "Change the caller's collaborations"),
        ("collaboration", "collaboration", "delete", "Remove the caller's collaborations"),
        (
            "organization",
            "collaboration",
            "edit",
            f"Change the record, but not the public key, of organizations {_SHARED}",
        ),
        ("organization", "global", "delete", "Remove organizations"),
        (
            "task",
            "own_organization",
            "view",
            "See tasks that the caller's organization started",
        ),
        ("task", "own", "view", "See tasks that the caller started"),
        (
            "task",
            "own_organization",
            "delete",
            "Remove tasks that the caller's organization started",
        ),
        ("task", "own", "delete", "Remove tasks that the caller started"),
        (
            "result",
            "own_organization",
            "view",
            "See results of tasks that the caller's organization started",
        ),
        ("result", "own", "view", "See results of tasks that the caller started"),
        ("user", "collaboration", "view", f"See user accounts inside organizations {_SHARED}"),
        ("user", "collaboration", "create", f"Open user accounts inside organizations {_SHARED}"),
        ("user", "collaboration", "edit", f"Change user accounts inside organizations {_SHARED}"),
        ("user", "collaboration", "delete", f"Remove user accounts inside organizations {_SHARED}"),
        ("role", "collaboration", "view", f"See roles owned by organizations {_SHARED}"),
        ("role", "collaboration", "create", f"Define roles for organizations {_SHARED}"),
        ("role", "collaboration", "edit", f"Change roles owned by organizations {_SHARED}"),
        (
            "role",
            "collaboration",
            "delete",
            f"Remove roles owned by organizations {_SHARED}, or take rules out of them",
        ),
        (
            "event",
            "own_organization",
            "create",
            "Trigger stop signals for tasks that the caller's organization started, and for all "
            "work on its nodes",
        ),
        ("study", "global", "view", "See all studies"),
        ("study", "organization", "view", "See studies that the caller's organization is in"),
        ("study", "collaboration", "view", "See studies of the caller's collaborations"),
        ("study", "global", "edit", "Change all studies"),
        ("study", "collaboration", "edit", "Change studies of the caller's collaborations"),
        ("study", "organization", "edit", "Change studies that the caller's organization is in"),
        ("study", "global", "create", "Set up studies in all collaborations"),
        ("study", "collaboration", "create", "Set up studies in the caller's collaborations"),
        ("study", "global", "delete", "Remove all studies"),
        ("study", "collaboration", "delete", "Remove studies of the caller's collaborations"),
        (
            "study",
            "organization",
            "delete",
            "Remove studies that the caller's organization is in",
        ),
    )
)
"""What 4.x can grant and 3.x cannot, in the order of rules-v4.csv."""

DECLARED: tuple[Declared, ...] = (*RULES, *OWN_RULES, *FINER_RULES)
"""Every rule that can be granted, in the order of their ids on a fresh server."""


RULE_TEXTS: tuple[str, ...] = tuple(rule.text for rule in DECLARED)
"""What facts of rows and `r.sub.lacks` call them."""


@dataclass(frozen=True, slots=True)
class DefaultRole:
    """A server-wide role; policy files know it as `role:<slug>`."""

    slug: str
    name: str
    description: str


DEFAULT_ROLES: tuple[DefaultRole, ...] = (
    DefaultRole("root", "Root", "Super role"),
    DefaultRole("container", "container", "What algorithm containers may do"),
    DefaultRole("node", "node", "What nodes may do"),
    DefaultRole("viewer", "Viewer", "Can view its organization and what it takes part in"),
    DefaultRole("researcher", "Researcher", "Can perform tasks"),
    DefaultRole("org_admin", "Organization Admin", "Can manage its own organization"),
    DefaultRole("collab_admin", "Collaboration Admin", "Can manage collaborations"),
)
"""In the order of their ids on a fresh server."""

WIDE_NODE = "role:wide_node"
"""What nodes are in beside it when a setting says so (`between_collaborations`)."""
