"""As it is run: set by variables, served by the real server, checked from the command line."""

import subprocess
import sys

import pytest
import requests

from tests.live import free_port, live_server
from tests.oidc.conftest import Place
from tests.oidc.provider import CLIENT, SECRET


@pytest.fixture
def variables(_provider: Place) -> dict[str, str]:
    port = str(free_port())
    callback = f"http://127.0.0.1:{port}/api/oidc/callback"
    _provider.be(callback=callback, claims={"email": "root@domain.ext"})
    return {
        "V6SRV_OIDC__ISSUER": _provider.issuer,
        "V6SRV_OIDC__CLIENT_ID": CLIENT,
        "V6SRV_OIDC__CLIENT_SECRET": SECRET,
        "V6SRV_OIDC__CALLBACK_URL": callback,
        "V6SRV_OIDC__SCOPES": "openid, email",
        "PORT": port,
    }


def test_a_browser_comes_in_as_root(variables: dict[str, str]) -> None:
    port = int(variables.pop("PORT"))
    with live_server(port=port, **variables) as server, requests.Session() as browser:
        answer = browser.get(f"{server.api}/oidc/login", timeout=60)
        assert answer.status_code == 200, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        me = requests.get(server.url + answer.json()["user_url"], headers=headers, timeout=20)
        assert me.json()["username"] == "root"
        code = browser.get(f"{server.api}/oidc/callback?state=x&code=secretcode", timeout=20)
        assert code.status_code == 401
        assert "secretcode" not in server.log.read_text()
        assert SECRET not in server.log.read_text()


def _check(variables: dict[str, str], path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "v6srv", "config", "check", "--connect"],
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_provider_is_asked_when_connections_are_checked(
    variables: dict[str, str], tmp_path: object
) -> None:
    usable = _check({**variables, "V6SRV_INSTANCE": str(tmp_path)}, "")
    assert usable.returncode == 0, usable.stderr
    assert SECRET not in usable.stdout + usable.stderr
    variables["V6SRV_OIDC__ISSUER"] = f"http://127.0.0.1:{free_port()}"
    gone = _check({**variables, "V6SRV_INSTANCE": str(tmp_path)}, "")
    assert (gone.returncode, "oidc: " in gone.stderr + gone.stdout) == (1, True)
