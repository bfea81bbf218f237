"""What can go wrong, in domain words. `wire.errors` alone gives each a status and a body."""

from collections.abc import Mapping
from typing import Any, Protocol


class V6srvError(Exception):
    """The base of all domain errors; its text is meant for the caller."""

    retry_after_s: int | None = None
    """When to come back, where that can be told."""


class Invalid(V6srvError):
    """The request cannot be understood or breaks a rule of the domain.

    `errors` maps field names to what is wrong with each; empty when no single field is to blame.
    """

    def __init__(self, message: str, errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(errors or {})


class Unauthenticated(V6srvError):
    """Nobody we know, or no longer."""


class BadToken(V6srvError):
    """A token that cannot be used here: malformed, forged, or of another type."""


class Refusal(Protocol):
    """Of a decision, what its caller may know."""

    @property
    def id(self) -> str | None:
        """Finds the decision in the decision log."""

    @property
    def told(self) -> str:
        """Why; empty when there is nothing to tell."""


class Denied(V6srvError):
    """The policies do not allow this.

    `decision` (an `authz.decide.Decision`) says why; None when no policy was asked.
    """

    def __init__(
        self, message: str = "You lack the permission to do that!", decision: Refusal | None = None
    ) -> None:
        super().__init__(message)
        self.decision = decision


class NotFound(V6srvError):
    """No such row."""


class Conflict(V6srvError):
    """The change contradicts what is stored."""


class TooManyRequests(V6srvError):
    """The caller asks too often; `retry_after_s` tells when to come back."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotSupported(V6srvError):
    """This server is not set up for that."""


class Upstream(V6srvError):
    """A system this server depends on refused or misbehaved."""


class Unavailable(V6srvError):
    """This server, or a system that it depends on, cannot do that now."""

    def __init__(self, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DatabaseUnavailable(Unavailable):
    """The database cannot be used now; why is a standing problem already (`v6srv.problems`)."""
