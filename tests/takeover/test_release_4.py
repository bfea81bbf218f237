"""As `test_takeover.py`, for the database of a 4.x server: what is different there."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import create_engine, text

from tests.databases import Databases
from tests.docs.pages import ROOT, blocks
from tests.support import Caller, database_digest, make_app
from tests.takeover.conftest import Reference, in_postgres
from v6srv import db
from v6srv.dialect.rule_names import NAMES
from v6srv.errors import Conflict, Invalid
from v6srv.model import Rule, Study
from v6srv.service.takeover import people
from v6srv.service.takeover.copying import Report
from v6srv.service.takeover.releases import RELEASE_3, RELEASE_4
from v6srv.service.takeover.rights import Right

pytestmark = pytest.mark.xdist_group("takeover4")  # one worker builds the reference database
on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
PAGE = ROOT / "docs" / "take-over.md"
CUSTOM = {"rolf", "cole", "owen", "gina"}
"""Users that have no default role."""

Take = Callable[..., Report]


@pytest.fixture
def report(reference4: Reference, target: str, take: Take) -> Report:
    return take(reference4.uri, target, RELEASE_4)


@pytest.fixture
def call4(report: Report, target: str, databases: Databases) -> Iterator[Caller]:
    """Requests of 4.x programs to a server on the database that was taken over."""
    app = make_app(databases.settings(target))
    yield Caller(app, "/v4/api")
    engine = db.session.get_bind()
    db.session.remove()
    engine.dispose()


def _list(call4: Caller, who: str, path: str) -> Any:
    answer = call4(who, "GET", f"/{path}", query={"per_page": 1000})
    if answer.status_code == 403:
        return None
    assert answer.status_code == 200, (who, path, answer.get_data(as_text=True))
    return answer.get_json()["data"]


def _comparable(value: Any) -> Any:
    """Without what is different on purpose: base path, order of methods, who is connected now."""
    if isinstance(value, dict):
        found = {key: _comparable(one) for key, one in value.items()}
        if "methods" in found:
            found["methods"] = sorted(found["methods"])
        if "ip" in found and found.get("status") == "online":
            found["status"] = "offline"
        return found
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    return value.replace("/v4/api/", "/api/") if isinstance(value, str) else value


def _expected(path: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the reference server without what is different on purpose."""
    secret = {"otp_secret", "last_email_failed_login_sent", "last_email_recover_password_sent"}
    changed = {"last_seen"} if path == "user" else set()  # root has been seen since
    if path == "role" and row["is_default_role"]:
        changed = {"description"}  # the policy files say it
    return {key: value for key, value in row.items() if key not in secret | changed}


def test_lists_are_those_of_the_reference_server(reference4: Reference, call4: Caller) -> None:
    assert len(reference4.facts["seen"]) == 10
    for path, rows in reference4.facts["seen"].items():
        ours = {row["id"]: row for row in _list(call4, "root", path)}
        assert rows
        for row in rows:
            expected = _expected(path, row)
            found = {key: ours[row["id"]][key] for key in expected}
            assert _comparable(found) == _comparable(expected), path
            assert ours[row["id"]].keys() - row.keys() == set(), path


def test_people_see_what_they_saw(reference4: Reference, call4: Caller) -> None:
    assert reference4.facts["seen_by"].keys() == CUSTOM
    for who, lists in reference4.facts["seen_by"].items():
        for path, ids in lists.items():
            rows = _list(call4, who, path)
            assert ids == (rows and sorted(row["id"] for row in rows)), (who, path)


def test_every_difference_in_rights_is_reported(
    reference4: Reference, call4: Caller, report: Report
) -> None:
    """Compared with what the reference server says users may do and what this one says."""
    differences = set()
    for user in _list(call4, "root", "user"):
        query = {"no_pagination": 1, "user_id": user["id"]}
        rules = call4("root", "GET", "/rule", query=query).get_json()["data"]
        after = {(rule["name"], rule["operation"], rule["scope"]) for rule in rules}
        name = user["username"]
        before = {tuple(right) for right in reference4.facts["rights"][name]}
        assert before
        differences |= {(name, False, right) for right in before - after}
        differences |= {(name, True, right) for right in after - before}
    named = [one for one in report.changes if ":".join(one.right) in NAMES]
    assert {(one.username, one.gained, NAMES[":".join(one.right)]) for one in named} == differences
    assert ("vera", False, ("node", "VIEW", "COLLABORATION")) in differences
    assert ("cora", True, ("user", "EDIT", "GLOBAL")) in differences
    assert {one.username for one in report.changes} == {"root", "vera", "adam", "cora"}
    assert all(
        re.fullmatch("default role .* follows the policy files", one.reason)
        for one in report.changes
    )


def test_rules_are_taken_over_by_their_meaning(call4: Caller) -> None:
    with call4.app.app_context(), db.reading():
        of_rolf = text(
            "SELECT rule_id FROM role_rule_association WHERE role_id = "
            "(SELECT id FROM role WHERE name = 'Of rolf')"
        )
        held = set(db.session.scalars(of_rolf))
        texts = {rule.text for rule in db.session.query(Rule) if rule.id in held}
    assert texts == {
        *("task:organization:create", "task:own_organization:view", "task:own:delete"),
        *("result:organization:view", "study:organization:view", "collaboration:organization:view"),
        *("event:own_organization:create", "event:collaboration:view"),
        *("organization:collaboration:view", "node:collaboration:view"),
    }


@on_sqlite
def test_users_and_nodes_log_in_as_before(
    reference4: Reference, report: Report, target: str, databases: Databases
) -> None:
    """Those of 3.x do so on PostgreSQL as well (test_takeover.py): what is stored is the same."""
    assert report.copied["user"] == 8
    call4 = Caller(make_app(databases.settings(target)), "/v4/api")
    for name in ("vera", "adam", *CUSTOM):
        login = {"username": name, "password": reference4.facts["password"]}
        answer = call4(None, "POST", "/token/user", json=login)
        assert answer.status_code == 200, name
        assert answer.get_json()["user_url"].endswith(f"/user/{reference4.id(name)}")
    login = {"username": "cora", "password": reference4.facts["password"]}
    code = pyotp.TOTP(reference4.facts["secret"]).now()
    answer = call4(None, "POST", "/token/user", json={**login, "mfa_code": code})
    assert "access_token" in answer.get_json()
    for name, key in reference4.facts["keys"].items():
        for _ in reference4.facts["keys"]:  # it is compared with one node for each request
            answer = call4(None, "POST", "/token/node", json={"api_key": key})
            if answer.status_code != 503:  # on which a node asks again
                break
        assert answer.get_json()["node_url"].endswith(f"/node/{reference4.id(name)}"), name


def test_what_was_mended_is_reported(report: Report) -> None:
    for beginning in (
        "study rows without collaboration were left out: 40",
        "StudyMember rows that pointed to nothing were left out: study 1 - organization 9001, ",
        "StudyMember rows that were there twice are there once: ",
        "StudyMember rows of organizations that are not in the collaboration of the study were left"
        " out: study 1 - organization 1",
        "algorithmstore rows without collaboration were left out: 50",
        "task.study_id pointed to nothing and is empty now: 70",
        "task.algorithm_store_id pointed to nothing and is empty now: 70",
        "taskdatabase rows without task were left out: 60",
        "taskdatabase rows without a label were left out: 61",
        "taskdatabase.parameters were no JSON object and are empty now: 62",
        "run.task_id pointed to nothing and is empty now: 80",
        "inputs and results of these runs are in the blob storage of the old server, which is not "
        "read: here are their names there: 80",
        "algorithmport rows without run were left out: 90",
    ):
        assert [note for note in report.notes if note.startswith(beginning)], beginning


def test_a_store_of_a_lost_collaboration_is_not_one_for_all(call4: Caller) -> None:
    assert {row["id"] for row in _list(call4, "root", "algorithmstore")} == {1, 2}


def test_3x_programs_see_the_first_database(reference4: Reference, call4: Caller) -> None:
    call = Caller(call4.app)
    ids = [reference4.id(name) for name in ("average", "part", "single")]
    for id, label in zip([*ids, 70], ("visits", "blood", "", "odd"), strict=True):
        assert call("root", "GET", f"/task/{id}").get_json()["database"] == label
    task = call4("root", "GET", "/task/70").get_json()
    found = [(one["label"], one["parameters"]) for one in task["databases"]]
    assert found == [("odd", "{}"), ("b", "{}")]


def test_a_program_of_3x_starts_nothing_at_its_nodes(reference4: Reference, call4: Caller) -> None:
    order = {
        "name": "old",
        "image": "registry.example/average:1",
        "collaboration_id": reference4.id("hearts"),
        "organizations": [{"id": reference4.id("south"), "input": ""}],
    }
    refused = Caller(call4.app)("rolf", "POST", "/task", json=order)
    assert refused.status_code == 400
    assert "organizations, which are of 4.x: South" in refused.get_json()["msg"]


@on_sqlite
@pytest.mark.parametrize(("source", "release"), [("reference", 3), ("reference4", 4)])
def test_the_programs_behind_it_are_known(
    source: str, release: int, target: str, take: Take, request: pytest.FixtureRequest
) -> None:
    old: Reference = request.getfixturevalue(source)
    take(old.uri, target, old.release)
    engine = create_engine(target)
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT generation FROM node"))) == {release}
        assert set(connection.scalars(text("SELECT dialect FROM task"))) == {release}
    engine.dispose()


def test_work_goes_on(reference4: Reference, call4: Caller) -> None:
    """With a new job, and ids beyond those of the rows that were left out."""
    order = {
        "name": "next",
        "image": "registry.example/average:1",
        "study_id": reference4.id("valves"),
        "databases": [{"label": "visits"}],
        "organizations": [{"id": reference4.id("north"), "input": "e30="}],
    }
    answer = call4("rolf", "POST", "/task", json=order)
    assert answer.status_code == 201, answer.get_json()
    assert answer.get_json()["job_id"] > reference4.facts["jobs"]
    assert answer.get_json()["id"] > 70
    # A node keeps saying whose tasks it takes until it connects again.
    assert call4("cora", "POST", "/task", json=order).status_code == 400
    with call4.app.app_context(), db.writing():
        study = Study(name="new", collaboration_id=reference4.id("hearts"))
        db.session.add(study)
        db.session.flush()
        assert study.id > 40
        db.session.rollback()


@on_sqlite
def test_what_4x_has_deleted_after_some_days(
    reference4: Reference,
    target: str,
    take: Take,
    change: Callable[..., str],
) -> None:
    """The task says so when nothing is left of it."""
    emptied, kept = reference4.id("other"), reference4.id("average")
    source = change(
        reference4,
        f"UPDATE run SET cleanup_at = '2025-07-01 02:03:04' WHERE task_id IN ({emptied}, {kept})",
        f"UPDATE run SET input = '', result = '', log = NULL WHERE task_id = {emptied}",
        f"UPDATE run SET result = '' WHERE task_id = {kept}",
    )
    report = take(source, target, RELEASE_4)
    engine = create_engine(target)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, cleanup_at FROM task WHERE cleanup_at IS NOT NULL")
        ).all()
    engine.dispose()
    assert [(id, str(at)[:19]) for id, at in rows] == [(emptied, "2025-07-01 02:03:04")]
    [note] = [note for note in report.notes if "deleted after some days" in note]
    assert note.endswith(f": {kept}")


@on_sqlite
def test_postgresql_is_read_as_sqlite_is(
    reference4: Reference, target: str, databases: Databases, take: Take
) -> None:
    other, _ = databases.copy("sqlite", False)
    report = take(reference4.uri, other, RELEASE_4)
    with in_postgres(reference4, databases) as uri:
        assert take(uri, target, RELEASE_4) == report
    assert _digest(target) == _digest(other)


def _digest(uri: str) -> dict[str, str]:
    engine = db.connect(uri)
    try:
        return database_digest()
    finally:
        engine.dispose()


@on_sqlite
@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["ALTER TABLE run DROP COLUMN cleanup_at"], "run of the source has no column cleanup_at"),
        (["ALTER TABLE task DROP COLUMN job_id"], "Table task of the source has no column job_id"),
        (["DROP TABLE taskdatabase"], "The source has no table taskdatabase"),
        (["UPDATE task SET job_id = -1"], "Table task of the source: the job_id -1 cannot"),
        (["UPDATE study SET name = NULL WHERE id = 2"], "of the source: row 2 has no name"),
        (["UPDATE algorithmstore SET url = NULL WHERE id = 1"], "of the source: row 1 has no url"),
        (["UPDATE algorithmport SET run_id = 'a'"], "algorithmport of the source: the run_id a"),
        (["UPDATE run SET log = 'a' || char(0)"], "Table run of the source: log holds a NUL"),
        (
            [
                "CREATE TABLE s AS SELECT * FROM study",
                "DROP TABLE study",
                "ALTER TABLE s RENAME TO study",
                "UPDATE study SET name = 'Same'",
            ],
            "studies 1, 2 of the source have the same name Same",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_stored(
    reference4: Reference,
    target: str,
    take: Take,
    change: Callable[..., str],
    statements: list[str],
    said: str,
) -> None:
    before = _digest(target)
    with pytest.raises(Invalid, match=re.escape(said)):
        take(change(reference4, *statements), target, RELEASE_4)
    assert _digest(target) == before


@on_sqlite
def test_the_database_of_the_other_generation_is_refused(
    reference: Reference, reference4: Reference, target: str, take: Take
) -> None:
    with pytest.raises(Invalid, match=r"a 3\.x server but of a 4\.x server: use import-v4"):
        take(reference4.uri, target, RELEASE_3)
    with pytest.raises(Invalid, match=r"a 4\.x server but of a 3\.x server: use import-v3"):
        take(reference.uri, target, RELEASE_4)


@on_sqlite
def test_a_difference_without_a_reason_stops_it(
    reference4: Reference, target: str, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _digest(target)
    monkeypatch.setattr(people, "_mapped", lambda *_: [])  # as if no custom right was copied
    with pytest.raises(Conflict) as refused:
        take(reference4.uri, target, RELEASE_4)
    lines = str(refused.value).splitlines()
    adam, owen = reference4.id("adam"), reference4.id("owen")
    assert f"user {owen} loses task own view for no known reason" in lines
    assert f"user {adam} loses study global create for no known reason" in lines
    held = sum(len(reference4.facts["rights"][name]) for name in CUSTOM)
    assert len(lines) == held + 2
    assert _digest(target) == before


@on_sqlite
def test_roles_can_be_those_of_4x(
    reference4: Reference, target: str, take: Take, databases: Databases, tmp_path: Path
) -> None:
    """As the page says it."""
    folder = tmp_path / "policies"
    shutil.copytree(databases.settings(target).policies, folder)
    [script] = [block.text for block in blocks(PAGE) if "role:viewer" in block.text]
    _, edit, _ = re.split("^cd .*$|^v6srv .*$", script, maxsplit=2, flags=re.MULTILINE)
    subprocess.run(["bash", "-c", edit], cwd=folder, check=True)
    report = take(reference4.uri, target, RELEASE_4, policies=folder)
    found = [(one.username, one.gained, one.right) for one in report.changes]
    assert found == [("root", True, ("event", "collaboration", "create"))]


@on_sqlite
def test_a_rule_that_3x_left_behind_grants_nothing(
    reference4: Reference, target: str, take: Take, change: Callable[..., str]
) -> None:
    """4.x has no such rule, and this server has one with these words."""
    source = change(
        reference4,
        "INSERT INTO rule (id, name, operation, scope) "
        "VALUES (99, 'event', 'CREATE', 'COLLABORATION')",
        f"INSERT INTO role_rule_association VALUES ({reference4.id('role owen')}, 99)",
    )
    report = take(source, target, RELEASE_4)
    [change_] = [one for one in report.changes if one.username == "owen"]
    right: Right = ("event", "COLLABORATION", "CREATE")
    assert (change_.right, change_.gained) == (right, False)
    assert change_.reason == "this server has no such rule"
