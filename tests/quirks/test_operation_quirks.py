"""realtime-quirks.md 3 to 5: what nodes need, calls that fail at the reference server, operation."""

import json
import logging
import os
import socket
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from click.testing import CliRunner, Result

from tests.api.test_token import claims, refresh
from tests.cli.test_commands import _in_terminal
from tests.quirks.test_account_quirks import bearer
from tests.quirks.test_realtime_quirks import expired
from tests.quirks.test_rest_quirks import ids, order, refused
from tests.realtime.conftest import eventually
from tests.support import Caller, database_away, database_digest, open_app, send_mails
from tests.unit.test_mail import Inbox, smtp
from tests.unit.test_vpn import Portal
from tests.world import IMAGE, api_key
from v6srv import db
from v6srv.cli.main import cli
from v6srv.model import Account
from v6srv.service import presence, tasks, vpn
from v6srv.settings import LOG_LEVELS

__all__ = ["smtp"]

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("backend"),
]

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "study.yaml"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command with the folders of this test; keyword arguments are environment variables."""
    for name in [name for name in os.environ if name.startswith("V6SRV_")]:
        monkeypatch.delenv(name)
    variables = {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_DIRS": str(tmp_path / "system"),
        "V6SRV_INSTANCE": str(tmp_path / "instance"),
        "V6SRV_ROOT_PASSWORD": "Root-pass-1",
        "V6SRV_PASSWORD_ROUNDS": "4",
    }

    def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
        return CliRunner(env={**variables, **environment}).invoke(cli, list(arguments), input=stdin)

    return invoke


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a configuration of the user: `write("study", {"port": 5001})`."""

    def put(name: str, content: Any) -> Path:
        folder = tmp_path / "config" / "vantage6" / "server"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return put


def rows_of_instance(tmp_path: Path, query: str) -> list[Any]:
    """The first column of what a query finds in the instance that commands of a test use."""
    engine = db.make_engine(f"sqlite:///{tmp_path}/instance/v6srv.sqlite")
    try:
        with engine.connect() as connection:
            return list(connection.exec_driver_sql(query).scalars())
    finally:
        engine.dispose()


def organizations(tmp_path: Path) -> list[Any]:
    """Names of the organizations of the instance."""
    return rows_of_instance(tmp_path, "SELECT name FROM organization ORDER BY id")


def users(tmp_path: Path) -> list[Any]:
    """Names of the users of the instance."""
    return rows_of_instance(tmp_path, 'SELECT username FROM "user" ORDER BY username')


# --- 3. What the server does for nodes as they are


def test_n_01_repeating_is_cheap_and_never_punished(call, world, count_queries):
    """Every answer above 210 makes the node refresh and repeat: usual situations are successes."""
    key = {"api_key": api_key("north_registry")}
    pair = call(None, "POST", "/token/node", json=key).json
    with count_queries() as statements:
        for _ in range(3):
            assert refresh(call, pair["refresh_token"]).status_code == 200
    assert len(statements) <= 6
    path = f"/result/{world.result['running', 'north']}"
    started = {"started_at": "2026-11-24T06:00:00.5"}
    ports = f"/port?result_id={world.result['running', 'north']}"
    for method, at, body in (
        ("PATCH", path, started),
        ("DELETE", ports, None),
        ("PATCH", f"/node/{world.node.north_registry}", {"clear_ip": True}),
        ("GET", f"/result?state=open&node_id={world.node.north_registry}", None),
    ):
        answers = [call("north_registry", method, at, json=body) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json == answers[1].json


def test_n_02_a_node_that_comes_back_with_its_first_token_gets_a_new_one(
    app, listen, world, call, stored
):
    node_id = world.node.south_trial
    pair = call(None, "POST", "/token/node", json={"api_key": api_key("south_trial")}).json
    node = listen.stranger("node").connect(expired(app, node_id))
    node.wait("expired_token")
    node.close()
    fresh = refresh(call, pair["refresh_token"]).json["access_token"]
    listen.stranger("again").connect(fresh).wait("connect")
    eventually(lambda: stored(Account, node_id).status, "online")
    open_results = {"state": "open", "node_id": node_id}
    missed = call(None, "GET", "/result", query=open_results, **bearer(fresh))
    assert ids(missed) == [world.result["waiting", "south"]]


def test_n_03_several_ping_loops_are_one(listen, world, monkeypatch):
    written = []
    pinged = presence.pinged
    monkeypatch.setattr(presence, "pinged", lambda *of: written.append(of) or pinged(*of))
    node = listen("north_registry")
    for _ in range(20):
        node.say("ping")
    node.client.call("ping", namespace="/tasks", timeout=5)  # behind all of them
    assert 1 <= len(written) <= 3


@pytest.mark.parametrize("given", ["2026-11-24T06:26:37", "2026-11-24T06:26:37.000001"])
def test_n_04_naive_times_with_and_without_microseconds_are_accepted(call, world, given):
    path = f"/result/{world.result['running', 'north']}"
    answer = call("north_registry", "PATCH", path, json={"finished_at": given})
    assert answer.status_code == 200
    assert answer.json["finished_at"] == f"{given}+00:00"
    assert answer.json["assigned_at"].endswith("+00:00")  # the server's own time


def test_n_05_a_container_token_is_refused_only_when_that_is_right(call, world):
    def ask(who, task, image=IMAGE):
        body = {"task_id": getattr(world.task, task), "image": image}
        return call(who, "POST", "/token/container", json=body)

    for who, task in (
        ("north_registry", "running"),
        ("south_registry", "running"),
        ("south_registry", "subtask"),
        ("south_registry", "failed"),  # the other result is finished, its own is not
        ("south_trial", "waiting"),
    ):
        assert ask(who, task).status_code == 200, (who, task)
    refused(ask("north_registry", "finished"), 400)
    refused(ask("north_registry", "running", "other:1"), 401)
    refused(ask("west_trial", "running"), 401)


def test_n_06_a_result_that_is_finished_gets_no_second_token(call, world):
    """The queue of a node may hold a result twice: the copy must not run again."""
    body = {"task_id": world.task.running, "image": IMAGE}
    assert call("north_registry", "POST", "/token/container", json=body).status_code == 200
    path = f"/result/{world.result['running', 'north']}"
    done = {"status": "completed", "result": "b3V0", "finished_at": "2026-11-24T06:00:00"}
    assert call("north_registry", "PATCH", path, json=done).status_code == 200
    refused(call("north_registry", "POST", "/token/container", json=body), 400)
    # South has not finished its own.
    assert call("south_registry", "POST", "/token/container", json=body).status_code == 200


def test_n_08_forgetting_ports_that_are_not_there_is_fine(call, world):
    path = f"/port?result_id={world.result['running', 'south']}"
    answer = call("south_registry", "DELETE", path)
    assert answer.status_code == 200
    assert isinstance(answer.json["msg"], str)


def test_n_09_answers_are_not_compressed_and_successes_are_plain(call, world):
    """The proxy of the node hands headers and body on as they are."""
    accepts = {"Accept-Encoding": "gzip, deflate, br"}
    subtask = call("container", "POST", "/task", json=order(world, "north"), headers=accepts)
    for answer, status in (
        (subtask, 201),
        (call("container", "GET", "/task", headers=accepts), 200),
        (call("container", "GET", "/organization", headers=accepts), 200),
        (call("container", "GET", f"/task/{subtask.json['id']}/result", headers=accepts), 200),
    ):
        assert answer.status_code == status
        assert "Content-Encoding" not in answer.headers
        assert json.loads(answer.data) == answer.json


def test_n_10_a_node_is_told_401_only_for_a_wrong_key(call, world, monkeypatch):
    def log_in(body):
        return call(None, "POST", "/token/node", json=body)

    good = {"api_key": api_key("north_registry")}
    for body in ({}, {"api_key": None}, {"api_key": 5}, []):
        refused(log_in(body), 400)

    with database_away():
        refused(log_in(good), 503)
    for _ in range(20):
        refused(log_in({"api_key": "wrong"}), 401)
    refused(log_in({"api_key": "wrong"}), 429)
    refused(log_in({"api_key": "another one"}), 401)
    assert log_in(good).status_code == 200


# --- 4. Calls of clients, with what they really send


@pytest.mark.parametrize(
    ("flag", "found"),
    [(None, ["first", "second"]), ("only_children", []), ("only_parent", ["first", "second"])],
)
def test_c_01_the_algorithm_client_gets_addresses(call, world, flag, found):
    flags = ("only_children", "only_parent", "include_children", "include_parent")
    query = {name: str(name == flag) for name in flags}  # "True" and "False", as `requests` does
    answer = call("container", "GET", "/vpn/algorithm/addresses", query=query)
    assert answer.status_code == 200
    assert sorted(address["label"] for address in answer.json["addresses"]) == found


def test_c_02_the_algorithm_client_gets_its_node(call, world):
    node_id = claims(call.token("container"))["sub"]["node_id"]
    answer = call("container", "GET", f"/node/{node_id}")
    assert (answer.status_code, answer.json["id"]) == (200, node_id)


def test_c_03_a_role_is_changed_in_part(call, world):
    path = f"/role/{world.role.analysts}"
    before = call("root", "GET", path).json
    body = {"name": "renamed", "description": None, "rules": None}
    answer = call("root", "PATCH", path, json=body)
    assert (answer.status_code, answer.json) == (200, {**before, "name": "renamed"})


def test_c_04_tasks_are_listed_by_status(call, world):
    query = {"status": "completed", "page": 1, "per_page": 20}
    assert ids(call("researcher", "GET", "/task", query=query)) == [world.task.finished]


def test_c_05_a_node_keeps_its_name_when_none_is_given(call, world):
    body = {
        "name": None,
        "organization_id": world.org.south,
        "collaboration_id": None,
        "ip": None,
        "clear_ip": None,
    }
    answer = call("root", "PATCH", f"/node/{world.node.south_trial}", json=body)
    assert (answer.status_code, answer.json["name"]) == (200, "south_trial")


@pytest.mark.parametrize(
    ("text", "names"), [("True", ["trial"]), ("False", ["nothing", "registry"])]
)
def test_c_06_collaborations_are_listed_by_encryption(call, world, text, names):
    query = {"encrypted": text, "page": 1, "per_page": 20, "scope": "global"}
    answer = call("root", "GET", "/collaboration", query=query)
    assert sorted(row["name"] for row in answer.json) == names


def test_c_07_an_admin_who_is_not_root_stops_what_a_node_runs(call, world, sent):
    body = {"id": world.node.north_registry}
    assert call("org_admin", "POST", "/kill/node/tasks", json=body).status_code == 200
    assert [event.name for event in sent] == ["kill_containers"]


def test_c_08_a_plain_installation_has_everything_that_is_no_code(backend, databases, smtp):
    """Templates of mails, policies and the API page are declared as parts of the package."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packed = {
        path
        for package, patterns in project["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in (REPOSITORY / package.replace(".", "/")).glob(pattern)
        if path.is_file()
    }
    needed = {
        path
        for path in (REPOSITORY / "v6srv").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "/." not in str(path)
    }
    assert len([path for path in needed if path.parent.name == "mail"]) >= 8
    assert needed <= packed, needed - packed
    # And they are used: the mail of a lost password arrives.
    inbox = Inbox()
    mail = {"server": "127.0.0.1", "port": smtp(inbox), "MAIL_USE_TLS": False}
    with open_app(databases, backend, True, smtp=mail) as (app, _world):
        Caller(app)(None, "POST", "/recover/lost", json={"username": "viewer"})
        send_mails(app)
    [(_, message)] = inbox.mails
    assert "Viewer" in message.get_body(("plain",)).get_content()


# --- 5. Operation


def test_o_01_the_text_false_does_not_allow_to_drop_everything(run, write, tmp_path):
    assert run("import", str(EXAMPLE)).exit_code == 0
    before = organizations(tmp_path)
    for text in ("False", "false", "0", "no"):
        path = write("study", {"application": {"allow_drop_all": text}})
        refused_ = run("import", str(EXAMPLE), "-c", str(path), "--drop-all")
        assert refused_.exit_code == 1, text
        assert "not allowed" in refused_.output
    assert organizations(tmp_path) == before
    shown = run("config", "check", str(write("study", {"application": {"allow_drop_all": "True"}})))
    assert "allow_drop_all: true" in shown.output


def test_o_02_the_levels_that_are_offered_are_those_that_are_accepted(run, write, tmp_path):
    answers = [
        ("description", "x\r"),
        ("ip:", "\r"),
        ("port", "\r"),
        ("api", "\r"),
        ("URI", "\r"),
        ("drop", "\r"),
        ("JWT", "n"),
        ("CRITICAL", "\x03"),
    ]
    said = _in_terminal(tmp_path, ["new", "-n", "x", "-e", "test", "--user"], answers)
    assert "NOTSET" not in said
    for level in LOG_LEVELS:
        assert level in said
        path = write("study", {"application": {"logging": {"level": level}}})
        assert run("config", "check", str(path)).exit_code == 0
    path = write("study", {"application": {"logging": {"level": "NOTSET"}}})
    unknown = run("config", "check", str(path))
    assert unknown.exit_code == 1
    assert "logging.level" in unknown.output


def test_o_03_an_invalid_environment_is_named_with_its_key(run, write):
    write("study", {"application": {}, "environments": {"prod": {"port": 1}, "test": {"prot": 1}}})
    for environment, said in (("test", "prot: unknown key, did you mean port?"), ("acc", "acc")):
        for command in ("start", "files"):
            result = run(command, "-n", "study", "-e", environment, "--user")
            assert result.exit_code == 1
            assert said in result.output
    write("misspelt", {"environments": {"prodd": {"port": 1}}})
    result = run("files", "-n", "misspelt", "--user")
    assert result.exit_code == 1
    assert "prodd: unknown environment, did you mean prod?" in result.output


def test_o_04_drop_all_drops_and_imports_or_does_nothing(run, tmp_path):
    assert run("import", str(EXAMPLE)).exit_code == 0
    before = users(tmp_path)
    forbidden = run("import", str(EXAMPLE), "--drop-all")
    assert forbidden.exit_code == 1
    assert "Adding entities" not in forbidden.output
    assert users(tmp_path) == before
    allowed = run("import", str(EXAMPLE), "--drop-all", V6SRV_ALLOW_DROP_ALL="true")
    assert allowed.exit_code == 0, allowed.output
    assert f"{len(before) - 1} x user" in allowed.output  # everybody but root was added again
    assert users(tmp_path) == before


def without_roles(document):
    """As files of 3.x are: all users get every rule."""
    for organization in document["organizations"]:
        for user in organization["users"]:
            del user["roles"]
    return document


def test_o_05_an_import_is_whole_repeatable_and_its_roles_have_rules(run, tmp_path):
    document = yaml.safe_load(EXAMPLE.read_text())
    document["collaborations"][0]["participants"][0]["name"] = "Nobody Known"
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump(document))
    good = tmp_path / "good.yaml"
    good.write_text(yaml.safe_dump(without_roles(yaml.safe_load(EXAMPLE.read_text()))))
    assert run("import", str(good)).exit_code == 0  # on a fresh database
    counts = (
        "SELECT count(*) FROM role_rule_association JOIN role ON role.id = role_id"
        " WHERE role.name = 'super' GROUP BY role.id"
    )
    assert set(rows_of_instance(tmp_path, counts)) == {53}
    before = organizations(tmp_path)
    again = run("import", str(EXAMPLE))
    assert again.exit_code == 0
    assert "added: nothing" in again.output
    document["organizations"].append({"name": "added before the mistake", "users": []})
    bad.write_text(yaml.safe_dump(document))
    assert run("import", str(bad)).exit_code == 1
    assert organizations(tmp_path) == before


@pytest.mark.parametrize("command", ["start", "files", "shell"])
def test_o_06_without_a_configuration_a_command_fails(run, command):
    result = run(command, "--user")
    assert result.exit_code == 1
    assert "No configurations could be found!" in result.output


def portal_settings(port: int) -> dict[str, str]:
    """Of a VPN portal on this machine."""
    return {
        "url": f"http://127.0.0.1:{port}",
        "redirect_url": "http://localhost",
        "client_id": "client",
        "client_secret": "hush",
        "portal_username": "robot",
        "portal_userpass": "secret",
    }


def test_o_07_a_vpn_portal_is_not_trusted_nor_waited_for(
    backend, databases, monkeypatch, run, write
):
    states = []
    request = requests.Session.request

    def noting(self, method, url, **options):
        states.append((options.get("params") or {}).get("state"))
        return request(self, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", noting)
    portal = Portal()
    threading.Thread(target=portal.serve_forever, args=(0.05,), daemon=True).start()
    settings = portal_settings(portal.server_port)
    with open_app(databases, backend, True, vpn_server=settings) as (app, _world):
        call = Caller(app)
        for _ in range(2):
            assert call("north_registry", "GET", "/vpn").status_code == 200
        first, second = filter(None, states)
        assert first != second
        assert min(len(first), len(second)) >= 32
        portal.wrong_state = True
        refused(call("north_registry", "GET", "/vpn"), 500)
    portal.shutdown()
    portal.server_close()
    # A portal that takes the connection and says nothing.
    monkeypatch.setattr(vpn, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = portal_settings(silent.getsockname()[1])
        with open_app(databases, backend, True, vpn_server=settings) as (app, _world):
            began = time.monotonic()
            refused(Caller(app)("north_registry", "GET", "/vpn"), 503)
            assert time.monotonic() - began < 5
    # A missing key is said before anything starts.
    del settings["client_id"]
    result = run("config", "check", str(write("study", {"application": {"vpn_server": settings}})))
    assert result.exit_code == 1
    assert "vpn_server.client_id" in result.output


def test_o_08_an_internal_error_reveals_nothing_and_health_tells_the_truth(
    call, world, monkeypatch, caplog
):
    call("researcher", "GET", "/task")
    before = database_digest()

    def fail(*_args):
        raise RuntimeError("the password of the database is hush")

    body = order(world, "north", description="a secret of the patient")
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "_announce", fail)
        answer = call("researcher", "POST", "/task", json=body)
    refused(answer, 500)
    assert "hush" not in answer.text
    assert "Traceback" not in answer.text
    assert "patient" not in caplog.text  # nor does the log hold what was sent
    assert database_digest() == before

    with database_away():
        health = call(None, "GET", "/health")
    assert health.status_code == 503
    assert health.json == {"database": False, "problems": ["the database cannot be reached"]}


def test_o_09_the_shell_warns_and_leaves_a_trace(run, caplog):
    caplog.set_level(logging.WARNING)
    result = run("shell", stdin="print('users', session.query(User).count())\n")
    assert result.exit_code == 0, result.output
    assert "users 1" in result.output
    assert "Using the shell is not recommended" in result.output
    assert f"opened by uid {os.getuid()}" in result.output + caplog.text


def test_o_10_no_command_prints_a_secret(run, write):
    secrets = {
        "uri": "postgresql://v6:hush-database@db.internal/v6",
        "jwt_secret_key": "hush-signing-key-that-is-long-enough",
        "smtp": {"password": "hush-mail"},
        "rabbitmq_uri": "amqp://v6:hush-queue@mq.internal:5672/v6",
        "vpn_server": {**portal_settings(1), "client_secret": "hush-vpn"},
        "root_password": "hush-root",
    }
    path = write("study", {"application": secrets})
    for command in (
        ("files", "-n", "study", "--user"),
        ("files", "-n", "study", "--user", "--format", "json"),
        ("config", "check", str(path)),
        ("config", "check", str(path), "--format", "json"),
    ):
        result = run(*command)
        assert result.exit_code == 0, result.output
        assert "hush" not in result.output
    assert "db.internal" in run("files", "-n", "study", "--user").output
