"""Which versions of the policy are asked: all that decisions need to know of their source."""

from typing import Protocol

from v6srv.authz.enforcer import Enforcer


class Versions(Protocol):
    """The live version and its candidate; each is replaced as a whole, at any moment."""

    @property
    def live(self) -> Enforcer:
        """What decides."""

    @property
    def shadow(self) -> Enforcer | None:
        """What is asked beside it and never obeyed; None when there is no candidate."""

    def follow(self, revision: int) -> Enforcer:
        """The live version, of at least this revision of the database."""
