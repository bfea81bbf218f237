"""Sockets that come at the same time are looked up and written down together.

After a restart of the server all nodes come at once. One transaction for each would take many
times as long, and hold up everybody else for it.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from v6srv.errors import Unauthenticated
from v6srv.identity import principals
from v6srv.identity.claims import Claims
from v6srv.identity.principals import Known
from v6srv.service import presence
from v6srv.service.presence import NodeCard

AT_ONCE = 100
"""Sockets that are written down in one transaction."""
COLLECT_S = 0.02
"""How long others may join who comes first."""


@dataclass(eq=False, slots=True)
class _Comer:
    """A socket that waits, then what became of it."""

    sid: str
    claims: Claims
    known: Known | None = None
    card: NodeCard | None = None
    error: BaseException | None = None
    done: bool = False


class CheckIn:
    """Whoever comes first writes for all who came until it is its turn."""

    def __init__(self, sleep: Callable[[float], object]) -> None:
        self._sleep = sleep
        self._waiting: deque[_Comer] = deque()
        self._turn = threading.Lock()

    def enter(self, sid: str, claims: Claims) -> tuple[Known, NodeCard | None]:
        """Who it is whose socket is written down now; the card of a node, None for a user.

        Raises Unauthenticated when the account is gone, or honours the token no more.
        """
        comer = _Comer(sid, claims)
        self._waiting.append(comer)
        with self._turn:
            if not comer.done:
                self._sleep(COLLECT_S)
            while not comer.done:
                self._write_down()
        if comer.error is not None:
            raise comer.error
        if comer.known is None:
            raise Unauthenticated(f"Error loading the user {claims.account_id}")
        return comer.known, comer.card

    def _write_down(self) -> None:
        count = min(len(self._waiting), AT_ONCE)
        batch = [self._waiting.popleft() for _ in range(count)]
        try:
            known = principals.load_all(comer.claims for comer in batch)
            welcome = [comer for comer in batch if comer.claims in known]
            came = presence.connected({one.sid: one.claims.account_id for one in welcome})
            for comer in welcome:
                if comer.sid in came:
                    comer.known, comer.card = known[comer.claims], came[comer.sid]
        except BaseException as error:
            for comer in batch:
                comer.error = error
        finally:
            for comer in batch:
                comer.done = True
