"""Policy tests: reading them strictly, running them with the real engine, and what they are worth."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from tests.world import IMAGE, World
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS
from v6srv.authz.line import Line
from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError
from v6srv.policy.testing.files import hypothetical_row, read_tests
from v6srv.policy.testing.mutation import mutants, mutate
from v6srv.policy.testing.run import coverage, failures, read_cases, run, run_folder
from v6srv.service.setup import install_policies
from v6srv.vocabulary import Effect, Operation, Resource

POLICIES = Path(__file__).parents[2] / "policies"

GOOD = """\
suite: Tasks
clock: 2026-06-01
principals:
  researcher: {id: 7, org: 3, collabs: [1], roles: [researcher]}
  viewer: {id: 8, org: 3, collabs: [1], roles: [viewer]}
rows:
  ours: {resource: task, id: 40, org: 3, orgs: [3, 4], collabs: [1]}
  theirs: {like: ours, org: 4, orgs: [4], collabs: [2]}
  room: {room: {collab: 1, org: 3}}
tests:
  - {principal: researcher, operation: create, row: ours, effect: allow}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped policies with one small suite instead of their tests."""
    copy = tmp_path / "policies"
    shutil.copytree(POLICIES, copy)
    shutil.rmtree(copy / "tests")
    (copy / "tests").mkdir()
    write(copy, GOOD)
    return copy


def write(folder: Path, text: str) -> None:
    (folder / "tests" / "a.yaml").write_text(text)


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "default_roles.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def add_line(folder: Path, line: str) -> None:
    (folder / "more.csv").write_text(line + "\n")


def outcomes(folder: Path) -> dict[str, tuple[Effect, bool]]:
    """What was found for each case and whether that was expected."""
    return {one.case.name: (one.found, one.passed) for one in run_folder(folder).outcomes}


# --- the tests that are shipped


@pytest.fixture(scope="module")
def shipped() -> Enforcer:
    return build(POLICIES)


def test_the_shipped_tests_pass_reach_every_line_and_notice_changes(shipped: Enforcer) -> None:
    report = run(shipped, read_cases(POLICIES, shipped))
    assert report.failed == ()
    assert len(report.outcomes) > 500
    covered = coverage(shipped, report)
    assert len(covered.lines) == len(shipped.lines)
    assert covered.uncovered == ()
    mutation = mutate(shipped, report)
    policies = sum(line.ptype == "p" for line in shipped.lines)
    edges = len(shipped.lines) - policies
    assert mutation.lines.total == 2 * policies + edges  # each dropped, each p flipped
    assert mutation.lines.percent >= 95, mutation.lines.survivors
    assert mutation.scopes.percent >= 95, mutation.scopes.survivors


def test_there_is_a_suite_for_each_default_role(shipped: Enforcer) -> None:
    names = {Path(suite.file).stem for suite in read_tests(POLICIES, shipped)}
    roles = {"root", "container", "node", "viewer", "researcher", "org_admin", "collab_admin"}
    assert names >= {*roles, "everyone"}


def test_an_instance_gets_the_tests_with_the_policies(tmp_path: Path) -> None:
    install_policies(tmp_path / "fresh")
    assert failures(tmp_path / "fresh") == []
    assert len(run_folder(tmp_path / "fresh").outcomes) > 500


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("p, role:researcher, task, organization, create, True, allow", ""),
        ("p, role:viewer, task,          organization,  view", "p, role:viewer, task, global, view"),
        ("g, kind:node,      role:node", "g, kind:node, role:viewer"),
        ("r.obj.org == r.sub.org, allow", "r.obj.org == r.sub.org && r.obj.run == 1, allow"),
        ("!(r.sub.org in r.obj.orgs), deny", "!(r.sub.org in r.obj.orgs) && r.obj.run == 1, deny"),
        ("r.obj.run != r.sub.run, deny", "r.obj.run == r.sub.run, deny"),
    ],
)  # fmt: skip
def test_a_policy_that_is_changed_fails_the_shipped_tests(
    tmp_path: Path, old: str, new: str
) -> None:
    shutil.copytree(POLICIES, tmp_path / "changed")
    edit(tmp_path / "changed", old, new)
    found = [*map(str, failures(tmp_path / "changed"))]
    assert found
    assert all(text.startswith("tests/") for text in found)
    assert all("expected" in text for text in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r.obj.org == r.sub.org, allow", "True, allow"),
        ("!(r.sub.org in r.obj.orgs), deny", "!(r.sub.org in r.obj.orgs), allow"),
    ],
)
def test_a_policy_that_lets_strangers_in_is_not_even_tested(
    tmp_path: Path, old: str, new: str
) -> None:
    shutil.copytree(POLICIES, tmp_path / "changed")
    edit(tmp_path / "changed", old, new)
    found = [*map(str, failures(tmp_path / "changed"))]
    assert found
    assert all("without a role" in text for text in found)


def test_a_changed_model_fails_the_shipped_tests(tmp_path: Path) -> None:
    """`organization` as the initiating organization only, as in later versions of the protocol."""
    shutil.copytree(POLICIES, tmp_path / "changed")
    path = tmp_path / "changed" / "model.conf"
    text = path.read_text()
    assert "r.sub.org in r.obj.orgs" in text
    path.write_text(text.replace("r.sub.org in r.obj.orgs", "r.sub.org == r.obj.org"))
    assert any("tests/researcher.yaml" in str(one) for one in failures(tmp_path / "changed"))


# --- what can be written


TABLES = {
    "principal: researcher, operations": "\n    operations: [view, create]\n    ours: [allow, allow]\n    theirs: [deny, deny]",
    "principal: researcher, rows": "\n    rows: [ours, theirs]\n    view: [allow, deny]\n    create: [allow, deny]",
    "operation: create, principals": "\n    principals: [researcher, viewer]\n    ours: [allow, deny]\n    theirs: [deny, deny]",
    "operation: create, rows": "\n    rows: [ours, theirs]\n    researcher: [allow, deny]\n    viewer: [deny, deny]",
    "row: ours, operations": "\n    operations: [view, create]\n    researcher: [allow, allow]\n    viewer: [allow, deny]",
    "row: ours, principals": "\n    principals: [researcher, viewer]\n    view: [allow, allow]\n    create: [allow, deny]",
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_fixes_one_part_and_spreads_the_other_two(folder: Path, kind: str) -> None:
    fixed = kind.partition(",")[0]
    write(folder, f"{GOOD}tables:\n  - {fixed}{TABLES[kind]}\n")
    report = run_folder(folder)
    assert len(report.outcomes) == 5
    assert report.failed == ()
    # Each cell is a case: turn one around and that one fails, at its own place.
    lines = (folder / "tests" / "a.yaml").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith("deny]"))
    lines[at] = lines[at].replace("deny]", "allow]")
    write(folder, "\n".join(lines))
    [wrong] = run_folder(folder).failed
    assert wrong.case.origin == f"tests/a.yaml:{at + 1}:{lines[at].rindex('allow') + 1}"


def test_rows_rooms_and_changes(folder: Path) -> None:
    write(
        folder,
        GOOD
        + """\
  - {name: inline, principal: researcher, operation: create, row: {like: ours, orgs: [4]}, effect: deny}
  - {name: whole, principal: researcher, operation: view, row: {resource: task}, effect: deny}
  - {name: room, principal: viewer, operation: view, row: room, effect: allow}
  - {name: all of it, principal: viewer, operation: view, row: {room: {collab: 1}}, effect: deny}
  - {name: event, principal: viewer, operation: view, row: {like: ours, resource: event}, effect: allow}
  - {name: mail, principal: viewer, operation: edit, row: {resource: user, id: 8}, changes: [email], effect: allow}
  - {name: roles, principal: viewer, operation: edit, row: {resource: user, id: 8}, changes: [roles], effect: deny}
  - {name: hand out, principal: researcher, rule: task organization create, effect: allow}
  - {name: keep, principal: viewer, rule: task organization create, effect: deny}
""",
    )
    found = outcomes(folder)
    assert len(found) == 10
    assert all(passed for _, passed in found.values()), found


def test_a_test_may_name_the_line_that_decides(folder: Path) -> None:
    case = "  - {{name: {}, principal: viewer, operation: {}, row: {}, effect: {}, because: {}}}\n"
    account = "{resource: user, id: 8}"
    write(
        folder,
        GOOD
        + case.format("right", "view", "ours", "allow", '"role:viewer, task, organization"')
        + case.format("wrong", "view", "ours", "allow", '"role:everyone"')
        + case.format("no grant", "create", "ours", "deny", "null")
        + case.format("not a denial", "create", "ours", "deny", '"role:viewer"')
        + case.format("not without", "view", account, "allow", "null"),
    )
    passed = {name: good for name, (_, good) in outcomes(folder).items()}
    assert [passed[n] for n in ("right", "wrong", "no grant", "not a denial", "not without")] == [
        True, False, True, False, False,
    ]  # fmt: skip
    assert any("not because of: role:everyone" in str(one) for one in failures(folder))


def test_lines_that_are_limited_in_time_are_asked_at_the_clock_of_the_test(folder: Path) -> None:
    add_line(
        folder,
        "p, role:viewer, task, global, view, True, allow, valid_from=2026-03-01, valid_until=2026-03-31",
    )
    case = "  - {{name: {0}, principal: viewer, operation: view, row: theirs, effect: deny{1}}}\n"
    moments = ("2026-02-28T23:59:59Z", "2026-03-01", "2026-03-31T23:59:59Z", "2026-04-01")
    write(
        folder,
        GOOD
        + case.format("of the suite", "")
        + "".join(case.format(f'"{at}"', f", clock: {at}") for at in moments)
        + "tables:\n  - operation: view\n    clock: 2026-03-15T10:00+02:00\n    rows: [theirs]\n    viewer: [allow]\n",
    )
    found = {name: effect for name, (effect, _) in outcomes(folder).items()}
    assert found["of the suite"] is Effect.DENY
    assert [found[at] for at in moments] == [Effect.DENY, Effect.ALLOW, Effect.ALLOW, Effect.DENY]
    assert found["viewer, view theirs"] is Effect.ALLOW


def test_without_a_clock_it_is_now(folder: Path) -> None:
    add_line(
        folder, "p, role:viewer, task, global, view, True, allow, valid_until=2001-01-01"
    )  # fmt: skip
    late = "  - {principal: viewer, operation: view, row: theirs, effect: deny}\n"
    write(folder, GOOD.replace("clock: 2026-06-01\n", "") + late)
    assert failures(folder) == []


def test_a_condition_that_fails_fails_the_test(folder: Path) -> None:
    """A broken condition denies; a test that expects a denial must not pass because of it."""
    denied = "  - {principal: viewer, operation: edit, row: ours, effect: deny}\n"
    write(folder, GOOD + denied)
    enforcer = build(folder)
    cases = read_cases(folder, enforcer)
    assert run(enforcer, cases).failed == ()
    # Such a line does not get through `build` any more; the tests would notice it all the same.
    broken = Line(
        "p", ("role:viewer", "task", "global", "edit", "timeMatch('never', 'ever')", "allow"), "x:1"
    )
    [found] = run(Enforcer(enforcer.definition, [*enforcer.lines, broken], 0), cases).failed
    assert "the decision failed: ValueError" in found.mismatch


# --- what is refused


BAD: dict[str, tuple[str, str, str]] = {
    # what is replaced, by what, problem
    "not yaml": ("suite: Tasks", "suite: [", "3:11: is not YAML"),
    "a tab": ("suite: Tasks", "\tsuite: Tasks", "1:1: is not YAML"),
    "a list": (GOOD, "- a\n", "1:1: names with values expected"),
    "nothing": (GOOD, "# nothing\n", "1:1: the file is empty"),
    "two documents": ("rows:", "---\nrows:", "6:1: is not YAML: one document expected"),
    "no name": ("suite: Tasks\n", "", "1:1: suite is missing"),
    "unknown part": ("rows:", "rowz:", "6:1: a suite has no 'rowz', did you mean rows?"),
    "given twice": ("  viewer:", "  researcher:", "5:3: 'researcher' is given twice"),
    "a clock that is none": ("2026-06-01", "tomorrow", "2:8: 'tomorrow' is no date or time"),
    "no test": (GOOD[GOOD.index("tests:") :], "tests: []\n", "1:1: the suite has no test"),
    "null tests": (GOOD[GOOD.index("tests:") :], "tests:\n", "10:7: a list expected"),
    "no test part": (GOOD[GOOD.index("tests:") :], "", "1:1: the suite has no test"),
    "unknown kind": ("{id: 7", "{kind: users, id: 7", "4:22: unknown kind 'users', did you mean user?"),
    "unknown key of a principal": ("org: 3, collabs: [1], roles: [r", "orgs: 3, collabs: [1], roles: [r", "4:23: a user has no 'orgs', did you mean org?"),
    "a key of another kind": ("{id: 7", "{run: 2, id: 7", "4:16: a user has no 'run'"),
    "principal without id": ("{id: 7, ", "{", "4:15: id is missing"),
    "container without task": ("{id: 7, org: 3, collabs: [1], roles: [researcher]}", "{kind: container, node: 3}", "4:15: task is missing"),
    "unknown role": ("[researcher]", "[reseacher]", "4:53: no line speaks of role:reseacher, did you mean researcher?"),
    "unknown role of the database": ("[researcher]", "[12]", "4:53: no line speaks of role:12"),
    "a number that is none": ("id: 7", "id: seven", "4:20: a number expected"),
    "a number too small": ("id: 7", "id: 0", "4:20: a number expected"),
    "a list that is none": ("collabs: [1], roles: [r", "collabs: 1, roles: [r", "4:40: a list expected"),
    "a name that is a word": ("  viewer:", "  operation:", "5:3: 'operation' is a word of this format"),
    "row without resource": ("resource: task, ", "", "7:9: resource is missing"),
    "unknown resource": ("resource: task", "resource: taks", "7:20: unknown resource 'taks', did you mean task?"),
    "unknown fact": ("{like: ours, org: 4", "{like: ours, imge: x", "8:24: task has no fact 'imge', did you mean image?"),
    "a fact of another resource": ("{like: ours, org: 4", "{like: ours, country: NL", "8:24: task has no fact 'country'"),
    "a fact of the wrong type": ("org: 4", "org: four", "8:29: a number expected"),
    "a set of the wrong type": ("orgs: [4]", "orgs: [x]", "8:39: a number expected"),
    "an owner of the wrong kind": ("org: 4", 'owners: ["node:3"]', "8:33: 'node:3' is not user:<id>"),
    "members where there are none": ("resource: task, id: 40, org: 3, orgs: [3, 4]", "resource: collaboration, id: 40, owner_orgs: [3], orgs: [3, 4]", "7:55: collaboration.owner_orgs is empty for every row"),
    "like what is not there": ("{like: ours", "{like: our", "8:18: there is no row 'our', did you mean ours?"),
    "like itself": ("{like: ours", "{like: theirs", "8:18: there is no row 'theirs'"),
    "like a room": ("{room: {collab: 1, org: 3}}\n", "{room: {collab: 1, org: 3}}\n  x: {like: room}\n", "10:13: a room is not like any row"),
    "a room without collaboration": ("collab: 1, org: 3}}", "org: 3}}", "9:16: collab is missing"),
    "a room with facts": ("{room: {collab: 1, org: 3}}", "{room: {collab: 1}, id: 3}", "9:29: a room has no 'id'"),
    "unknown principal": ("principal: researcher", "principal: reseacher", "11:17: there is no principal 'reseacher', did you mean researcher?"),
    "unknown row": ("row: ours", "row: yours", "11:53: there is no row 'yours', did you mean ours?"),
    "unknown operation": ("create", "creat", "11:40: unknown operation 'creat', did you mean create?"),
    "unknown effect": ("effect: allow", "effect: Allow", "11:67: unknown effect 'Allow', did you mean allow?"),
    "unknown key of a test": ("effect:", "efect:", "11:59: a test has no 'efect', did you mean effect?"),
    "no effect": (", effect: allow", "", "11:5: effect is missing"),
    "no row": (", row: ours", "", "11:5: row is missing"),
    "rule and row": ("operation: create, ", "rule: task own view, ", "11:5: a rule that is handed out has no row"),
    "a rule that is none": ("operation: create, row: ours", "rule: task view", "11:35: a rule is written: resource scope operation"),
    "a rule of unknown words": ("operation: create, row: ours", "rule: task organisation view", "11:35: unknown scope 'organisation', did you mean organization?"),
}  # fmt: skip

TABLE = "tables:\n  - operation: view\n    rows: [ours, theirs]\n    viewer: [allow, deny]\n"

BAD_TABLES: dict[str, tuple[str, str, str]] = {
    "too few effects": ("[allow, deny]", "[allow]", "15:13: 1 effects for 2 columns"),
    "unknown line": ("    viewer:", "    vewer:", "15:5: there is no principal 'vewer', did you mean viewer?"),
    "a mistyped word of the format": ("    viewer:", "    change: [ip]\n    viewer:", "15:5: there is no principal 'change', did you mean changes?"),
    "unknown column": ("[ours, ", "[yours, ", "14:12: there is no row 'yours'"),
    "unknown effect": ("[allow, deny]", "[allow, denied]", "15:21: unknown effect 'denied', did you mean deny?"),
    "no line": ("    viewer: [allow, deny]\n", "", "13:5: the table has no line: the lines are principals"),
    "no column": ("[ours, theirs]", "[]", "14:11: the table has no column"),
    "nothing fixed": ("- operation: view\n    rows", "- rows", "13:5: a table needs one of"),
    "two fixed": ("operation: view", "operation: view\n    principal: viewer", "13:5: a table needs one of"),
    "two ways of columns": ("    rows:", "    principals: [viewer]\n    rows:", "13:5: a table needs one of"),
    "a line of no list": ("[allow, deny]", "allow", "15:13: a list expected"),
    "a line given twice": ("    viewer: [allow, deny]\n", "    viewer: [allow, deny]\n    viewer: [allow, deny]\n", "16:5: 'viewer' is given twice"),
    "rules with changes": ("operation: view\n    rows: [ours, theirs]", "rules: [task own view, task own edit]\n    changes: [ip]", "a rule that is handed out has no row"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_the_place(folder: Path, name: str) -> None:
    old, new, problem = BAD[name]
    assert old in GOOD
    write(folder, GOOD.replace(old, new, 1))
    with pytest.raises(PolicyError) as refused:
        run_folder(folder)
    [found] = map(str, refused.value.problems)
    assert found.startswith(f"tests/a.yaml:{problem}")


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_with_the_place(folder: Path, name: str) -> None:
    old, new, problem = BAD_TABLES[name]
    assert old in TABLE
    write(folder, GOOD + TABLE.replace(old, new, 1))
    with pytest.raises(PolicyError) as refused:
        run_folder(folder)
    [found] = map(str, refused.value.problems)
    assert found.startswith("tests/a.yaml:")
    assert problem in found


def test_all_problems_are_told_and_none_twice(folder: Path) -> None:
    text = GOOD.replace("[researcher]", "[nobody]").replace("collab: 1", "collab: x")
    write(folder, text + "  - {principal: researcher, operation: fly, row: ours, effect: deny}\n")
    (folder / "tests" / "b.yaml").write_text("suite: B\n")
    with pytest.raises(PolicyError) as refused:
        run_folder(folder)
    found = [problem.origin for problem in refused.value.problems]
    # The principal that could not be read is no unknown principal further down.
    assert found == ["tests/a.yaml:4:53", "tests/a.yaml:9:25", "tests/b.yaml:1:1"]


def test_a_file_that_would_be_passed_over_is_refused(folder: Path) -> None:
    (folder / "tests" / "b.yml").write_text(GOOD)
    with pytest.raises(PolicyError, match=r"tests/b.yml: would not be read: call it .yaml"):
        run_folder(folder)


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "tests" / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match=r"tests/b.yaml: cannot be read"):
        run_folder(folder)


def test_a_folder_without_tests_has_no_failures_and_cannot_be_run(folder: Path) -> None:
    (folder / "tests" / "a.yaml").unlink()
    assert failures(folder) == []
    with pytest.raises(PolicyError, match="there are no tests"):
        run_folder(folder)


# --- coverage and mutation


def test_what_is_not_tested_is_listed(folder: Path) -> None:
    enforcer = build(folder)
    report = run(enforcer, read_cases(folder, enforcer))
    covered = {line.origin for line in enforcer.lines}
    covered -= {line.origin for line in coverage(enforcer, report).uncovered}
    text = (folder / "default_roles.csv").read_text().splitlines()
    said = sorted(text[int(origin.rpartition(":")[2]) - 1] for origin in covered)
    assert said == ["p, role:researcher, task, organization, create, True, allow"]
    mutation = mutate(enforcer, report)
    assert mutation.lines.killed == 2  # the same line dropped and flipped
    noticed = {mutant.line.origin for mutant in mutants(enforcer)} - {
        mutant.line.origin for mutant in mutation.lines.survivors
    }
    # The denial of tasks elsewhere is not reached: turned around, it would let the test pass.
    assert noticed == covered


def test_an_edge_is_covered_by_what_only_it_brings(folder: Path) -> None:
    view = "  - {principal: researcher, operation: view, row: ours, effect: allow}\n"
    write(folder, GOOD + view)
    enforcer = build(folder)
    report = run(enforcer, read_cases(folder, enforcer))
    uncovered = {str(line) for line in coverage(enforcer, report).uncovered}
    assert "g, role:researcher, role:viewer" not in uncovered
    assert "g, role:org_admin, role:researcher" in uncovered
    survivors = {str(mutant) for mutant in mutate(enforcer, report).lines.survivors}
    assert "drop g, role:researcher, role:viewer" not in survivors
    assert "drop g, role:org_admin, role:researcher" in survivors


MODELS_TO_MUTATE = {
    "as shipped": (),
    "without denials": (" && !some(where (p.eft == deny))", ""),
    "found by scope": (
        "(p.scope == r2.rule.scope || g2(p.scope, r2.rule.scope))",
        "p.scope == r2.rule.scope",
    ),
}


@pytest.mark.parametrize("model", MODELS_TO_MUTATE)
def test_a_change_is_noticed_exactly_when_some_test_fails(folder: Path, model: str) -> None:
    """The score leaves out cases that cannot matter; asking all of them says the same."""
    if MODELS_TO_MUTATE[model]:
        path = folder / "model.conf"
        old, new = MODELS_TO_MUTATE[model]
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    write(
        folder,
        GOOD
        + """\
  - {principal: viewer, operation: view, row: ours, effect: allow}
  - {principal: researcher, operation: delete, row: theirs, effect: deny}
  - {principal: researcher, operation: edit, row: {resource: user, id: 7}, changes: [roles], effect: deny}
  - {principal: machine, operation: create, row: ours, effect: deny}
  - {principal: machine, operation: edit, row: {resource: result, org: 3, collabs: [1]}, effect: allow}
  - {principal: viewer, rule: user organization view, effect: allow}
  - {principal: viewer, rule: task collaboration view, effect: deny}
  - {principal: viewer, rule: user global edit, effect: deny}
""",
    )
    text = (folder / "tests" / "a.yaml").read_text()
    write(
        folder,
        text.replace("rows:", "  machine: {kind: node, id: 30, org: 3, collabs: [1]}\nrows:"),
    )
    enforcer = build(folder)
    report = run(enforcer, read_cases(folder, enforcer))
    cases = [one.case for one in report.outcomes if one.passed]
    assert len(cases) > 6
    alive = set()
    for mutant in mutants(enforcer):
        lines = [mutant.changed if line is mutant.line else line for line in enforcer.lines]
        kept = [line for line in lines if line is not None]
        changed = Enforcer(enforcer.definition, kept, 0)
        if all(one.passed for one in run(changed, cases).outcomes):
            alive.add(mutant)
    found = mutate(enforcer, report)
    assert {*found.lines.survivors, *found.scopes.survivors} == alive
    assert 5 < found.lines.killed < found.lines.total


# --- the command


@pytest.fixture
def policy_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    from v6srv.cli.main import cli

    monkeypatch.setenv("V6SRV_INSTANCE", str(tmp_path / "instance"))

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["policy", "test", *map(str, arguments)])

    return invoke


def test_the_command_says_when_all_is_well(
    folder: Path, policy_test: Callable[..., Result]
) -> None:
    done = policy_test(folder)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("1 tests, none failed")


def test_a_failure_shows_what_was_expected_and_every_line_considered(
    folder: Path, policy_test: Callable[..., Result]
) -> None:
    write(folder, GOOD + "  - {principal: viewer, operation: view, row: theirs, effect: allow}\n")
    done = policy_test(folder)
    assert done.exit_code == 1
    line = next(
        number
        for number, text in enumerate((folder / "default_roles.csv").read_text().splitlines(), 1)
        if text.startswith("p, role:viewer, task,")
    )
    assert done.stdout.splitlines() == [
        "FAILED tests/a.yaml:12:5  Tasks: viewer, view theirs",
        "  expected allow, found deny",
        f"  default_roles.csv:{line}  allow, did not match: p, role:viewer, task, organization, view, True, allow",
        "      it asks: r.sub.org in r.obj.orgs",
        f"2 tests, 1 failed (policy {build(folder).version})",
    ]


def test_the_command_as_json(folder: Path, policy_test: Callable[..., Result]) -> None:
    write(folder, GOOD + "  - {principal: viewer, operation: view, row: theirs, effect: allow}\n")
    done = policy_test(folder, "--format", "json", "--coverage", "--mutate")
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert (data["passed"], data["failed"]) == (1, 1)
    good, bad = data["tests"]
    assert good["passed"]
    assert not bad["passed"]
    assert (bad["origin"], bad["expected"], bad["found"]) == ("tests/a.yaml:12:5", "allow", "deny")
    [line] = bad["lines"]
    assert not line["matched"]
    assert line["asks"] == "r.sub.org in r.obj.orgs"
    assert 0 < data["coverage"]["percent"] < 10
    assert len(data["coverage"]["uncovered"]) == data["coverage"]["lines"] - 1
    survivors = data["mutation"]["survivors"]
    assert len(survivors) == data["mutation"]["mutants"] - 2
    assert {"change", "origin", "line"} == set(survivors[0])


def test_the_command_as_junit(folder: Path, policy_test: Callable[..., Result]) -> None:
    write(
        folder,
        GOOD
        + '  - {name: "<&\\u0001", principal: viewer, operation: view, row: theirs, effect: allow}\n',
    )
    done = policy_test(folder, "--format", "junit", "--min-coverage", "50")
    assert done.exit_code == 1
    tests, thresholds = ET.fromstring(done.stdout)
    assert (tests.get("name"), tests.get("tests"), tests.get("failures")) == ("Tasks", "2", "1")
    good, bad = tests
    assert (good.get("file"), good.get("line")) == ("tests/a.yaml", "11")
    assert good.find("failure") is None
    assert bad.get("name") == "<&?"
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "expected allow, found deny"
    assert "default_roles.csv:" in (failure.text or "")
    assert thresholds.get("failures") == "1"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--min-coverage", "0.5"), 0),
        (("--min-coverage", "2"), 1),
        (("--min-mutation", "0.5"), 0),
        (("--min-mutation", "2"), 1),
        (("--min-mutation", "101"), 2),
        (("-k", "RESEARCHER*ours"), 0),
        (("-k", "tasks: "), 0),
        (("-k", "nowhere"), 2),
        (("--format", "xml"), 2),
    ],
)
def test_exit_codes(
    folder: Path, policy_test: Callable[..., Result], options: tuple[str, ...], code: int
) -> None:
    assert policy_test(folder, *options).exit_code == code


def test_what_cannot_be_run_ends_with_2_and_its_place(
    folder: Path, policy_test: Callable[..., Result]
) -> None:
    write(folder, GOOD.replace("effect: allow", "effect: yes"))
    done = policy_test(folder)
    assert done.exit_code == 2
    assert "tests/a.yaml:11:67: unknown effect 'yes'" in done.stderr
    write(folder, GOOD)
    edit(folder, "role:researcher, task, organization", "role:researcher, task, organisation")
    done = policy_test(folder)
    assert done.exit_code == 2
    assert "did you mean organization?" in done.stderr
    assert policy_test(folder / "nowhere").exit_code == 2


def test_only_the_tests_that_are_chosen_are_run(
    folder: Path, policy_test: Callable[..., Result]
) -> None:
    write(folder, GOOD + "  - {principal: viewer, operation: view, row: theirs, effect: allow}\n")
    assert policy_test(folder).exit_code == 1
    assert policy_test(folder, "-k", "create").exit_code == 0


def test_without_a_folder_it_is_that_of_the_instance(
    tmp_path: Path, policy_test: Callable[..., Result]
) -> None:
    install_policies(tmp_path / "instance" / "policies")
    done = policy_test("-k", "Researcher: ")
    assert done.exit_code == 0, done.output
    assert "none failed" in done.stdout


# --- hypothetical rows are what real rows would be


def test_what_follows_from_given_facts_is_so_for_real_rows(app: Flask, world: World) -> None:
    """A row that is described without what follows has the facts of the real row."""
    from v6srv.authz.facts import facts_of
    from v6srv.authz.row_facts import row_facts

    follows = {
        Resource.ORGANIZATION: {"org", "orgs"},
        Resource.COLLABORATION: {"collabs"},
        Resource.USER: {"orgs", "owners"},
        Resource.NODE: {"orgs", "owners"},
        Resource.ROLE: {"orgs"},
    }
    ids = {
        Resource.ORGANIZATION: world.org,
        Resource.COLLABORATION: world.collab,
        Resource.USER: world.user,
        Resource.NODE: world.node,
        Resource.ROLE: world.role,
    }
    with app.app_context():
        for resource, left_out in follows.items():
            known = row_facts(MODELS[resource], list(vars(ids[resource]).values()), resource)
            assert known
            for facts in known.values():
                if resource is Resource.ROLE and facts.org is None:
                    continue  # a default role, which is in every organization there is
                given = {n: v for n, v in vars(facts).items() if n not in {*left_out, "type"}}
                assert hypothetical_row(resource, given) == facts
                assert facts_of(resource).keys() == vars(facts).keys() - {"type"}


def test_a_hypothetical_row_is_decided_as_the_same_row_in_the_database(
    app: Flask, world: World, tmp_path: Path
) -> None:
    from v6srv.api.guard import authorizer
    from v6srv.db import session
    from v6srv.identity.principals import named
    from v6srv.model import Organization, Port, Result, Task, User

    org, collab = world.org, world.collab
    registry = f"orgs: [{org.north}, {org.south}], collabs: [{collab.registry}]"
    trial = f"orgs: [{org.south}, {org.west}], collabs: [{collab.trial}]"
    run_of = {}
    with app.app_context():
        for name in ("running", "waiting"):
            run_of[name] = session.get_one(Task, getattr(world.task, name)).run_id
    home = f"org: {org.north}, collabs: [{collab.registry}]"
    principals = {
        "researcher": (f"user:{world.user.researcher}", f"{{id: {world.user.researcher}, {home}, roles: [researcher]}}"),
        "admin": (f"user:{world.user.org_admin}", f"{{id: {world.user.org_admin}, {home}, roles: [org_admin]}}"),
        "boss": (f"user:{world.user.second_root}", f"{{id: {world.user.second_root}, {home}, roles: [root]}}"),
        "machine": (f"node:{world.node.north_registry}", f"{{kind: node, id: {world.node.north_registry}, {home}}}"),
        "algorithm": (
            f"container:{world.task.running}",
            f"{{kind: container, node: {world.node.north_registry}, {home}, task: {world.task.running}, run: {run_of['running']}, image: '{IMAGE}'}}",
        ),
    }  # fmt: skip
    owner = f'owners: ["user:{world.user.researcher}"]'
    rows = {
        "running task": (Task, world.task.running, f"{{resource: task, id: {world.task.running}, {owner}, org: {org.north}, {registry}, run: {run_of['running']}, image: '{IMAGE}'}}"),
        "subtask": (Task, world.task.subtask, f"{{like: running task, id: {world.task.subtask}, parent: {world.task.running}}}"),
        "foreign task": (Task, world.task.waiting, f"{{like: running task, id: {world.task.waiting}, owners: [], org: {org.south}, {trial}, run: {run_of['waiting']}}}"),
        "north result": (Result, world.result["running", "north"], f"{{resource: result, org: {org.north}, {registry}, run: {run_of['running']}}}"),
        "south result": (Result, world.result["running", "south"], f"{{like: north result, org: {org.south}}}"),
        "first port": (Port, world.port["first"], f"{{resource: port, org: {org.north}, {registry}, run: {run_of['running']}}}"),
        "third port": (Port, world.port["trial"], f"{{resource: port, org: {org.west}, {trial}, run: {run_of['waiting']}}}"),
        "north": (Organization, org.north, f"{{resource: organization, id: {org.north}, collabs: [{collab.registry}]}}"),
        "west": (Organization, org.west, f"{{resource: organization, id: {org.west}, collabs: [{collab.trial}, {collab.nothing}]}}"),
        "researcher's account": (User, world.user.researcher, f"{{resource: user, id: {world.user.researcher}, {home}}}"),
        "west user": (User, world.user.west_researcher, f"{{resource: user, id: {world.user.west_researcher}, org: {org.west}, collabs: [{collab.trial}, {collab.nothing}]}}"),
    }  # fmt: skip
    text = ["suite: World", "principals:"]
    text += [f"  {name}: {described}" for name, (_, described) in principals.items()]
    text += ["rows:", *(f"  {name}: {described}" for name, (_, _, described) in rows.items())]
    text.append("tables:")
    expected: dict[str, Effect] = {}
    with app.app_context():
        authz = authorizer()
        for name, (subject, _) in principals.items():
            who = named(subject).principal
            text += [f"  - principal: {name}", f"    operations: [{', '.join(Operation)}]"]
            for row_name, (model, id, _) in rows.items():
                resource = next(r for r, m in MODELS.items() if m is model)
                row = session.get_one(model, id)
                effects = [
                    Effect.ALLOW if authz.decide(who, resource, operation, row).allowed else Effect.DENY
                    for operation in Operation
                ]  # fmt: skip
                text.append(f"    {row_name}: [{', '.join(effects)}]")
                for operation, effect in zip(Operation, effects, strict=True):
                    expected[f"{name}, {operation} {row_name}"] = effect
    shutil.copytree(POLICIES, tmp_path / "policies", ignore=shutil.ignore_patterns("tests"))
    (tmp_path / "policies" / "tests").mkdir()
    write(tmp_path / "policies", "\n".join(text))
    found = {name: effect for name, (effect, _) in outcomes(tmp_path / "policies").items()}
    assert found == expected
    assert len(found) == 5 * 11 * 4
    assert 50 < sum(effect is Effect.ALLOW for effect in found.values()) < 150
