"""The commands that do not serve."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from v6srv.cli.main import cli


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command with the folders of this test."""
    for name in [name for name in os.environ if name.startswith("V6SRV_")]:
        monkeypatch.delenv(name)
    variables = {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_DIRS": str(tmp_path / "system"),
        "V6SRV_INSTANCE": str(tmp_path / "instance"),
    }

    def invoke(*arguments: str) -> Result:
        return CliRunner(env=variables).invoke(cli, list(arguments))

    return invoke


def _write(tmp_path: Path, name: str, text: str) -> Path:
    folder = tmp_path / "config" / "vantage6" / "server"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


GOOD = """
application: {}
environments:
  prod: {description: d, uri: "postgresql://v6:hush@db.internal/v6", port: 5001}
  test: {description: t}
  dev:
"""


def test_list_shows_what_can_be_read(tmp_path: Path, run: Callable[..., Result]) -> None:
    _write(tmp_path, "study", GOOD)
    _write(tmp_path, "broken", "environments: [")
    text = run("list")
    assert text.exit_code == 0
    assert "study" in text.output
    assert "prod, test" in text.output
    assert "Number of failed imports: 1" in text.output
    rows = json.loads(run("list", "--format", "json").stdout)
    assert rows == [{"name": "study", "environments": ["prod", "test"], "scope": "user"}]


def test_files_shows_paths_and_no_password(tmp_path: Path, run: Callable[..., Result]) -> None:
    path = _write(tmp_path, "study", GOOD)
    shown = json.loads(
        run("files", "-n", "study", "-e", "prod", "--user", "--format", "json").output
    )
    assert shown["Configuration file"] == str(path)
    assert "hush" not in shown["Database"]


def test_a_scope_without_configurations_ends_with_1(run: Callable[..., Result]) -> None:
    result = run("files", "--user")
    assert result.exit_code == 1
    assert "No configurations could be found!" in result.output


def test_an_unknown_name_or_environment_ends_with_1(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    _write(tmp_path, "study", GOOD)
    assert run("files", "-n", "nothing", "--user").exit_code == 1
    missing = run("files", "-n", "study", "-e", "acc", "--user")
    assert missing.exit_code == 1
    assert "acc is not in the configuration" in missing.output


def test_config_check_names_the_wrong_key(tmp_path: Path, run: Callable[..., Result]) -> None:
    good = _write(tmp_path, "study", GOOD)
    assert run("config", "check", str(good)).exit_code == 0
    bad = _write(tmp_path, "bad", "application: {prot: 5000, smtp: {portt: 25}, port: many}")
    result = run("config", "check", str(bad))
    assert result.exit_code == 1
    assert "prot: unknown key, did you mean port?" in result.output
    assert "smtp.portt: unknown key, did you mean port?" in result.output
    assert "port: Input should be a valid integer" in result.output


def test_db_goes_up_is_checked_and_comes_down(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    assert run("db", "check").exit_code == 1
    assert run("db", "upgrade").exit_code == 0
    assert run("db", "check").exit_code == 0
    assert run("db", "downgrade", "base", "--yes").exit_code == 0
    assert run("db", "check").exit_code == 1


def test_version_and_completion(run: Callable[..., Result]) -> None:
    assert run("version").output.strip()
    for shell in ("bash", "zsh", "fish"):
        assert "COMPLETE" in run("completion", shell).output


def test_new_asks_its_questions_in_a_terminal(tmp_path: Path, run: Callable[..., Result]) -> None:
    said = _in_terminal(
        tmp_path,
        ["new", "-n", "my study", "-e", "test", "--user"],
        [
            ("description", "A study\r"),
            ("ip:", "\r"),
            ("port", "\x7f\x7f\x7f\x7f7601\r"),
            ("api", "\r"),
            ("URI", "\r"),
            ("drop", "\x1b[B\r"),
            ("JWT", "\r"),
            ("logging", "\x1b[B\r"),
            ("two-factor", "n"),
            ("VPN", "\r"),
            ("RabbitMQ", "n"),
        ],
    )
    path = tmp_path / "config" / "vantage6" / "server" / "my-study.yaml"
    assert path.exists(), said
    written = yaml.safe_load(path.read_text())
    test = written["environments"]["test"]
    assert written["environments"]["prod"] == {}
    assert test["description"] == "A study"
    assert test["port"] == 7601
    assert test["allow_drop_all"] is True
    assert test["logging"]["level"] == "INFO"
    assert len(test["jwt_secret_key"]) > 40
    assert not {"two_factor_auth", "vpn_server", "rabbitmq_uri"} & set(test)
    assert run("config", "check", str(path)).exit_code == 0
    again = _in_terminal(tmp_path, ["new", "-n", "my-study", "-e", "test", "--user"], [])
    assert "already exists" in again


def _in_terminal(tmp_path: Path, arguments: list[str], dialogue: list[tuple[str, str]]) -> str:
    """Run the command in a pseudo terminal; type each answer once its question is shown."""
    parent, child = pty.openpty()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("V6SRV_")},
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TERM": "xterm",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "v6srv", *arguments],
        stdin=child,
        stdout=child,
        stderr=child,
        env=environment,
        close_fds=True,
    )
    os.close(child)
    said, since = "", 0
    deadline = time.monotonic() + 30
    waiting = list(dialogue)
    while time.monotonic() < deadline:
        if waiting and waiting[0][0] in said[since:]:
            time.sleep(0.15)  # the prompt is drawn before it reads
            os.write(parent, waiting.pop(0)[1].encode())
            since = len(said)
        ready, _, _ = select.select([parent], [], [], 0.2)
        if ready:
            try:
                data = os.read(parent, 65536)
            except OSError:
                break
            if not data:
                break
            said += data.decode(errors="replace")
        elif process.poll() is not None:
            break
    process.kill()
    process.wait()
    os.close(parent)
    return said
