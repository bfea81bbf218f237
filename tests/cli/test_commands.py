"""The commands that do not serve."""

import json
import os
import pty
import selectors
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.realtime.test_processes import redis_server
from v6srv.cli.main import cli
from v6srv.settings import load


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

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner(env=variables).invoke(cli, list(arguments), input=stdin)

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
    (tmp_path / "config" / "vantage6" / "server" / "binary.yaml").write_bytes(b"\xff\xfe")
    text = run("list")
    assert text.exit_code == 0
    assert "study" in text.output
    assert "prod, test" in text.output
    assert "Number of failed imports: 2" in text.output
    rows = json.loads(run("list", "--format", "json").stdout)
    assert rows == [{"name": "study", "environments": ["prod", "test"], "scope": "user"}]


def test_files_shows_paths_and_no_password(tmp_path: Path, run: Callable[..., Result]) -> None:
    path = _write(tmp_path, "study", GOOD)
    shown = json.loads(
        run("files", "-n", "study", "-e", "prod", "--user", "--format", "json").output
    )
    assert shown["Configuration file"] == str(path)
    assert "hush" not in shown["Database"]


@pytest.mark.parametrize("name", ["a" * 120, "[bold]"])
def test_list_has_one_line_for_each(tmp_path: Path, run: Callable[..., Result], name: str) -> None:
    _write(tmp_path, name, GOOD)
    assert [line.split() for line in run("list").output.splitlines()] == [
        ["Name", "Environments", "System/User"],
        [name, "prod,", "test", "User"],
    ]


def test_a_named_instance_has_the_folders_of_its_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """operations.md 2.1 and 2.2."""
    path = _write(tmp_path, "study", "prod")
    path.write_text("environments: {prod: {logging: {file: x}, uri: 'sqlite:///d.sqlite'}}")
    for variable, folder in (("CONFIG", "config"), ("DATA", "data"), ("CACHE", "cache")):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(tmp_path / folder))
    monkeypatch.delenv("V6SRV_INSTANCE", raising=False)
    shown = CliRunner().invoke(cli, ["files", "-n", "study", "--user", "--format", "json"])
    paths = json.loads(shown.output)
    assert paths["Log file"] == str(
        tmp_path / "cache/vantage6/log/server/study/server_prod_user.log"
    )
    assert paths["Database"] == f"sqlite:///{tmp_path}/data/vantage6/server/study/d.sqlite"


def test_nobody_is_asked_without_a_terminal(tmp_path: Path, run: Callable[..., Result]) -> None:
    _write(tmp_path, "study", GOOD)
    (tmp_path / "config" / "vantage6" / "server" / "broken.yaml").write_text("environments: [")
    for command in (["start", "--user"], ["files", "--user"], ["new", "-n", "x", "--user"]):
        result = run(*command)
        assert result.exit_code == 1
        assert result.output.startswith("[error] - ")
        assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "config" / "vantage6" / "server" / "x.yaml").exists()


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "-n"])
def test_a_name_is_no_path(run: Callable[..., Result], name: str) -> None:
    result = run("new", f"--name={name}", "--user")
    assert result.exit_code == 1
    assert "A configuration-name has" in result.output


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


@pytest.mark.parametrize(
    ("text", "said"),
    [("environments: [", "is not YAML"), ("application: {}", "all environments are empty")],
)
def test_config_check_refuses_files_without_content(
    tmp_path: Path, run: Callable[..., Result], text: str, said: str
) -> None:
    result = run("config", "check", str(_write(tmp_path, "bad", text)))
    assert result.exit_code == 1
    assert said in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token_expires_hours: abc", "token_expires_hours: 'abc' is no number"),
        ("refresh_token_expires_hours: 1", "refresh_token_expires_hours: 1 hours are less than"),
        ("policies: /nowhere/policies", "policies: there is no folder /nowhere/policies"),
        ("jwt_secret_key: abc", "jwt_secret_key: Value error, is shorter than 32 bytes"),
        (
            "two_factor_auth: true\ntwo_factor_auth: false",
            "bad.yaml:2:1: 'two_factor_auth' is given",
        ),
        ("server_url: https://x", "server_url: a setting of the 4.x server"),
    ],
)
def test_config_check_finds_what_has_no_effect_or_a_bad_one(
    tmp_path: Path, run: Callable[..., Result], text: str, said: str
) -> None:
    result = run("config", "check", str(_write(tmp_path, "bad", text)))
    assert result.exit_code == 1
    assert said in result.output


@contextmanager
def _a_port_that(answers: bytes | None) -> Iterator[int]:
    """A port on which somebody says `answers` to everybody; None: nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answers is not None:
            listener.listen()

            def greet() -> None:
                with suppress(OSError):
                    while True:
                        with listener.accept()[0] as one:
                            one.sendall(answers)
                            while one.recv(100):
                                one.sendall(answers)

            Thread(target=greet, daemon=True).start()
        yield listener.getsockname()[1]


def test_config_check_can_ask_what_the_server_needs(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    (tmp_path / "no.sqlite").write_text("this is no database, but long enough to look like one" * 9)
    text = """
uri: {uri}
rabbitmq_uri: {queue}
smtp: {{server: 127.0.0.1, port: {mail}}}
"""
    with _a_port_that(None) as nobody, _a_port_that(b"220 hello\r\n") as mail:
        with redis_server() as queue:
            good = _write(
                tmp_path,
                "good",
                text.format(uri="sqlite:///new.sqlite", queue=queue, mail=mail),
            )
            answered = run("config", "check", "--connect", str(good))
        assert answered.exit_code == 0, answered.output
        assert not list(tmp_path.rglob("new.sqlite"))
        for uri, queue_uri in (
            (f"postgresql://v6:hush@127.0.0.1:{nobody}/x", f"redis://:hush@127.0.0.1:{nobody}"),
            (f"sqlite:///{tmp_path}/no.sqlite", f"amqp://v6:hush@127.0.0.1:{nobody}/v"),
        ):
            bad = _write(tmp_path, "bad", text.format(uri=uri, queue=queue_uri, mail=nobody))
            assert run("config", "check", str(bad)).exit_code == 0
            refused = run("config", "check", "--connect", str(bad))
            assert refused.exit_code == 1
            for said in (
                "application: uri: the database does not answer: ",
                "application: rabbitmq_uri: the message queue does not answer: ",
                "application: smtp: the mail server does not answer: ",
            ):
                assert said in refused.output
            assert "hush" not in refused.output


def test_a_log_file_that_cannot_be_made_ends_with_1(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    path = _write(tmp_path, "study", f"{{logging: {{file: x}}, directories: {{log: {tmp_path}}}}}")
    (tmp_path / "study" / "server_application_user.log").mkdir(parents=True)
    result = run("import", str(path), "-c", str(path), "--user")
    assert result.exit_code == 1
    assert "Is a directory" in result.output


def test_the_shell_warns_and_is_logged(run: Callable[..., Result]) -> None:
    """O9."""
    result = run("shell", stdin="print('rows', session.query(User).count(), db.User is User)\n")
    assert result.exit_code == 0, result.output
    assert "Using the shell is not recommended" in result.output
    assert "a shell with full access to the database was opened by uid" in result.output
    assert "rows 1 True" in result.output


def test_db_goes_up_is_checked_and_comes_down(run: Callable[..., Result], tmp_path: Path) -> None:
    missing = run("db", "check")
    assert missing.exit_code == 1
    assert "There is no database at" in missing.output
    assert not (tmp_path / "instance").exists()
    assert run("db", "upgrade").exit_code == 0
    assert run("db", "check").exit_code == 0
    for command in (["upgrade", "9999"], ["downgrade", "9999", "--yes"]):
        unknown = run("db", *command)
        assert unknown.exit_code == 1
        assert "[error] - The schema cannot be changed: " in unknown.output
    assert run("db", "downgrade", "base", "--yes").exit_code == 0
    assert run("db", "check").exit_code == 1


def test_version_and_completion(run: Callable[..., Result]) -> None:
    alone = run("version").output.strip()
    assert alone
    assert run("--version").output.startswith(f"v6srv {alone} ")
    for shell in ("bash", "zsh", "fish"):
        assert "COMPLETE" in run("completion", shell).output
    for command in ("v6srv", "vserver-local"):
        script = CliRunner().invoke(cli, ["completion", "bash"], prog_name=command).output
        assert script.rstrip().endswith(f"_{command.replace('-', '_')}_completion_setup;")
    assert "_V6SRV_COMPLETE" in (
        CliRunner().invoke(cli, ["completion", "bash"], prog_name="python -m v6srv").output
    )


def test_new_asks_its_questions_in_a_terminal(tmp_path: Path, run: Callable[..., Result]) -> None:
    _write(tmp_path, "taken", GOOD)
    said = _in_terminal(
        tmp_path,
        ["new", "-e", "test", "--user"],
        [
            ("configuration-name", "../out\r\x15taken\r\x15my study\r"),
            ("description", "A study\r"),
            ("ip:", "\r"),
            ("port", "\x7f\x7f\x7f\x7f7601\r"),
            ("api", "\r"),
            ("URI", "\r"),
            ("drop", "\x1b[B\r"),
            ("JWT", "\r"),
            ("logging", "\r"),
            ("two-factor", "n"),
            ("VPN", "\r"),
            ("RabbitMQ", "\r"),
        ],
    )
    path = tmp_path / "config" / "vantage6" / "server" / "my-study.yaml"
    assert path.exists(), said
    written = yaml.safe_load(path.read_text())
    test = written["environments"]["test"]
    assert written["environments"]["prod"] == {}
    assert (test["description"], test["ip"]) == ("A study", "127.0.0.1")
    assert test["port"] == 7601
    assert test["allow_drop_all"] is True
    assert test["logging"]["level"] == "INFO"
    assert len(test["jwt_secret_key"]) > 40
    assert not {"two_factor_auth", "vpn_server", "rabbitmq_uri"} & set(test)
    assert run("config", "check", str(path)).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = _in_terminal(tmp_path, ["new", "-n", "my-study", "-e", "test", "--user"], [])
    assert "already exists" in again


def test_new_keeps_what_a_file_has_and_asks_again_for_what_is_wrong(tmp_path: Path) -> None:
    path = _write(tmp_path, "study", "port: 6001")
    path.chmod(0o644)
    said = _in_terminal(
        tmp_path,
        ["new", "-n", "study", "-e", "dev", "--user"],
        [
            ("description", "Dev\r"),
            ("ip:", "\x15999.0.0.1\r\x150.0.0.0\r"),
            ("port", "\x7f\x7f\x7f\x7f0\r\x7f6002\r"),
            ("api", "\r"),
            ("URI", "\x15mysql://x\r\x15postgresql://h/d\r"),
            ("drop", "\r"),
            ("JWT", "n"),
            ("logging", "\x1b[A\r"),
            ("two-factor", "y"),
            ("VPN", "y"),
            ("VPN server URL", "https://vpn.example\r"),
            ("portal username", "v6\r"),
            ("portal password", "\rhush-portal\r"),
            ("client ID", "id\r"),
            ("client secret", "hush-client\r"),
            ("Redirect", "\r"),
            ("RabbitMQ", "y"),
            ("URI", "http://mq\r\x15redis://mq/0\r"),
        ],
    )
    written = yaml.safe_load(path.read_text())
    assert written["application"] == {"port": 6001}, said
    dev = load(path, "dev", {})
    assert (dev.ip, dev.port, dev.uri) == ("0.0.0.0", 6002, "postgresql+psycopg://h/d")
    assert (dev.allow_drop_all, dev.jwt_secret_key, dev.logging.level) == (False, None, "DEBUG")
    assert dev.two_factor_auth
    assert dev.vpn_server is not None
    assert dev.vpn_server.portal_userpass.get_secret_value() == "hush-portal"
    assert dev.vpn_server.redirect_url == "http://localhost"
    assert dev.message_queue == "redis://mq/0"
    assert "hush" not in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["study.yaml"]


def test_giving_up_on_a_question_writes_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path, "study", GOOD)
    _in_terminal(
        tmp_path,
        ["new", "-n", "study", "-e", "dev", "--user"],
        [("description", "Dev\r"), ("ip:", "\x03")],
    )
    assert path.read_text() == GOOD
    assert [file.name for file in path.parent.iterdir()] == ["study.yaml"]


def test_a_person_chooses_among_configurations(tmp_path: Path) -> None:
    _write(tmp_path, "study", GOOD)
    said = _in_terminal(tmp_path, ["files", "--user"], [("Select", "\x1b[B\r")])
    assert "Configuration file" in said
    assert f"{tmp_path}/data/vantage6/server/study/v6srv.sqlite" in said.replace("\r\n", "")


def _in_terminal(tmp_path: Path, arguments: list[str], dialogue: list[tuple[str, str]]) -> str:
    """Run the command in a pseudo terminal; type each answer once its question is shown."""
    parent, child = pty.openpty()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("V6SRV_")},
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
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
    readable = selectors.DefaultSelector()
    readable.register(parent, selectors.EVENT_READ)
    said, since = "", 0
    deadline = time.monotonic() + 30
    waiting = list(dialogue)
    while time.monotonic() < deadline:
        if waiting and waiting[0][0] in said[since:]:
            time.sleep(0.15)  # the prompt is drawn before it reads
            os.write(parent, waiting.pop(0)[1].encode())
            since = len(said)
        if readable.select(0.2):
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
    readable.close()
    os.close(parent)
    return said
