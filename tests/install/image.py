"""The steps of the Dockerfile, done without Docker: each `RUN` in a root folder of its own, with real users and mounts.

Two things are not as for Docker. The base image is this machine's: its programs, its Python. And what
`pip` would fetch for requirements.lock is copied from the environment of the tests, where each package
must have the version that is locked: a package that is not in the lock is not there.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.docs.pages import ROOT

_LAST = ("ENTRYPOINT", "CMD", "HEALTHCHECK")
_BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
_OF_THE_MACHINE = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
)
_LINKED = ("bin", "sbin", "lib", "lib32", "lib64")
_ETC = (
    "passwd",
    "group",
    "shadow",
    "gshadow",
    "login.defs",
    "nsswitch.conf",
    "ld.so.cache",
    "hosts",
)

PIP = """#!/bin/sh
# In the place of pip: nothing is fetched.
set -e
for last; do :; done
[ "$1" = --python ] && target="$2"
case "$*" in
  *"install "*"--require-hashes"*"$last") cp -a /given/locked/. "$($target -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" ;;
  *"install "*"--no-deps"*"$last")
    PYTHONPATH=/given/build python -m pip wheel --quiet --no-index --no-deps --no-build-isolation -w /tmp/wheels "$last"
    PYTHONPATH=/given/pip python -m pip --python "$target" install --quiet --no-index --no-deps /tmp/wheels/*.whl ;;
  *) echo "pip: not known here: $*" >&2; exit 2 ;;
esac
"""


@dataclass(frozen=True)
class Image:
    """A stage, as far as it was built."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    volumes: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()

    @property
    def ids(self) -> list[int]:
        """User and group, which the Dockerfile gives as numbers."""
        return [int(number) for number in self.user.split(":")]


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile and what follows each."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
    for line in re.sub(r"\\\n", "", text).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def build(folder: Path) -> Image:
    """The last stage. Raises what a step raises that fails."""
    stages: dict[str, Image] = {}
    image = Image(folder)
    for word, rest in steps((ROOT / "Dockerfile").read_text()):
        if word == "FROM":
            _, _, name = rest.partition(" AS ")
            image = _base(folder / (name or "last"))
            give(image.root)
            stages[name] = image
        elif word == "RUN":
            _in(image, f"cd {shlex.quote(image.folder)}; {rest}")
        elif word == "COPY":
            _copy(image, stages, shlex.split(rest))
        else:
            image = _noted(image, word, rest)
            if word == "WORKDIR":
                (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return image


def _noted(image: Image, word: str, rest: str) -> Image:
    if word == "ENV":
        pairs = dict(pair.split("=", 1) for pair in shlex.split(rest))
        return replace(image, environment={**image.environment, **pairs})
    if word == "VOLUME":
        return replace(image, volumes=(*image.volumes, rest))
    if word == "HEALTHCHECK":
        rest = rest[rest.index("CMD") + len("CMD") :]
    known = {"USER": "user", "WORKDIR": "folder", "ENTRYPOINT": "entrypoint", "CMD": "command"}
    known["HEALTHCHECK"] = "health"
    if word == "EXPOSE":
        return image
    return replace(image, **{known[word]: tuple(json.loads(rest)) if word in _LAST else rest})


def _copy(image: Image, stages: Mapping[str, Image], words: list[str]) -> None:
    source = ROOT
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].root
    *names, target = words
    there = image.root / target.lstrip("/")
    for name in names:
        found = source / name.lstrip("/")
        into = there / found.name if target.endswith("/") else there
        into.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            out = _ignored if source is ROOT else None
            shutil.copytree(found, into, symlinks=True, ignore=out)
        else:
            assert source is not ROOT or is_sent(name), f"{name} is in .dockerignore"
            shutil.copy(found, into)


def _ignored(folder: str, names: list[str]) -> set[str]:
    below = Path(folder).relative_to(ROOT)
    return {name for name in names if not is_sent((below / name).as_posix())}


def is_sent(name: str) -> bool:
    """Whether .dockerignore lets a file through: the last pattern that fits it, or a folder that it is in."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#"):
            parts = [name, *map(str, Path(name).parents)]
            anywhere = pattern.removeprefix("**/")
            names = [Path(part).name for part in parts] if pattern != anywhere else parts
            if any(fnmatch.fnmatchcase(part, anywhere) and part != "." for part in names):
                sent = line.startswith("!")
    return sent


# --- what stands for the base image


def _base(root: Path) -> Image:
    for name in (*_LINKED, "etc", "tmp", "proc", "dev", "opt", "usr/local/bin", "given"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _LINKED:
        if Path("/", name).is_symlink():
            (root / name).rmdir()
            (root / name).symlink_to(Path("/", name).readlink())
    for name in _ETC:
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), root / "etc" / name)
    (root / "tmp").chmod(0o1777)
    for place in (*_OF_THE_MACHINE, sys.base_prefix):
        if Path(place).exists():
            (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
    python = root / "usr/local/bin/python"
    program = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    python.write_text(f'#!/bin/sh\nexec {program} "$@"\n')  # by its own name it finds its library
    python.chmod(0o755)
    pip = root / "usr/local/bin/pip"
    pip.write_text(PIP)
    pip.chmod(0o755)
    return Image(root, {"PATH": _BASE_PATH})


def give(root: Path) -> None:
    """What the stand-in of pip installs."""
    given = root / "given"
    for name in ("pip", "setuptools"):
        _copy_package(name, given / "build")
    _copy_package("pip", given / "pip")
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if "==" in line:
            wanted = Requirement(line.rstrip("\\ "))
            if wanted.marker is None or wanted.marker.evaluate(
                {**default_environment(), "extra": ""}
            ):
                version = distribution(wanted.name).version
                assert wanted.specifier.contains(version), f"{wanted}: here it is {version}"
                _copy_package(wanted.name, given / "locked")


def _copy_package(name: str, folder: Path) -> None:
    for file in distribution(name).files or ():
        if file.parts[0] != ".." and Path(str(file.locate())).exists():
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.locate(), target)  # what is compiled goes by the time of its source


# --- what runs in it


_PRIVATE = """
set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
for place in PLACES; do
  [ -d "$place" ] && [ -d "$root$place" ] || continue
  mount --bind "$place" "$root$place"
  mount -o remount,bind,ro "$root$place"
done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
MORE
exec chroot "$@"
"""
_READ_ONLY = """
mount -t tmpfs tmpfs "$root/tmp"
for volume in VOLUMES; do mount --bind "$root.volumes$volume" "$root$volume"; done
mount -o remount,bind,ro "$root"
"""


def _chroot(
    image: Image, command: list[str], more: str, environment: Mapping[str, str]
) -> list[str]:
    """The command with the root folder of the image as its own, as the first process there."""
    places = " ".join(map(shlex.quote, (*_OF_THE_MACHINE, sys.base_prefix)))
    script = _PRIVATE.replace("PLACES", places).replace("MORE", more)
    user, group = image.ids
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
        *("sh", "-c", script, "sh", str(image.root)),
        *(f"--userspec={user}:{group}", f"--groups={group}", str(image.root)),
        *_env(image, environment),
        *command,
    ]


def _env(image: Image, environment: Mapping[str, str]) -> list[str]:
    known = {**image.environment, **environment}
    return ["env", "-i", "-C", image.folder, *(f"{name}={value}" for name, value in known.items())]


def _in(image: Image, script: str) -> None:
    command = _chroot(image, ["sh", "-ec", script], "", {})
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


@dataclass
class Container:
    """What was started from an image, on a root that nobody can write to."""

    image: Image
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def first(self) -> int:
        """The process that is the first one inside, by its id outside."""
        own = self.process.pid
        return int(Path(f"/proc/{own}/task/{own}/children").read_text().split()[0])

    def execute(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as the same user."""
        user, group = self.image.ids
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--root"]
        known = {**self.environment, **environment}
        return subprocess.run(
            [*enter, f"--setuid={user}", f"--setgid={group}", *_env(self.image, known), *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self) -> int:
        """As `docker stop` does; the exit code."""
        os.kill(self.first, signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def running(image: Image, *command: str, **environment: str) -> Iterator[Container]:
    """ENTRYPOINT with CMD, or with `command`; the volumes stay from one to the next."""
    for volume in image.volumes:  # Docker fills a new one with what the image has there
        kept = image.root.with_name(f"{image.root.name}.volumes") / volume.lstrip("/")
        if not kept.exists():
            shutil.copytree(image.root / volume.lstrip("/"), kept)
            os.chown(kept, *image.ids)
    more = _READ_ONLY.replace("VOLUMES", " ".join(image.volumes))
    words = [*image.entrypoint, *(command or image.command)]
    log = image.root.with_name("log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            _chroot(image, words, more, environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Container(image, environment, log, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
