"""Who hears what algorithms print: of those in the rooms of a run, those who may view the run."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from flask import Flask

from v6srv.authz.authorizer import Authorizer
from v6srv.identity import principals
from v6srv.realtime.background import GIVE_WAY_S
from v6srv.realtime.seats import Seat, Seats
from v6srv.service import run_logs

KEPT_S = 60.0
"""How long an answer holds if nothing is heard of a change: what a policy asks of a run or its
task may change without a word."""
MOST_RUNS = 1000
"""Runs of which answers are remembered."""
DECIDED_IN_A_TURN = 50
"""Sockets that are decided before other greenlets get a turn."""

_OF_A_RUN = ("status_update", "algorithm_status_change")

Participants = Mapping[str, str]
"""Transports by the id of the socket."""
Only = Callable[[Participants], Participants]


class LogReaders:
    """Decides, as for a `GET` of the run, once for each socket of this process and run: until
    rooms are decided again, or the run is another."""

    def __init__(self, app: Flask, seats: Seats, authz: Authorizer) -> None:
        self._app = app
        self._seats = seats
        self._authz = authz
        self._answers: dict[int, tuple[float, dict[str, bool]]] = {}

    def of(self, event: str, payload: Any) -> Only | None:
        """What leaves those of the sockets in a room who may hear this; None: all of them.

        `payload` is what a dialect is told.
        """
        if event == run_logs.EVENT:
            return partial(self._only, payload["run_id"])
        if event in _OF_A_RUN and "result_id" in payload:
            self._answers.pop(payload["result_id"], None)
        return None

    def forget(self) -> None:
        """Policy, membership or the time is another."""
        self._answers = {}

    def _only(self, run_id: int, sockets: Participants) -> Participants:
        answers = self._known(run_id)
        unknown = [sid for sid in sockets if sid not in answers]
        seats = [seat for sid in unknown if (seat := self._seats.get(sid)) is not None]
        if seats:
            self._decide(run_id, seats, answers)
        return {sid: transport for sid, transport in sockets.items() if answers.get(sid)}

    def _known(self, run_id: int) -> dict[str, bool]:
        now, all_answers = time.monotonic(), self._answers
        since, answers = all_answers.get(run_id, (0.0, None))
        if answers is None or now - since > KEPT_S:
            if len(all_answers) >= MOST_RUNS:
                all_answers.clear()
            answers = {}
            all_answers[run_id] = (now, answers)
        return answers

    def _decide(self, run_id: int, seats: Collection[Seat], answers: dict[str, bool]) -> None:
        with self._app.app_context():
            known = principals.load_all(seat.claims for seat in seats)
            for count, seat in enumerate(seats, 1):
                who = known.get(seat.claims)
                if who is not None:
                    self._authz.store.follow(who.policy_revision)
                answers[seat.sid] = who is not None and bool(
                    run_logs.readable(self._authz, who.principal, [run_id])
                )
                if count % DECIDED_IN_A_TURN == 0:
                    time.sleep(GIVE_WAY_S)
