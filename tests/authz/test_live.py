"""Files and tables go live together, or not at all."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.policy_edits import look, take_up
from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.authz.source.live import PolicyStore
from v6srv.model import CasbinRule, PolicyRevision, User


def _store(app: Flask) -> PolicyStore:
    store: PolicyStore = app.extensions["authz"].store
    return store


def _folder(app: Flask, tmp_path: Path) -> Path:
    """A copy of the policies in use that the test may edit."""
    store = _store(app)
    for path in store.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    store.folder = tmp_path
    assert take_up(store)
    return tmp_path


def test_an_edited_file_goes_live(app: Flask, world: World, call: Caller, tmp_path: Path) -> None:
    folder = _folder(app, tmp_path)
    assert call("viewer", "GET", "/task").status_code == 200
    (folder / "local.csv").write_text("p, role:viewer, task, global, view, True, deny\n")
    assert look(_store(app))
    assert call("viewer", "GET", "/task").status_code == 403
    (folder / "local.csv").unlink()
    assert look(_store(app))
    assert call("viewer", "GET", "/task").status_code == 200


def test_a_bad_file_changes_nothing_and_says_why(
    app: Flask, world: World, call: Caller, tmp_path: Path
) -> None:
    folder = _folder(app, tmp_path)
    before = _store(app).live
    (folder / "local.csv").write_text("p, role:viewer, tsak, global, view, True, deny\n")
    assert not look(_store(app))
    assert _store(app).live is before
    assert _store(app).problem == "local.csv:1:17: unknown resource 'tsak', did you mean task?"
    assert call("viewer", "GET", "/task").status_code == 200
    (folder / "local.csv").write_text("p, role:viewer, port, global, view, True, deny\n")
    assert look(_store(app))
    assert _store(app).problem is None


def test_a_change_in_the_database_does_not_take_up_files(
    app: Flask, world: World, call: Caller, tmp_path: Path
) -> None:
    folder, denial = _folder(app, tmp_path), "p, role:viewer, task, global, view, True, deny\n"
    (folder / "local.csv").write_text(denial)
    assert look(_store(app))
    (folder / "local.csv").write_text("")
    with app.app_context():
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    assert call("viewer", "GET", "/task").status_code == 403


@pytest.mark.parametrize(("effect", "status"), [("deny", 403), ("allow", 200)])
def test_a_line_in_the_database_decides_the_next_request(
    app: Flask, world: World, call: Caller, effect: str, status: int
) -> None:
    """Another process wrote it: this one learns from the revision it reads with the principal."""
    with app.app_context():
        viewer = db.session.query(User).filter_by(username="viewer").one().id
        line = (f"user:{viewer}", "task", "global", "view", "True", effect)
        names = ("v0", "v1", "v2", "v3", "v4", "v5")
        db.session.add(CasbinRule(ptype="p", **dict(zip(names, line, strict=True))))
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    assert call("viewer", "GET", "/task").status_code == status


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_version_that_cannot_go_live_is_not_built_at_every_request(
    app: Flask, world: World, call: Caller, count_queries: Callable[[], AbstractContextManager[Any]]
) -> None:
    """Here everybody is in a custom role, which is then given a rule that lets strangers in."""
    with app.app_context():
        db.session.add(CasbinRule(ptype="g", v0="kind:user", v1=f"role:{world.role.empty}"))
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    assert call("viewer", "GET", "/task").status_code == 200
    before = _store(app).live
    assert _store(app).problem is None
    rules = {"rules": [world.rule["task", "GLOBAL", "VIEW"]]}
    assert call("root", "PATCH", f"/role/{world.role.empty}", json=rules).status_code == 200
    assert call("viewer", "GET", "/task").status_code == 200
    assert "everybody may view every task" in (_store(app).problem or "")
    with count_queries() as statements:
        assert len(call("viewer", "GET", "/task").json or []) == 4
    assert len(statements) == 2, statements
    assert _store(app).live is before
    with app.app_context():
        db.session.query(CasbinRule).delete()
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    call("viewer", "GET", "/task")
    assert _store(app).problem is None


def test_a_bad_row_is_left_out_and_keeps_no_right_alive(
    app: Flask, world: World, call: Caller
) -> None:
    """Casbin's adapters join and parse such a value again, and anybody becomes root.

    Here it is one value that is no subject; all else goes live, also what takes a right away.
    """
    with app.app_context():
        db.session.add(CasbinRule(ptype="g", v0="user:7, role:root", v1="role:viewer"))
        line = ("role:viewer", "task", "global", "view", "True", "deny")
        names = ("v0", "v1", "v2", "v3", "v4", "v5")
        db.session.add(CasbinRule(ptype="p", **dict(zip(names, line, strict=True))))
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    assert call("viewer", "GET", "/task").status_code == 403
    assert "is not a subject" in (_store(app).problem or "")
