"""What names and addresses may be is the same, whichever way they come in."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, insert, select

from tests.databases import Databases
from tests.support import Caller
from tests.world import PASSWORD, World
from v6srv import db, passwords
from v6srv.errors import Invalid
from v6srv.model import Collaboration, Node, Organization, Role, User
from v6srv.service import import_file, importer, setup, takeover
from v6srv.service.takeover import copying
from v6srv.service.takeover.releases import RELEASE_3
from v6srv.service.takeover.source import open_source

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

MODELS = {model.__tablename__: model for model in (Collaboration, Node, Organization, Role, User)}
NEW: dict[str, dict[str, Any]] = {
    "user": {
        "username": "rita",
        "firstname": "Rita",
        "lastname": "Right",
        "email": "rita@x.example",
        "password": PASSWORD,
    },
    "organization": {"name": "New Hospital"},
    "collaboration": {"name": "New Study"},
    "role": {"name": "new role", "description": ""},
    "node": {"name": "new node"},
}

_LINE = ("bell\a", "two\nlines", "next\x85line", "\u202egnorw", "x" * 256)
_NAME = (*_LINE, " pad", "pad ", "\u00a0pad", "  ", "\u200b")
BAD = [
    *(("user", "username", value) for value in ("", *_NAME)),
    *(("user", "username", value) for value in ("VIEWER", "\uff36iewer", "vie\u200bwer")),
    *(("user", "email", value) for value in (*_NAME, "no address", "a@b\r\nBcc: c@d", "a b@c.d")),
    *(("user", "email", value) for value in (f"{'x' * 250}@y.example", "Viewer@North.Example")),
    *(("user", column, value) for column in ("firstname", "lastname") for value in _LINE),
    *(("organization", "name", value) for value in _NAME),
    *(("collaboration", "name", value) for value in _NAME),
    *(("role", "name", value) for value in ("", *_NAME, "Viewer", "Organization Admin")),
    *(("node", "name", value) for value in _NAME),
]
GOOD = [
    *(("user", "username", value) for value in ("O'Neil", "\u00c9mile \u0141.", "x" * 255, "a@b")),
    *(("user", "email", value) for value in ("Rita+1@X.example", "\u00e9@\u00fc.example")),
    *(("user", "firstname", value) for value in ("", " R", "\u0646\u200c\u0645")),
    ("organization", "name", "\u0646\u200c\u0645"),
    ("organization", "name", "north"),  # names of organizations need not be unique
    ("collaboration", "name", "Registry"),  # nor do those of collaborations count as one
    ("role", "name", "VIEWER"),
    ("node", "name", "Node 1"),
]
NO_WAY_IN_A_FILE = ("role", "node")


def _refused(answer: Any) -> bool:
    assert answer.status_code in (200, 201, 400), answer.text
    return bool(answer.status_code == 400)


def by_post(call: Caller, world: World, table: str, values: dict[str, Any], _path: Path) -> bool:
    """A new row by REST."""
    more: dict[str, Any] = {
        "collaboration": {"organization_ids": [world.org.east]},
        "node": {"organization_id": world.org.west, "collaboration_id": world.collab.nothing},
    }.get(table, {})
    return _refused(call("root", "POST", f"/{table}", json={**values, **more}))


def by_patch(call: Caller, world: World, table: str, values: dict[str, Any], _path: Path) -> bool:
    """A row that is there, changed by REST; a name of a user by its owner."""
    row = {
        "user": world.user.root,
        "organization": world.org.north,
        "collaboration": world.collab.nothing,
        "role": world.role.analysts,
        "node": world.node.north_registry,
    }[table]
    changed = {key: value for key, value in values.items() if value != NEW[table].get(key)}
    return _refused(call("root", "PATCH", f"/{table}/{row}", json=changed))


def by_file(call: Caller, world: World, table: str, values: dict[str, Any], path: Path) -> bool:
    """A row of an import file."""
    users = {"organizations": [{"name": "north", "users": [{**values, "roles": []}]}]}
    content = users if table == "user" else {f"{table}s": [values]}
    file = path / "import.yaml"
    file.write_text(json.dumps(content))
    with call.app.app_context():
        try:
            importer.run(import_file.load(file), passwords)
        except Invalid as error:
            return all(line.startswith("import.yaml:1:") for line in str(error).splitlines())
    return False


def by_shell(call: Caller, world: World, table: str, values: dict[str, Any], _path: Path) -> bool:
    """A row that somebody at the prompt saves."""
    with call.app.app_context():
        try:
            MODELS[table](**{k: v for k, v in values.items() if k != "password"}).save()
        except Invalid:
            return True
        finally:
            db.session.rollback()
    return False


def by_assignment(
    call: Caller, world: World, table: str, values: dict[str, Any], _path: Path
) -> bool:
    """A row that is there, changed at the prompt."""
    with call.app.app_context():
        row = db.session.scalars(select(MODELS[table]).order_by(MODELS[table].id)).first()
        if table == "role":
            row = db.session.get_one(Role, world.role.empty)
        try:
            for column, value in values.items():
                if column != "password":
                    setattr(row, column, value)
            row.save()
        except Invalid:
            return True
        finally:
            db.session.rollback()
    return False


WAYS = [by_post, by_patch, by_file, by_shell, by_assignment]
Way = Callable[[Caller, World, str, dict[str, Any], Path], bool]


def _count(call: Caller) -> list[int]:
    with call.app.app_context():
        try:
            return [
                db.session.scalar(select(func.count()).select_from(model)) or 0
                for model in MODELS.values()
            ]
        finally:
            db.session.rollback()


@on_sqlite
@pytest.mark.parametrize("way", WAYS)
def test_what_breaks_a_rule_is_refused(
    call: Caller, world: World, tmp_path: Path, way: Way
) -> None:
    before = _count(call)
    taken = [
        (table, column, value)
        for table, column, value in BAD
        if not (way is by_file and table in NO_WAY_IN_A_FILE)
        if not way(call, world, table, {**NEW[table], column: value}, tmp_path)
    ]
    assert taken == []
    assert _count(call) == before


@on_sqlite
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("table", "column", "value"), GOOD, ids=ascii)
def test_what_breaks_none_is_taken(
    call: Caller, world: World, tmp_path: Path, way: Way, table: str, column: str, value: str
) -> None:
    if way is by_file and table in NO_WAY_IN_A_FILE:
        return
    assert not way(call, world, table, {**NEW[table], column: value}, tmp_path)
    with call.app.app_context():
        stored = getattr(MODELS[table], column)
        assert value in db.session.scalars(select(stored)).all()


@pytest.mark.parametrize("column", ["username", "email"])
def test_of_two_at_once_one_wins(call: Caller, world: World, column: str) -> None:
    call.token("root")
    barrier = Barrier(2)

    def create(value: str, other: str) -> int:
        barrier.wait()
        mine = Caller(call.app)
        mine._tokens = call._tokens
        body = {**NEW["user"], "username": other, "email": f"{other}@x.example", column: value}
        return mine("root", "POST", "/user", json=body).status_code

    for number in range(4):
        name = f"nora{number}@x.example"
        with ThreadPoolExecutor(2) as pool:
            codes = list(pool.map(create, (name, name.upper()), (f"a{number}", f"b{number}")))
        assert sorted(codes)[0] == 201
        assert sorted(codes)[1] in (400, 409)


# --- what is there already


@pytest.fixture
def older(call: Caller, world: World) -> int:
    """Rows of an older release, written past all rules: the id of `Viewer`, beside `viewer`."""
    with call.app.app_context(), db.writing():
        keyless = User.__table__
        db.session.execute(
            keyless.update()
            .where(keyless.c.id == world.user.nobody)
            .values(username="Viewer", email=" NOBODY ", username_key=None, email_key=None)
        )
        organization = Organization.__table__
        db.session.execute(
            organization.update()
            .where(organization.c.id == world.org.east)
            .values(name=" East\n", domain="old.example")
        )
        db.session.commit()
    return world.user.nobody


@on_sqlite
def test_what_stays_as_it_is_need_not_fit(call: Caller, world: World, older: int) -> None:
    """The web interface of 3.x sends every field of a form."""
    form = {"username": "Viewer", "email": " NOBODY ", "firstname": "New"}
    assert call("root", "PATCH", f"/user/{older}", json=form).json["firstname"] == "New"
    form = {"name": " East\n", "domain": "new.example"}
    answer = call("root", "PATCH", f"/organization/{world.org.east}", json=form)
    assert answer.json["domain"] == "new.example"
    bad = call("root", "PATCH", f"/user/{older}", json={"email": " NOBODY", "firstname": "\n"})
    assert bad.status_code == 400
    assert set(bad.json["errors"]) == {"email", "firstname"}


@on_sqlite
def test_older_accounts_that_differ_by_case_live_on(
    app: Flask, call: Caller, world: World, older: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert call(
        "root", "POST", "/user", json={**NEW["user"], "username": "VIEWER"}
    ).status_code == (400)
    setup.prepare(app.config["SETTINGS"], passwords)  # as at each start
    said = f"user {older} has the same username as user {world.user.viewer}, but for the case"
    assert said in caplog.text
    for name in ("viewer", "Viewer"):
        login = {"username": name, "password": PASSWORD}
        assert call(None, "POST", "/token/user", json=login).status_code == 200
    # The first of them goes: the other one still has the name.
    assert call("root", "DELETE", f"/user/{world.user.viewer}").status_code == 200
    assert call(
        "root", "POST", "/user", json={**NEW["user"], "username": "VIEWER"}
    ).status_code == (400)
    caplog.clear()
    setup.prepare(app.config["SETTINGS"], passwords)
    assert "but for the case" not in caplog.text


@on_sqlite
def test_what_was_changed_by_hand_is_mended_at_the_next_start(
    app: Flask, call: Caller, world: World
) -> None:
    """Also where two have changed places."""
    rows = User.__table__
    swapped = {world.user.viewer: "researcher", world.user.researcher: "viewer"}
    with call.app.app_context(), db.writing():
        for names in (dict.fromkeys(swapped), swapped):
            for id_, username in names.items():
                change = rows.update().where(rows.c.id == id_)
                db.session.execute(change.values(username=username, email=None))
        db.session.commit()
    setup.prepare(app.config["SETTINGS"], passwords)
    with call.app.app_context():
        keys = select(rows.c.username_key, rows.c.email_key).order_by(rows.c.id)
        found = db.session.execute(keys.where(rows.c.id.in_(swapped))).all()
    assert sorted(found) == [("researcher", None), ("viewer", None)]
    answer = call("root", "POST", "/user", json={**NEW["user"], "username": "RESEARCHER"})
    assert answer.status_code == 400


# --- a database of a 3.x server


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A 3.x database whose rows break every rule there is, and have ids from 100 on."""
    uri = f"sqlite:///{tmp_path}/old.sqlite"
    engine = create_engine(uri)
    old = RELEASE_3.tables
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in MODELS}
    values = [("user", "username", "viewer"), ("user", "email", "viewer@north.example"), *BAD]
    for id_, (table, column, value) in enumerate(values, 100):
        if value != "":
            fields = {key: text for key, text in NEW[table].items() if key in ("description",)}
            rows[table].append({"id": id_, **fields, column: value})
    for table in ("role",):
        rows[table] = [{**row, "organization_id": 1} for row in rows[table]]
    rows["organization"].append({"id": 1, "name": "root"})
    accounts = [{"id": row["id"], "type": kind} for kind in ("user", "node") for row in rows[kind]]
    with engine.begin() as connection:
        for one in old.values():
            one.create(connection)
        connection.execute(insert(old["authenticatable"]), accounts)
        for table, written in rows.items():
            target, columns = old[table], {key for row in written for key in row}
            connection.execute(insert(target), [dict.fromkeys(columns) | row for row in written])
    engine.dispose()
    return uri


@on_sqlite
def test_what_an_old_server_stored_is_kept_and_told(
    source: str, backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_SHOWN", 1000)
    target, _ = databases.copy(backend, False)
    engine = db.connect(target)
    try:
        with open_source(source, RELEASE_3) as connection:
            policies = databases.settings(target).policies
            report = takeover.take_over(connection, RELEASE_3, policies)
        for id_, (table, column, value) in enumerate(BAD, 102):
            if value == "":
                continue
            row = db.session.get_one(MODELS[table], id_)
            assert getattr(row, column) == value
            notes = [note for note in report.notes if note.startswith(f"{table}.{column} is kept")]
            told = [one for note in notes for one in note.rpartition(": ")[2].split(", ")]
            assert any(one.split()[0] == str(id_) for one in told), (table, column, value)
    finally:
        db.session.remove()
        engine.dispose()
        databases.drop(target)
