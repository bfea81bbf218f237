"""Every version of the files that was live is kept; what cannot go live is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from tests.databases import Databases
from tests.realtime.conftest import eventually, serving
from tests.support import Caller, open_app
from v6srv.authz.source.folder import SHADOW, digest, read_files, write_files
from v6srv.authz.source.problems import PolicyError
from v6srv.service import setup

DENIAL = "p, role:viewer, port, global, view, True, deny\n"


@contextmanager
def opened(
    databases: Databases, backend: str, folder: Path, **settings: object
) -> Iterator[tuple[Flask, Caller]]:
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder, **settings) as (app, _):
        yield app, Caller(app)


def test_a_change_on_disk_is_live_within_a_second_and_in_the_history(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    with opened(databases, backend, folder) as (app, call), serving(app):
        [first] = call("root", "GET", "/policy/version").json
        assert (first["author"], first["message"]) == ("server", "found at start")
        before = call("root", "GET", "/policy").json
        assert (before["problems"], before["shadow"]) == ([], None)
        (folder / "local.csv").write_text(DENIAL)
        eventually(lambda: call("viewer", "GET", "/port").status_code, 403)
        eventually(lambda: len(call("root", "GET", "/policy/version").json), 2)
        newest, oldest = call("root", "GET", "/policy/version").json
        assert oldest == first
        assert newest["message"] == "changed on disk"
        version = call("root", "GET", f"/policy/version/{newest['id']}").json
        assert version["files"]["local.csv"] == DENIAL
        assert version["digest"] == digest(version["files"]) == digest(read_files(folder))
        after = call("root", "GET", "/policy").json
        assert after["version"] != before["version"]
        assert after["lines"] == before["lines"] + 1


def test_what_cannot_go_live_is_told_by_health_and_policy(
    databases: Databases, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    with opened(databases, backend, folder) as (app, call), serving(app):
        assert call(None, "GET", "/health").json == {"database": True}
        before = call("root", "GET", "/policy").json["version"]
        (folder / "local.csv").write_text(DENIAL.replace("port", "prot"))
        read = lambda: call(None, "GET", "/health").json.get("problems")  # noqa: E731
        eventually(read, ["policy: local.csv:1:17: unknown-resource"])
        answer = call(None, "GET", "/health")
        assert answer.status_code == 200
        assert "prot" not in answer.text
        shown = call("root", "GET", "/policy").json
        assert shown["version"] == before
        [problem] = shown["problems"]
        assert problem["origin"] == "local.csv:1:17"
        assert problem["code"] == "unknown-resource"
        assert "did you mean port?" in problem["message"]
        assert call("viewer", "GET", "/port").status_code == 200
        assert len(call("root", "GET", "/policy/version").json) == 1
        (folder / "local.csv").write_text(DENIAL)
        eventually(lambda: call(None, "GET", "/health").json, {"database": True})


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_only_who_holds_policy_sees_it(app: Flask, world: object, call: Caller) -> None:
    for path in ("/policy", "/policy/version", "/policy/version/1"):
        for who in ("viewer", "org_admin", "collab_admin"):
            assert call(who, "GET", path).status_code == 403, (who, path)
        assert call("north_registry", "GET", path).status_code == 403
        assert call(None, "GET", path).status_code == 401
    rule = call("root", "GET", "/rule", query={"name": "policy"}).json[0]
    user = next(u for u in call("root", "GET", "/user").json if u["username"] == "viewer")
    given = call("root", "PATCH", f"/user/{user['id']}", json={"rules": [rule["id"]]})
    assert given.status_code == 200, given.json
    assert call("viewer", "GET", "/policy").status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_unknown_versions(app: Flask, world: object, call: Caller) -> None:
    for id in (99, 2**31 + 5):
        answer = call("root", "GET", f"/policy/version/{id}")
        assert (answer.status_code, type(answer.json["msg"])) == (404, str)


def test_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    old = {"model.conf": "a\r\n", "old.csv": "b", "tests/t.yaml": "c"}
    new = {"model.conf": "å\n", "new.csv": "d"}
    write_files(tmp_path, old)
    (tmp_path / "README.md").write_text("kept")
    (tmp_path / SHADOW).mkdir()
    (tmp_path / SHADOW / "model.conf").write_text("kept, too")
    assert read_files(tmp_path) == old
    write_files(tmp_path, new)
    assert read_files(tmp_path) == new
    assert digest(new) != digest(old)
    assert (tmp_path / "README.md").read_text() == "kept"
    assert (tmp_path / SHADOW / "model.conf").read_text() == "kept, too"
    assert list(tmp_path.rglob("*.new")) == []


def test_names_and_texts_are_not_mixed_up_in_the_digest() -> None:
    assert digest({"a.csv": "b", "c.csv": ""}) != digest({"a.csv": "", "bc.csv": ""})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"model.conf": "a"})
    (tmp_path / "bad.csv").write_bytes(b"\xff")
    with pytest.raises(PolicyError, match=r"bad\.csv:1:1: the byte ff is no UTF-8"):
        read_files(tmp_path)


def test_if_one_file_cannot_be_written_none_is_replaced(tmp_path: Path) -> None:
    write_files(tmp_path, {"model.conf": "a"})
    (tmp_path / "tests").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="tests"):
        write_files(tmp_path, {"model.conf": "b", "tests/t.yaml": "c"})
    assert read_files(tmp_path) == {"model.conf": "a"}
