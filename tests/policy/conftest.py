"""What tests of publication share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Databases
from tests.policy.desk import VIEWER, Desk
from v6srv import db
from v6srv.service import setup


@pytest.fixture
def desk(databases: Databases, backend: str, tmp_path: Path) -> Iterator[Desk]:
    setup.install_policies(tmp_path / "policies")
    uri, world = databases.copy(backend, True)
    assert world is not None
    assert f"user:{world.user.viewer}" == VIEWER
    yield Desk(tmp_path, uri)
    db.session.remove()
    databases.drop(uri)
