"""Every public method of the clients of 4.15.2 works, at both paths that they can be told."""

from pathlib import Path

import pytest

from tests.api4.store import DIGEST, algorithm_store
from tests.live import live_server
from tests.wire.station import V4
from tests.wire.test_every_method import mail_settings, received_mails

NOT_CALLED = {
    # What an algorithm inherits and cannot use: it has a token and never logs in.
    "algorithm.authenticate",
    "algorithm.refresh_token",
    "algorithm.setup_encryption",
    "algorithm.wait_for_task_completion",
    "algorithm.check_if_blob_store_enabled",
    "algorithm.generate_path_to",
    # Called by other methods of theirs, and not by others.
    "node.check_if_blob_store_enabled",
    "node.generate_path_to",
    "node.wait_for_task_completion",
    "user.check_if_blob_store_enabled",
    "user.wait_for_task_completion",
    "node.store.get",  # the same as node.algorithm_store
    "node.store.get_algorithm",
    "node.store.set",
}
OF_THE_STORE = "user.algorithm."
"""What goes to the algorithm store alone."""


@pytest.mark.parametrize("path", ["/v4/api", "/api"])
def test_every_method_of_the_clients(tmp_path: Path, path: str) -> None:
    with (
        received_mails(tmp_path / "mails") as (folder, port),
        algorithm_store() as store,
        live_server(**mail_settings(port)) as server,
    ):
        store.asks_back = True
        store.images = {"registry.example/s:1": DIGEST}
        settings = {
            "host": "http://127.0.0.1",
            "port": server.port,
            "path": path,
            "root_password": "root",
            "mails": str(folder),
            "key": str(tmp_path / "root.pem"),
            "store": store.url,
            "digest": DIGEST,
        }
        found = V4.errand("every_method.py", "user", settings, tmp_path)
        assert len(found["called"]) > 80
        missed = set(found["existing"]) - set(found["called"]) - NOT_CALLED
        assert {name for name in missed if not name.startswith(OF_THE_STORE)} == set()
        assert store.servers == {}
        assert "Traceback" not in server.tail()
