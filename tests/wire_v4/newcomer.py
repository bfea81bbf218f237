"""Somebody who has just started `v6srv demo`, with the unmodified client of vantage6 4.15.2.

Run inside the client environment: `newcomer.py first_task CONFIG.json` prints one JSON object.
"""

import json
import sys
from pathlib import Path

from vantage6.client import UserClient


def first_task(settings: dict) -> dict:
    """Ask for an average, encrypted, that nobody has asked for before."""
    client = UserClient(settings["host"], settings["port"], "/api", log_level="critical")
    client.authenticate("hanne", settings["password"])
    client.setup_encryption(settings["key"])
    [here] = [one for one in client.collaboration.list()["data"] if one["name"] == "Stroke Trial"]
    task = client.task.create(
        collaboration=here["id"],
        organizations=[client.whoami.organization_id],
        name="My first task",
        image=settings["image"],
        description="",
        input_={"method": "average", "kwargs": {"column": "weight"}},
        databases=[{"label": "default"}],
    )
    [found] = client.wait_for_results(task["id"])["data"]
    return json.loads(found["result"])


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(first_task(json.loads(Path(sys.argv[2]).read_text()))))
