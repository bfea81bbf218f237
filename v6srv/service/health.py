"""Whether the server can do its work.

Three questions: is the process alive (`/health/live`, no code here: it answers), should it get
requests (`ready`), and what should an admin look at (`look`).
"""

from typing import Any

from v6srv import db
from v6srv import problems as registry
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.source.live import store_of
from v6srv.authz.source.problems import Problem


def look(authz: Authorizer) -> dict[str, Any]:
    """`database`, and `problems` if there are any: texts that anybody may read."""
    store = store_of(authz)
    found: dict[str, Any] = {"database": db.answers()}
    problems = registry.standing()
    problems += [f"policy: {_place(problem)}" for problem in store.problems]
    problems += [f"policy in shadow: {_place(problem)}" for problem in store.shadow_problems]
    if authz.decisions is not None and authz.decisions.problem is not None:
        problems.append("decision log: cannot be written")
    return found | {"problems": problems} if problems else found


_stopping = False


def stopping(now: bool = True) -> None:
    """Say that this process is about to end; it answers what it has, and wants nothing new."""
    global _stopping
    _stopping = now


def not_ready() -> list[str]:
    """Why no requests should be sent here now; empty when they should.

    A policy is live in every process that answers. That a newer version could not go live is a
    problem to look at, but no reason to take all servers away.
    """
    reasons = {
        "the server is stopping": _stopping,
        "the database cannot be used": not db.answers(),
    }
    return [reason for reason, holds in reasons.items() if holds]


def _place(problem: Problem) -> str:
    """Where it is and of what kind, without the words of the policy itself."""
    return f"{problem.origin}: {problem.code}"
