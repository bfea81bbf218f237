"""What a reader has after `git clone` and `make install`, without waiting for either."""

import fnmatch
import os
import shutil
import site
import sys
import sysconfig
import venv
from pathlib import Path

from tests.docs.pages import ROOT


def clone(folder: Path) -> Path:
    """A copy of the sources alone, with an environment in `.venv`, as `make install` leaves it.

    Two things are not as for a reader. The files are those of the working tree, committed or not. And
    the environment is a new one that looks for libraries in the environment of the tests (`make
    install` would fetch the same versions again); v6srv itself it finds in the copy.
    """
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line]
    ignored = [".git", *(pattern for pattern in ignored if pattern != "__pycache__")]

    def left_out(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names for one in ignored if fnmatch.fnmatchcase(name, one)}

    copy = shutil.copytree(ROOT, folder / "v6srv", ignore=left_out, symlinks=True)
    environment = copy / ".venv"
    venv.create(environment, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(environment)})
    shared = "; ".join(f"site.addsitedir({path!r})" for path in site.getsitepackages())
    Path(packages, "as_installed.pth").write_text(f"{copy}\nimport site; {shared}\n")
    script = Path(sys.executable).with_name("v6srv").read_text()
    own = environment / "bin" / "v6srv"
    own.write_text(f"#!{environment / 'bin' / 'python'}\n{script.partition(os.linesep)[2]}")
    own.chmod(0o755)
    (environment / ".ready").touch()
    return copy
