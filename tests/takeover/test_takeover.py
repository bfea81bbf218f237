"""A database that the reference server built, served by this one."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pyotp
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import InternalError, OperationalError

from tests.databases import Databases
from tests.support import Caller, database_digest, make_app
from tests.takeover.conftest import Reference, in_postgres
from v6srv import db
from v6srv.dialect.rule_names import KNOWN_TO_3
from v6srv.errors import Conflict, Invalid
from v6srv.model import (
    Collaboration,
    Node,
    NodeConfig,
    Organization,
    Port,
    Result,
    Role,
    Run,
    Task,
    User,
)
from v6srv.service.takeover import people
from v6srv.service.takeover.copying import Report
from v6srv.service.takeover.releases import RELEASE_3
from v6srv.service.takeover.rights import Change
from v6srv.service.takeover.source import open_source

pytestmark = pytest.mark.xdist_group("takeover")  # one worker builds the reference database


@pytest.fixture
def report(reference: Reference, target: str, take: Callable[..., Report]) -> Report:
    return take(reference.uri, target)


@pytest.fixture
def call(report: Report, target: str, databases: Databases) -> Iterator[Caller]:
    """Requests to a server on the database that was taken over."""
    app = make_app(databases.settings(target))
    yield Caller(app)
    engine = db.session.get_bind()
    db.session.remove()
    engine.dispose()


def _list(call: Caller, path: str) -> Any:
    answer = call("root", "GET", f"/{path}", query={"per_page": 100})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def _comparable(value: Any) -> Any:
    """Without the order of links and of their methods, which the reference server leaves open."""
    if isinstance(value, dict):
        return {key: _comparable(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((_comparable(one) for one in value), key=repr)
    return value


def _of_3(report: Report) -> list[Change]:
    return [one for one in report.changes if ":".join(one.right) in KNOWN_TO_3]


def _node_link(id: int) -> dict[str, Any]:
    return {"id": id, "link": f"/api/node/{id}", "methods": ["GET", "PATCH", "DELETE"]}


def _expected(path: str, row: dict[str, Any], twin: int) -> dict[str, Any]:
    """A row of the reference server as it has to be here: all that is different on purpose."""
    expected = dict(row)
    if path == "node":
        expected["status"] = row["status"] and "offline"
    elif path == "result" and row["node"]["status"]:
        expected["node"] = {**row["node"], "status": "offline"}
    elif path == "organization" and row["name"] == "North":
        expected["nodes"] = [*row["nodes"], _node_link(twin)]
    elif path == "organization" and row["id"] == 1:
        expected["nodes"] = [_node_link(71)]
    elif path == "user":
        del expected["otp_secret"], expected["last_seen"]  # a secret; and root has been seen since
    elif path == "role" and row["organization"] is None:
        del expected["rules"], expected["description"]  # the policy files say it
    elif path.endswith("/rule"):
        del expected["description"]
    return expected


def test_lists_are_those_of_the_reference_server(reference: Reference, call: Caller) -> None:
    assert len(reference.facts["seen"]) == 8
    for path, rows in reference.facts["seen"].items():
        ours = {row["id"]: row for row in _list(call, path)}
        assert rows
        for row in rows:
            expected = _expected(path, row, reference.id("node twin"))
            found = {key: ours[row["id"]][key] for key in expected}
            assert _comparable(found) == _comparable(expected), path
    # What the reference server does not list: a result whose task has lost its collaboration, and
    # one that never had a task.
    assert {80} < {row["id"] for row in _list(call, "result")}


def test_users_log_in_with_their_old_password(reference: Reference, call: Caller) -> None:
    for name in ("vera", "rolf", "tess"):
        login = {"username": name, "password": reference.facts["password"]}
        answer = call(None, "POST", "/token/user", json=login)
        assert answer.status_code == 200, name
        me = f"/user/{reference.id(name)}"
        headers = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}
        assert call(None, "GET", me, headers=headers).get_json()["username"] == name
    login = {"username": "vera", "password": "Another-Passw0rd!"}
    assert call(None, "POST", "/token/user", json=login).status_code == 401


def test_a_second_factor_stays_one(
    reference: Reference, report: Report, target: str, databases: Databases
) -> None:
    assert report.copied["user"] == 4
    call = Caller(make_app(databases.settings(target, two_factor_auth=True)))
    login = {"username": "tess", "password": reference.facts["password"]}
    asked = call(None, "POST", "/token/user", json=login)
    assert "two-factor authentication code" in asked.get_json()["msg"]
    assert "otp_secret" not in asked.get_json()
    code = pyotp.TOTP(reference.facts["secret"]).now()
    answer = call(None, "POST", "/token/user", json={**login, "mfa_code": code})
    assert "access_token" in answer.get_json()


def test_nodes_log_in_with_their_old_key(reference: Reference, call: Caller) -> None:
    for name, key in reference.facts["keys"].items():
        for _ in reference.facts["keys"]:  # it is compared with one node for each request
            answer = call(None, "POST", "/token/node", json={"api_key": key})
            if answer.status_code != 503:  # on which a node asks again
                break
        assert answer.status_code == 200, name
        node = reference.id(f"node {name}")
        assert answer.get_json()["node_url"].endswith(f"/node/{node}")


def test_the_later_of_two_nodes_is_taken_out(
    reference: Reference, call: Caller, report: Report
) -> None:
    twin = reference.id("node twin")
    [row] = [row for row in _list(call, "node") if row["id"] == twin]
    assert row["collaboration"] is None
    first, north, study = (reference.id(name) for name in ("node north", "north", "study"))
    assert report.notes.count(
        f"node {first} is the node of organization {north} in collaboration {study}, others were "
        f"taken out of it: {twin}"
    )


def test_a_node_where_its_organization_is_not_is_taken_out(call: Caller, report: Report) -> None:
    [row] = [row for row in _list(call, "node") if row["id"] == 71]
    assert row["collaboration"] is None
    assert "organization 1 is not in collaboration 1, its nodes were taken out of it: 71" in (
        report.notes
    )


def test_what_was_mended_is_reported(report: Report) -> None:
    for beginning in (
        "authenticatable rows without user or node were left out: 70",
        "nodeconfig rows without node were left out: 50",
        "algorithmport rows without result were left out: 60",
        "result.task_id pointed to nothing and is empty now: 80",
        "Member rows that pointed to nothing were left out: organization 1 - collaboration 9001",
        "Permission rows that pointed to nothing were left out: user 1 - role 9002",
        "role_rule_association rows that pointed to nothing were left out: role 1 - rule 9004",
        *(
            f"{table} rows that were there twice are there once: "
            for table in ("Member", "Permission", "UserPermission", "role_rule_association")
        ),
    ):
        assert [note for note in report.notes if note.startswith(beginning)], beginning


def test_every_difference_in_rights_is_reported(
    reference: Reference, call: Caller, report: Report
) -> None:
    """Compared with what the reference server says users may do and what this one says."""
    rules = {
        row["id"]: (row["name"], row["scope"], row["operation"]) for row in _list(call, "rule")
    }
    roles = {row["id"]: {rules[one["id"]] for one in row["rules"]} for row in _list(call, "role")}
    differences = set()
    for user in _list(call, "user"):
        before = {tuple(right) for right in reference.facts["rights"][user["username"]]}
        after = {rules[one["id"]] for one in user["rules"] or []}
        after = after.union(*(roles[one["id"]] for one in user["roles"]))
        differences |= {(user["id"], False, right) for right in before - after}
        differences |= {(user["id"], True, right) for right in after - before}
    vera = reference.id("vera")
    assert differences == {
        (vera, False, ("node", "ORGANIZATION", "DELETE")),
        (vera, True, ("port", "ORGANIZATION", "VIEW")),
    }
    shown = _of_3(report)
    assert {
        (one.user_id, one.gained, (one.right[0], one.right[1].upper(), one.right[2].upper()))
        for one in shown
    } == differences
    assert {one.reason for one in shown} == {"default role Viewer follows the policy files"}
    # What only 4.x can say is told as well; only policy files can have given it.
    finer = [one for one in report.changes if one not in shown]
    assert {one.username for one in finer} == {"root", "vera", "rolf", "tess"}
    assert all(one.gained and one.reason.startswith("default role ") for one in finer)


def test_new_rows_get_ids_beyond_the_old_ones(report: Report, target: str) -> None:
    engine = db.connect(target)
    try:
        fresh = {
            "organization": (Organization(name="new"), 3),
            "collaboration": (Collaboration(name="new"), 1),
            "user": (User(username="new"), 70),  # the id of the row that was left out
            "node": (Node(name="new"), 71),
            "nodeconfig": (NodeConfig(key="new"), 50),
            "role": (Role(name="new"), 8),
            "run": (Run(), 9),
            "task": (Task(name="new"), 3),
            "result": (Result(status="pending"), 80),
            "port": (Port(port=1), 60),
        }
        assert report.copied["run"] == 2
        for name, (row, highest) in fresh.items():
            with db.writing():
                db.session.add(row)
                db.session.flush()
            assert row.id > highest, name
        db.session.rollback()
    finally:
        db.session.remove()
        engine.dispose()


def test_databases_of_tasks_get_rows_of_their_own(report: Report, target: str) -> None:
    engine = create_engine(target)
    with engine.connect() as connection:
        tasks = connection.execute(
            text("""SELECT id, 0, "database", '{}' FROM task WHERE "database" <> '' ORDER BY id""")
        )
        columns = "task_id, position, label, parameters"
        rows = connection.execute(text(f"SELECT {columns} FROM task_database ORDER BY task_id"))
        found = [tuple(row) for row in rows]
        assert found == [tuple(row) for row in tasks]
    engine.dispose()
    assert found


def test_a_task_that_follows_starts_a_new_run(reference: Reference, call: Caller) -> None:
    order = {
        "name": "next",
        "image": "registry.example/average:1",
        "collaboration_id": reference.id("study"),
        "database": "default",
        "organizations": [{"id": reference.id("south"), "input": ""}],
    }
    answer = call("rolf", "POST", "/task", json=order)
    assert answer.status_code == 201, answer.get_json()
    # A node keeps saying whose tasks it takes until it connects again.
    refused = {**order, "organizations": [{"id": reference.id("north"), "input": ""}]}
    assert call("rolf", "POST", "/task", json=refused).status_code == 400
    # What a program of the other generation orders is refused: its nodes are of 3.x.
    of_4 = Caller(call.app, "/v4/api")("rolf", "POST", "/task", json=order | {"database": ""})
    assert "organizations, which are of 3.x: South" in of_4.get_json()["msg"]
    assert answer.get_json()["run_id"] > reference.facts["run"]


def _digest(uri: str) -> dict[str, str]:
    engine = db.connect(uri)
    try:
        return database_digest()
    finally:
        engine.dispose()


def test_a_second_run_is_refused(
    reference: Reference, report: Report, target: str, take: Callable[..., Report]
) -> None:
    before = _digest(target)
    with pytest.raises(Conflict, match="only be taken over into a new one\nIt holds 3 users, "):
        take(reference.uri, target)
    assert _digest(target) == before
    assert report.copied["organization"] == 3


def test_a_dry_run_reports_and_changes_nothing(
    reference: Reference, target: str, take: Callable[..., Report]
) -> None:
    before = _digest(target)
    tried = take(reference.uri, target, dry_run=True)
    assert _digest(target) == before
    assert tried == take(reference.uri, target)
    assert _digest(target) != before


def test_tokens_of_the_seed_end(
    reference: Reference, target: str, databases: Databases, take: Callable[..., Report]
) -> None:
    """Its root has the id 1, as has somebody of the source."""
    settings = databases.settings(target)
    headers = {"Authorization": f"Bearer {Caller(make_app(settings)).token('root')}"}
    assert Caller(make_app(settings))(None, "GET", "/user/1", headers=headers).status_code == 200
    take(reference.uri, target)
    call = Caller(make_app(settings))
    assert call(None, "GET", "/user/1", headers=headers).status_code == 401
    assert call("root", "GET", "/user/1").status_code == 200


on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@on_sqlite
def test_postgresql_is_read_as_sqlite_is(
    reference: Reference,
    target: str,
    databases: Databases,
    take: Callable[..., Report],
) -> None:
    other, _ = databases.copy("sqlite", False)
    report = take(reference.uri, other)
    with in_postgres(reference, databases) as uri:
        assert take(uri, target) == report
        assert _digest(target) == _digest(other)
        with open_source(uri, RELEASE_3) as source, pytest.raises(InternalError, match="read-only"):
            source.execute(text("DELETE FROM task"))


@on_sqlite
def test_the_source_is_only_read(
    reference: Reference, target: str, take: Callable[..., Report]
) -> None:
    before = reference.file.read_bytes()
    take(reference.uri, target)
    assert reference.file.read_bytes() == before
    assert [file.name for file in reference.file.parent.glob("*.sqlite*")] == [reference.file.name]
    with (
        open_source(reference.uri, RELEASE_3) as source,
        pytest.raises(OperationalError, match="readonly"),
    ):
        source.execute(text("DELETE FROM task"))


@on_sqlite
@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            ["ALTER TABLE user DROP COLUMN otp_secret"],
            "user of the source has no column otp_secret",
        ),
        (["DROP TABLE algorithmport"], "The source has no table algorithmport"),
        (["CREATE TABLE policy_revision (id INTEGER)"], "is the database of a v6srv server"),
        (["INSERT INTO task (id) VALUES (4000000000)"], "the id 4000000000 cannot be stored"),
        (["UPDATE algorithmport SET port = 'http'"], "algorithmport of the source: the port http"),
        (["UPDATE result SET log = x'ff'"], "Table result of the source: a value cannot be read"),
        (["UPDATE task SET run_id = -1"], "Table task of the source: the run_id -1"),
        (
            ["INSERT INTO node (id) VALUES (1)"],
            "Both a user and a node of the source have the id 1",
        ),
        (["UPDATE result SET log = 'a' || char(0)"], "result of the source: log holds a NUL"),
        (
            ["UPDATE task SET created_at = 'noon'"],
            "Table task of the source: a value cannot be read",
        ),
        (
            [
                "CREATE TABLE u AS SELECT * FROM user",
                "DROP TABLE user",
                "ALTER TABLE u RENAME TO user",
                "UPDATE user SET email = 'same@example.org'",
            ],
            "users 1, 2, 3, 4 of the source have the same email same@example.org",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_stored(
    target: str,
    take: Callable[..., Report],
    changed: Callable[..., str],
    statements: list[str],
    said: str,
) -> None:
    before = _digest(target)
    with pytest.raises(Invalid, match=re.escape(said)):
        take(changed(*statements), target)
    assert _digest(target) == before


@on_sqlite
def test_a_difference_without_a_reason_stops_it(
    reference: Reference,
    target: str,
    take: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _digest(target)
    monkeypatch.setattr(people, "_mapped", lambda *_: [])  # as if no custom right was copied
    rolf = reference.id("rolf")
    with pytest.raises(Conflict) as refused:
        take(reference.uri, target)
    assert str(refused.value).splitlines() == [
        f"user {rolf} loses event organization create for no known reason",
        f"user {rolf} loses user global view for no known reason",
    ]
    assert _digest(target) == before


@on_sqlite
def test_a_rule_that_is_unknown_here_is_a_reason(
    reference: Reference, target: str, take: Callable[..., Report], changed: Callable[..., str]
) -> None:
    source = changed(
        "INSERT INTO rule (id, name, operation, scope) VALUES (99, 'study', 'VIEW', 'GLOBAL')",
        "INSERT INTO role_rule_association (role_id, rule_id) VALUES (8, 99)",
    )
    report = take(source, target)
    assert Change(
        reference.id("rolf"),
        "rolf",
        False,
        ("study", "GLOBAL", "VIEW"),
        "this server has no such rule",
    ) in (report.changes)


@on_sqlite
def test_default_roles_are_found_by_name(
    reference: Reference, target: str, take: Callable[..., Report], changed: Callable[..., str]
) -> None:
    """A missing one is made, with an id of its own; a second one of the name is a custom role."""
    source = changed(
        "DELETE FROM role WHERE name = 'Researcher'",
        "INSERT INTO role (id, name) VALUES (20, 'Viewer')",
        "INSERT INTO role_rule_association (role_id, rule_id) VALUES (20, 1)",
        f"INSERT INTO Permission (role_id, user_id) VALUES (20, {reference.id('tess')})",
    )
    report = take(source, target)
    assert "there is a second role Viewer, kept as a custom role: 20" in report.notes
    assert {change.username for change in _of_3(report)} == {"vera"}
    engine = create_engine(target)
    with engine.connect() as connection:
        roles = connection.execute(text("SELECT slug, id FROM role ORDER BY id")).all()
    engine.dispose()
    assert dict(roles[:-1]) == {  # type: ignore[arg-type]
        **{"root": 1, "container": 2, "node": 3, "viewer": 4, "org_admin": 6, "collab_admin": 7},
        None: 20,
    }
    assert tuple(roles[-1]) == ("researcher", 21)


@on_sqlite
def test_tasks_are_not_their_own_ancestors(
    target: str, take: Callable[..., Report], changed: Callable[..., str]
) -> None:
    report = take(changed("UPDATE task SET parent_id = 2 WHERE id = 1"), target)
    [note] = [note for note in report.notes if "their own ancestors" in note]
    assert note.endswith((": 1", ": 2"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hush", "is not a database URL"),
        ("mysql://root:hush@localhost/x", "must be the URL of a SQLite or PostgreSQL database"),
        ("postgresql://root:hu@sh@localhost/x", "write @ in a password as %40"),
        ("sqlite:////nowhere/at.all", "There is no database at /nowhere/at.all"),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused(url: str, said: str) -> None:
    with pytest.raises(Invalid) as refused, open_source(url, RELEASE_3):
        pass
    assert said in str(refused.value)
    assert "hu" not in str(refused.value)
