"""The Dockerfile: its steps work, and what comes of them serves as promised."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.install import image as images
from tests.live import free_port


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> images.Image:
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True
    )
    if tried.returncode:
        pytest.skip(f"NOT TESTED, the Dockerfile: mounts need root: {tried.stderr.strip()}")
    folder = tmp_path_factory.mktemp("image")
    folder.chmod(0o755)
    before = os.umask(0o022)  # a command that ran in this process may have left a tighter one
    try:
        return images.build(folder)
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def container(image: images.Image) -> Iterator[images.Container]:
    settings = {"PORT": str(free_port()), "V6SRV_API_PATH": "/elsewhere/api"}
    settings |= {"V6SRV_PASSWORD_ROUNDS": "4", "V6SRV_POLICY_TESTS": "off", "HOST": "127.0.0.1"}
    with images.running(image, **settings) as container:
        yield container


def _url(container: images.Container, path: str) -> str:
    port, base = (container.environment[name] for name in ("PORT", "V6SRV_API_PATH"))
    return f"http://127.0.0.1:{port}{base}/{path}"


def _wait_for(container: images.Container) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert container.process.poll() is None, container.log.read_text()
        assert time.monotonic() < deadline, container.log.read_text()
        try:
            requests.get(_url(container, "health/live"), timeout=10)
            return
        except requests.ConnectionError:
            time.sleep(0.1)


def test_it_serves_as_somebody_who_may_write_nowhere_else(container: images.Container) -> None:
    """And says that it is healthy where it was told to listen, and only there."""
    health = container.image.health
    _wait_for(container)
    healthy = container.execute(*health)
    assert healthy.returncode == 0, healthy.stderr
    assert requests.get(_url(container, "health/ready"), timeout=10).json()["ready"] is True
    assert container.execute(*health, PORT=str(free_port())).returncode == 1
    assert container.execute(*health, V6SRV_API_PATH="/api").returncode == 1
    status = Path(f"/proc/{container.first}/status").read_text()
    assert re.search(r"^Uid:\s+10001\s+10001\s+10001", status, re.M)
    assert re.search(r"^NSpid:.*\s1$", status, re.M), "signals are sent to the first process"
    for place in ("/new", "/etc/new", "/opt/v6srv/new"):
        assert "Read-only" in container.execute("touch", place).stderr
    found = container.execute("find", "/instance", "-name", "*.sqlite", "-o", "-name", "jwt_secret")
    assert found.stdout.split() == ["/instance/jwt_secret", "/instance/v6srv.sqlite"]


def test_people_get_in_and_find_everything(container: images.Container) -> None:
    """Templates, static files, policies and migrations came along."""
    password = re.search(r"with the password  (\S+)", container.log.read_text())
    assert password
    body = {"username": "root", "password": password[1]}
    assert requests.post(_url(container, "token/user"), json=body, timeout=20).status_code == 200
    root = f"http://127.0.0.1:{container.environment['PORT']}"
    page = requests.get(f"{root}/apidocs", timeout=10).text
    for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert requests.get(root + asset, timeout=10).status_code == 200
    checked = container.execute("v6srv", "db", "check")
    assert "as needed" in checked.stdout, checked.stderr
    assert container.execute("v6srv", "policy", "lint").returncode == 0


def test_it_holds_what_serves_and_nothing_else(container: images.Container) -> None:
    listed = container.execute(
        *("/opt/v6srv/bin/python", "-c"),
        "from importlib.metadata import distributions as d; print(*(one.name for one in d()))",
    )
    packages = {name.lower() for name in listed.stdout.split()}
    assert {"v6srv", "flask", "gunicorn"} <= packages
    assert packages & {"pip", "setuptools", "pytest", "mypy", "hypothesis", "ruff"} == set()
    where = container.execute("/opt/v6srv/bin/python", "-c", "import v6srv; print(v6srv.__file__)")
    assert where.stdout.startswith("/opt/v6srv/")


def test_it_stops_when_it_is_told_to(container: images.Container) -> None:
    """The last test of this container."""
    assert container.stop() == 0, container.log.read_text()
    assert "Traceback" not in container.log.read_text()


def test_nothing_of_a_working_copy_gets_into_an_image(image: images.Image) -> None:
    """A clone may hold an instance with its key."""
    copied = image.root.with_name("build") / "src"
    expected = {"LICENSE", "README.md", "policies", "pyproject.toml", "requirements.lock", "v6srv"}
    assert {path.name for path in copied.iterdir()} - {"build", "v6srv.egg-info"} == expected
    assert not images.is_sent("instance/jwt_secret")
    assert not images.is_sent(".git/config")
    assert images.is_sent("v6srv/app.py")
