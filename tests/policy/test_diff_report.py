"""Diff as admins read it: for whom, because of which lines, for rooms, over time, as a command."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import World
from v6srv import db
from v6srv.authz import clock
from v6srv.authz.source.adapter import database_lines
from v6srv.authz.source.load import build
from v6srv.cli.main import cli
from v6srv.model import CasbinRule
from v6srv.policy.diff.audience import imagined, stored
from v6srv.policy.diff.cases import Case
from v6srv.policy.diff.compare import (
    Change,
    Kind,
    PolicyDiff,
    compare,
    compare_alone,
    compare_stored,
)
from v6srv.vocabulary import Operation, Resource

POLICIES = Path(__file__).parents[2] / "policies"
VIEWER_TASK = "p, role:viewer, task,          organization,  view,   True, allow"
NODE_EVENT = "p, kind:node, event,  collaboration, view,   True, allow\n"


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the shipped policies in which some texts are replaced."""

    def edit(*changes: tuple[str, str], name: str = "new", more: str = "") -> Path:
        folder = tmp_path / name
        shutil.copytree(POLICIES, folder)
        for file in folder.glob("*.*"):
            text = file.read_text()
            for old, new in changes:
                text = text.replace(old, new)
            file.write_text(text)
        if more:
            (folder / "local.csv").write_text(more)
        if changes:
            assert any((folder / f.name).read_text() != f.read_text() for f in POLICIES.glob("*.*"))
        return folder

    return edit


def _alone(new: Path, old: Path = POLICIES, at: datetime | None = None) -> PolicyDiff:
    return compare_alone(build(old), build(new), at)


def _done(changes: tuple[Change, ...]) -> list[Change]:
    """Without what is handed out."""
    return [change for change in changes if not change.hand_out]


# --- causes


def test_a_change_names_the_line_of_the_new_version(edited: Callable[..., Path]) -> None:
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("organization", "global")))
    number = (new / "default_roles.csv").read_text().splitlines().index(
        VIEWER_TASK.replace("organization", "global")
    ) + 1  # fmt: skip
    found = _alone(new)
    [change] = _done(found.changes)
    assert (change.kind, change.resource, change.operation) == (Kind.GAINED, "task", "view")
    assert change.case.name == "other organizations"
    assert change.principals == (
        "role:collab_admin",
        "role:org_admin",
        "role:researcher",
        "role:viewer",
    )
    [cause] = change.causes
    assert (cause.old, cause.new) == (None, f"default_roles.csv:{number}")
    assert next(found.lines()) == (
        "+ role:collab_admin (and 3 others) may now view task [other organizations]"
        f"   because default_roles.csv:{number}"
    )


def test_who_may_do_more_may_hand_out_other_rules(edited: Callable[..., Path]) -> None:
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("organization", "global")))
    handed = [change for change in _alone(new).changes if change.hand_out]
    assert {(change.kind, change.case.scope) for change in handed} == {
        (Kind.GAINED, "global"),
    }  # which covers what it was
    assert "may now hand out the rule to view task [global]" in str(handed[0])


def test_a_line_that_is_gone_is_the_cause(edited: Callable[..., Path]) -> None:
    found = _alone(edited((VIEWER_TASK + "\n", "")))
    [change] = _done(found.losses)
    assert not _done(found.gains)
    assert change.causes[0].new is None
    assert str(change).endswith(f"because {change.causes[0].old} (removed)")


def test_a_denial_that_is_gone_is_a_gain(edited: Callable[..., Path]) -> None:
    denial = "p, role:container, result,        global, view, r.obj.run != r.sub.run, deny\n"
    found = _alone(edited((denial, "")))
    [change] = found.changes
    assert change.kind is Kind.GAINED
    assert set(change.principals) == {"role:container", "kind:container"}
    assert change.case.name == "organization, r.obj.run != r.sub.run"
    assert change.causes[0].text == denial.strip().replace("        ", " ")


def test_the_edge_is_the_cause_where_the_lines_are_the_same(edited: Callable[..., Path]) -> None:
    found = _alone(edited(("g, role:researcher, role:viewer\n", "")))
    causes = {cause.text for change in found.changes for cause in change.causes}
    assert causes == {"g, role:researcher, role:viewer"}
    assert {change.kind for change in found.changes} == {Kind.LOST}
    gained = _alone(POLICIES, edited(("g, role:researcher, role:viewer\n", ""), name="old"))
    assert {(change.resource, change.operation, change.case) for change in gained.gains} == {
        (change.resource, change.operation, change.case) for change in found.losses
    }


def test_lines_that_move_and_files_that_are_renamed_change_nothing(
    edited: Callable[..., Path],
) -> None:
    new = edited()
    text = (new / "default_roles.csv").read_text().splitlines()
    (new / "default_roles.csv").unlink()
    (new / "other.csv").write_text("# moved\n\n" + "\n".join(reversed(text)))
    assert _alone(new).changes == ()


def test_the_cause_of_another_matcher_is_the_model(edited: Callable[..., Path]) -> None:
    found = _alone(edited(("r.sub.org in r.obj.orgs ||", "r.sub.org == r.obj.org ||")))
    assert found.gains
    assert found.losses
    assert {str(cause) for change in found.changes for cause in change.causes} == {"model.conf"}


def test_a_matcher_that_says_the_same_changes_nothing(edited: Callable[..., Path]) -> None:
    new = edited(
        (
            "r.sub.org in r.obj.orgs ||",
            "(False && r.obj.org == None || !!(r.sub.org in r.obj.orgs)) ||",
        )
    )
    assert _alone(new).changes == ()


def test_a_model_that_lets_everything_be_handed_out_is_a_gain(edited: Callable[..., Path]) -> None:
    new = edited(('(p.scope == r2.rule.scope || g2(p.scope, r2.rule.scope)) && \\', "(g2(p.scope, r2.rule.scope) || g2(r2.rule.scope, p.scope)) && \\"))  # fmt: skip
    found = _alone(new)
    assert found.gains
    assert all(change.hand_out for change in found.changes)


# --- who


def test_conditions_on_organizations_and_images_have_somebody_to_hold_for(
    edited: Callable[..., Path],
) -> None:
    new = edited(
        more="p, role:viewer, task, global, delete, r.sub.org == 42, allow\n"
        "p, org:7, port, global, edit, True, allow\n"
        "p, kind:container, port, global, view, glob(r.sub.image, 'signed/*'), deny\n"
        "p, user:77, node, global, delete, True, allow\n"
    )
    found = {
        (name, change.operation.value)
        for change in _alone(new).changes
        for name in change.principals
        if not change.hand_out
    }
    assert ("role:viewer in org:42", "delete") in found
    assert ("kind:user in org:7", "edit") in found
    assert ("kind:node in org:7", "edit") in found
    assert ("user:77", "delete") in found
    assert ("role:viewer", "delete") not in found
    denied = {name for name, operation in found if operation == "view"}
    assert denied
    assert all("signed/" in name for name in denied)


def test_real_users_and_nodes_are_told_by_name(
    app: Flask, world: World, edited: Callable[..., Path]
) -> None:
    lines = database_lines()
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("organization", "global")))
    found = compare_stored(build(POLICIES, lines), build(new, lines))
    told = {name for change in _done(found.gains) for name in change.principals}
    assert not _done(found.losses)
    for name in ("viewer", "researcher", "org_admin", "collab_admin", "south_viewer"):
        assert f"user:{getattr(world.user, name)}" in told
    # extra may view all tasks already, by an extra rule; root too; nobody has no role
    for name in ("extra", "root", "nobody", "analyst"):
        assert f"user:{getattr(world.user, name)}" not in told
    db.session.remove()


def test_custom_roles_and_added_lines_of_the_database_count(
    app: Flask, world: World, edited: Callable[..., Path]
) -> None:
    """A grant that somebody has by the database already is no gain."""
    db.session.add(
        CasbinRule(
            ptype="p",
            v0=f"user:{world.user.nobody}",
            v1="task",
            v2="global",
            v3="view",
            v4="True",
            v5="allow",
        )
    )
    db.session.flush()
    new = edited(
        more="p, role:any_user, task, global, view, glob(r.obj.image, 'h/*'), allow\n"
        "g, kind:user, role:any_user\n"
    )
    lines = database_lines()
    found = compare_stored(build(POLICIES, lines), build(new, lines))
    everyone = {name for change in _done(found.gains) for name in change.principals}
    assert f"user:{world.user.analyst}" in everyone
    assert f"user:{world.user.east_viewer}" in everyone
    assert f"user:{world.user.nobody}" not in everyone
    assert f"user:{world.user.extra}" not in everyone
    db.session.remove()


def test_who_is_in_no_collaboration_is_asked_about_as_if_in_one(
    app: Flask, world: World, edited: Callable[..., Path]
) -> None:
    name = f"user:{world.user.east_viewer}"
    new = edited(more=f"p, {name}, result, collaboration, delete, True, allow\n")
    people = stored()
    [east] = [who for who in people if who.subject == name]
    assert not east.collaboration_ids
    old, new_ = build(POLICIES, database_lines()), build(new, database_lines())
    assert compare(old, new_, people).changes == ()
    [change] = _done(compare(old, new_, imagined((old, new_), people)).changes)
    assert change.principals == (name,)
    db.session.remove()


# --- rooms


def test_rooms_are_those_of_the_database(
    app: Flask, world: World, edited: Callable[..., Path]
) -> None:
    lines = database_lines()
    found = compare_stored(build(POLICIES, lines), build(edited((NODE_EVENT, "")), lines))
    lost = {
        (name, room)
        for change in _done(found.losses)
        for name in change.principals
        for room in change.case.rooms
        if name.startswith("node:")
    }
    assert not found.gains
    registry, trial = world.collab.registry, world.collab.trial
    south_registry = f"node:{world.node.south_registry}"
    assert (south_registry, (registry, None)) in lost
    assert (south_registry, (registry, world.org.north)) in lost
    assert (south_registry, (trial, None)) not in lost
    assert (f"node:{world.node.west_trial}", (trial, None)) in lost
    # a node that is not there yet is told by the case
    assert any("kind:node" in c.principals and not c.case.rooms for c in _done(found.losses))
    assert "[room of collaboration " in "\n".join(found.lines())
    db.session.remove()


# --- time

LIMITED = "p, role:viewer, port, global, view, True, allow, valid_from=2031-01-01, valid_until=2031-12-31\n"


def test_a_line_that_will_be_valid_is_a_gain_now(edited: Callable[..., Path]) -> None:
    new = edited(more=LIMITED)
    [gain] = _done(_alone(new).gains)
    assert "timeMatch('2031-01-01 00:00:00', '2032-01-01 00:00:00')" in gain.case.name
    for day, gains in (("2030-12-31", 0), ("2031-01-01", 1), ("2031-12-31", 1), ("2032-01-01", 0)):
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        assert len(_done(_alone(new, at=at).gains)) == gains, day


def test_a_line_that_was_valid_changes_nothing_any_more(edited: Callable[..., Path]) -> None:
    new = edited(more=LIMITED)
    with clock.stopped(datetime(2033, 1, 1, tzinfo=UTC)):
        assert _alone(new).changes == ()


def test_a_later_end_changes_only_the_time_between(edited: Callable[..., Path]) -> None:
    old = edited(name="old", more=LIMITED)
    new = edited(more=LIMITED.replace("2031-12-31", "2033-12-31"))
    [gain] = _done(_alone(new, old).changes)
    assert gain.kind is Kind.GAINED
    assert dict(gain.case.conditions) == {
        "timeMatch('2031-01-01 00:00:00', '2032-01-01 00:00:00')": False,
        "timeMatch('2031-01-01 00:00:00', '2034-01-01 00:00:00')": True,
        "r.sub.org in r.obj.orgs": False,
    }


def test_rooms_are_told_with_the_times_at_which_they_change(
    app: Flask, world: World, edited: Callable[..., Path]
) -> None:
    """As rows are: with the limits that matter, and without those of other lines."""
    denial = "p, kind:node, event, global, view, True, deny, "
    old = edited(name="old", more=denial + "valid_from=2035-01-01, valid_until=2035-12-31\n")
    new = edited(
        more=denial
        + "valid_from=2035-01-01, valid_until=2035-12-31\n"
        + denial
        + "valid_from=2031-01-01, valid_until=2031-12-31\n"
    )
    lines = database_lines()
    found = compare_stored(build(old, lines), build(new, lines))
    assert not found.gains
    limits = "timeMatch('2031-01-01 00:00:00', '2032-01-01 00:00:00')"
    rooms = [change for change in _done(found.losses) if change.case.rooms]
    assert rooms
    for change in rooms:
        assert change.case.conditions == ((limits, True),)
        assert change.case.name.startswith("room of collaboration ")
        assert change.case.name.endswith(limits)
        assert {"expression": limits, "holds": True} in change.as_json()["conditions"]
    for at, changes in (("2031-06-01", True), ("2030-06-01", False), ("2035-06-01", False)):
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        there = compare_stored(build(old, lines), build(new, lines), moment)
        assert bool(there.losses) is changes
        assert not [c for c in there.changes if c.case.rooms and c.case.conditions]
    always = compare_stored(
        build(POLICIES, lines), build(edited((NODE_EVENT, ""), name="x"), lines)
    )
    assert not [c for c in always.changes if c.case.rooms and c.case.conditions]
    db.session.remove()


# --- a fact that is compared with itself


@pytest.mark.parametrize(
    ("condition", "case"),
    [
        ("r.obj.id == r.obj.id", "every row"),
        ("r.obj.parent == r.obj.parent", "every row"),  # absent equals absent
        ("r.obj.id != r.obj.id", None),
        ("r.obj.parent != r.obj.parent", None),
        ("r.obj.id in (r.obj.id, 5)", "every row"),
    ],
)
def test_a_fact_may_be_compared_with_itself(
    edited: Callable[..., Path], condition: str, case: str | None
) -> None:
    new = edited(more=f"p, user:5, task, global, view, {condition}, allow\n")
    found = _done(_alone(new).changes)
    assert [(change.kind, change.case.name) for change in found] == (
        [(Kind.GAINED, case)] if case else []
    )


# --- the command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("V6SRV_INSTANCE", str(tmp_path / "instance"))
    monkeypatch.delenv("V6SRV_URI", raising=False)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["policy", "diff", *map(str, arguments)])

    return invoke


@pytest.mark.parametrize(
    ("fail_on", "wider", "narrower", "nothing"),
    [(None, 0, 0, 0), ("gain", 1, 0, 0), ("loss", 0, 1, 0), ("any", 1, 1, 0)],
)
def test_the_exit_code_tells_of_gains_and_losses(
    run: Callable[..., Result],
    edited: Callable[..., Path],
    fail_on: str | None,
    wider: int,
    narrower: int,
    nothing: int,
) -> None:
    new = edited(more="p, role:viewer, task, global, delete, r.obj.run == 1, allow\n")
    option = ("--fail-on", fail_on) if fail_on else ()
    given = ("--without-database", *option)
    assert run(POLICIES, new, *given).exit_code == wider
    assert run(new, POLICIES, *given).exit_code == narrower
    assert run(POLICIES, POLICIES, *given).exit_code == nothing


def test_text_and_json_tell_the_same(
    run: Callable[..., Result], edited: Callable[..., Path]
) -> None:
    port = "p, role:viewer, port,          organization,  view,   True, allow\n"
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("organization", "global")), (port, ""))
    text = run(POLICIES, new, "--without-database")
    assert "may now view task [other organizations]   because default_roles.csv:" in text.output
    assert "2 gained, 2 lost" in text.output
    data = json.loads(run(POLICIES, new, "--without-database", "--format", "json").stdout)
    assert (data["gained"], data["lost"], len(data["changes"])) == (2, 2, 4)
    change = data["changes"][0]
    assert change["principals"] == [
        "role:collab_admin",
        "role:org_admin",
        "role:researcher",
        "role:viewer",
    ]
    assert change["conditions"] == [{"expression": "r.sub.org in r.obj.orgs", "holds": False}]
    assert change["causes"][0]["new"].startswith("default_roles.csv:")
    assert data["old"] == build(POLICIES).version


def test_all_names_everybody(run: Callable[..., Result], edited: Callable[..., Path]) -> None:
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("organization", "global")))
    few = run(POLICIES, new, "--without-database").output
    assert "role:collab_admin (and 3 others) may now view task" in few
    everybody = run(POLICIES, new, "--without-database", "--all").output
    names = "role:collab_admin, role:org_admin, role:researcher, role:viewer"
    assert f"+ {names} may now view task" in everybody
    assert "others)" not in everybody
    case = Case(rooms=tuple((collaboration, None) for collaboration in range(1, 6)))
    change = Change(Kind.LOST, ("node:1",), Resource.EVENT, Operation.VIEW, case, ())
    assert "collaboration 3 and 2 more]" in str(change)
    assert "collaboration 4, collaboration 5]" in change.told(everybody=True)


def test_at_another_time(run: Callable[..., Result], edited: Callable[..., Path]) -> None:
    new = edited(more=LIMITED)
    given = (POLICIES, new, "--without-database", "--fail-on", "any", "--at")
    assert run(*given, "2031-06-01").exit_code == 1
    assert run(*given, "2030-06-01").exit_code == 0
    assert run(*given, "June").exit_code == 2


def test_what_cannot_be_compared_ends_with_2(
    run: Callable[..., Result], edited: Callable[..., Path], tmp_path: Path
) -> None:
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("task", "tusk")))
    wrong = run(POLICIES, new, "--without-database")
    assert wrong.exit_code == 2
    assert "unknown resource 'tusk'" in wrong.output
    assert run(tmp_path / "nothing", new).exit_code == 2
    assert run().exit_code == 2
    assert run(POLICIES, POLICIES, POLICIES).exit_code == 2


@pytest.mark.parametrize("wrong", ["eval(p.cond) || True", "(eval(p.cond) || True)"])
def test_a_matcher_that_lets_everybody_in_is_refused_at_once(
    run: Callable[..., Result], edited: Callable[..., Path], wrong: str
) -> None:
    """It would change every decision there is; where it is wrong is the shorter answer."""
    began = time.monotonic()
    refused = run(POLICIES, edited(("eval(p.cond)", wrong)), "--without-database")
    assert refused.exit_code == 2
    assert "model.conf:35:" in refused.output
    assert "this can be true without asking for p.cond" in refused.output
    assert time.monotonic() - began < 5


def test_without_old_the_policy_in_use_is_compared_for_the_people_of_the_database(
    run: Callable[..., Result],
    edited: Callable[..., Path],
    app: Flask,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the database of the instance, unless there is none."""
    shutil.copytree(POLICIES, tmp_path / "instance" / "policies")
    new = edited((VIEWER_TASK, VIEWER_TASK.replace("organization", "global")))
    alone = run(new)
    assert alone.exit_code == 0
    assert "There is no database" in alone.output
    uri = db.session.get_bind().url.render_as_string(hide_password=False)
    monkeypatch.setenv("V6SRV_URI", uri)
    bound = db.session.get_bind()
    try:
        data = json.loads(run(new, "--format", "json").stdout)
    finally:
        db.session.configure(bind=bound)
    assert f"user:{world.user.south_viewer}" in data["changes"][0]["principals"]


def test_a_log_is_replayed_on_the_rows_of_the_database(
    run: Callable[..., Result], edited: Callable[..., Path], tmp_path: Path
) -> None:
    log = tmp_path / "decisions.jsonl"
    log.write_text("")
    refused = run(POLICIES, edited(), "--without-database", "--replay", log)
    assert refused.exit_code == 2
    assert "rows of a database" in refused.output


def test_logged_decisions_that_change_are_told_by_replay(
    run: Callable[..., Result],
    edited: Callable[..., Path],
    databases: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"decision_log": {"sample": 1}, "directories": {"log": tmp_path}}
    with open_app(databases, "sqlite", True, **settings) as (app, world):
        assert world is not None
        path = f"/task/{world.task.running}"
        assert Caller(app)("viewer", "GET", path).status_code == 200
        [log] = app.extensions["authz"].decisions.series.files()
        bound = db.session.get_bind()
        monkeypatch.setenv("V6SRV_URI", bound.url.render_as_string(hide_password=False))
        new = edited((VIEWER_TASK + "\n", ""))
        try:
            text = run(POLICIES, new, "--replay", log).output
            data = json.loads(run(POLICIES, new, "--replay", log, "--format", "json").stdout)
        finally:
            db.session.configure(bind=bound)
        name = f"user:{world.user.viewer}"
        assert f"~ {name} view task (task:{world.task.running}): was allow, now deny, 1x" in text
        [one] = data["replay"]["disagreements"]
        assert (one["principal"], one["was"], one["now"]) == (name, "allow", "deny")


def test_changes_of_the_same_kind_are_one(edited: Callable[..., Path]) -> None:
    """Principals are gathered; nothing is told twice."""
    found = _alone(edited(("g, role:researcher, role:viewer\n", "")))
    keys = [(c.kind, c.resource, c.operation, c.case, c.causes, c.hand_out) for c in found.changes]
    assert len(keys) == len(set(keys))
    assert all(len(set(c.principals)) == len(c.principals) for c in found.changes)
    assert all(isinstance(c.case, Case) for c in found.changes)
