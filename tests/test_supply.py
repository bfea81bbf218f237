"""What we are made of: locked with hashes, no more than is needed, and built the same everywhere.

`make lint` has deptry find what is imported and not declared, and the reverse; `make supply` asks the
registry and the advisories, which no test can do without a network.
"""

import os
import re
import subprocess
import sys
import tomllib
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines]
    for name, lines in PROJECT["project"]["optional-dependencies"].items()
}
DEVELOPMENT = [Requirement(line) for line in PROJECT["dependency-groups"]["dev"]]
SUPPLY = [
    Requirement(line)
    for group in ("supply", "site")
    for line in PROJECT["dependency-groups"][group]
]


def _entries(lock: str) -> list[str]:
    lines = (ROOT / lock).read_text().partition("\n")[2]
    return [entry.strip() for entry in re.split(r"\n(?=\S)", lines)]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", RUNTIME),
        ("requirements-dev.lock", RUNTIME + DEVELOPMENT + EXTRAS["traces"]),
        ("tools/requirements.lock", SUPPLY),
    ],
)
def test_a_lock_has_what_is_declared_each_with_version_and_hashes(
    lock: str, wanted: list[Requirement]
) -> None:
    entry = re.compile(r"[\w.-]+==[^\s;]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [one for one in _entries(lock) if not entry.fullmatch(one)] == []
    locked: dict[str, list[str]] = {}
    for one in _entries(lock):
        name, _, version = re.split(r"[\s;]", one)[0].partition("==")
        locked.setdefault(canonicalize_name(name), []).append(version)
    for one in wanted:
        assert locked[canonicalize_name(one.name)], f"{one.name}: run make lock"
        assert all(map(one.specifier.contains, locked[canonicalize_name(one.name)])), one


def test_what_is_served_is_what_was_tested() -> None:
    """Where is another matter: something of the tests may want it on more machines."""
    served, tested = (
        {re.sub(r" ; [^\\]+", " ", entry) for entry in _entries(lock)}
        for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert served < tested


def _wheel(folder: Path, umask: int, zone: str) -> Path:
    (folder / "scratch").mkdir(parents=True)
    subprocess.run(
        ["bash", "tools/wheel.sh", sys.executable, folder / "dist"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder / "scratch"), "TZ": zone},
        umask=umask,
        check=True,
    )
    (wheel,) = (folder / "dist").iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _wheel(tmp_path_factory.mktemp("one"), 0o022, "UTC")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_two_wheels_of_a_commit_are_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    other = _wheel(tmp_path / "another folder", 0o077, "Asia/Tokyo")
    assert other.name == wheel.name
    assert other.read_bytes() == wheel.read_bytes()


def test_the_source_package_gives_the_same_files(wheel: Path, tmp_path: Path) -> None:
    """Policies, templates, static files and migrations among them: none is in a package's sources."""
    build = ["bash", "tools/wheel.sh", sys.executable, tmp_path / "dist", "sdist"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").iterdir()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, archive], check=True)
    (other,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as here, ZipFile(other) as there:
        names = {name for name in here.namelist() if not name.endswith("/RECORD")}
        assert names == {name for name in there.namelist() if not name.endswith("/RECORD")}
        for name in names:
            assert here.read(name) == there.read(name), name
    for pattern in ("_policies/*.csv", "templates/*", "static/*/*", "migrations/versions/*.py"):
        assert any(Path(name).match(f"v6srv/{pattern}") for name in names), pattern


def test_who_installs_us_gets_nothing_that_only_tests_need(metadata: Message) -> None:
    declared = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    wanted = {one.name for one in declared if not (one.marker and "extra" in str(one.marker))}
    assert wanted == {one.name for one in RUNTIME}
    assert metadata.get_all("Provides-Extra") == list(EXTRAS), "what an admin may ask for besides"
    extra = {one.name for one in declared} - wanted
    assert extra == {one.name for each in EXTRAS.values() for one in each}
    served = {re.split("==", one)[0] for one in _entries("requirements.lock")}
    assert served & {"pytest", "mypy", "ruff", "hypothesis", "schemathesis", "deptry"} == set()


def test_the_wheel_has_its_licence(wheel: Path, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert archive.read(name).decode() == (ROOT / "LICENSE").read_text()
