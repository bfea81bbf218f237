"""A data station: the real node of vantage6 3.11.1, with processes instead of docker containers.

Run inside the client environment: `data_station.py CONFIG.json`. The node class, its client, socket
namespace, threads and proxy server are the released ones; only what talks to docker is replaced.
The algorithm runs through the released wrapper, in a process of its own, and reaches the server
through the node's proxy.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import docker
import jwt

docker.from_env = lambda *_args, **_kwargs: None  # the node's packages look for an engine at import

import vantage6.node as node_module  # noqa: E402
from vantage6.common.task_status import TaskStatus  # noqa: E402
from vantage6.node.docker.docker_manager import KilledResult, Result  # noqa: E402

ALGORITHM = (
    "from vantage6.tools.wrapper import docker_wrapper; docker_wrapper('{}', use_new_client=True)"
)


class Context:
    """What the node asks of its context object."""

    running_in_docker = False
    docker_network_name = "none"
    docker_container_name = "none"

    def __init__(self, settings: dict) -> None:
        self.config = settings["node"]
        self.name = settings["name"]
        self.data_dir = Path(settings["folder"])
        self.proxy_log_file = str(self.data_dir / "proxy.log")
        self.algorithm = settings["algorithm"]

    def docker_temporary_volume_name(self, run_id: int) -> str:
        """The name of a run's volume."""
        return f"run-{run_id}"

    def get_data_file(self, name: str) -> str:
        """A file of the data folder; absolute paths stay."""
        return str(self.data_dir / name)


class Nothing:
    """Stands where the node sets up docker networks and a VPN."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def create_network(self, **_kwargs: object) -> None:
        """No network is needed."""

    def exit_vpn(self) -> None:
        """There is none."""


class Processes:
    """The docker manager's surface, with a process for each algorithm run."""

    def __init__(self, ctx: Context, tasks_dir: Path, **_kwargs: object) -> None:
        self._ctx, self._folder = ctx, Path(tasks_dir)
        self._running: dict[int, tuple[subprocess.Popen, dict]] = {}
        self._finished: queue.Queue[Result] = queue.Queue()
        self._lock = threading.Lock()

    def is_running(self, result_id: int) -> bool:
        """Whether this result is being computed."""
        return result_id in self._running

    def create_volume(self, name: str) -> None:
        """The folder that the algorithms of a run share."""
        (self._folder / name).mkdir(exist_ok=True)

    def run(
        self,
        result_id: int,
        task_info: dict,
        image: str,
        docker_input: bytes,
        tmp_vol_name: str,
        token: str,
        database: str,
    ) -> tuple:
        """Start the algorithm as its container would be started."""
        if image != self._ctx.algorithm["image"]:
            return TaskStatus.NO_DOCKER_IMAGE, None
        folder = self._folder / f"result-{result_id}"
        folder.mkdir()
        (folder / "input").write_bytes(docker_input)
        (folder / "token").write_text(token)
        environment = {
            **os.environ,
            "INPUT_FILE": str(folder / "input"),
            "OUTPUT_FILE": str(folder / "output"),
            "TOKEN_FILE": str(folder / "token"),
            "TEMPORARY_FOLDER": str(self._folder / tmp_vol_name),
            "USER_REQUESTED_DATABASE_LABEL": database,
            f"{database.upper()}_DATABASE_URI": self._ctx.algorithm["csv"],
            "HOST": "http://127.0.0.1",
            "PORT": os.environ["PROXY_SERVER_PORT"],
            "API_PATH": "",
            "PYTHONPATH": self._ctx.algorithm["folder"],
        }
        process = subprocess.Popen(
            [sys.executable, "-c", ALGORITHM.format(self._ctx.algorithm["module"])],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with self._lock:
            self._running[result_id] = (process, task_info)
        waiting = (result_id, task_info, process, folder)
        threading.Thread(target=self._wait, args=waiting, daemon=True).start()
        return TaskStatus.ACTIVE, None

    def _wait(
        self, result_id: int, task_info: dict, process: subprocess.Popen, folder: Path
    ) -> None:
        output, _ = process.communicate()
        with self._lock:
            if self._running.pop(result_id, None) is None:
                return  # it was killed: the node reports that itself
        ended_well = process.returncode == 0
        self._finished.put(
            Result(
                result_id=result_id,
                task_id=task_info["id"],
                logs=output.decode(),
                data=(folder / "output").read_bytes() if ended_well else b"",
                status=TaskStatus.COMPLETED if ended_well else TaskStatus.CRASHED,
                parent_id=task_info["parent"] and task_info["parent"]["id"],
            )
        )

    def get_result(self) -> Result:
        """Wait for the next algorithm that has ended."""
        return self._finished.get()

    def kill_tasks(self, org_id: int, kill_list: list | None = None) -> list[KilledResult]:
        """Kill what the list names, everything without one."""
        with self._lock:
            chosen = [
                id
                for id in self._running
                if not kill_list
                or any(k["result_id"] == id and k["organization_id"] == org_id for k in kill_list)
            ]
            killed = []
            for id in chosen:
                process, task = self._running.pop(id)
                process.kill()
                parent = task["parent"] and task["parent"]["id"]
                killed.append(KilledResult(id, task["id"], parent))
                sys.stdout.write(f"killed the process of result {id}\n")
                sys.stdout.flush()
        return killed

    def cleanup(self) -> None:
        """Kill everything."""
        self.kill_tasks(0)


def _connect_first_with_another_token(secret: str, expires_s: float) -> None:
    """Let the node open its first socket with a token that expires in so many seconds.

    Less than 0: as after hours of network trouble, with its old token.
    """
    connect = node_module.Node.connect_to_socket
    said = {"times": 0}

    def connecting(node: node_module.Node) -> None:
        said["times"] += 1
        if said["times"] == 1:
            claims = jwt.decode(node.client.token, options={"verify_signature": False})
            claims["exp"] = int(time.time() + expires_s)
            node.client._access_token = jwt.encode(claims, secret, "HS256")
        sys.stdout.write(f"connecting for time {said['times']}\n")
        sys.stdout.flush()
        connect(node)

    node_module.Node.connect_to_socket = connecting


def main() -> None:
    """Run the node until it is told to stop."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    os.environ["PROXY_SERVER_PORT"] = str(settings["proxy_port"])
    os.environ["PROXY_SERVER_HOST"] = "127.0.0.1"
    node_module.check_docker_running = lambda: None
    node_module.running_in_docker = lambda: False
    node_module.NetworkManager = Nothing
    node_module.VPNManager = Nothing
    node_module.DockerManager = Processes
    if settings.get("secret"):
        _connect_first_with_another_token(settings["secret"], settings["expires_s"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    node_module.run(Context(settings))


if __name__ == "__main__":
    main()
