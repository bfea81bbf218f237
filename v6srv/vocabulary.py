"""The words policies are written in. A word that is not listed here is not a policy word."""

from enum import StrEnum


class Resource(StrEnum):
    """The kinds of things a policy line can speak of."""

    NODE = "node"
    COLLABORATION = "collaboration"
    ORGANIZATION = "organization"
    TASK = "task"
    RESULT = "result"
    USER = "user"
    ROLE = "role"
    PORT = "port"
    EVENT = "event"


class Operation(StrEnum):
    """What can be done to a resource."""

    VIEW = "view"
    EDIT = "edit"
    CREATE = "create"
    DELETE = "delete"


class Scope(StrEnum):
    """How far a policy line reaches, narrowest first."""

    OWN = "own"
    ORGANIZATION = "organization"
    COLLABORATION = "collaboration"
    GLOBAL = "global"


class Effect(StrEnum):
    """What a matching policy line does."""

    ALLOW = "allow"
    DENY = "deny"


class PrincipalKind(StrEnum):
    """Who can ask."""

    USER = "user"
    NODE = "node"
    CONTAINER = "container"
