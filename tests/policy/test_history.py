"""What stands in the history is what was live, and a way back is there when it is needed most."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text, update

from tests.databases import Databases
from tests.policy.desk import GAIN, LOSS, Desk, approval_in
from tests.policy_edits import look
from tests.realtime.conftest import eventually, serving
from tests.support import Caller, open_app
from v6srv import db
from v6srv.authz.source.folder import digest, read_files, write_files
from v6srv.authz.source.problems import PolicyError
from v6srv.db import make_engine, session
from v6srv.errors import Conflict
from v6srv.model import CasbinRule, Permission, PolicyRevision, PolicyVersion, Role, User
from v6srv.policy.publish import publication
from v6srv.realtime.server import _KEY
from v6srv.service import policy_versions, setup

# --- a broken folder


def _bad_line(live: Path) -> None:
    (live / "local.csv").write_text(LOSS.replace("port", "prot"))


def _no_model(live: Path) -> None:
    (live / "model.conf").unlink()


def _not_utf_8(live: Path) -> None:
    (live / "local.csv").write_bytes(b"p, role:\xff\n")


def _dangling_link(live: Path) -> None:
    (live / "local.csv").symlink_to(live / "nowhere")


def _a_folder(live: Path) -> None:
    (live / "local.csv").mkdir()
    (live / "local.csv" / "note").write_text("kept")


def _a_pipe(live: Path) -> None:
    os.mkfifo(live / "local.csv")


def _nothing(live: Path) -> None:
    shutil.rmtree(live)
    live.mkdir()


@pytest.mark.parametrize(
    "broken",
    [_bad_line, _no_model, _not_utf_8, _dangling_link, _a_folder, _a_pipe, _nothing],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_broken_folder_is_rolled_back(desk: Desk, broken: Callable[[Path], None]) -> None:
    good = read_files(desk.live)
    broken(desk.live)
    said = desk("rollback", "1", "--author", "bob")
    assert "The policy folder is broken: " in said
    assert "compared with version 1, the last valid one" in said
    assert "No decision changes" in said
    assert read_files(desk.live) == good
    assert desk.messages() == ["bob: rollback to 1", "server: found at start"]


def test_what_a_candidate_changes_is_told_against_the_last_valid_version(desk: Desk) -> None:
    desk.write(LOSS)
    desk.publish()
    _bad_line(desk.live)
    desk.write(LOSS + GAIN)
    refused = desk.publish(code=1)
    assert "compared with version 2" in refused
    assert "may now view task" in refused
    assert "may no longer" not in refused
    compared = desk("diff", str(desk.candidate))
    assert "compared with version 2" in compared
    assert approval_in(compared) == approval_in(refused)
    desk.publish("--approve-gains", approval_in(refused))
    assert read_files(desk.live)["local.csv"] == LOSS + GAIN


def test_a_broken_file_is_not_lost_and_no_version(desk: Desk) -> None:
    (desk.live / "hand.csv").write_text("p, role:viewer, prot\n")
    said = desk("rollback", "1")
    [kept] = desk.live.glob(".replaced-*")
    assert str(kept) in said
    assert (kept / "hand.csv").read_text() == "p, role:viewer, prot\n"
    assert len(desk.messages()) == 2


def test_without_any_valid_version_everything_is_a_gain(desk: Desk) -> None:
    files = read_files(desk.live)
    _bad_line(desk.live)
    _change(desk, files={**files, "model.conf": "nonsense"})
    said = desk.publish(code=1)
    assert "version 1 was changed" in said
    assert "everything counts as a gain" in said
    desk.publish("--approve-gains", approval_in(said))
    assert read_files(desk.live) == files


def test_from_what_cannot_be_compared_a_way_back_is_approved_as_a_whole(desk: Desk) -> None:
    odd = "p, user:6, task, global, view, r.obj.image == r.obj.database && glob(r.obj.image, 'a*'), allow\n"
    (desk.live / "hand.csv").write_text(odd)
    said = desk("rollback", "1", code=1)
    assert "It cannot be told who gains or loses what: r.obj.image cannot be compared" in said
    assert "What is gained is not approved" in said
    (desk.live / "hand.csv").write_text(odd.replace("'a*'", "'b*'"))
    other = approval_in(desk("rollback", "1", code=1))
    assert other != approval_in(said)
    assert f"{approval_in(said)} approves other gains" in desk(
        "rollback", "1", "--approve-gains", approval_in(said), code=1
    )
    desk("rollback", "1", "--approve-gains", other)
    assert "hand.csv" not in read_files(desk.live)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_stay_those_of_whom_the_folder_is(tmp_path: Path) -> None:
    """The server reads them, although it was root who published."""
    write_files(tmp_path, {"model.conf": "a"})
    for path in (tmp_path, tmp_path / "model.conf"):
        os.chown(path, 12345, 23456)
    write_files(tmp_path, {"model.conf": "b", "new.csv": "c"})
    for name in ("model.conf", "new.csv"):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid) == (12345, 23456)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("p, role:viewer, prot, global, view, True, allow", "db:casbin_rule:1: unknown resource"),
        ("p, role:root, *, global, *, True, deny", "db:casbin_rule:1: root may not"),
        ("g, kind:user, role:root", "db:casbin_rule:1: everybody may"),
        ("g, kind:user, kind:node", "db:casbin_rule:1: everybody may"),
    ],
)
def test_a_bad_row_of_the_database_is_not_the_fault_of_a_candidate(
    desk: Desk, row: str, told: str
) -> None:
    """Servers hold it back as well; a row that the candidate makes bad does count against it."""
    ptype, *values = row.split(", ")
    names = ("v0", "v1", "v2", "v3", "v4", "v5")
    fields = dict(zip(names, values, strict=False))
    _execute(desk, CasbinRule.__table__.insert().values(ptype=ptype, **fields))
    desk.write(LOSS)
    said = desk.publish()
    assert f"Not live with the database: {told}" in said
    assert read_files(desk.live)["local.csv"] == LOSS


def test_a_row_that_a_candidate_makes_bad_counts_against_it(desk: Desk) -> None:
    _execute(desk, CasbinRule.__table__.insert().values(ptype="g", v0="user:6", v1="role:study"))
    study = "p, role:study, port, global, view, True, allow\n"
    desk.write(study)
    desk.approving(*desk.publication)
    desk.write("g2, study, own\n")
    said = desk.publish(code=1)
    assert "db:casbin_rule:1: " in said
    assert read_files(desk.live)["local.csv"] == study


def _execute(desk: Desk, statement: Any) -> None:
    engine = make_engine(desk.environment["V6SRV_DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


# --- versions are what was recorded


def _change(desk: Desk, **values: Any) -> None:
    _execute(desk, update(PolicyVersion).where(PolicyVersion.id == 1).values(**values))


@pytest.mark.parametrize(
    "files",
    [
        {"model.conf": "[request_definition]\n"},
        {},
        [],
        None,
        {"model.conf": 5},
        {"model.conf": "\ud800"},
    ],
    ids=repr,
)
def test_a_changed_version_is_told_and_not_brought_back(desk: Desk, files: Any) -> None:
    desk.write(LOSS)
    desk.publish()
    live = read_files(desk.live)
    _change(desk, files=files)
    for command in ("show", "rollback"):
        said = desk(command, "1", code=1)
        assert "Policy version 1 was changed in the database" in said
    assert read_files(desk.live) == live
    told = desk("history", code=1).splitlines()
    assert [line.endswith("(changed after it was recorded)") for line in told[:2]] == [False, True]
    assert LOSS in desk("show", "2")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_version_that_is_no_json_any_more_is_told(desk: Desk) -> None:
    _execute(desk, text("UPDATE policy_version SET files = '{broken'"))
    assert "was changed in the database" in desk("show", "1", code=1)
    found = json.loads(desk("history", "--format", "json", code=1).partition("\n[error]")[0])
    assert [version["intact"] for version in found] == [False]


def test_a_changed_version_is_told_through_rest(app: Flask, world: object, call: Caller) -> None:
    [version] = call("root", "GET", "/policy/version").json
    assert version["intact"] is True
    with app.app_context():
        db.session.execute(update(PolicyVersion).values(files={"model.conf": "another"}))
        db.session.commit()
    [version] = call("root", "GET", "/policy/version").json
    assert version["intact"] is False
    answer = call("root", "GET", f"/policy/version/{version['id']}")
    assert answer.status_code == 409
    assert "was changed in the database" in answer.json["msg"]


def test_what_is_live_is_noted_again_when_its_version_was_changed(desk: Desk) -> None:
    _change(desk, files={})
    desk.write(LOSS)
    desk.publish()
    assert desk("history", code=1).count("found at") == 2
    assert "local.csv" not in desk("show", "2")


@pytest.mark.parametrize("name", ["../evil.csv", "{tmp_path}/evil.csv", "sub/evil.csv", ".evil.csv", "evil.sh"])  # fmt: skip
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_no_version_writes_outside_of_its_folder(desk: Desk, tmp_path: Path, name: str) -> None:
    name = name.format(tmp_path=tmp_path)
    files = {**read_files(desk.live), name: LOSS}
    _change(desk, files=files, digest=digest(files))
    target = tmp_path / "target"
    for command in (["rollback", "1"], ["show", "1", "--to", str(target)]):
        assert f"{name}: is no name of a policy file" in desk(*command, code=1)
    assert not list(tmp_path.rglob("*evil*"))


# --- the very bytes that went live


@pytest.mark.parametrize("after", ["", LOSS.replace("port", "event"), None])
def test_the_version_is_what_went_live_whatever_the_folder_holds_afterwards(
    databases: Databases, backend: str, tmp_path: Path, monkeypatch: Any, after: str | None
) -> None:
    """Somebody edits on, or a synchronisation empties the folder, before the version is noted."""
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder) as (app, _):
        realtime = app.extensions[_KEY]
        (folder / "local.csv").write_text(LOSS)
        went_live = read_files(folder)

        def watch() -> None:
            look(realtime._policies)
            if after is None:
                shutil.rmtree(folder)
                folder.mkdir()
            else:
                (folder / "local.csv").write_text(after)

        with monkeypatch.context() as patched, app.app_context():
            patched.setattr(realtime._follower, "look", watch)
            realtime._follow_policy_files()
        with app.app_context():
            newest = db.session.scalars(policy_versions.summaries()).first()
            assert policy_versions.version(newest.id).files == went_live
            assert newest.message == "changed on disk"


def test_what_somebody_has_superseded_meanwhile_is_not_noted_any_more(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    """A process that is late brings back neither the version nor what roles held by it."""
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder) as (app, _), app.app_context():
        now = read_files(folder)
        late = {**now, "local.csv": LOSS}
        for files in (late, now):
            write_files(folder, files)
            setup.follow_policy_files(folder, files)
        before = _messages()
        setup.follow_policy_files(folder, late)
        assert _messages() == before == ["changed on disk", "changed on disk", "found at start"]


def _messages() -> list[str]:
    query = select(PolicyVersion.message).order_by(PolicyVersion.id.desc())
    return list(db.session.scalars(query))


def test_a_file_that_changes_between_the_start_and_the_server_is_noted(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    (folder / "local.csv").write_text(LOSS)  # the database was prepared without
    with open_app(databases, backend, True, policies=folder) as (app, _), app.app_context():
        app.extensions[_KEY]._follow_policy_files()
        assert _messages() == ["changed on disk", "found at start"]


# --- several at once


def _publish_at_once(desk: Desk, tmp_path: Path) -> dict[str, dict[str, str]]:
    """What each of those published who were not told to look again; from processes of their own."""
    candidates = {}
    for name in ("ada", "bob", "eve", "joe"):
        folder = tmp_path / name
        shutil.copytree(desk.candidate, folder)
        (folder / "local.csv").write_text(f"# {name}\n")
        candidates[name] = read_files(folder)
    command = [sys.executable, "-m", "v6srv", "policy", "publish"]
    running = {
        name: subprocess.Popen(
            [*command, tmp_path / name, "-m", "why", "--author", name],
            env={**os.environ, **desk.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in candidates
    }
    said = {name: process.communicate()[0] for name, process in running.items()}
    won = [name for name, process in running.items() if process.returncode == 0]
    assert won, said
    for name in candidates.keys() - set(won):
        assert "Somebody else changed the policy" in said[name]
    return {name: candidates[name] for name in won}


def _is_what_was_live(history: list[Any], published: dict[str, dict[str, str]], live: Path) -> None:
    assert sorted(version["author"] for version in history) == sorted([*published, "server"])
    for version in history[:-1]:
        assert version["digest"] == digest(published[version["author"]])
    assert history[0]["digest"] == digest(read_files(live))
    assert not list(live.glob(".*"))


def test_of_several_who_publish_at_once_each_is_live_or_told(desk: Desk, tmp_path: Path) -> None:
    published = _publish_at_once(desk, tmp_path)
    history = json.loads(desk("history", "--format", "json"))
    _is_what_was_live(history, published, desk.live)


def test_a_server_that_follows_them_adds_nothing(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder, instance=tmp_path) as (app, _):
        desk, store = Desk(tmp_path, app.config["SETTINGS"].uri), app.extensions["authz"].store
        with serving(app):
            published = _publish_at_once(desk, tmp_path)
            eventually(lambda: store.texts, read_files(folder))
            (folder / "hand.csv").write_text("# by hand\n")  # behind it, nothing is on its way
            eventually(
                lambda: Caller(app)("root", "GET", "/policy/version").json[0]["message"],
                "changed on disk",
            )
            by_hand, *history = Caller(app)("root", "GET", "/policy/version").json
        (folder / "hand.csv").unlink()
        _is_what_was_live(history, published, folder)
        assert by_hand["author"] == "server"


def test_what_changed_since_it_was_reviewed_is_not_published(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder) as (app, world), app.app_context():
        files = read_files(folder)

        def by_hand() -> None:
            (folder / "hand.csv").write_text(LOSS)

        def somebody_is_hired() -> None:
            user = db.session.get_one(User, world.user.nobody)  # type: ignore[union-attr]
            user.roles = list(db.session.get_one(User, world.user.root).roles)  # type: ignore[union-attr]
            PolicyRevision.raise_(session(), PolicyRevision.members)
            db.session.commit()

        for change in (by_hand, somebody_is_hired):
            reviewed = publication.review(folder, {**files, "local.csv": LOSS})
            change()
            before = _messages()
            with pytest.raises(Conflict, match="Somebody else changed"):
                publication.publish(folder, reviewed, "ada", "why")
            assert _messages() == before
            assert "local.csv" not in read_files(folder)


def test_an_edit_in_the_last_moment_is_not_lost(
    databases: Databases, backend: str, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder) as (app, _), app.app_context():
        reviewed = publication.review(folder, {**read_files(folder), "local.csv": LOSS})
        record = policy_versions.record

        def record_and_edit(*arguments: Any) -> Any:
            (folder / "hand.csv").write_text(LOSS)
            return record(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(policy_versions, "record", record_and_edit)
            with pytest.raises(Conflict, match="Somebody else changed"):
                publication.publish(folder, reviewed, "ada", "why")
        assert read_files(folder)["hand.csv"] == LOSS
        assert "local.csv" not in read_files(folder)
        assert _messages() == ["found at start"]


@pytest.mark.parametrize("saved", [False, True])
def test_files_that_are_relative_links_are_replaced(
    databases: Databases, backend: str, tmp_path: Path, monkeypatch: Any, saved: bool
) -> None:
    """As tools that manage files make them; moved aside, such a link leads nowhere."""
    folder, elsewhere = tmp_path / "policies", tmp_path / "elsewhere.csv"
    setup.install_policies(folder)
    elsewhere.write_text("# nothing\n")
    (folder / "local.csv").symlink_to("../elsewhere.csv")
    with open_app(databases, backend, True, policies=folder) as (app, _), app.app_context():
        reviewed = publication.review(folder, {**read_files(folder), "local.csv": LOSS})
        record = policy_versions.record

        def save(*arguments: Any) -> Any:
            if saved:  # by an editor that puts a file in the place of the link
                write_files(folder, {**read_files(folder), "local.csv": "# mine\n"})
            return record(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(policy_versions, "record", save)
            if saved:
                with pytest.raises(Conflict, match="Somebody else changed"):
                    publication.publish(folder, reviewed, "ada", "why")
            else:
                publication.publish(folder, reviewed, "ada", "why")
        assert read_files(folder)["local.csv"] == ("# mine\n" if saved else LOSS)
        assert elsewhere.read_text() == "# nothing\n"
        assert not list(folder.glob(".*"))


def test_a_commit_that_fails_leaves_the_files_as_they_were(
    databases: Databases, backend: str, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder) as (app, _), app.app_context():
        before = read_files(folder)
        reviewed = publication.review(folder, {**before, "local.csv": LOSS})

        def fail(_session: object) -> None:
            assert "local.csv" in read_files(folder)
            raise OSError("the disk of the database is full")

        with monkeypatch.context() as patched:
            patched.setattr("sqlalchemy.orm.Session.commit", fail)
            with pytest.raises(OSError, match="is full"):
                publication.publish(folder, reviewed, "ada", "why")
        assert read_files(folder) == before
        assert not list(folder.glob(".*"))
        assert len(_messages()) == 1


def test_files_that_cannot_be_moved_all_stay(tmp_path: Path, monkeypatch: Any) -> None:
    old, new = {"model.conf": "a", "x.csv": "b"}, {"model.conf": "c", "y.csv": "d"}
    write_files(tmp_path, old)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target.name == "y.csv":
            raise OSError("not this one")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="not this one"):
            write_files(tmp_path, new)
    assert read_files(tmp_path) == old
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("at", range(1, 5))
def test_who_presses_ctrl_c_while_files_are_moved_leaves_all(
    tmp_path: Path, monkeypatch: Any, at: int
) -> None:
    old, new = {"model.conf": "a", "x.csv": "b"}, {"model.conf": "c", "x.csv": "d"}
    write_files(tmp_path, old)
    rename, moved = Path.rename, []

    def interrupt(self: Path, target: Path) -> Path:
        found = rename(self, target)
        moved.append(target)
        if len(moved) == at:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_files(tmp_path, new)
    assert read_files(tmp_path) == old
    assert not list(tmp_path.glob(".*"))


# --- gains are approved by what they are


def test_an_approval_is_of_just_these_gains(desk: Desk) -> None:
    desk.write(GAIN)
    first = approval_in(desk.publish(code=1))
    assert approval_in(desk.publish("--dry-run", code=1)) == first
    assert approval_in(desk("diff", str(desk.candidate))) == first
    assert (
        json.loads(desk("diff", str(desk.candidate), "--format", "json"))["gains_digest"] == first
    )
    desk.write("# The same gain, by another line.\n" + LOSS + GAIN)
    assert approval_in(desk.publish("--dry-run", code=1)) == first
    desk.write(GAIN + GAIN.replace("task", "result"))
    said = desk.publish("--approve-gains", first, code=1)
    assert f"{first} approves other gains than these" in said
    assert approval_in(said) != first
    assert desk.messages() == ["server: found at start"]
    desk.publish("--approve-gains", approval_in(said))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_gains_is_part_of_the_approval(desk: Desk) -> None:
    """A role that has one more member by then is another gain."""
    desk.write("p, role:viewer, port, global, view, r.sub.id != 'user:0', allow\n")
    first = approval_in(desk.publish(code=1))
    viewer = select(User.id, Role.id).join_from(User, Role, Role.slug == "viewer")
    hired = viewer.where(User.username == "nobody")
    _execute(desk, insert(Permission).from_select(["user_id", "role_id"], hired))
    assert approval_in(desk.publish("--approve-gains", first, code=1)) != first


@pytest.mark.parametrize("word", [(), ("",), ("yes",)])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_an_approval_without_digest_tells_which_one(desk: Desk, word: tuple[str, ...]) -> None:
    desk.write(GAIN)
    said = desk(*desk.publication, "--approve-gains", *word, code=1)
    assert "2 gains are not approved" in said
    desk.publish("--approve-gains", approval_in(said))


def test_a_candidate_of_strange_names_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="is no name of a policy file"):
        write_files(tmp_path / "new", {"model.conf": "a", "tests/../../x.yaml": "b"})
    assert not (tmp_path / "new").exists()
