"""A data station: the real node of vantage6 4.15.2, with processes instead of containers.

Run inside the client environment: `data_station.py CONFIG.json`. The node class, its client, socket
namespace, threads and proxy server are the released ones; only what talks to the container runtime
is replaced. The algorithm runs through the released wrapper, in a process of its own, and reaches
the server through the node's proxy.
"""

import csv
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker

docker.from_env = lambda *_args, **_kwargs: None  # the node's packages look for an engine at import

import jwt  # noqa: E402
import vantage6.node as node_module  # noqa: E402
from vantage6.common.task_status import TaskStatus  # noqa: E402
from vantage6.node.docker.docker_manager import KilledRun, Result  # noqa: E402
from vantage6.node.docker.task_manager import DockerTaskManager  # noqa: E402
from vantage6.node.util import get_parent_id  # noqa: E402

ALGORITHM = "from vantage6.algorithm.tools.wrap import wrap_algorithm; wrap_algorithm()"


class Context:
    """What the node asks of its context object."""

    running_in_docker = False
    docker_network_name = docker_container_name = docker_volume_name = "none"

    def __init__(self, settings: dict) -> None:
        self.config = settings["node"]
        self.databases = self.config["databases"]
        self.name = settings["name"]
        self.data_dir = Path(settings["folder"])
        self.proxy_log_file = str(self.data_dir / "proxy.log")
        self.algorithm = settings["algorithm"]

    def docker_temporary_volume_name(self, job_id: int) -> str:
        """The name of a job's volume."""
        return f"job-{job_id}"

    def get_data_file(self, name: str) -> str:
        """A file of the data folder; absolute paths stay."""
        return str(self.data_dir / name)


class Nothing:
    """Stands where the node sets up networks and asks for an engine."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    @classmethod
    def from_env(cls) -> "Nothing":
        """No engine."""
        return cls()

    def create_network(self, **_kwargs: object) -> None:
        """No network is needed."""


class Processes:
    """The docker manager's surface, with a process for each algorithm run."""

    def __init__(self, ctx: Context, tasks_dir: Path, client: Any, **_kwargs: object) -> None:
        self._ctx, self._folder, self._client = ctx, Path(tasks_dir), client
        self.active_tasks: dict[int, tuple[subprocess.Popen, dict]] = {}
        self._finished: queue.Queue[Result] = queue.Queue()
        self._lock = threading.Lock()

    def is_running(self, run_id: int) -> bool:
        """Whether this run is being computed."""
        return run_id in self.active_tasks

    def create_volume(self, name: str) -> None:
        """The folder that the algorithms of a job share."""
        (self._folder / name).mkdir(exist_ok=True)

    def get_column_names(self, label: str, _type: str) -> list[str]:
        """The columns of a CSV file."""
        [uri] = (one["uri"] for one in self._ctx.databases if one["label"] == label)
        with open(uri, newline="") as file:
            return next(csv.reader(file))

    def run(
        self,
        run_id: int,
        task_info: dict,
        image: str,
        docker_input: bytes,
        tmp_vol_name: str,
        token: str,
        databases_to_use: list[dict],
        socketIO: Any,
    ) -> tuple:
        """Start the algorithm as its container would be started."""
        if image != self._ctx.algorithm["image"]:
            return TaskStatus.NOT_ALLOWED, None
        folder = self._folder / f"run-{run_id}"
        folder.mkdir()
        (folder / "input").write_bytes(docker_input)
        (folder / "token").write_text(token)
        environment = {
            **os.environ,
            **self._environment(folder, tmp_vol_name, databases_to_use),
            "PKG_NAME": self._ctx.algorithm["module"],
            "PYTHONPATH": self._ctx.algorithm["folder"],
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", ALGORITHM],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with self._lock:
            self.active_tasks[run_id] = (process, task_info)
        waiting = (run_id, task_info, process, folder, socketIO)
        threading.Thread(target=self._wait, args=waiting, daemon=True).start()
        return TaskStatus.ACTIVE, None

    def _environment(self, folder: Path, volume: str, databases: list[dict]) -> dict[str, str]:
        """The variables of a container, written as the released node writes them."""
        plain = {
            "INPUT_FILE": folder / "input",
            "OUTPUT_FILE": folder / "output",
            "TOKEN_FILE": folder / "token",
            "TEMPORARY_FOLDER": self._folder / volume,
            "USER_REQUESTED_DATABASE_LABELS": ",".join(one["label"] for one in databases),
            "HOST": "http://127.0.0.1",
            "PORT": os.environ["PROXY_SERVER_PORT"],
            "API_PATH": "",
        }
        for one in self._ctx.databases:
            plain[f"{one['label'].upper()}_DATABASE_URI"] = one["uri"]
            plain[f"{one['label'].upper()}_DATABASE_TYPE"] = one["type"]
        writer = SimpleNamespace(log=SimpleNamespace(debug=lambda _text: None))
        return DockerTaskManager._encode_environment_variables(writer, plain)

    def _wait(
        self, run_id: int, task: dict, process: subprocess.Popen, folder: Path, socket: Any
    ) -> None:
        about = {"run_id": run_id, "task_id": task["id"]}
        about["collaboration_id"] = self._client.collaboration_id
        logs = ""
        assert process.stdout
        for line in process.stdout:
            logs += line.decode()
            socket.emit("algorithm_log", data={**about, "log": line.decode()}, namespace="/tasks")
        process.wait()
        with self._lock:
            if self.active_tasks.pop(run_id, None) is None:
                return  # it was killed: the node reports that itself
        ended_well = process.returncode == 0
        self._finished.put(
            Result(
                run_id=run_id,
                task_id=task["id"],
                logs=logs,
                data=(folder / "output").read_bytes() if ended_well else b"",
                status=TaskStatus.COMPLETED if ended_well else TaskStatus.CRASHED,
                parent_id=get_parent_id(task),
            )
        )

    def get_result(self) -> Result:
        """Wait for the next algorithm that has ended; its ports go, as in the released manager."""
        ended = self._finished.get()
        self._client.request("port", params={"run_id": ended.run_id}, method="DELETE")
        return ended

    def kill_tasks(self, org_id: int, kill_list: list | None = None) -> list[KilledRun]:
        """Kill what the list names, everything without one."""
        with self._lock:
            chosen = [
                id
                for id in self.active_tasks
                if not kill_list
                or any(k["run_id"] == id and k["organization_id"] == org_id for k in kill_list)
            ]
            killed = []
            for id in chosen:
                process, task = self.active_tasks.pop(id)
                process.kill()
                killed.append(KilledRun(id, task["id"], get_parent_id(task)))
                sys.stdout.write(f"killed the process of run {id}\n")
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
            claims = jwt.decode(
                node.client.token, options={"verify_signature": False, "verify_sub": False}
            )
            claims["exp"] = int(time.time() + expires_s)
            sub = claims.pop("sub")  # the library writes text only; servers of 4.x send numbers
            node.client._access_token = _encode({**claims, "sub": sub}, secret)
        sys.stdout.write(f"connecting for time {said['times']}\n")
        sys.stdout.flush()
        connect(node)

    node_module.Node.connect_to_socket = connecting


def _encode(claims: dict, secret: str) -> str:
    """A token of these claims, whatever the type of `sub`."""
    return jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), secret, "HS256")


def main() -> None:
    """Run the node until it is told to stop."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    os.environ["PROXY_SERVER_PORT"] = str(settings["proxy_port"])
    os.environ["PROXY_SERVER_HOST"] = "127.0.0.1"
    node_module.check_docker_running = lambda: None
    node_module.running_in_docker = lambda: False
    node_module.NetworkManager = node_module.DockerClient = Nothing
    node_module.DockerManager = Processes
    if settings.get("secret"):
        _connect_first_with_another_token(settings["secret"], settings["expires_s"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    node_module.run(Context(settings))


if __name__ == "__main__":
    main()
