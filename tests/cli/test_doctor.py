"""`doctor`: each thing that can be wrong is found in an installation where it is, and nothing else is changed."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.databases import Databases
from tests.docs.pages import ROOT
from tests.live import free_port, live_server
from tests.outages.test_clock import library
from tests.outages.test_full_disk import small_disk
from v6srv import migrations
from v6srv.cli.doctor.findings import BROKEN, KINDS
from v6srv.cli.main import cli
from v6srv.db import make_engine

__all__ = ["library", "small_disk"]

HUSH = "hushhushhush"
"""A part of every secret here: it must not be printed."""
KEY = f"{HUSH}-0123456789abcdefghijklmnop"

tried: set[str] = set()


class Installation:
    """An instance in which nothing is wrong, until a test breaks something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = folder / "instance"
        self.variables = {
            "V6SRV_INSTANCE": str(self.instance),
            "V6SRV_JWT_SECRET": KEY,
            "V6SRV_PASSWORD_ROUNDS": "4",
            "PORT": str(free_port()),
        }

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        done = CliRunner(env={**self.variables, **variables}).invoke(cli, list(arguments))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def find(self, *options: str, **variables: str) -> dict[str, str]:
        """What is found, by its code."""
        code, printed = self.run("doctor", "--format", "json", *options, **variables)
        assert HUSH not in printed
        found = json.loads(printed)
        slugs = {one["code"] for one in found}
        assert BROKEN.slug not in slugs, printed
        assert all(one["finding"] and one["what_to_do"] for one in found)
        assert code == any(one["severity"] != "note" for one in found)
        tried.update(slugs)
        return _by_code(found)

    def do(self, *statements: str) -> None:
        engine = make_engine(self.variables["V6SRV_DATABASE_URL"])
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


def _by_code(found: list[dict[str, Any]]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for one in found:
        texts.setdefault(one["code"], []).append(one["finding"])
    return {code: "\n".join(each) for code, each in texts.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared once: each test has a copy."""
    site = Installation(tmp_path_factory.mktemp("doctor"))
    assert site.run("import", str(ROOT / "examples" / "study.yaml"))[0] == 0
    return site.folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Installation:
    folder = shutil.copytree(made, tmp_path / "site")
    site = Installation(folder)
    site.variables["V6SRV_DATABASE_URL"] = f"sqlite:///{site.instance / 'v6srv.sqlite'}"
    return site


USUAL = {"mail-not-set", "backup-unknown", "not-running"}


def test_a_new_installation_has_hardly_anything(site: Installation) -> None:
    before = {path: path.stat().st_mtime_ns for path in site.folder.rglob("*.csv")}
    assert site.find().keys() == USUAL
    code, printed = site.run("doctor")
    assert code == 1
    assert "warning mail-not-set: " in printed
    assert "    -> set `smtp`" in printed
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_before_the_first_start(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    site = Installation(tmp_path)
    assert {"database-missing", "not-running"} <= site.find().keys()
    assert not site.instance.exists()


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"V6SRV_PROT": "1"}, "settings-invalid", "did you mean V6SRV_PORT"),
        ({"V6SRV_HTTP__PROCESSES": "2"}, "settings-invalid", "cannot share SQLite"),
        ({"V6SRV_TOKEN_EXPIRES_HOURS": "abc"}, "setting-not-used", "no number"),
        ({"V6SRV_JWT_PREVIOUS_KEYS": HUSH}, "settings-contradict", "verifies no token"),
        ({"V6SRV_POLICIES": "/nowhere"}, "policies-elsewhere", "/nowhere"),
        ({"V6SRV_ALLOW_DROP_ALL": "true"}, "drop-all-allowed", "--drop-all"),
        ({"V6SRV_IP": "0.0.0.0"}, "no-tls", "in clear"),
        ({"V6SRV_IP": "0.0.0.0", "V6SRV_TRUSTED_PROXIES": "1"}, "proxy-around", "0.0.0.0"),
        ({"V6SRV_IP": "0.0.0.0", "V6SRV_METRICS": "true"}, "metrics-open", "counters"),
        (
            {"V6SRV_SMTP__SERVER": "mail.invalid", "V6SRV_SMTP__MAIL_USE_TLS": "false"},
            "mail-in-clear",
            "mail.invalid",
        ),
        (
            {"V6SRV_SMTP__SERVER": "127.0.0.1", "V6SRV_SMTP__PORT": "1"},
            "mail-unreachable",
            "refused",
        ),
        (
            {"V6SRV_RABBITMQ_URI": f"redis://:{HUSH}@queue.invalid/0"},
            "queue-in-clear",
            "queue.invalid",
        ),
        ({"V6SRV_RABBITMQ_URI": f"redis://:{HUSH}@127.0.0.1:1/0"}, "queue-unreachable", "refused"),
        (
            {"V6SRV_RATE_LIMIT_URI": f"redis://:{HUSH}@127.0.0.1:1/0"},
            "login-counter-unreachable",
            "refused",
        ),
        (
            {
                "V6SRV_OIDC__ISSUER": "http://127.0.0.1:1",
                "V6SRV_OIDC__CLIENT_ID": "v6",
                "V6SRV_OIDC__CLIENT_SECRET": HUSH,
                "V6SRV_OIDC__CALLBACK_URL": "http://127.0.0.1/api/oidc/callback",
            },
            "identity-provider-unreachable",
            "oidc",
        ),
        ({"V6SRV_JWT_SECRET": "01" * 20}, "key-weak", "2 different"),
        (
            {"V6SRV_DATABASE_URL": f"postgresql://v6:{HUSH}@127.0.0.1:1/v6"},
            "database-unreachable",
            "refused",
        ),
    ],
)
def test_what_settings_and_services_are_like(
    site: Installation, variables: dict[str, str], code: str, said: str
) -> None:
    assert said in site.find(**variables)[code]


def test_secrets_that_others_may_read(site: Installation) -> None:
    file = site.folder / "server.yaml"
    file.write_text(f"jwt_secret_key: {KEY}\n")
    for path in (file, site.instance / "v6srv.sqlite"):
        path.chmod(0o644)
        found = site.find("--config", str(file))
        assert str(path) in found["secret-readable"]
        assert path.stat().st_mode & 0o777 == 0o644, "it only looks"
        path.chmod(0o600)
    assert "secret-readable" not in site.find("--config", str(file))


def test_a_key_that_is_no_key(site: Installation) -> None:
    (site.instance / "jwt_secret").write_text("")
    assert "is empty" in site.find(V6SRV_JWT_SECRET="")["key-unusable"]


def test_root_with_the_password_of_the_settings(site: Installation) -> None:
    one = Installation(site.folder / "another")
    one.variables["V6SRV_ROOT_PASSWORD"] = f"{HUSH}-A1"
    assert one.run("import", str(ROOT / "examples" / "study.yaml"))[0] == 0
    assert "root-password-known" in one.find()
    assert "root-password-known" not in one.find(V6SRV_ROOT_PASSWORD=f"{HUSH}-B2")


def test_second_factors_of_another_key(site: Installation) -> None:
    secret = Fernet(Fernet.generate_key()).encrypt(b"A" * 32).decode()
    site.do(f"UPDATE \"user\" SET otp_secret = '{secret}' WHERE username = 'nora'")
    assert "1 second" in site.find()["second-factors-lost"]


def test_a_database_of_another_release(site: Installation) -> None:
    assert site.run("db", "downgrade", "0019", "--yes")[0] == 0
    found = site.find()
    assert "0019" in found["database-behind"]
    assert migrations.head() in found["database-behind"]
    site.do("UPDATE alembic_version SET version_num = '9999'")
    assert "newer release" in site.find()["database-foreign"]


def test_backups(site: Installation) -> None:
    folder = site.folder / "backups"
    folder.mkdir()
    assert "no backup in" in site.find("--backup", str(folder))["backup-old"]
    file = folder / "monday.sqlite"
    assert site.run("backup", str(file))[0] == 0
    assert (
        not {"backup-unknown", "backup-old", "backup-damaged"}
        & site.find("--backup", str(folder)).keys()
    )
    os.utime(file, (time.time() - 9 * 86_400,) * 2)
    assert "9 days" in site.find("--backup", str(file))["backup-old"]
    file.write_bytes(file.read_bytes()[:20_000])
    assert str(file) in site.find("--backup", str(file))["backup-damaged"]


def test_the_policy(site: Installation) -> None:
    folder = site.instance / "policies"
    file = folder / "default_roles.csv"
    file.chmod(0o666)
    assert str(file) in site.find()["policy-writable"]
    file.chmod(0o640)
    (folder / "local.csv").write_text("p, role:viewer, node, global, view, True, allow\n")
    assert "1 others" in site.find()["policy-differs"]
    (folder / "local.csv").write_text("p, role:viewer, tsak, own, view, True, allow\n")
    assert "unknown resource" in site.find()["policy-invalid"]
    (folder / "local.csv").write_text(
        "p, role:viewer, task, own, view, r.obj.id == r.obj.id, allow\n"
    )
    assert "what it says: 1" in site.find()["policy-doubtful"]
    (folder / "local.csv").unlink()
    for each in folder.glob("*.csv"):
        lines = each.read_text().splitlines(keepends=True)
        each.write_text("".join(line for line in lines if not re.match(r"p,.*deny\s*$", line)))
    assert "denials of this release are missing" in site.find()["policy-lacks-denials"]


def test_processes_that_do_not_agree(site: Installation) -> None:
    columns = "process, key_digest, policy_digest, seen_at"
    for process in ("one", "two"):
        values = f"'{process}', 'another key', 'other files', CURRENT_TIMESTAMP"
        site.do(f"INSERT INTO server_process ({columns}) VALUES ({values})")
    found = site.find()
    assert {"keys-differ", "policies-differ", "no-queue", "server-silent"} <= found.keys()
    assert "2 processes" in found["no-queue"]


def test_a_server_that_runs(site: Installation) -> None:
    """It is asked what it knows."""
    policies = site.instance / "policies"
    port, settings = int(site.variables["PORT"]), {"V6SRV_JWT_SECRET": KEY}
    with live_server(instance=site.instance, port=port, **settings) as server:
        assert site.find().keys() == USUAL - {"not-running"}
        (policies / "local.csv").write_text("p, role:viewer, tsak, own, view, True, allow\n")
        deadline = time.monotonic() + 60
        while "policy: local.csv" not in (found := site.find()).get("server-problem", ""):
            assert time.monotonic() < deadline, server.tail()
        assert "policy-invalid" in found


def test_disks_and_folders(site: Installation, small_disk: Path) -> None:
    shutil.copytree(site.instance, small_disk / "instance")
    there = {"V6SRV_INSTANCE": str(small_disk / "instance")}
    there["V6SRV_DATABASE_URL"] = f"sqlite:///{small_disk / 'instance' / 'v6srv.sqlite'}"
    assert "MB are left" in site.find(**there)["disk-nearly-full"]
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert str(small_disk) in site.find(**there)["folder-not-writable"]


def test_few_open_files(site: Installation) -> None:
    def fewer() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))

    found = _in_a_process(site, preexec_fn=fewer)
    assert "512" in found["few-open-files"]


def test_a_clock_that_is_not_that_of_the_database(
    site: Installation, library: Path, databases: Databases
) -> None:
    uri, _ = databases.copy("postgresql", with_world=False)
    clock = site.folder / "clock"
    clock.write_text("3600")
    fake = {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(clock), "V6SRV_DATABASE_URL": uri}
    found = _in_a_process(site, **fake)
    databases.drop(uri)
    assert "+3600 seconds" in found["clock-differs"] or "+3599" in found["clock-differs"]


def _in_a_process(
    site: Installation, preexec_fn: Callable[[], None] | None = None, **more: str
) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "v6srv", "doctor", "--format", "json"],
        env={**os.environ, **site.variables, **more},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=preexec_fn,
    )
    found = json.loads(done.stdout)
    tried.update(one["code"] for one in found)
    return _by_code(found)


def test_a_look_that_fails_says_so_and_nothing_of_what_it_looked_at(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from v6srv.cli.doctor import machine

    def _fail(*_: object) -> Iterator[None]:
        raise RuntimeError(HUSH)

    monkeypatch.setattr(machine, "LOOKS", (_fail,))
    _, printed = site.run("doctor")
    assert "not-looked-at: fail: RuntimeError" in printed
    assert HUSH not in printed
    tried.add(BROKEN.slug)


def test_every_code_was_tried_here(request: pytest.FixtureRequest) -> None:
    """Unless only some of these tests are run."""
    if not request.config.option.keyword and "::" not in "".join(request.config.args):
        assert KINDS.keys() - tried == set()
