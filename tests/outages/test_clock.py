"""The clock of the machine is wrong for a while: nobody stays locked out, and nothing is lost."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.live import LiveServer, free_port, live_server
from tests.unit.test_mail import Inbox, smtp

__all__ = ["smtp"]

JUMPED = "the clock has jumped: data is not deleted for its age"
DAY_S = 24 * 3600
OTHER = {"username": "other", "password": "Str0ng-Pass!"}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """What tells a process another time of day than it is."""
    compiler, made = shutil.which("cc"), tmp_path / "clock.so"
    if not compiler or sys.platform != "linux":
        pytest.skip("NOT TESTED, a clock that jumps: it needs a C compiler, on Linux")
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source], check=True)
    return made


def eventually(holds: Callable[[], bool], server: LiveServer) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.1)


def test_a_clock_that_is_wrong_for_a_while(smtp, library: Path, tmp_path: Path) -> None:
    clock, port = tmp_path / "clock", free_port()
    clock.write_text("0")
    with live_server(
        *("-m", "v6srv", "serve"),
        LD_PRELOAD=str(library),
        FAKE_CLOCK=str(clock),
        V6SRV_SMTP__SERVER="127.0.0.1",
        V6SRV_SMTP__PORT=str(port),
        V6SRV_SMTP__MAIL_USE_TLS="false",
    ) as server:

        def get(path: str, who: dict[str, str]) -> requests.Response:
            return requests.get(f"{server.api}/{path}", headers=who, timeout=20)

        def create(path: str, who: dict[str, str], **body: object) -> int:
            answer = requests.post(f"{server.api}/{path}", json=body, headers=who, timeout=20)
            assert answer.status_code == 201, answer.text
            return answer.json()["id"]

        def enter(password: str) -> int:
            body = {**OTHER, "password": password}
            return requests.post(f"{server.api}/token/user", json=body, timeout=20).status_code

        def has_jumped() -> bool:
            return JUMPED in get("health", {}).json().get("problems", [])

        today = server.login()
        person = {"firstname": "a", "lastname": "b", "email": "other@example.org", "roles": [2]}
        create("user", today, organization_id=1, **OTHER, **person)
        assert enter(OTHER["password"]) == 200

        clock.write_text(f"-{DAY_S}")
        early = get("organization", today)
        assert (early.status_code, "not valid yet" in early.json()["msg"]) == (401, True)
        assert get("organization", server.login()).status_code == 200

        clock.write_text(str(DAY_S))
        late = get("organization", today)
        assert (late.status_code, late.json()["msg"]) == (401, "Token has expired")
        tomorrow = server.login()
        made = create("organization", tomorrow, name="of tomorrow")
        assert {enter("Wr0ng-Pass!") for _ in range(6)} == {401}
        assert enter(OTHER["password"]) == 401
        eventually(has_jumped, server)
        assert get("health/ready", {}).status_code == 200

        clock.write_text("0")
        early = get("organization", tomorrow)
        assert (early.status_code, "not valid yet" in early.json()["msg"]) == (401, True)
        assert get(f"organization/{made}", today).status_code == 200
        eventually(lambda: not has_jumped(), server)
        assert enter(OTHER["password"]) == 401, "a lock holds for its time"

        clock.write_text("1200")
        assert enter(OTHER["password"]) == 200
        inbox = Inbox()
        smtp(inbox, port=port)
        eventually(lambda: bool(inbox.mails), server)
        assert "Traceback" not in server.log.read_text()
