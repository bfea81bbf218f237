"""Publishing is refused for what would harm; what was live can be brought back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.databases import Databases
from tests.policy.desk import GAIN, LOSS, Desk, approval_in
from tests.realtime.conftest import eventually, serving
from tests.support import Caller, open_app
from v6srv.authz.source.folder import read_files
from v6srv.service import setup


def test_publish_history_show_and_rollback(desk: Desk, tmp_path: Path) -> None:
    desk.write(LOSS)
    said = desk.publish()
    assert "may no longer" in said
    assert read_files(desk.live) == read_files(desk.candidate)
    assert desk.messages() == ["ada: why", "server: found at start"]
    [newest, first] = json.loads(desk("history", "--format", "json"))
    assert str(newest["id"]) in desk("history", "--limit", "1")
    assert LOSS in desk("show", str(newest["id"]))
    desk("show", str(first["id"]), "--to", str(tmp_path / "first"))
    assert "local.csv" not in read_files(tmp_path / "first")
    back = desk.approving("rollback", str(first["id"]), "--author", "bob", "-m", "too much")
    assert "may now" in back
    assert read_files(desk.live) == read_files(tmp_path / "first")
    assert desk.messages()[0] == f"bob: rollback to {first['id']}: too much"


def test_a_gain_needs_approval(desk: Desk) -> None:
    before = read_files(desk.live)
    desk.write(GAIN)
    said = desk.publish(code=1)
    assert "may now view task" in said
    assert "local.csv:1" in said
    approval = ("--approve-gains", approval_in(said))
    assert read_files(desk.live) == before
    assert "would be published" in desk.publish(*approval, "--dry-run")
    assert (read_files(desk.live), len(desk.messages())) == (before, 1)
    desk.publish(*approval)
    assert read_files(desk.live)["local.csv"] == GAIN


def test_a_rollback_that_gives_back_rights_needs_approval_as_well(desk: Desk) -> None:
    desk.write(LOSS)
    desk.publish()
    first = json.loads(desk("history", "--format", "json"))[-1]["id"]
    live = read_files(desk.live)
    assert "not approved" in desk("rollback", str(first), code=1)
    assert read_files(desk.live) == live


def test_lint_errors_and_failing_tests_are_refused(desk: Desk) -> None:
    before = read_files(desk.live)
    desk.write(LOSS.replace("port", "prot"))
    said = desk.publish("--approve-gains", code=1)
    assert "local.csv:1:12" in said
    assert "did you mean port?" in said
    desk.write("p, role:viewer, task, global, view, True, deny\n")
    said = desk.publish("--approve-gains", code=1)
    assert "tests/" in said
    assert "not published" in said
    assert read_files(desk.live) == before
    assert len(desk.messages()) == 1


def test_a_candidate_without_tests_is_published_with_a_warning(desk: Desk) -> None:
    shutil.rmtree(desk.candidate / "tests")
    assert "It has no tests" in desk.publish()


def test_what_is_live_is_not_published_again(desk: Desk) -> None:
    assert "live version already" in desk.publish(code=1)
    assert len(desk.messages()) == 1


def test_an_edit_by_hand_is_kept_before_it_is_replaced(desk: Desk) -> None:
    """Nobody's work is lost: it is recorded, and can be brought back."""
    (desk.live / "hand.csv").write_text(LOSS)
    desk.write(LOSS.replace("port", "event"), "other.csv")
    desk.approving(*desk.publication)
    assert desk.messages() == ["ada: why", "server: found at publication", "server: found at start"]
    assert "hand.csv" not in read_files(desk.live)
    by_hand = json.loads(desk("history", "--format", "json"))[1]["id"]
    desk.approving("rollback", str(by_hand))
    assert read_files(desk.live)["hand.csv"] == LOSS


def test_unknown_versions_are_refused(desk: Desk) -> None:
    assert "not found" in desk("rollback", "99", code=1)
    assert "not found" in desk("show", "99", code=1)


def test_what_disagrees_in_shadow_is_told(desk: Desk, databases: Databases, backend: str) -> None:
    desk.write(LOSS)
    assert "runs in shadow" in desk("shadow", str(desk.candidate))
    assert read_files(desk.live / "shadow")["local.csv"] == LOSS
    assert "0 different questions" in desk("shadow")
    assert json.loads(desk("shadow", "--format", "json")) == []
    desk("shadow", "--stop")
    assert "No policy runs in shadow" in desk("shadow")
    desk.write(LOSS.replace("port", "prot"))
    assert "did you mean port?" in desk("shadow", str(desk.candidate), code=1)
    assert not (desk.live / "shadow").exists()


def test_a_running_server_follows_a_publication(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    setup.install_policies(tmp_path / "policies")
    with (
        open_app(databases, backend, True, policies=tmp_path / "policies", instance=tmp_path) as (
            app,
            _,
        ),
        serving(app),
    ):
        call = Caller(app)
        assert call("viewer", "GET", "/port").status_code == 200
        settings = app.config["SETTINGS"]
        desk = Desk(tmp_path, settings.uri)
        desk.write(LOSS)
        done = subprocess.run(
            [sys.executable, "-m", "v6srv", "policy", "publish", desk.candidate, "-m", "why"],
            env={**os.environ, **desk.environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        eventually(lambda: call("viewer", "GET", "/port").status_code, 403)
        versions = call("root", "GET", "/policy/version").json
        assert [version["message"] for version in versions] == ["why", "found at start"]
