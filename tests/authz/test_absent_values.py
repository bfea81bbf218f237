"""A value that is absent: users have no task, some rows no parent. Nothing fails because of it."""

from pathlib import Path

import pytest
from flask import Flask

from tests.policy_edits import take_up
from tests.support import Caller
from tests.world import World


@pytest.mark.parametrize(
    "condition", ["r.sub.task > 5", "5 < r.sub.task", "r.sub.run <= r.sub.task"]
)
def test_an_order_with_it_is_false_and_locks_nobody_out(
    app: Flask, world: World, call: Caller, tmp_path: Path, condition: str
) -> None:
    """Python raises for it, and what fails denies: even root would have lost everything."""
    store = app.extensions["authz"].store
    for path in store.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "local.csv").write_text(f"p, kind:user, *, global, *, {condition}, deny\n")
    store.folder = tmp_path
    with app.app_context():
        assert take_up(store), store.problem
    for who in ("root", "viewer"):
        assert call(who, "GET", "/organization").status_code == 200
