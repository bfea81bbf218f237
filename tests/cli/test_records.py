"""Rows on the command line: as the system, or as a user, who is answered as over the network."""

import csv
import importlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from tests import once
from tests.live import live_server
from tests.realtime.ears import Ear
from tests.support import store
from tests.world import IMAGE, PASSWORD
from v6srv import passwords
from v6srv.cli.main import cli
from v6srv.cli.records import printing
from v6srv.cli.records.resources import RESOURCES, fields
from v6srv.db import session
from v6srv.model import Node

ROOT = Path(__file__).parents[2]
EVERYBODY = ("root", "viewer", "researcher", "org_admin", "south_admin", "extra", "nobody")
WRITERS = ("root", "researcher", "org_admin", "south_admin", "nobody")


@contextmanager
def as_another_process():
    """A command has a connection of its own, and leaves none."""
    engine = session.get_bind()
    try:
        with once.making_applications():
            yield
    finally:
        session.remove()
        session.configure(bind=engine)


@pytest.fixture
def run(app):
    """`run("node", "list", stdin="...")`: the result of a command on the database of `app`."""
    settings = app.config["SETTINGS"]
    environment = {
        "V6SRV_DATABASE_URL": settings.uri,
        "V6SRV_INSTANCE": str(settings.instance),
        "V6SRV_PASSWORD_ROUNDS": "4",
    }

    def invoke(*arguments, stdin=None):
        with as_another_process():
            words = [str(one) for one in arguments]
            return CliRunner(env=environment).invoke(cli, words, input=stdin)

    return invoke


@pytest.fixture
def told(run):
    """As `run`, and what a command that must succeed says in JSON."""

    def invoke(*arguments, stdin=None):
        done = run(*arguments, "--format", "json", stdin=stdin)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return invoke


# --- the table


NOT_OFFERED = {
    "create": {
        "password",  # asked for, or read
        "server_url",  # where a store finds this server
        "database",  # of tasks of 3.x, to be refused
    },
    "edit": {"password", "organization_id", "collaboration_id"},  # all of them always refused
    "filters": {"include", "no_pagination", "ids"},
}


def _declared(kind, ending):
    """The schema of a body or query; some are those of both dialects."""
    places = f"v6srv.wire.v4.{kind}", f"v6srv.wire.{kind}"
    found = (
        getattr(importlib.import_module(place), f"{kind.capitalize()}{ending}", None)
        for place in places
        if importlib.util.find_spec(place)
    )
    schema = next(filter(None, found), None)
    return schema().fields if schema else {}


@pytest.mark.parametrize("kind", RESOURCES)
@pytest.mark.parametrize(
    ("part", "ending"), [("filters", "Query"), ("create", "In"), ("edit", "Patch")]
)
def test_every_field_of_the_endpoints_has_an_option(kind, part, ending):
    offered = fields(getattr(RESOURCES[kind], part))
    declared = _declared(kind, ending)
    assert {one.name for one in offered} == set(declared) - NOT_OFFERED[part]
    needed = {name for name, field in declared.items() if field.required}
    assert {one.name for one in offered if one.needed} >= needed - NOT_OFFERED[part]


@pytest.mark.parametrize("kind", RESOURCES)
def test_the_columns_are_fields_of_the_answers(kind):
    wire = importlib.import_module(f"v6srv.wire.v4.{kind}")
    shown = getattr(wire, f"{kind.capitalize()}Out")().fields
    assert {*RESOURCES[kind].columns.split()} <= set(shown)
    assert RESOURCES[kind].name in shown


# --- the same answers as over the network


def _plain(row):
    """Without links, which commands show otherwise."""
    return {
        name: value
        for name, value in row.items()
        if not (isinstance(value, dict) and "link" in value)
        and not (isinstance(value, str) and value.startswith("/v4/api/"))
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("who", EVERYBODY)
def test_lists_are_those_of_the_endpoints(run, call4, world, who):
    for kind in RESOURCES:
        command = run(kind, "list", "--as", who, "--format", "json")
        answer = call4(who, "GET", f"/{kind}", query={"per_page": 10_000})
        if answer.status_code == 403:
            assert command.exit_code == 1, kind
            assert answer.json["msg"] in command.stderr, kind
            assert command.stdout == "", kind
        else:
            rows = json.loads(command.stdout)
            assert len(rows) == len(answer.json["data"]), kind
            for shown, row in zip(rows, answer.json["data"], strict=True):
                assert _plain(row).items() <= shown.items(), kind


def _writes(world, new):
    """Commands, and the requests that ask for the same; `new()`: a name that is not taken."""
    north, registry = world.org.north, world.collab.registry
    node, rule = world.node.north_registry, world.rule["task", "ORGANIZATION", "VIEW"]
    user = {"email": f"{new()}@north.example", "password": PASSWORD}
    task = {"image": IMAGE, "collaboration_id": registry, "databases": []}
    run, waiting = world.result["running", "south"], world.task.waiting
    yield (
        "organization edit north --country Norway",
        f"PATCH organization/{north}",
        {"country": "Norway"},
    )
    yield f"organization create {new()}", "POST organization", {"name": new()}
    yield (
        "collaboration edit registry --no-encrypted",
        f"PATCH collaboration/{registry}",
        {"encrypted": False},
    )
    yield (
        "collaboration add-member registry south",
        f"POST collaboration/{registry}/organization",
        {"id": world.org.south},
    )
    yield (
        f"study create {new()} --collaboration registry --organization north",
        "POST study",
        {"name": new(), "collaboration_id": registry, "organization_ids": [north]},
    )
    yield f"node edit {node} --ip 10.0.0.9", f"PATCH node/{node}", {"ip": "10.0.0.9"}
    yield f"node new-key {node}", "POST recover/node", {"id": node}
    yield f"role create {new()} --rule {rule}", "POST role", {"name": new(), "rules": [rule]}
    yield (
        f"user edit {world.user.viewer} --firstname V",
        f"PATCH user/{world.user.viewer}",
        {"firstname": "V"},
    )
    yield (
        f"user create {new()} --email {new()}@north.example --password-stdin",
        "POST user",
        user | {"username": new()},
    )
    yield (
        f"task create {new()} --image {IMAGE} --collaboration {registry} --organization {north}",
        "POST task",
        task | {"name": new(), "organizations": [{"id": north}]},
    )
    yield f"task kill {waiting}", "POST kill/task", {"id": waiting}
    yield f"run edit {run} --status active", f"PATCH run/{run}", {"status": "active"}
    for kind, known in RESOURCES.items():
        if known.deletes:
            yield f"{kind} delete 9999 -y", f"DELETE {kind}/9999", None


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("who", WRITERS)
def test_what_somebody_may_not_do_is_the_same(run, call4, world, who):
    numbers = iter(range(1000))
    denied = 0
    for command, request, body in _writes(world, lambda: f"new{next(numbers)}"):
        method, path = request.split()
        done = run(*command.split(), "--as", who, stdin=f"{PASSWORD}\n")
        answer = call4(who, method, f"/{path}", json=body)
        is_denied = answer.status_code == 403
        denied += is_denied
        assert ("decision " in done.output) == is_denied, (command, done.output, answer.json)
        assert done.exit_code != 2, (command, done.output)
        if answer.status_code in (403, 404):
            assert answer.json["msg"] in done.stderr, command
        elif answer.status_code < 300:
            assert done.exit_code == 0, (command, done.output)
    assert (
        denied == (2 if who == "root" else denied) > 0
    )  # not even root has all: see default_roles.csv


# --- as the system


def test_the_system_may_do_what_the_policy_of_the_instance_denies_to_everybody(
    app, run, told, world, tmp_path, monkeypatch
):
    policies = tmp_path / "policies"
    shipped = app.config["SETTINGS"].policies
    policies.mkdir()
    for file in shipped.glob("*.c*"):
        (policies / file.name).write_text(file.read_text())
    (policies / "closed.csv").write_text("p, kind:user, organization, global, *, True, deny\n")
    monkeypatch.setenv("V6SRV_POLICIES", str(policies))
    assert run("organization", "list", "--as", "root").exit_code == 1
    assert len(told("organization", "list")) == 5
    assert told("organization", "edit", "north", "--country", "Norway")["country"] == "Norway"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_log_says_what_the_system_has_changed(app, run, world, monkeypatch):
    monkeypatch.setenv("V6SRV_LOGGING__FILE", "yes")
    assert run("organization", "edit", "north", "--country", "Norway").exit_code == 0
    logs = app.config["SETTINGS"].instance.rglob("server_*.log")
    said = f"PATCH /v4/api/organization/{world.org.north} by the system, as uid {os.getuid()}"
    assert any(said in log.read_text() for log in logs)


def test_a_task_is_somebodys(run, world):
    words = (
        "task",
        "create",
        "t",
        "--image",
        IMAGE,
        "--collaboration",
        "registry",
        "--organization",
        "north",
    )
    done = run(*words)
    assert done.exit_code == 2
    assert "--as" in done.stderr
    done = run(*words, "--as", "researcher", "--database", "default", "--input", "-", stdin="{}")
    assert done.exit_code == 0, done.output


# --- names, forms, words


def test_rows_go_by_name_or_id(told, run, world):
    nodes = told("node", "list", "--collaboration", "registry")
    assert {one["name"] for one in nodes} == {"north_registry", "south_registry"}
    assert nodes == told("node", "list", "--collaboration", world.collab.registry)
    assert nodes[0]["organization_id"] == world.org.north
    assert nodes[0]["organization"] == "north"
    by_name = told("node", "show", "north_registry")
    assert by_name == told("node", "show", world.node.north_registry)
    missing = run("node", "show", "nowhere")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "There is no node 'nowhere'" in missing.stderr
    session.get(Node, world.node.south_trial).name = "north_registry"
    session.commit()
    several = run("node", "show", "north_registry")
    assert several.exit_code == 1
    assert f"{world.node.north_registry}, {world.node.south_trial}" in several.stderr


def test_a_wildcard_in_a_name_is_none_where_a_row_is_named(run, world):
    assert run("user", "show", "roo_").exit_code == 1
    assert "root" in run("user", "list", "roo_").stdout


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_tables_csv_and_json(run, told, world):
    lines = list(csv.DictReader(io.StringIO(run("node", "list", "--format", "csv").stdout)))
    assert [one["name"] for one in lines] == [one["name"] for one in told("node", "list")]
    assert lines[0]["organization"] == "north"
    some = run("node", "list", "--columns", "id,organization_id", "--format", "csv").stdout
    assert some.startswith("id,organization_id\n")
    assert f"\n{lines[0]['id']},{world.org.north}\n" in some
    table = run("node", "list", "--sort", "-name", "--limit", "1").stdout
    assert "west_trial" in table
    assert "north_registry" not in table
    refused = run("node", "list", "--sort", "nothing")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Cannot sort by 'nothing'" in refused.stderr


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_names_cannot_steer_a_terminal(run, world):
    store("node", world.node.north_registry, name="\x1b[31mred\x9b[0m[bold]")
    for command in (("node", "list"), ("node", "show", str(world.node.north_registry))):
        shown = run(*command).stdout
        assert "red" in shown
        assert "[bold]" in shown
        assert "\x1b" not in shown
        assert "\x9b" not in shown


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_no_spreadsheet_computes_a_name(run, world):
    store("node", world.node.north_registry, name="=1+1")
    assert "\n'=1+1\n" in run("node", "list", "--columns", "name", "--format", "csv").stdout


# --- changes


def test_members_rules_and_roles_come_and_go(told, run, world):
    def names(kind, row, word):
        return {one["name"] for one in told(kind, "show", row)[word]}

    assert run("collaboration", "add-member", "registry", "west", "east").exit_code == 0
    assert names("collaboration", "registry", "members") == {"north", "south", "west", "east"}
    assert run("collaboration", "remove-member", "registry", "west").exit_code == 0
    assert names("collaboration", "registry", "members") == {"north", "south", "east"}
    assert run("role", "add-rule", "empty", "task:organization:view").exit_code == 0
    assert names("role", "empty", "rules") == {"task:organization:view"}
    assert run("role", "remove-rule", "empty", "task:organization:view").exit_code == 0
    assert names("role", "empty", "rules") == set()
    assert run("user", "add-role", "viewer", "analysts", "Researcher").exit_code == 0
    assert names("user", "viewer", "roles") == {"Viewer", "analysts", "Researcher"}
    assert run("user", "remove-role", "viewer", "Viewer").exit_code == 0
    assert names("user", "viewer", "roles") == {"analysts", "Researcher"}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_hangs_on_a_row_goes_with_it_only_if_told(run, told, world):
    refused = run("organization", "delete", "west", "-y")
    assert refused.exit_code == 1
    assert "delete_dependents" in refused.stderr
    assert run("organization", "delete", "west", "--with-dependents").exit_code == 1  # not sure
    assert "west" in {one["name"] for one in told("organization", "list")}
    assert run("organization", "delete", "west", "--with-dependents", "-y").exit_code == 0
    assert "west" not in {one["name"] for one in told("organization", "list")}


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("node create", "--collaboration"),
        ("collaboration create x --organization 1", "--encrypted"),
        ("collaboration create x --encrypted", "--organization"),
        ("user create --email e@x.example", "NAME"),
        ("task create t --organization 1 --collaboration 1", "--image"),
    ],
)
def test_what_is_needed_is_asked_for_before_anything_else(command, missing):
    done = CliRunner().invoke(cli, command.split())
    assert done.exit_code == 2
    assert f"'{missing}" in done.stderr


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_nothing_to_change_is_a_mistake(run, world):
    done = run("node", "edit", "north_registry")
    assert done.exit_code == 2
    assert "Nothing is given" in done.stderr


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_new_key_is_shown_once_and_the_old_one_is_over(told, run, call4, world):
    made = told(
        "node", "create", "west_one", "--collaboration", "nothing", "--organization", "west"
    )
    old = {"api_key": made["api_key"]}
    assert call4(None, "POST", "/token/node", json=old).status_code == 200
    new = {"api_key": told("node", "new-key", "west_one")["api_key"]}
    assert call4(None, "POST", "/token/node", json=new).status_code == 200
    assert call4(None, "POST", "/token/node", json=old).status_code == 401
    assert new["api_key"] not in run("node", "show", "west_one").output


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_passwords_are_read_or_made_and_never_arguments(told, run, call4, world):
    def logs_in(name, password):
        login = {"username": name, "password": password}
        return call4(None, "POST", "/token/user", json=login).status_code == 200

    who = ("--organization", "north", "--email")
    made = told("user", "create", "kim", *who, "kim@north.example", "--generate-password")
    assert logs_in("kim", made["password"])
    read = told(
        "user", "create", "lee", *who, "l@north.example", "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    assert "password" not in read
    assert logs_in("lee", PASSWORD)
    weak = run(
        "user", "create", "may", *who, "m@north.example", "--password-stdin", stdin="short\n"
    )
    assert weak.exit_code == 1
    assert passwords.password_problem("short") in weak.stderr
    nobody = run("user", "create", "may", *who, "m@north.example")
    assert nobody.exit_code == 2
    assert "--password-stdin" in nobody.stderr
    assert run("user", "create", "may", *who, "m@north.example", "--password", "x").exit_code == 2
    again = told("user", "new-password", "lee", "--generate-password")["password"]
    assert logs_in("lee", again)
    assert not logs_in("lee", PASSWORD)
    assert run("user", "new-password", "lee", "--generate-password", "--as", "root").exit_code == 2


def test_progress_is_for_who_looks(monkeypatch):
    for looks in (True, False):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        monkeypatch.setattr(sys.stderr, "isatty", lambda looks=looks: looks)
        assert list(printing.each([1, 2, 3])) == [1, 2, 3]
        assert ("100%" in sys.stderr.getvalue()) == looks
        assert list(printing.each([1])) == [1]


# --- processes


HEAVY = ("sqlalchemy", "flask", "marshmallow", "casbin", "rich", "pydantic", "questionary")


@pytest.mark.parametrize(
    "arguments", ["user list --help", "task create --help", "node", "run edit"]
)
def test_no_command_loads_what_only_its_work_needs(arguments):
    """Start-up is what is imported: the rest comes when somebody is to be asked."""
    program = (
        "import sys\nfrom v6srv.cli.main import cli\n"
        "try: cli()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments.split()], capture_output=True, text=True
    )
    assert ran.returncode in (0, 2)
    assert not {*ran.stderr.split()} & {*HEAVY}


def _process(server, *arguments):
    ran = subprocess.run(
        [sys.executable, "-m", "v6srv", *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "V6SRV_INSTANCE": str(server.instance),
            "V6SRV_PASSWORD_ROUNDS": "4",
        },
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr


def test_a_server_that_runs_takes_notice(tmp_path):
    """The node that is deleted by a command is gone from its socket, and from its token."""
    with live_server(instance=tmp_path) as server:
        _process(server, "import", str(ROOT / "examples" / "study.yaml"))
        login = {"api_key": "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01"}
        answer = requests.post(f"{server.api}/token/node", json=login, timeout=60).json()
        ear = Ear(server.url, transports=["websocket"]).connect(answer["access_token"])
        try:
            ear.wait("connect")
            _process(server, "node", "delete", "Northwind Hospital - Registry Study Node", "-y")
            ear.wait("disconnect")
            header = {"Authorization": f"Bearer {answer['access_token']}"}
            path = server.url + answer["node_url"]
            assert requests.get(path, headers=header, timeout=60).status_code == 401
        finally:
            ear.close()


def test_colours_are_for_people_who_want_them(tmp_path):
    there = {"V6SRV_INSTANCE": str(tmp_path)}  # with no database: an error is coloured
    on_a_terminal = {"args": ["node", "list"], "color": True}
    assert "\x1b[31m" in CliRunner(env=there).invoke(cli, **on_a_terminal).stderr
    quiet = CliRunner(env={**there, "NO_COLOR": "1"})
    assert "\x1b[" not in quiet.invoke(cli, **on_a_terminal).stderr
