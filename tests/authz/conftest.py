"""A database without an application, for tests of random policies."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from v6srv import db


@pytest.fixture
def session(database_uri: str) -> Iterator[Session]:
    """With all tables, and without rows."""
    engine = db.connect(database_uri)
    db.Base.metadata.create_all(engine)
    yield db.session()
    db.session.remove()
    engine.dispose()
