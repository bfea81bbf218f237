"""The words of the domain: of policies, of the states of results, of configurations."""

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
    STUDY = "study"
    EVENT = "event"
    POLICY = "policy"


class Operation(StrEnum):
    """What can be done to a resource."""

    VIEW = "view"
    EDIT = "edit"
    CREATE = "create"
    DELETE = "delete"


class Scope(StrEnum):
    """How far a policy line reaches, narrowest first."""

    OWN = "own"
    OWN_ORGANIZATION = "own_organization"
    """What belongs to the own organization itself: `organization` is also what it takes part in."""
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


class ResultStatus(StrEnum):
    """The states of a result, as the contract writes them (models.md 3.1)."""

    PENDING = "pending"
    INITIALIZING = "initializing"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    START_FAILED = "start failed"
    NO_IMAGE = "non-existing Docker image"
    CRASHED = "crashed"
    KILLED = "killed by user"
    NOT_ALLOWED = "not allowed"
    UNKNOWN_ERROR = "unknown error"

    @classmethod
    def unfailed(cls) -> tuple[str, ...]:
        """Those that do not count as failed; everything else does, null and unknown words too."""
        words = (cls.PENDING, cls.INITIALIZING, cls.ACTIVE, cls.COMPLETED)
        return tuple(word.value for word in words)


ENVIRONMENTS = ("application", "prod", "acc", "test", "dev")
"""The parts of a configuration file: what is for all of them first (operations.md 2)."""


V3, V4 = DIALECTS = 3, 4
"""The dialects of the protocol: the wire forms of 3.x and of 4.x."""
