"""Processes of one database that differ in what they must share are noticed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from tests.databases import Databases
from tests.live import live_server
from tests.policy_edits import look
from v6srv import db, problems
from v6srv.authz.source.live import PolicyStore
from v6srv.db import database_now
from v6srv.model import ServerProcess
from v6srv.service import agreement
from v6srv.service.agreement import Agreement, require_known_keys
from v6srv.service.setup import install_policies
from v6srv.settings import Settings, SettingsError, key_fingerprint

KEY, OTHER = "the key of this test and long enough", "another key of this test and long enough"
POLICIES = "another server process of this database has other policy files"
KEYS = "another server process of this database has other signing keys"


@pytest.fixture
def settings(app: Flask, databases: Databases) -> Callable[..., Settings]:
    def made(key: str = KEY, *previous: str) -> Settings:
        uri = app.config["SETTINGS"].uri
        return databases.settings(uri, jwt_secret_key=key, jwt_previous_keys=previous)

    return made


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Let a process say what it works with; returns the problems that it has then."""
    standing: dict[str, dict[str, str]] = {}

    def one(name: str, process: Agreement) -> list[str]:
        monkeypatch.setattr(agreement, "process_id", lambda: name)
        monkeypatch.setattr(problems, "_standing", standing.setdefault(name, {}))
        process.beat()
        return problems.standing()

    return one


def test_other_policy_files_are_a_problem_of_both_until_they_agree(
    settings: Callable[..., Settings], beat: Callable[..., list[str]]
) -> None:
    files = {"a": "1", "b": "1"}
    a = Agreement(settings(), lambda: files["a"])
    b = Agreement(settings(), lambda: files["b"])
    assert beat("a", a) == beat("b", b) == beat("a", a) == []
    files["b"] = "2"
    assert beat("b", b) == beat("a", a) == []  # perhaps one has not seen the change yet
    assert beat("b", b) == beat("a", a) == [POLICIES]
    assert beat("b", b) == beat("a", a) == [POLICIES]
    files["a"] = "2"
    assert beat("a", a) == beat("b", b) == []
    files["a"] = "3"  # all of them at about the same time: nothing to tell
    assert beat("a", a) == []
    files["b"] = "3"
    assert beat("b", b) == beat("a", a) == []


def test_who_has_gone_disagrees_with_nobody(
    settings: Callable[..., Settings], beat: Callable[..., list[str]]
) -> None:
    a = Agreement(settings(), lambda: "1")
    b = Agreement(settings(OTHER), lambda: "2")
    beat("b", b)
    beat("a", a)
    assert beat("a", a) == [KEYS, POLICIES]
    db.session.execute(  # it crashed
        update(ServerProcess)
        .where(ServerProcess.process == "b")
        .values(seen_at=database_now(agreement.GONE_S + 1))
    )
    db.session.commit()
    require_known_keys(db.session.get_bind(), settings())
    assert beat("a", a) == []
    assert db.session.scalars(select(ServerProcess.process)).all() == ["a"]
    a.leave()
    assert db.session.scalars(select(ServerProcess.process)).all() == []


def test_a_key_is_changed_by_announcing_the_old_one(
    settings: Callable[..., Settings], beat: Callable[..., list[str]]
) -> None:
    old = Agreement(settings(KEY), lambda: "1")
    beat("old", old)
    engine = db.session.get_bind()
    require_known_keys(engine, settings(KEY))
    with pytest.raises(SettingsError, match="signs with another key") as refused:
        require_known_keys(engine, settings(OTHER))
    assert KEY not in str(refused.value)
    require_known_keys(engine, settings(OTHER, KEY))
    new = Agreement(settings(OTHER, KEY), lambda: "1")
    assert beat("new", new) == beat("new", new) == []
    assert beat("old", old) == []
    assert beat("old", old) == [KEYS]  # it refuses the tokens of the new one, and has to go
    with pytest.raises(SettingsError, match="signs with another key"):
        require_known_keys(engine, settings(KEY))
    old.leave()
    require_known_keys(engine, settings(OTHER))


def test_the_policy_files_of_a_process_are_those_it_decides_by(
    app: Flask, databases: Databases, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    install_policies(folder)
    store, other = PolicyStore(folder), app.extensions["authz"].store
    assert store.files_digest == other.files_digest
    before = store.files_digest
    for line in ("p, role:viewer, node, global, view, True, deny", "p, role:viewer, tsak, own"):
        (folder / "local.csv").write_text(f"{line}\n")  # the second one cannot go live
        look(store)
        assert store.files_digest != before
    changed = store.files_digest
    (folder / "local.csv").write_text(
        "p, role:viewer, node, global, view, True, deny, valid_until=2099-01-01\n"
    )
    look(store)
    assert store.files_digest not in (before, changed)


def test_nothing_in_the_database_is_a_key(
    settings: Callable[..., Settings], beat: Callable[..., list[str]]
) -> None:
    beat("a", Agreement(settings(), lambda: "1"))
    [row] = db.session.scalars(select(ServerProcess)).all()
    assert KEY not in row.key_digest
    assert row.key_digest == key_fingerprint(KEY) != key_fingerprint(OTHER)


def test_a_second_server_with_another_key_does_not_start() -> None:
    with live_server(V6SRV_JWT_SECRET=KEY) as first:
        database = {"V6SRV_DATABASE_URL": f"sqlite:///{first.instance}/v6srv.sqlite"}
        with (
            pytest.raises(AssertionError, match="signs with another key") as refused,
            live_server(V6SRV_JWT_SECRET=OTHER, **database),
        ):
            pass
        assert "jwt_previous_keys" in str(refused.value)
        assert "Traceback" not in str(refused.value)
        keys = {"V6SRV_JWT_SECRET": OTHER, "V6SRV_JWT_PREVIOUS_KEYS": KEY}
        with live_server(**keys, **database) as second:
            token = first.login()
            answer = requests.get(f"{second.api}/user/1", headers=token, timeout=5)
            assert answer.status_code == 200
            assert first.stop() == 0, first.tail()
            assert second.stop() == 0, second.tail()
        with live_server(V6SRV_JWT_SECRET=OTHER, **database):  # nobody has the old one any more
            pass
