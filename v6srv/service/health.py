"""Whether the server can do its work."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from v6srv.authz.decide import Authorizer
from v6srv.authz.source import Problem
from v6srv.db import session


def look(authz: Authorizer) -> dict[str, Any]:
    """`database`, and `problems` if there are any: texts that anybody may read."""
    store = authz.store
    problems = [f"policy: {_place(problem)}" for problem in store.problems]
    problems += [f"policy in shadow: {_place(problem)}" for problem in store.shadow_problems]
    if authz.decisions is not None and authz.decisions.problem is not None:
        problems.append("decision log: cannot be written")
    found: dict[str, Any] = {"database": database_answers()}
    return found | {"problems": problems} if problems else found


def database_answers() -> bool:
    """Whether a trivial query succeeds now."""
    try:
        return session.scalar(select(1)) == 1
    except SQLAlchemyError:
        session.rollback()
        return False


def _place(problem: Problem) -> str:
    """Where it is and of what kind, without the words of the policy itself."""
    return f"{problem.origin}: {problem.code}"
