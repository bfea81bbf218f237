"""The forms the server runs in: start, serve and flask run."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import requests
import socketio
from click.testing import CliRunner

from tests.live import FLASK_RUN, live_server
from v6srv.cli.main import cli

FORMS = {
    "start": ("-m", "v6srv", "start"),
    "serve": ("-m", "v6srv", "serve"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_serves_rest_documentation_and_sockets_and_stops(form: str) -> None:
    with live_server(*FORMS[form]) as server:
        assert requests.get(f"{server.api}/version", timeout=5).json() == {"version": "3.11.1"}
        page = requests.get(f"{server.url}/apidocs", timeout=5)
        assert page.status_code == 200
        assert "//cdn" not in page.text
        for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
            assert requests.get(server.url + asset, timeout=5).status_code == 200
        with socketio.SimpleClient() as client:
            client.connect(
                server.url,
                headers=server.login(),
                namespace="/tasks",
                transports=["websocket"],
            )
            assert client.connected
        assert server.stop() == 0, server.tail()
        assert "Traceback" not in server.tail()


def test_both_words_are_one_command() -> None:
    """So what is tested with one holds for the other."""
    assert cli.commands["serve"] is cli.commands["start"]


def test_the_log_is_where_files_says(tmp_path: Path) -> None:
    with live_server(instance=tmp_path, V6SRV_LOGGING__FILE="x") as server:
        told = CliRunner(env={"V6SRV_INSTANCE": str(tmp_path), "V6SRV_LOGGING__FILE": "x"}).invoke(
            cli, ["files", "--format", "json"]
        )
        assert requests.get(f"{server.api}/user/1", timeout=5).status_code == 401
    assert [str(path) for path in tmp_path.rglob("*.log")] == [json.loads(told.output)["Log file"]]


def test_it_stops_cleanly_when_it_is_terminated() -> None:
    with live_server() as server:
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert "Traceback" not in server.tail()


def test_debug_serves_and_leaves_nothing_behind() -> None:
    with live_server("-m", "v6srv", "start", "--debug") as server:
        assert server.login()
        assert server.stop() == 0, server.tail()
        assert "Traceback" not in server.tail()
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.api}/health", timeout=5)


def test_start_says_where_and_what_it_serves() -> None:
    with live_server() as server:
        for line in (
            "Starting server.",
            f"ip: 127.0.0.1, port: {server.port}",
            "Version: ",
            f"Documentation: {server.url}/apidocs",
        ):
            assert line in server.tail()


def test_a_port_that_is_taken_ends_with_1_and_no_trace() -> None:
    with live_server() as server, tempfile.TemporaryDirectory() as folder:
        second = subprocess.run(
            [sys.executable, "-m", "v6srv", "start", "--port", str(server.port)],
            env={**os.environ, "V6SRV_INSTANCE": folder, "V6SRV_PASSWORD_ROUNDS": "4"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert second.returncode == 1
    assert "in use" in second.stderr
    assert "Traceback" not in second.stderr


def test_flask_run_says_bad_settings_in_lines() -> None:
    with (
        pytest.raises(AssertionError, match="did you mean V6SRV_PORT") as refused,
        live_server("-c", FLASK_RUN, V6SRV_PROT="1"),
    ):
        pass
    assert "Traceback" not in str(refused.value)


def test_flask_run_works_too() -> None:
    with live_server("-c", FLASK_RUN) as server:
        assert requests.get(f"{server.api}/health", timeout=5).json() == {"database": True}
        assert server.login()


def test_without_a_secret_one_is_kept_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    with live_server(instance=tmp_path, V6SRV_JWT_SECRET="") as server:
        token = server.login()
        server.stop()
    secret = tmp_path / "jwt_secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    with live_server(instance=tmp_path, V6SRV_JWT_SECRET="") as server:
        assert requests.get(f"{server.api}/user/1", headers=token, timeout=5).status_code == 200


def test_without_a_password_one_is_printed_once_and_only_its_hash_is_stored(
    tmp_path: Path,
) -> None:
    with live_server(instance=tmp_path, V6SRV_ROOT_PASSWORD="") as server:
        found = re.search(r"with the password  (\S+)", server.tail())
        assert found, server.tail()
        assert server.login("root", found[1])
        server.stop()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.sqlite*"))
    assert found[1].encode() not in stored
    with live_server(instance=tmp_path, V6SRV_ROOT_PASSWORD="") as server:
        assert "with the password" not in server.tail()


def test_bad_settings_are_said_in_lines_and_nothing_starts() -> None:
    with (
        pytest.raises(AssertionError, match="did you mean V6SRV_PORT"),
        live_server(V6SRV_PROT="1"),
    ):
        pass


def test_a_value_that_is_not_used_is_said_once() -> None:
    with live_server(V6SRV_TOKEN_EXPIRES_HOURS="abc") as server:
        server.login()
        server.login()
        assert server.log.read_text().count("token_expires_hours: 'abc' is no number") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "p, role:viewer, tsak, own, view, True, allow",
            r"local\.csv:1:17: unknown resource 'tsak'",
        ),
        ("p, role:viewer", r"local\.csv:1"),
    ],
)
def test_bad_policies_are_said_with_their_place_before_anything_is_made(
    tmp_path: Path, line: str, said: str
) -> None:
    instance, policies = tmp_path / "instance", tmp_path / "policies"
    policies.mkdir()
    for path in (Path(__file__).parents[2] / "policies").iterdir():
        if path.is_file():
            (policies / path.name).write_text(path.read_text())
    (policies / "local.csv").write_text(f"{line}\n")
    variables = {"V6SRV_POLICIES": str(policies), "V6SRV_ROOT_PASSWORD": ""}
    with (
        pytest.raises(AssertionError, match=said) as refused,
        live_server(instance=instance, **variables),
    ):
        pass
    assert "Traceback" not in str(refused.value)
    assert "with the password" not in str(refused.value)
    assert not list(instance.rglob("*.sqlite"))
