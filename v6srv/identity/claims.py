"""What verified tokens say, apart from how they are signed and sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from v6srv.vocabulary import V3, PrincipalKind


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified bearer token says."""

    kind: PrincipalKind
    account_id: int
    """For a container the id of the node that runs it."""
    version: int
    session_id: str | None
    """None for containers and for tokens issued by a 3.x server."""
    container: Mapping[str, Any] | None
    """The `sub` object of auth.md 2.2; None for users and nodes."""
    expires_at: datetime
    jti: str
    after: str | None = None
    """Of a refresh token: the `jti` of the one for which it was issued; None: of a login."""
    issued_at: float = 0
    """Seconds, by the clock of the process that issued it."""
    began_at: float = 0
    """When the session did, by the same clock; of what was issued before it was said: the token."""
    dialect: int | None = None
    """The dialect of the login; None: 3, or it was issued before there were two."""

    def honoured(self, token_version: int, kept_session: str | None, ended: bool = False) -> bool:
        """Whether the account, as it is stored now, still accepts this token.

        `ended`: its session has ended.
        """
        if ended:
            return False
        kept = self.session_id is not None and self.session_id == kept_session
        return kept or self.version == token_version

    def spoken(self, generation: int | None) -> int:
        """The dialect to speak with who presents it: `generation`, of nodes only, is what its
        program was seen to be, and knows better than the token."""
        return generation or self.dialect or V3
