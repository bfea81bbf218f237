"""Nothing of an instance can be read by others, whatever the umask was and what was there before."""

import stat
from pathlib import Path

from tests.live import live_server

WITHOUT_UMASK = (
    "-c",
    "import os; os.umask(0); from v6srv.cli.main import cli; cli(['serve'])",
)


def _open_to_others(folder: Path) -> list[str]:
    """What of the instance others may touch."""
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.stat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o007
    ]


def _modes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}


def test_others_can_read_nothing(tmp_path: Path) -> None:
    """Neither of a new instance, nor of one that an older release left open."""
    instance = tmp_path / "new" / "instance"
    settings = {"V6SRV_LOGGING__FILE": "server.log", "V6SRV_JWT_SECRET": ""}
    with live_server(*WITHOUT_UMASK, instance=instance, **settings) as server:
        server.login()
        assert _open_to_others(instance) == []
        assert stat.S_IMODE(instance.stat().st_mode) == 0o750
        modes = _modes(instance)
        for name in ("v6srv.sqlite", "v6srv.sqlite-wal", "v6srv.sqlite-shm", "jwt_secret"):
            assert modes[name] == 0o600, name
        assert modes["model.conf"] == 0o640  # the group of an instance may read its policies
        assert {name for name in modes if name.endswith((".log", ".jsonl", ".head"))}
    for path in instance.rglob("*"):
        if path.is_file():
            path.chmod(0o666)
    with live_server(*WITHOUT_UMASK, instance=instance, **settings) as server:
        server.login()
        left = {line.split("/")[0] for line in _open_to_others(instance)}
        assert left == {"policies"}, "those are an admin's: who may read them is not ours to say"
        assert f"others may change {instance}/policies/model.conf" in server.tail()
