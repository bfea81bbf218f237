"""Looking back: every change of the log shows, decisions are found, and are made again."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import delete

from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import World
from v6srv import db
from v6srv.authz.decision_log import DecisionLog, Series, sealed
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.source.adapter import database_lines
from v6srv.authz.source.load import build
from v6srv.cli.main import cli
from v6srv.errors import NotFound
from v6srv.model import Task
from v6srv.policy.audit import trail
from v6srv.policy.audit.replay import replay
from v6srv.vocabulary import Effect

Lines = list[bytes]


@pytest.fixture
def series(tmp_path: Path) -> Series:
    """One file of 12 records: `file`, `start` and ten decisions."""
    series = Series(tmp_path / "log")
    log = DecisionLog(series)
    for number in range(10):
        log.write(_decision(number))
    return series


def _decision(number: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": "decision",
        "time": f"2026-03-01T12:00:{number:02}.000Z",
        "id": f"{number:020x}",
        "question": "row",
        "principal": {"id": f"user:{number % 3}"},
        "resource": "task",
        "operation": "view",
        "table": "Task",
        "row": number,
        "effect": "deny" if number % 2 else "allow",
        "lines": [],
        "reason": "outside what is granted",
        "policy": "abc",
        **more,
    }


# --- verify


def _alter(lines: Lines) -> None:
    lines[5] = lines[5].replace(b'"effect":"deny"', b'"effect":"allow"')


def _alter_and_seal(lines: Lines) -> None:
    """Somebody who knows how hashes are made."""
    record = json.loads(lines[5])
    del record["hash"]
    record["effect"] = "allow"
    lines[5] = sealed(record)[0]


def _respace(lines: Lines) -> None:
    lines[5] = json.dumps(json.loads(lines[5])).encode() + b"\n"


def _remove(lines: Lines) -> None:
    del lines[5]


def _remove_some(lines: Lines) -> None:
    del lines[5:8]


def _swap(lines: Lines) -> None:
    lines[5], lines[6] = lines[6], lines[5]


def _repeat(lines: Lines) -> None:
    lines.insert(6, lines[5])


def _put_in(lines: Lines) -> None:
    record = json.loads(lines[5])
    del record["hash"]
    record |= {"seq": 7, "prev": json.loads(lines[5])["hash"], "row": 99}
    lines.insert(6, sealed(record)[0])


def _cut_end(lines: Lines) -> None:
    del lines[-2:]


def _cut_beginning(lines: Lines) -> None:
    del lines[:2]


def _cut_half(lines: Lines) -> None:
    lines[-1] = lines[-1][:40]


def _empty(lines: Lines) -> None:
    lines.clear()


def _garbage(lines: Lines) -> None:
    lines.insert(3, b"\x00\xff nothing\n")


@pytest.mark.parametrize(
    ("tamper", "faults"),
    [
        (_alter, ["6: altered: record 6 is not as it was written"]),
        (
            _alter_and_seal,
            [
                "7: altered: record 7 does not follow the record 6 that stands here: one of them was replaced"
            ],
        ),
        (_respace, ["6: altered: this is no record", "7: missing: record 6"]),
        (_remove, ["6: missing: record 6"]),
        (_remove_some, ["6: missing: records 6 to 8"]),
        (_swap, ["7: reordered: record 6 stands after record 7"]),
        (_repeat, ["7: inserted: there is a record 6 already"]),
        (_put_in, ["8: inserted: there is a record 7 already"]),
        (_cut_end, ["10: truncated: 2 records after record 10 are gone"]),
        (_cut_beginning, ["1: missing: the beginning of the file"]),
        (
            _cut_half,
            ["12: altered: this is no record", "12: truncated: 1 records after record 11 are gone"],
        ),
        (_empty, ["truncated: 12 records after record 0 are gone"]),
        (_garbage, ["4: altered: this is no record"]),
    ],
)
def test_every_kind_of_change_shows(
    series: Series, tamper: Callable[[Lines], None], faults: list[str]
) -> None:
    assert not trail.verify_series(series).faults
    path = series.files()[0]
    lines = path.read_bytes().splitlines(keepends=True)
    tamper(lines)
    path.write_bytes(b"".join(lines))
    found = [str(fault) for fault in trail.verify_series(series).faults]
    for text in faults:
        assert any(one.endswith(text) for one in found), (text, found)


def test_every_single_byte_counts(series: Series) -> None:
    path = series.files()[0]
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert trail.verify_series(series).faults, at


@pytest.fixture
def files(tmp_path: Path) -> Series:
    """Several files."""
    series = Series(tmp_path / "many")
    log = DecisionLog(series, max_bytes=1000)
    for number in range(10):
        log.write(_decision(number))
    assert len(series.files()) > 3
    return series


@pytest.mark.parametrize(
    ("number", "fault"),
    [(0, "the files with the records before"), (1, "records"), (-1, "are gone")],
)
def test_a_file_that_is_gone_shows(files: Series, number: int, fault: str) -> None:
    assert not trail.verify_series(files).faults
    files.files()[number].unlink()
    assert any(fault in str(found) for found in trail.verify_series(files).faults)


def test_files_that_changed_places_are_read_in_the_order_of_their_records(files: Series) -> None:
    """Names may change when files are kept elsewhere; what counts is inside."""
    found = trail.verify(list(reversed(files.files())))
    assert not found.faults
    assert found.notes == ["without the head, records missing at the end cannot be seen"]


def test_the_chain_can_be_checked_against_a_hash_that_was_noted_down(series: Series) -> None:
    """Who can write to the folder can make up a whole new log, but not this hash."""
    noted = trail.verify_series(series).hash
    log = DecisionLog(series)
    log.write(_decision(11))
    assert not trail.verify_series(series, noted).faults
    log.close()
    for path in series.folder.iterdir():
        path.unlink()
    forged = DecisionLog(series)
    for number in range(30):
        # Other than the real ones: the same records in the same millisecond have the same hashes.
        forged.write(_decision(number, effect="allow"))
    assert not trail.verify_series(series).faults
    [fault] = trail.verify_series(series, noted).faults
    assert fault.message == "no record has the hash that was noted down"


# --- query


def _rows(series: Series, **wanted: Any) -> list[int]:
    return [record["row"] for record in trail.query(series.files(), trail.Wanted(**wanted))]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"effect": "deny"}, [9, 7, 5, 3, 1]),
        ({"principal": "user:1"}, [7, 4, 1]),
        ({"principal": "user:1", "effect": "deny"}, [7, 1]),
        ({"resource": "node"}, []),
        ({"operation": "view", "row": 4}, [4]),
        ({"id": f"{3:020x}"}, [3]),
        ({"since": datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)}, [9, 8, 7]),
        ({"until": datetime(2026, 3, 1, 12, 0, 2, tzinfo=UTC)}, [1, 0]),
    ],
)
def test_decisions_are_found_newest_first(
    series: Series, files: Series, wanted: dict[str, Any], rows: list[int]
) -> None:
    assert _rows(series, **wanted) == rows
    assert _rows(files, **wanted) == rows


def test_old_files_are_not_read_for_what_is_new(files: Series) -> None:
    log = DecisionLog(files, max_bytes=1000)
    log.write(_decision(0, time="2026-03-02T00:00:00.000Z", row=100))
    files.files()[0].unlink()
    files.files()[0].chmod(0)
    since = datetime(2026, 3, 2, tzinfo=UTC)
    records = trail.query(files.files(), trail.Wanted(since=since))
    assert [record["row"] for record in records] == [100]


def test_one_decision_is_found_by_its_id(files: Series) -> None:
    assert trail.find(files, f"{3:020x}")["row"] == 3
    for unknown in (f"{99:020x}", "", "x", '"', f"{3:020x}"[:-1]):
        with pytest.raises(NotFound):
            trail.find(files, unknown)


# --- replay


@pytest.fixture
def logged(databases: Databases, tmp_path: Path) -> Iterator[tuple[Flask, World, Series]]:
    """An application that writes every decision."""
    with open_app(
        databases,
        "sqlite",
        with_world=True,
        decision_log={"sample": 1},
        directories={"log": tmp_path},
    ) as (app, world):
        assert world is not None
        yield app, world, app.extensions["authz"].decisions.series


def _use(app: Flask, world: World) -> None:
    """Requests of all forms, allowed and denied."""
    call = Caller(app)
    for who in ("viewer", "researcher", "south_admin", "nobody", "north_registry", "container"):
        call(who, "GET", f"/task/{world.task.running}")
        call(who, "GET", f"/task/{world.task.waiting}")
        call(who, "GET", "/task", query={"include": "results"})
        call(who, "GET", f"/organization/{world.org.north}/node")
        call(who, "GET", f"/organization/{world.org.south}")
        call(who, "PATCH", f"/organization/{world.org.south}", json={"name": "x", "domain": "y"})
        call(who, "GET", f"/user/{world.user.viewer}")
        call(who, "GET", "/policy")
        call(who, "GET", "/user/999999")
    call("org_admin", "POST", "/role", json={"name": "r", "description": "d", "rules": [1, 2]})
    call("root", "POST", "/role", json={"name": "r", "description": "d", "rules": [1, 2]})
    call("org_admin", "DELETE", f"/role/{world.role.empty}/rule/1")
    call("researcher", "DELETE", f"/task/{world.task.failed}")
    call("south_admin", "PATCH", f"/user/{world.user.south_viewer}", json={"firstname": "x"})


def test_the_same_policy_answers_the_same(logged: tuple[Flask, World, Series]) -> None:
    app, world, series = logged
    _use(app, world)
    records = list(trail.forwards(series.files()))
    forms = {record["question"] for record in records}
    assert forms == {"row", "rows", "any", "whole", "hand_out", "caller"}
    assert {record["effect"] for record in records} == {"allow", "deny"}
    with app.app_context():
        found = replay(records, app.extensions["authz"].policy)
    assert found.disagreements == []
    assert found.unknown == 0
    assert found.asked > len(records) * 0.8
    assert found.asked + found.gone == len(records)
    assert not trail.verify_series(series).faults


def test_another_policy_disagrees_on_what_it_changes(
    logged: tuple[Flask, World, Series], tmp_path: Path
) -> None:
    app, world, series = logged
    call = Caller(app)
    for _ in range(5):
        assert call("viewer", "GET", f"/task/{world.task.running}").status_code == 200
    assert call("viewer", "GET", f"/task/{world.task.waiting}").status_code == 403
    assert call("researcher", "GET", f"/task/{world.task.waiting}").status_code == 403
    folder = _policy(
        app,
        tmp_path / "new",
        f"p, user:{world.user.viewer}, task, global, view, r.obj.id == {world.task.running}, deny\n"
        f"p, user:{world.user.researcher}, task, global, view, True, allow\n",
    )
    with app.app_context():
        found = replay(trail.forwards(series.files()), build(folder, database_lines()))
    assert sorted(
        (one.principal, one.about, one.was, one.now, one.count) for one in found.disagreements
    ) == sorted(
        [
            (f"user:{world.user.viewer}", f"task:{world.task.running}", "allow", "deny", 5),
            (f"user:{world.user.researcher}", f"task:{world.task.waiting}", "deny", "allow", 1),
        ]
    )


def _policy(app: Flask, folder: Path, more: str) -> Path:
    """The policy files in use and a file with more lines."""
    folder.mkdir()
    for path in app.extensions["authz"].store.folder.glob("*.c*"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "more.csv").write_text(more)
    return folder


def test_a_row_that_is_gone_cannot_be_decided_again(logged: tuple[Flask, World, Series]) -> None:
    app, world, series = logged
    Caller(app)("viewer", "GET", f"/task/{world.task.killed}")
    Caller(app)("nobody", "GET", f"/task/{world.task.killed}")  # nothing grants it, row or not
    with app.app_context():
        db.session.execute(delete(Task).where(Task.id == world.task.killed))
        found = replay(trail.forwards(series.files()), app.extensions["authz"].policy)
    assert (found.asked, found.gone) == (1, 1)


def test_a_kind_of_caller_that_is_refused_is_so_by_every_policy(
    logged: tuple[Flask, World, Series],
) -> None:
    app, world, series = logged
    for who, method, path in (
        ("container", "GET", "/node"),
        ("container", "GET", "/collaboration"),
        ("container", "GET", f"/organization/{world.org.north}/collaboration"),
    ):
        assert Caller(app)(who, method, path).status_code == 403
    records = list(trail.forwards(series.files()))
    changed = [{**record, "callers": ["user", "node", "container"]} for record in records]
    with app.app_context():
        same = replay(records, app.extensions["authz"].policy)
        other = replay(changed, app.extensions["authz"].policy)
    assert (same.asked, same.disagreements, same.unknown) == (3, [], 0)
    found = sorted(one.resource for one in other.disagreements)
    assert (found, sum(one.count for one in other.disagreements)) == (["collaboration", "node"], 3)


def test_a_denial_by_what_is_to_be_changed_is_decided_again_without_a_row(
    logged: tuple[Flask, World, Series],
) -> None:
    """A node renews no key, named or not; without the line that says so it could renew its own."""
    app, _, series = logged
    assert Caller(app)("north_registry", "POST", "/recover/node", json={}).status_code == 403
    [record] = trail.forwards(series.files())
    assert (record["question"], record["changes"]) == ("any", ["api_key"])
    with app.app_context():
        policy = app.extensions["authz"].policy
        assert replay([record], policy).disagreements == []
        [denial] = record["lines"]
        lines = [line for line in policy.lines if line.origin != denial]
        [found] = replay([record], Enforcer(policy.definition, lines, 0)).disagreements
        assert found.now is Effect.ALLOW


def test_lines_limited_in_time_count_as_they_did_then(
    logged: tuple[Flask, World, Series], tmp_path: Path
) -> None:
    """A decision is made again at the time it was made: that a line is over now is no change."""
    app, world, series = logged
    Caller(app)("nobody", "GET", f"/task/{world.task.waiting}")
    [record] = trail.forwards(series.files())
    line = f"p, user:{world.user.nobody}, task, global, view, True, allow, valid_until=2026-01-01\n"
    with app.app_context():
        policy = build(_policy(app, tmp_path / "new", line), database_lines())
        late = replay([record], policy)
        early = replay([{**record, "time": "2025-12-31T23:59:59.000Z"}], policy)
    assert (len(late.disagreements), len(early.disagreements)) == (0, 1)


def test_records_of_another_release_are_counted_and_passed_over(
    logged: tuple[Flask, World, Series],
) -> None:
    app, world, series = logged
    Caller(app)("viewer", "GET", f"/task/{world.task.waiting}")
    [record] = trail.forwards(series.files())
    odd = [
        {**record, **change}
        for change in (
            {"question": "poem"},
            {"table": "Poem"},
            {"principal": None},
            {"effect": "maybe"},
            {"time": "noon"},
            {"row": "x"},
            {"question": "hand_out"},
            {"question": "rows", "resource": "event"},
        )
    ]
    odd.append({name: value for name, value in record.items() if name != "table"})
    with app.app_context():
        found = replay([*odd, record], app.extensions["authz"].policy)
    assert (found.unknown, found.asked) == (len(odd), 1)


# --- the commands


def _run(*arguments: object, app: Flask | None = None) -> Result:
    environ: dict[str, str | None] = {}
    if app is not None:
        settings = app.config["SETTINGS"]
        environ = {
            "V6SRV_INSTANCE": str(settings.instance),
            "V6SRV_DATABASE_URL": settings.uri,
            "V6SRV_DIRECTORIES__LOG": str(settings.directories.log),
        }
    return CliRunner().invoke(cli, ["audit", *map(str, arguments)], env=environ)


def test_verify_says_what_it_found_by_its_exit_code(
    logged: tuple[Flask, World, Series],
) -> None:
    app, world, series = logged
    assert _run("verify", app=app).exit_code == 2
    Caller(app)("viewer", "GET", f"/task/{world.task.waiting}")
    whole = _run("verify", app=app)
    assert whole.exit_code == 0, whole.output
    assert f"the hash of the last is {trail.verify_series(series).hash}" in whole.output
    assert _run("verify", "--known", "0" * 64, app=app).exit_code == 1
    path = series.files()[0]
    path.write_bytes(path.read_bytes().replace(b'"deny"', b'"allow"'))
    changed = _run("verify", app=app)
    assert changed.exit_code == 1
    assert f"{path.name}:3: altered: record 3 is not as it was written" in changed.output
    assert _run("verify", path).exit_code == 1
    assert _run("verify", "--config", path, app=app).exit_code == 2


def test_query_shows_decisions_for_people_and_programs(series: Series) -> None:
    [path] = series.files()
    shown = _run("query", path, "--effect", "deny", "--limit", 2).output.splitlines()
    assert shown == [
        f"2026-03-01T12:00:0{n}.000Z deny  user:{n % 3} view task {n}: outside what is granted"
        f" policy=abc id={n:020x}"
        for n in (9, 7)
    ]
    shown = _run("query", path, "--principal", "user:1", "--format", "json").output.splitlines()
    assert [json.loads(line)["row"] for line in shown] == [7, 4, 1]
    assert _run("query", path, "--until", "2026-03-01").output.count("\n") == 10
    assert _run("query", path, "--since", "2026-03-02").output == ""
    wrong = _run("query", path, "--since", "yesterday")
    assert (wrong.exit_code, "is no time" in wrong.output) == (2, True)


def test_every_form_of_question_can_be_shown(logged: tuple[Flask, World, Series]) -> None:
    app, world, _ = logged
    _use(app, world)
    shown = _run("query", app=app)
    assert shown.exit_code == 0, shown.output
    assert "hand out " in shown.output
    assert "view policy (whole)" in shown.output
    assert f"view node organization {world.org.north}: granted" in shown.output


def test_replay_says_what_it_found_by_its_exit_code(
    logged: tuple[Flask, World, Series], tmp_path: Path
) -> None:
    app, world, _ = logged
    assert _run("replay", app=app).exit_code == 2
    Caller(app)("viewer", "GET", f"/task/{world.task.running}")
    same = _run("replay", app=app)
    assert (same.exit_code, "1 decisions made again, 0 otherwise" in same.output) == (0, True)
    folder = _policy(app, tmp_path / "new", "p, role:viewer, task, global, view, True, deny\n")
    other = _run("replay", "--policy", folder, app=app)
    assert other.exit_code == 1
    assert (
        f"user:{world.user.viewer} view task (task:{world.task.running}): was allow, now deny, 1x"
        in other.output
    )
    (folder / "more.csv").write_text("p, nonsense\n")
    assert _run("replay", "--policy", folder, app=app).exit_code == 2
