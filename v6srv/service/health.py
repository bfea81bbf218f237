"""Whether the server can do its work."""

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from v6srv.db import session


def database_answers() -> bool:
    """Whether a trivial query succeeds now."""
    try:
        return session.scalar(select(1)) == 1
    except SQLAlchemyError:
        session.rollback()
        return False
