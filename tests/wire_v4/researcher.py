"""People with the unmodified client of vantage6 4.15.2. Run inside the client environment.

`researcher.py WHAT CONFIG.json` prints one JSON object with what was found.
"""

import json
import sys
from pathlib import Path

from vantage6.client import UserClient
from vantage6.common.encryption import RSACryptor


def _client(settings: dict, who: dict) -> UserClient:
    path = settings["path"]
    client = UserClient(settings["host"], settings["port"], path, log_level="critical")
    client.authenticate(who["username"], who["password"])
    client.setup_encryption(who.get("key"))
    return client


def prepare(settings: dict) -> dict:
    """Root sets up two organizations, a collaboration with a study, nodes and users."""
    root = _client(settings, {"username": "root", "password": settings["root_password"]})
    made: dict = {"organizations": [], "nodes": [], "users": []}
    roles = {role["name"]: role["id"] for role in root.role.list(per_page=100)["data"]}
    for name in ("Alpha", "Beta"):
        organization = root.organization.create(
            name=name,
            address1="Main street 1",
            address2="",
            zipcode="1000",
            country="NL",
            domain=f"{name.lower()}.example",
        )
        made["organizations"].append(organization["id"])
    ids = made["organizations"]
    made["collaboration"] = root.collaboration.create("Together", ids, encrypted=True)["id"]
    made["study"] = root.study.create("Pilot", ids, made["collaboration"])["id"]
    for organization in ids:
        made["nodes"].append(root.node.create(made["collaboration"], organization))
    for organization, name in zip(ids, ("rita", "rob"), strict=True):
        user = root.user.create(
            username=name,
            firstname=name,
            lastname="R",
            password="Str0ng-Pass!",
            email=f"{name}@study.example",
            organization=organization,
            roles=[roles["Researcher"], roles["Collaboration Admin"]],
        )
        made["users"].append(user)
    return made


def share_key(settings: dict) -> dict:
    """The user `who` makes the key of its organization and uploads the public half."""
    user = settings["users"][settings["who"]]
    client = _client(settings, {**user, "key": None})
    client.util.generate_private_key(user["key"])
    return {"public_key": client.organization.get()["public_key"]}


def make_key(settings: dict) -> dict:
    """A key file for the organization of the user `who`; nobody hears of its public half yet."""
    path = Path(settings["users"][settings["who"]]["key"])
    RSACryptor.create_new_rsa_key(path)
    return {"public_key": RSACryptor(path).public_key_str}


def _task(settings: dict, method: str, organizations: list[int], **kwargs: object) -> tuple:
    rita = _client(settings, settings["users"][0])
    where = "study" if settings.get("in_study", True) else "collaboration"
    task = rita.task.create(
        organizations=organizations,
        name=method,
        image=settings["image"],
        description="federated average",
        input_={"method": method, "kwargs": kwargs},
        databases=[{"label": "default"}],
        **{where: settings[where]},
    )
    return rita, task


def average(settings: dict) -> dict:
    """Ask both organizations for their part, decrypt the parts and combine them."""
    rita, task = _task(settings, "partial", settings["organizations"], column="age")
    found = rita.wait_for_results(task["id"])["data"]
    parts = [json.loads(one["result"]) for one in found]
    return {
        "task": task["id"],
        "parts": parts,
        "average": sum(p["sum"] for p in parts) / sum(p["count"] for p in parts),
        "status": rita.task.get(task["id"])["status"],
    }


def central(settings: dict) -> dict:
    """The same by a task that starts subtasks from inside its container."""
    rita, task = _task(settings, "central", settings["organizations"][:1], column="age")
    [found] = rita.wait_for_results(task["id"])["data"]
    [run] = rita.run.from_task(task["id"])["data"]
    return {
        "result": json.loads(found["result"]) if found["result"] else None,
        "log": run["log"],
        "task": rita.task.get(task["id"]),
        "children": rita.task.list(parent=task["id"])["data"],
    }


def sleep(settings: dict) -> dict:
    """Start something that takes long."""
    seconds = settings.get("seconds", 600)
    return _task(settings, "sleep", settings["organizations"], seconds=seconds)[1]


def kill(settings: dict) -> dict:
    """Stop it again."""
    rita = _client(settings, settings["users"][0])
    rita.task.kill(settings["task"])
    runs = rita.run.from_task(settings["task"])["data"]
    return {"task": rita.task.get(settings["task"]), "runs": runs}


ERRANDS = {f.__name__: f for f in (prepare, share_key, make_key, average, central, sleep, kill)}

if __name__ == "__main__":
    sys.stdout.write(
        "\n" + json.dumps(ERRANDS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text())))
    )
