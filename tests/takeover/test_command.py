"""`v6srv import-v3`, from the command line to the running server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from tests.live import live_server
from tests.takeover.conftest import Reference
from v6srv.cli.main import cli

pytestmark = pytest.mark.xdist_group("takeover")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Run the command on an instance of this test."""

    def invoke(*arguments: str, command: str = "import-v3") -> Result:
        variables = {
            "V6SRV_INSTANCE": str(tmp_path / "instance"),
            "V6SRV_PASSWORD_ROUNDS": "4",
        }
        return CliRunner(env=variables).invoke(cli, [command, *arguments])

    return invoke


def test_a_server_is_taken_over(
    reference: Reference, run: Callable[..., Result], tmp_path: Path
) -> None:
    done = run(reference.uri)
    assert done.exit_code == 0, done.output
    vera = f"user {reference.id('vera')} vera"
    reason = "default role Viewer follows the policy files"
    assert f"{vera} loses node organization delete: {reason}" in done.stdout
    assert f"{vera} gains port organization view, study organization view: {reason}" in done.stdout
    assert "taken over: 3 x organization, 1 x collaboration" in done.stdout
    assert "left out: 70" in done.stderr
    assert "root was created" not in done.output  # the root of the source has the place
    with live_server(instance=tmp_path / "instance") as server:
        rolf = server.login("rolf", reference.facts["password"])
        rows = requests.get(f"{server.api}/task", headers=rolf, timeout=20).json()
        assert {row["name"] for row in rows} == {"average", "partial"}
        key = {"api_key": reference.facts["keys"]["south"]}
        assert requests.post(f"{server.api}/token/node", json=key, timeout=20).status_code == 200
        assert server.login("root", "root")
    again = run(reference.uri)
    assert again.exit_code == 1
    assert "[error] - The database of this instance is in use" in again.stderr


def test_a_server_of_4x_is_taken_over(
    reference4: Reference, run: Callable[..., Result], tmp_path: Path
) -> None:
    refused = run(reference4.uri)
    assert refused.exit_code == 1
    assert "of a 4.x server: use import-v4" in refused.stderr
    done = run(reference4.uri, command="import-v4")
    assert done.exit_code == 0, done.output
    reason = "default role Organization Admin follows the policy files"
    adam = f"user {reference4.id('adam')} adam"
    gained = ("event", "organization", "create"), ("task", "organization", "create")
    named = ", ".join(" ".join(right) for right in gained)
    assert f"{adam} gains {named}, task organization delete: {reason}" in done.stdout
    assert "2 x study" in done.stdout
    with live_server(instance=tmp_path / "instance") as server:
        me = server.login("rolf", reference4.facts["password"], base="/v4/api")
        studies = requests.get(f"{server.url}/v4/api/study", headers=me, timeout=20)
        [study] = studies.json()["data"]
        assert study["name"] == "Valves"
        rows = requests.get(f"{server.url}{study['tasks']}", headers=me, timeout=20).json()["data"]
        assert [row["name"] for row in rows] == ["average"]
    again = run(reference4.uri, command="import-v4")
    assert again.exit_code == 1
    assert "in use: a 4.x database can only be taken over into a new one" in again.stderr


def test_scripts_read_json(reference: Reference, run: Callable[..., Result]) -> None:
    tried = run(reference.uri, "--dry-run", "--format", "json")
    assert tried.exit_code == 0, tried.output
    assert "The user root was created with the password" in tried.stderr  # it is still there
    document = json.loads(tried.stdout)
    assert document["dry_run"] is True
    assert document["copied"]["result"] == 5
    assert {
        "user_id": reference.id("vera"),
        "username": "vera",
        "gained": False,
        "resource": "node",
        "scope": "organization",
        "operation": "delete",
        "reason": "default role Viewer follows the policy files",
    } in document["rights"]
    done = run(reference.uri, "--format", "json")
    assert json.loads(done.stdout) == {**document, "dry_run": False}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://root:hush@127.0.0.1:1/x",
        "mysql://root:hush@127.0.0.1/x",
        "postgresql://root:hu@hush@127.0.0.1/x",
        "hush",
    ],
)
def test_a_source_that_cannot_be_used_leaves_no_instance_behind(
    run: Callable[..., Result], tmp_path: Path, url: str
) -> None:
    refused = run(url)
    assert refused.exit_code == 1
    assert "[error] - " in refused.stderr
    assert "hush" not in refused.output
    assert not (tmp_path / "instance").exists()


def test_a_file_that_is_no_database_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite"
    file.write_text("These are no tables. " * 100)
    refused = run(f"sqlite:///{file}")
    assert refused.exit_code == 1
    assert "[error] - The database cannot be used: file is not a database" in refused.stderr


def test_the_database_of_this_instance_is_no_source(
    reference: Reference, run: Callable[..., Result], tmp_path: Path
) -> None:
    assert run(reference.uri).exit_code == 0
    [file] = (tmp_path / "instance").rglob("*.sqlite*")
    refused = run(f"sqlite:///{file}")
    assert refused.exit_code == 1
    assert "The source is the database of a v6srv server" in refused.stderr
