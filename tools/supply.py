"""Ask the registry and the advisories of what the lock files name: any finding is a failure.

What is locked is asked of its registry with uv: whether it is still there with these hashes, was
withdrawn, and when the newest version that fits was released. Known weaknesses are asked with
pip-audit. Where it gets no answer (there are package registries that have no advisories) that is a
failure, too: nobody should take silence for safety.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements-dev.lock", "tools/requirements.lock")
"""What is served (requirements.lock) is a part of the first."""
TOOLS = Path(sys.executable).parent

ABANDONED = timedelta(days=3 * 365)
FINISHED = {
    "colorama": "colours of old Windows consoles; Windows only",
    "defusedxml": "of the tools beside us: refuses XML that attacks",
    "isoduration": "of the tools beside us: one format of ISO 8601",
    "mdurl": "of markdown-it-py, by the same people: one format",
    "pip-requirements-parser": "of pip-audit: the lines of requirements, as pip has them",
    "rfc3339-validator": "of the tools beside us: one format",
    "rfc3986-validator": "of the tools beside us: one format",
    "sortedcontainers": "of hypothesis and the tools beside us: data structures that are done",
    "uri-template": "of the tools beside us: RFC 6570",
    "vine": "of kombu, by the same people: promises",
}
"""Packages without a release for that long which stay all the same, and why."""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _uv(*what: str) -> subprocess.CompletedProcess[str]:
    """What the registry has now."""
    ran = _run(
        str(TOOLS / "uv"), "pip", "compile", "--universal", "--python-version", "3.11",
        "--no-header", "--no-annotate", *what,
    )  # fmt: skip
    if ran.returncode:
        raise SystemExit(f"uv: {ran.stderr.strip()}")
    return ran


def _hashes(lock: str) -> Iterator[tuple[str, set[str]]]:
    """Each entry of a lock file, as name==version, with its hashes."""
    for entry in re.split(r"\n(?=\S)", lock):
        if found := re.match(r"[\w.-]+==[^\s;]+", entry):
            yield found[0], set(re.findall(r"sha256:(\w+)", entry))


def strange(lock: str) -> Iterator[str]:
    """Locked versions that the registry withdrew, or no longer has with all of these files."""
    ran = _uv("--no-deps", "--generate-hashes", lock)
    yield from (line for line in ran.stderr.splitlines() if "yanked" in line)
    offered = dict(_hashes(ran.stdout))
    for package, hashes in _hashes((ROOT / lock).read_text()):
        if gone := hashes - offered.get(package, set()):
            yield f"{lock}: {package}: {len(gone)} of its files are not in the registry"


def abandoned(now: datetime) -> Iterator[str]:
    """Packages whose newest version that fits is old, and which nobody said are finished."""
    wanted = ("--upgrade", "--group", "dev", "--group", "supply", "pyproject.toml")
    with TemporaryDirectory() as folder:
        output = Path(folder) / "pylock.toml"
        _uv("--format", "pylock.toml", "--output-file", str(output), *wanted)
        packages = tomllib.loads(output.read_text())["packages"]
    newest: dict[str, datetime] = {}
    for package in packages:
        files = [*package.get("wheels", ()), package.get("sdist", {})]
        times = [file["upload-time"] for file in files if "upload-time" in file]
        if not times:
            yield f"{package['name']}: the registry does not say when it was released"
            continue
        newest[package["name"]] = max(*times, newest.get(package["name"], times[0]))
    old = {name for name, time in newest.items() if now - time > ABANDONED}
    for name in sorted(old - FINISHED.keys()):
        yield f"{name}: the last release is of {newest[name]:%Y-%m-%d}"
    for name in sorted(FINISHED.keys() - old):
        yield f"{name}: is not old, or not used; take it out of FINISHED"


def weak(lock: str, options: list[str]) -> Iterator[str]:
    """What is known against locked versions, and of which nothing could be learnt."""
    ran = _run(
        str(TOOLS / "pip-audit"), "--disable-pip", "--require-hashes", "--progress-spinner", "off",
        "--format", "json", "--requirement", lock, *options,
    )  # fmt: skip
    try:
        answers = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        yield f"{lock}: ADVISORIES ARE UNKNOWN: {ran.stderr.strip().splitlines()[-1:]}"
        return
    for package in answers:
        for found in package.get("vulns", ()):
            fixed = ", ".join(found["fix_versions"]) or "nothing yet"
            yield f"{package['name']} {package['version']}: {found['id']}, mended in {fixed}"
    silent = sum("skip_reason" in package for package in answers)
    if silent:
        yield (
            f"{lock}: ADVISORIES ARE UNKNOWN for {silent} of {len(answers)} packages: run this"
            " where PyPI or OSV answers, or name a mirror (--pip-audit=--osv-url=URL)"
        )


def main() -> int:
    """Print what was found; the exit code is 1 if that is anything."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--pip-audit", action="append", default=[], help="an option for pip-audit")
    asked = options.parse_args()
    found = [
        *(line for lock in LOCKS for line in strange(lock)),
        *abandoned(datetime.now(UTC)),
        *(line for lock in LOCKS for line in weak(lock, asked.pip_audit)),
    ]
    for line in found:
        print(line)
    print(f"{len(found)} found" if found else "nothing withdrawn, abandoned or known to be weak")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
