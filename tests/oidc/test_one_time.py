"""Who came in through the provider gets a password for one log-in of a program that wants one."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import update

from tests.oidc.conftest import BOTH, Site, Start
from tests.support import Caller
from tests.wire.station import PYTHON as CLIENT_3
from v6srv.db import session, utcnow
from v6srv.model import OneTimePassword

CLIENT_4 = Path(__file__).parents[2] / ".venv-client-v4" / "bin" / "python"


def _given(site: Site) -> dict[str, str]:
    answer = site.come_in().json()
    return {"username": answer["username"], "password": answer["one_time_password"]}


def _status(site: Site, body: dict[str, str]) -> int:
    return requests.post(f"{site.url}/api/token/user", json=body, timeout=20).status_code


@pytest.fixture
def site(start: Start) -> Site:
    """They change accounts."""
    return start()


@pytest.mark.parametrize("python", [CLIENT_3, CLIENT_4], ids=["3.11.1", "4.15.2"])
def test_the_unmodified_client_logs_in_with_it(start: Start, python: Path) -> None:
    if not Path(python).exists():
        pytest.skip("this release is not installed")
    site = start({"two_factor_auth": True})
    body = _given(site)
    program = (
        "import sys; from vantage6.client import UserClient\n"
        "client = UserClient(sys.argv[1], int(sys.argv[2]), '/api', log_level='critical')\n"
        "client.authenticate(sys.argv[3], sys.argv[4]); print('id', client.whoami.id_)\n"
    )
    host, _, port = site.url.rpartition(":")
    done = subprocess.run(
        [str(python), "-c", program, host, port, body["username"], body["password"]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"id {site.world.user.viewer}" in done.stdout, done.stdout + done.stderr
    assert _status(site, body) == 401


@BOTH
def test_it_is_good_once_and_for_its_user_only(site: Site) -> None:
    body = _given(site)
    assert _status(site, {**body, "username": "root"}) == 401
    assert _status(site, {**body, "password": body["password"] + "x"}) == 401
    assert _status(site, body) == 200
    assert _status(site, body) == 401


def test_the_next_one_takes_its_place(site: Site) -> None:
    first, second = _given(site), _given(site)
    assert _status(site, first) == 401
    assert _status(site, second) == 200


@BOTH
def test_it_ends(site: Site) -> None:
    body = _given(site)
    with site.app.app_context():
        session.execute(update(OneTimePassword).values(ends_at=utcnow() - timedelta(seconds=1)))
        session.commit()
    assert _status(site, body) == 401


def test_it_ends_with_the_tokens_of_the_account(site: Site) -> None:
    body = _given(site)
    with site.app.app_context():
        from v6srv.model import User

        session.get_one(User, site.world.user.viewer).end_tokens()
        session.commit()
    assert _status(site, body) == 401


@BOTH
def test_it_goes_with_the_account(site: Site) -> None:
    body = _given(site)
    assert Caller(site.app)("root", "DELETE", f"/user/{site.world.user.viewer}").status_code == 200
    assert _status(site, body) == 401
    with site.app.app_context():
        assert session.query(OneTimePassword).count() == 0


def test_it_is_no_password_for_anything_else(site: Site) -> None:
    body = _given(site)
    reset = {**body, "email": "viewer@north.example"}
    requests.post(f"{site.url}/api/recover/2fa/lost", json=reset, timeout=20)
    assert _status(site, body) == 200


def test_it_is_not_stored(site: Site) -> None:
    body = _given(site)
    with site.app.app_context():
        [row] = session.query(OneTimePassword).all()
        assert body["password"] not in vars(row).values()
