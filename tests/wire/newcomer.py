"""Somebody who has just started `v6srv demo`, with the unmodified client of vantage6 3.11.1.

Run inside the client environment: `newcomer.py first_task CONFIG.json` prints one JSON object.
"""

import json
import sys
from pathlib import Path

from vantage6.client import UserClient


def first_task(settings: dict) -> dict:
    """Ask for an average that nobody has asked for before."""
    client = UserClient(settings["host"], settings["port"], "/api", log_level="critical")
    client.authenticate("bo", settings["password"])
    client.setup_encryption(None)
    [here] = [one for one in client.collaboration.list() if one["name"] == "Diabetes Registry"]
    task = client.task.create(
        collaboration=here["id"],
        organizations=[client.whoami.organization_id],
        name="My first task",
        image=settings["image"],
        description="",
        input={"method": "average", "kwargs": {"column": "weight"}},
        data_format="json",
    )
    [found] = client.wait_for_results(task["id"])
    return json.loads(found["result"].decode().removeprefix("json."))


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(first_task(json.loads(Path(sys.argv[2]).read_text()))))
