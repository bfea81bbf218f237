"""The files that somebody copies to run a server: valid for who reads them, and the server knows what they set."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.docs.pages import ROOT
from v6srv.settings import load

EXAMPLES = ROOT / "examples"
MANIFESTS = sorted(EXAMPLES.glob("kubernetes/*.yaml"))
COMPOSE = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
_SCHEMAS = Path(__file__).with_name("schemas")
_SECRETS = re.compile(r"--from-literal=(V6SRV_\w+)=(\S+)")


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_SCHEMAS / name).read_text())
    return found


def _resources() -> list[dict[str, Any]]:
    return [one for file in MANIFESTS for one in yaml.safe_load_all(file.read_text())]


def _of_kind(kind: str) -> dict[str, Any]:
    [found] = [one for one in _resources() if one["kind"] == kind]
    return found


def _faults(schema: dict[str, Any], instance: Any) -> list[str]:
    validator = jsonschema_rs.validator_for(schema)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(instance)]


def test_the_compose_file_is_one() -> None:
    schema = _schema("compose.json")
    assert _faults(schema, COMPOSE) == []
    wrong = {**COMPOSE, "services": {"server": {"build": "..", "enviroment": {}}}}
    assert _faults(schema, wrong) != [], "the schema sees what is misspelt"


def test_the_manifests_are_some() -> None:
    schema = _schema("kubernetes.json")
    for one in _resources():
        known = {**schema, "$ref": schema["kinds"][one["kind"]]}
        assert _faults(known, one) == [], one["kind"]
    service = _of_kind("StatefulSet")
    service["spec"]["template"]["spec"]["containers"][0]["reddinessProbe"] = {}
    assert _faults({**schema, "allOf": [{"$ref": schema["kinds"]["StatefulSet"]}]}, service) != []


def _settings(folder: Path, given: dict[str, str]) -> Any:
    return load(environ={**given, "V6SRV_INSTANCE": str(folder)})


def test_the_server_knows_what_the_compose_file_sets(tmp_path: Path) -> None:
    server = COMPOSE["services"]["server"]
    given = {k: re.sub(r"\$\{\w+:\?\}", "a", v) for k, v in server["environment"].items()}
    settings = _settings(tmp_path, given)
    assert settings.http.processes > 1, "as its first line says"
    assert settings.ip == "127.0.0.1", "nobody gets around the proxy"
    assert settings.trusted_proxies == 1
    assert int(server["stop_grace_period"].rstrip("s")) > settings.http.shutdown_s
    assert COMPOSE["services"]["proxy"]["network_mode"] == "service:server"
    for path in (volume.split(":")[0] for volume in COMPOSE["services"]["proxy"]["volumes"]):
        assert path in ("./certificate.pem", "./key.pem") or (EXAMPLES / path).exists()


def test_the_certificate_is_where_nginx_looks_for_it() -> None:
    nginx = (EXAMPLES / "nginx.conf").read_text()
    mounted = {volume.split(":")[1] for volume in COMPOSE["services"]["proxy"]["volumes"]}
    assert {*re.findall(r"ssl_certificate(?:_key)? ([^;]+);", nginx)} < mounted


def test_the_server_knows_what_the_manifests_set(tmp_path: Path) -> None:
    """The secret among them, which the first lines say how to make."""
    text = (EXAMPLES / "kubernetes" / "v6srv.yaml").read_text()
    secret = {name: value.replace("...", "a") for name, value in _SECRETS.findall(text)}
    secret["V6SRV_JWT_SECRET"] = "0" * 64
    settings = _settings(tmp_path, {**secret, **_of_kind("ConfigMap")["data"]})
    assert settings.trusted_proxies == 1
    assert settings.message_queue, "there are two servers"
    assert settings.jwt_secret_key
    annotations = _of_kind("Ingress")["metadata"]["annotations"]
    body = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert body == f"{settings.max_body_mb}m"
    pod = _of_kind("StatefulSet")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > settings.http.shutdown_s + 5 + 1
    [container] = pod["containers"]
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert 6 * max(settings.max_body_mb, settings.http.bodies_at_once_mb) < 2048


def test_images_run_as_the_account_of_the_dockerfile() -> None:
    [user] = re.findall(r"^USER (\d+):\1$", (ROOT / "Dockerfile").read_text(), re.M)
    context = _of_kind("StatefulSet")["spec"]["template"]["spec"]["securityContext"]
    numbers = {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert (numbers, context["runAsNonRoot"]) == ({int(user)}, True)


def _analyze() -> str:
    found = shutil.which("systemd-analyze")
    if not found:
        pytest.skip("NOT TESTED, the unit: systemd-analyze is not installed")
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The program of the sample exists on no machine of ours."""
    text = (EXAMPLES / "systemd" / "v6srv.service").read_text()
    file = tmp_path / "v6srv.service"
    file.write_text(text.replace("/opt/v6srv/bin/v6srv", "/bin/true"))
    return file


def test_systemd_reads_the_unit(unit: Path) -> None:
    done = subprocess.run(
        [_analyze(), "verify", "--man=no", unit], capture_output=True, text=True, timeout=60
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "v6srv.service" in line]
    assert said == []


def test_the_unit_has_no_right_that_it_does_not_need(unit: Path) -> None:
    """10 is everything; `ok` begins below 5."""
    done = subprocess.run(
        [_analyze(), "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    [exposure] = re.findall(r"Overall exposure level for v6srv.service: (\S+)", done.stdout)
    assert float(exposure) < 2
