"""Lint finds every fault of a corpus at its character, and nothing in good policies."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, insert

from tests.examples import examples
from tests.policy.faults import FAULTS, Fault
from tests.policy.good import GOOD, MODELS
from v6srv import migrations
from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer, Thing
from v6srv.authz.source import folder, lines
from v6srv.authz.source.codes import CODES, UNREADABLE_FILE, Severity
from v6srv.authz.source.load import build, read_folder
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.authz.theory.knowledge import stranger
from v6srv.cli.main import cli
from v6srv.model import CasbinRule
from v6srv.policy.lint.folder import lint
from v6srv.vocabulary import Operation, Resource

POLICIES = Path(__file__).parents[2] / "policies"
TODAY = clock.read("2026-11-24 12:00:00")
MARK = "§"


def make(folder: Path, lines: str = "", model: tuple[tuple[str, str], ...] = ()) -> list[str]:
    """Write a folder without the marks; the places of the marks as `file:line:column`."""
    text = (POLICIES / "model.conf").read_text()
    for old, new in model:
        assert old in text, old
        text = text.replace(old, new, 1)
    (folder / "default_roles.csv").write_text((POLICIES / "default_roles.csv").read_text())
    places = []
    for name, marked in (("extra.csv", lines), ("model.conf", text)):
        (folder / name).write_text(marked.replace(MARK, ""), encoding="utf-8")
        places += [
            f"{name}:{number}:{index - row[:index].count(MARK) + 1}"
            for number, row in enumerate(marked.split("\n"), 1)
            for index, char in enumerate(row)
            if char == MARK
        ]
    return places


def resolved(folder: Path, finding: str) -> str:
    """A finding with the place where its text is."""
    place, tilde, text = finding.partition("~")
    if not tilde:
        return finding
    code, name = place.split()
    before = (folder / name).read_text().partition(text)[0].split("\n")
    column = "" if text.startswith("[") else f":{len(before[-1]) + 1}"
    return f"{code} {name}:{len(before)}{column}"


def found(folder: Path) -> list[Problem]:
    with clock.stopped(TODAY):
        return lint(folder)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_found_where_it_is(tmp_path: Path, fault: Fault) -> None:
    """Its code, file, line and column, and nothing else; and errors do not go live."""
    places = make(tmp_path, fault.lines, fault.model)
    expected = [*map(" ".join, zip(fault.codes.split(), places, strict=True))]
    expected += [resolved(tmp_path, finding) for finding in fault.elsewhere]
    notes = "other-than-casbin" in fault.codes
    problems = [p for p in found(tmp_path) if notes or p.code.severity is not Severity.NOTE]
    findings = sorted(f"{p.code} {p.origin}" for p in problems)
    if fault.alone:
        assert findings == sorted(expected), problems
    else:
        assert set(expected) <= set(findings), problems
    if fault.meant is not None:
        [first] = [p for p in problems if p.origin == places[0]]
        assert first.suggestion == fault.meant
    refused = _refused(tmp_path)
    assert refused <= {p for p in problems if p.is_error}
    assert bool(refused) is any(p.is_error for p in problems)


def _refused(folder: Path) -> set[Problem]:
    """What keeps the folder from going live."""
    with clock.stopped(TODAY):
        try:
            build(folder)
        except PolicyError as error:
            return set(error.problems)
    return set()


def test_the_corpus_is_large_and_shows_every_code() -> None:
    assert len(FAULTS) >= 60
    shown = {code for fault in FAULTS for code in fault.codes.split()}
    shown |= {place.split()[0] for fault in FAULTS for place in fault.elsewhere}
    elsewhere = {"unreadable-file", "unread-file", "unknown-subject", "invalid"}
    elsewhere |= {"slow-check", "tests-fail"}  # tests/policy/test_follower.py
    assert shown | elsewhere == set(CODES)


def test_the_shipped_policies_are_clean() -> None:
    assert found(POLICIES) == []


def test_there_are_many_good_policies() -> None:
    assert len(GOOD) + len(MODELS) >= 30


@pytest.mark.parametrize("lines", GOOD)
def test_nothing_is_said_of_good_lines(tmp_path: Path, lines: str) -> None:
    make(tmp_path, lines)
    with clock.stopped(TODAY):
        assert [p for p in lint(tmp_path) if p.code.severity is not Severity.NOTE] == []
        build(tmp_path)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_nothing_is_said_of_good_models(tmp_path: Path, model: tuple[tuple[str, str], ...]) -> None:
    make(tmp_path, model=model)
    assert found(tmp_path) == []
    build(tmp_path)


def test_line_ends_of_another_system_move_nothing(tmp_path: Path) -> None:
    make(tmp_path, "# note\n\np, role:viewer, tsak, own, view, True, allow\n")
    for name in ("extra.csv", "model.conf", "default_roles.csv"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [p.origin for p in found(tmp_path)] == ["extra.csv:3:17"]


def test_one_error_does_not_hide_the_others(tmp_path: Path) -> None:
    places = make(
        tmp_path,
        "p, role:viewer, §tsak, §ow, view, §r.obj.x == 1, allow\n"
        "p, role:viewer, task, own, view, §(\n"
        "p, kind:user, *, global, §veiw, True, deny\n"
        "g, user:5, §role:rooot\n"
        "§p, role:root, task, global, delete, True, deny\n"
        "p, role:viewer, task, §organisation, view, True, allow, valid_until=2031-01-01\n",
    )
    assert [p.origin for p in found(tmp_path)] == places
    model = (("e = some", "e = §any"), ("r.sub.org ==", "§r.sub.orgs =="))
    *lines, effect, matcher = make(tmp_path, "p, role:viewer, §tsak, own, view, §x, allow", model)
    assert [p.origin for p in found(tmp_path)] == [*lines, effect, matcher]


_SCRAPS = (
    "p",
    "*",
    "role:viewer",
    "user:5",
    "True",
    "deny",
    "r.obj.org",
    "==",
    "&&",
    "!",
    "(",
    ")",
)
_SCRAPS += (
    "'",
    "#",
    "\\",
    "\n",
    ",",
    "[",
    "]",
    "=",
    "None",
    "eval(p.cond)",
    "\u00a0",
    "m3 = True\n",
)


@pytest.mark.parametrize("seed", range(examples(15)))
def test_whatever_is_written_lint_and_publication_agree(tmp_path: Path, seed: int) -> None:
    """Lint never fails; it finds an error exactly where something keeps the policy from going live."""
    chance = random.Random(seed)
    make(tmp_path)
    path = tmp_path / chance.choice(("default_roles.csv", "model.conf"))
    text = path.read_text()
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text))
        end = start + chance.choice((0, 0, 1, 5, 30))
        text = text[:start] + chance.choice(("", *_SCRAPS)) + text[end:]
    path.write_text(text, encoding="utf-8")
    errors = {problem for problem in found(tmp_path) if problem.is_error}
    refused = _refused(tmp_path)
    assert refused <= errors
    assert bool(refused) is bool(errors)
    for problem in errors:
        rows = (tmp_path / problem.file).read_text().split("\n") if problem.file else []
        assert problem.line <= len(rows)
        assert problem.column <= len(rows[problem.line - 1] if problem.line else "") + 1


@pytest.mark.parametrize(
    ("name", "content", "places", "message"),
    [
        ("extra.csv", b"p, role:\xff", ["1:9"], "the byte ff is no UTF-8"),
        (
            "extra.csv",
            "# ä\n# für Prüfer\n# ok\n\ng, role:é, x\n".encode("cp1252"),
            ["1:3", "2:4", "5:9"],
            "the byte e4 is no UTF-8, as ä is written in Windows-1252: save the file as UTF-8",
        ),
        ("extra.csv", "# ä: ".encode() + b"\x81\n", ["1:6"], "the byte 81 is no UTF-8: save"),
        ("extra.csv", "p, role:viewer".encode("utf-16"), ["1:1"], "the file is UTF-16"),
        ("model.conf", b"\xff\xfe", ["1:1"], "the file is UTF-16: save it as UTF-8"),
        ("model.conf", b"# m\n# \xe9\n", ["2:3"], "as é is written in Windows-1252"),
    ],
)
def test_what_is_no_utf_8_is_told_with_its_place(
    tmp_path: Path, name: str, content: bytes, places: list[str], message: str
) -> None:
    make(tmp_path)
    (tmp_path / name).write_bytes(content)
    problems = found(tmp_path)
    assert [(p.code.slug, p.origin) for p in problems] == [
        ("unreadable-file", f"{name}:{place}") for place in places
    ]
    assert message in problems[0].message
    assert _refused(tmp_path) == set(problems)


def test_what_is_too_large_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 MB in three files, none of which is too large by itself; not one of them is read."""
    make(tmp_path)
    row = b"p, role:viewer, task, own, view, True, allow\n"
    for name, megabytes in (("a.csv", 16), ("b.csv", 18), ("c.csv", 16)):
        (tmp_path / name).write_bytes(row * (megabytes * 1_000_000 // len(row)))
    read: list[Path] = []
    monkeypatch.setattr(
        folder, "read_text", lambda path: (read.append(path), lines.read_text(path))[1]
    )
    [problem] = [p for p in found(tmp_path) if p.code is UNREADABLE_FILE]
    assert problem.file == "b.csv"
    assert [path.name for path in read if path.parent == tmp_path] == ["model.conf"]
    assert "at most 20 MB in all, not 50 MB" in problem.message
    assert problem in _refused(tmp_path)


def test_an_admins_lines_bring_no_warning_about_shipped_lines(tmp_path: Path) -> None:
    """Whether they grant more, forbid it, or say the same; of the admin's own lines it is told."""
    make(
        tmp_path,
        "p, role:viewer, task, global, view, True, allow\n"
        "p, role:viewer, port, global, *, True, deny\n"
        "p, role:viewer, port, own, view, True, allow\n",
    )
    (tmp_path / "a.csv").write_text("p, role:researcher, task, global, delete, True, allow\n")
    assert [(p.code.slug, p.origin) for p in found(tmp_path)] == [("denied-line", "extra.csv:3:1")]
    (tmp_path / "extra.csv").unlink()
    (tmp_path / "a.csv").write_text("p, role:viewer, task, organization, view, True && True, allow")
    shipped = tmp_path / "default_roles.csv"
    assert {(p.code.slug, p.file) for p in found(tmp_path)} == {
        ("always-true", "a.csv"),
        ("shadowed-line", "a.csv"),
    }
    (tmp_path / "a.csv").unlink()
    changed = shipped.read_text().replace(
        "task,          organization,  view", "task, own, view", 1
    )
    assert changed != shipped.read_text()
    shipped.write_text(changed + "p, role:viewer, task, own, view, 1 in r.obj.orgs, allow\n")
    assert [(p.code.slug, p.file) for p in found(tmp_path)] == [
        ("shadowed-line", "default_roles.csv")
    ]


@pytest.mark.parametrize("name", ["deny.CSV", "deny.csv.txt", "Model.conf", "more/deny.csv"])
def test_what_looks_like_policy_and_is_not_read_is_told(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("p, role:viewer, task, global, view, True, deny\n")
    (tmp_path / ".hidden.csv").write_text("not a policy")
    assert [(p.code.slug, p.origin) for p in found(tmp_path)] == [("unread-file", name)]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    assert [(p.code.slug, p.file) for p in found(tmp_path)] == [("unreadable-file", "model.conf")]


def test_ids_that_do_not_exist_are_told_when_the_database_is_known(tmp_path: Path) -> None:
    places = make(
        tmp_path,
        "p, user:5, task, global, view, True, allow\n"
        "p, §user:6, task, global, view, True, allow\n"
        "g, §node:9, §role:12\n"
        "p, role:12, task, global, view, True, allow\n"
        "p, §org:7, task, global, view, True, allow\n",
    )
    assert found(tmp_path) == []
    with clock.stopped(TODAY):
        problems = lint(tmp_path, known_subjects={"user:5", "role:13", "org:1"})
    assert {p.code.slug for p in problems} == {"unknown-subject"}
    assert [p.origin for p in problems if p.origin != "extra.csv:4:4"] == places


def test_every_code_says_why_it_matters_and_how_to_mend_it() -> None:
    for slug, code in CODES.items():
        assert slug == code.slug == slug.lower()
        assert all((code.title, code.why, code.mend))
        assert "\n" not in code.title + code.why + code.mend
    assert {code.severity for code in CODES.values()} == set(Severity)


# --- the command

WRONG = (
    "p, role:viewer, tsak, own, view, True, allow\n\tp, role:viewer, node, own, view, True, allow\n"
)


def _run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli, ["policy", "lint", *arguments])


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with an error and a warning, seen from the folder above it."""
    for name in [name for name in os.environ if name.startswith("V6SRV_")]:
        if not name.startswith("V6SRV_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my policies").mkdir()
    make(tmp_path / "my policies", WRONG)
    return "my policies"


def test_text_names_place_code_and_word(wrong: str) -> None:
    result = _run(wrong)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "my policies/extra.csv:1:17: error unknown-resource: unknown resource 'tsak',"
        " did you mean task?",
        "my policies/extra.csv:2:24: warning empty-scope: a node is never in scope own of a user",
        "1 error, 1 warning",
    ]


def test_source_has_a_mark_below_the_place(wrong: str) -> None:
    shown = _run(wrong, "--show-source").stdout.split("\n")
    assert shown[1:3] == ["    p, role:viewer, tsak, own, view, True, allow", " " * 20 + "^"]
    assert shown[4:6] == [
        "    \tp, role:viewer, node, own, view, True, allow",
        "    \t" + " " * 22 + "^",
    ]


def test_warnings_can_be_passed_over(wrong: str) -> None:
    assert "warning" not in _run(wrong, "--errors-only").stdout
    make(Path(wrong), WRONG.split("\n")[1])
    assert _run(wrong).exit_code == 1
    result = _run(wrong, "--errors-only")
    assert (result.exit_code, result.stdout) == (0, "Nothing found\n")


def test_json_is_data(wrong: str) -> None:
    first, second = json.loads(_run(wrong, "--format", "json").stdout)
    assert first == {
        "file": "my policies/extra.csv",
        "line": 1,
        "column": 17,
        "origin": "extra.csv:1:17",
        "severity": "error",
        "code": "unknown-resource",
        "message": "unknown resource 'tsak', did you mean task?",
        "suggestion": "task",
    }
    assert (second["line"], second["severity"], second["suggestion"]) == (2, "warning", None)
    make(Path(wrong))
    result = _run(wrong, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    for odd in ("deny.CSV", "deny.csv.txt", "more/deny.csv"):
        (Path(wrong) / odd).parent.mkdir(exist_ok=True)
        (Path(wrong) / odd).write_text("")
    told = json.loads(_run(wrong, "--format", "json").stdout)
    assert [(one["code"], one["file"]) for one in told] == [
        ("unread-file", f"my policies/{odd}")
        for odd in ("deny.CSV", "deny.csv.txt", "more/deny.csv")
    ]


def test_sarif_points_to_rules_and_regions(wrong: str) -> None:
    log = json.loads(_run(wrong, "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CODES)
    assert all(rule["defaultConfiguration"]["level"] in set(Severity) for rule in rules)
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("unknown-resource", "error")
    assert first["message"]["text"].startswith("unknown resource")
    [location] = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20policies/extra.csv"},
        "region": {"startLine": 1, "startColumn": 17},
    }


def test_github_commands_are_escaped(wrong: str) -> None:
    make(Path(wrong), "p, role:viewer, 50%, own, view, True, allow\n")
    Path(wrong).rename("a,b")
    assert _run("a,b", "--format", "github").stdout == (
        "::error file=a%2Cb/extra.csv,line=1,col=17,title=unknown-resource::"
        "unknown resource '50%25'\n"
    )


def test_notes_are_told_and_are_no_findings(wrong: str) -> None:
    make(Path(wrong), "p, role:viewer, task, own, view, globMatch(r.obj.image, 'a/*'), allow\n")
    told = _run(wrong)
    assert told.exit_code == 0
    assert "note other-than-casbin: globMatch: a text with an empty segment" in told.stdout
    assert _run(wrong, "--format", "github").stdout.startswith("::notice ")
    assert _run(wrong, "--errors-only").stdout == "Nothing found\n"


def test_what_cannot_be_run_is_another_exit_code(wrong: str, tmp_path: Path) -> None:
    assert _run("nowhere").exit_code == 2
    assert _run("--config", "nothing.yaml").exit_code == 2
    instance = {"V6SRV_INSTANCE": str(tmp_path / "instance"), "V6SRV_POLICIES": "nowhere"}
    assert _run(**instance).exit_code == 2
    uri = {"V6SRV_URI": "postgresql://nobody@127.0.0.1:1/none"}
    assert _run(V6SRV_POLICIES=str(tmp_path / wrong), **uri).exit_code == 2


def test_the_database_of_the_instance_counts(wrong: str, database_uri: str, tmp_path: Path) -> None:
    """Its rows are checked with the files, and ids are looked up in it."""
    folder = tmp_path / wrong
    make(folder, "p, user:1, task, global, view, True, allow\n")
    migrations.upgrade(database_uri)
    instance = {"V6SRV_POLICIES": str(folder), "V6SRV_URI": database_uri}
    first = _run(**instance)
    assert first.stdout.splitlines()[0].endswith("unknown-subject: there is no user 1"), (
        first.output
    )
    engine = create_engine(database_uri)
    with engine.begin() as connection:
        row = {"ptype": "p", "v0": "org:9", "v1": "tsak", "v2": "own", "v3": "view", "v4": "True"}
        connection.execute(insert(CasbinRule).values(v5="allow", **row))
    engine.dispose()
    shown = _run(**instance).stdout
    assert "db:casbin_rule:1: error unknown-resource: unknown resource 'tsak'" in shown
    assert "db:casbin_rule:1: warning unknown-subject: there is no organization 9" in shown
    located = json.loads(_run("--format", "sarif", **instance).stdout)["runs"][0]["results"][0]
    assert located["locations"] == [
        {"logicalLocations": [{"fullyQualifiedName": "db:casbin_rule:1"}]}
    ]
    assert "there is no user 1" not in _run(str(folder)).stdout
    named = _run(str(folder), V6SRV_INSTANCE=str(tmp_path / "instance"), V6SRV_URI=database_uri)
    assert "there is no user 1" in named.stdout, named.output


def test_watching_tells_again_what_is_wrong_when_a_file_has_changed(wrong: str) -> None:
    """Also a name that is not read; it ends with Ctrl-C and the last exit code."""
    command = [sys.executable, "-m", "v6srv", "policy", "lint", wrong, "--watch", "--no-source"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        patience = Timer(60, process.kill)
        patience.start()
        try:
            assert process.stdout is not None
            assert "unknown-resource" in process.stdout.readline()
            assert [process.stdout.readline() for _ in range(2)][1] == "1 error, 1 warning\n"
            (Path(wrong) / "extra.csv").write_text("")
            assert process.stdout.readline() == "Nothing found\n"
            (Path(wrong) / "deny.csv.txt").write_text("")
            assert "unread-file" in process.stdout.readline()
            assert process.stdout.readline() == "1 warning\n"
            time.sleep(0.5)  # it is said before it is noted
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 1
        finally:
            patience.cancel()
            process.kill()


@pytest.mark.parametrize(
    "act",
    ["r.act == p.act", 'r.act == p.act || p.act == "*" || p.act == "view" && r.act == "edit"'],
)
def test_what_is_asked_of_a_line_is_what_the_matcher_brings_it_to(tmp_path: Path, act: str) -> None:
    """A line that is found for somebody is one that concerns the request, and no other is."""
    make(tmp_path, model=(('r.act == p.act || p.act == "*"', act),))
    definition, lines, _ = read_folder(tmp_path)
    enforcer = Enforcer(definition, lines, 0)
    program = enforcer.program
    everybody = [line.values[0] for line in program.lines]
    for resource, operation in itertools.product(Resource, Operation):
        key = program.key_of(stranger(), Thing(resource.value), operation.value)
        concerned = [line for line in program.lines if program.concerns(line, key)]
        assert concerned == program.candidates(key, everybody)
