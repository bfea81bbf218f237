"""People with the unmodified client of vantage6 3.11.1. Run inside the client environment.

`researcher.py WHAT CONFIG.json` prints one JSON object with what was found.
"""

import json
import pickle
import sys
from pathlib import Path

from vantage6.client import UserClient
from vantage6.common.encryption import RSACryptor


def _client(settings: dict, who: dict) -> UserClient:
    client = UserClient(settings["host"], settings["port"], "/api", log_level="critical")
    client.authenticate(who["username"], who["password"])
    client.setup_encryption(who.get("key"))
    return client


def prepare(settings: dict) -> dict:
    """Root sets up two organizations, an encrypted collaboration, nodes and users."""
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
    study = root.collaboration.create("Study", made["organizations"], encrypted=True)
    made["collaboration"] = study
    for organization in made["organizations"]:
        made["nodes"].append(root.node.create(study["id"], organization))
    for organization, name in zip(made["organizations"], ("rita", "rob"), strict=True):
        user = root.user.create(
            username=name,
            firstname=name,
            lastname="R",
            password="Str0ng-Pass!",
            email=f"{name}@study.example",
            organization=organization,
            roles=[roles["Researcher"], roles["Organization Admin"]],
        )
        made["users"].append(user)
    return made


def share_key(settings: dict) -> dict:
    """The user `who` makes the key of its organization and uploads the public half."""
    user = settings["users"][settings["who"]]
    client = _client(settings, {**user, "key": None})
    client.util.generate_private_key(user["key"])
    return {
        "organization": client.whoami.organization_name,
        "public_key": client.organization.get()["public_key"],
    }


def make_key(settings: dict) -> dict:
    """A key file for the organization of the user `who`; nobody hears of its public half yet."""
    path = Path(settings["users"][settings["who"]]["key"])
    RSACryptor.create_new_rsa_key(path)
    return {"public_key": RSACryptor(path).public_key_str}


def average(settings: dict) -> dict:
    """Ask both organizations for their part, decrypt the parts and combine them."""
    rita = _client(settings, settings["users"][0])
    task = rita.task.create(
        collaboration=settings["collaboration"],
        organizations=settings["organizations"],
        name="average",
        image=settings["image"],
        description="federated average",
        input={"method": "partial", "kwargs": {"column": "age"}},
        data_format="json",
    )
    found = rita.wait_for_results(task["id"])
    assert all(one["status"] == "completed" for one in found), found[0]["log"]
    parts = [pickle.loads(one["result"]) for one in found]
    return {
        "task": task["id"],
        "parts": parts,
        "average": sum(p["sum"] for p in parts) / sum(p["count"] for p in parts),
        "status": rita.task.get(task["id"])["status"],
    }


def central(settings: dict) -> dict:
    """The same by a task that starts subtasks from inside its container."""
    rita = _client(settings, settings["users"][0])
    task = rita.task.create(
        collaboration=settings["collaboration"],
        organizations=settings["organizations"][:1],
        name="central average",
        image=settings["image"],
        description="",
        input={"method": "central", "master": True, "kwargs": {"column": "age"}},
    )
    [found] = rita.wait_for_results(task["id"])
    ended = rita.task.get(task["id"])
    return {
        "result": pickle.loads(found["result"]) if found["result"] else None,
        "log": found["log"],
        "task": ended,
        "children": [rita.task.get(one["id"]) for one in ended["children"] or []],
    }


def sleep(settings: dict) -> dict:
    """Start something that takes long."""
    rita = _client(settings, settings["users"][0])
    return rita.task.create(
        collaboration=settings["collaboration"],
        organizations=settings["organizations"],
        name="long",
        image=settings["image"],
        description="",
        input={"method": "sleep", "kwargs": {"seconds": settings.get("seconds", 600)}},
    )


def kill(settings: dict) -> dict:
    """Stop it again."""
    rita = _client(settings, settings["users"][0])
    rita.task.kill(settings["task"])
    return rita.task.get(settings["task"], include_results=True)


ERRANDS = {f.__name__: f for f in (prepare, share_key, make_key, average, central, sleep, kill)}

if __name__ == "__main__":
    sys.stdout.write(
        "\n" + json.dumps(ERRANDS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text())))
    )
