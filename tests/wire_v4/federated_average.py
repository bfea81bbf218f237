"""A small real algorithm: the average of a column over data that stays where it is.

`partial` runs on the data of one organization; `central` asks all organizations for their partial
results and combines them, as a task that starts subtasks. Run by the wrapper of vantage6 4.15.2.
"""

import time

from vantage6.algorithm.tools.decorators import algorithm_client, data
from vantage6.algorithm.tools.util import info


@data(1)
def partial(frame, column):
    """Sum and count of one organization."""
    values = frame[column]
    info(f"counting {column}")
    return {"sum": float(values.sum()), "count": int(values.count())}


def sleep(seconds):
    """Takes its time, to be killed."""
    info("going to sleep")
    time.sleep(seconds)
    return {"slept": seconds}


@algorithm_client
def central(client, column):
    """The average over all organizations that the client knows of."""
    organizations = [one["id"] for one in client.organization.list()]
    task = client.task.create(
        input_={"method": "partial", "kwargs": {"column": column}},
        organizations=organizations,
    )
    parts = client.wait_for_results(task["id"], interval=0.2)
    ended = client.task.get(task["id"])
    seen = {
        "parts": len(parts),
        "organizations": organizations,
        "collaboration": client.collaboration.get()["id"],
        "node": client.node_id,
        "study": client.study_id,
        "studies": [one["id"] for one in client.study.list()],
        "databases": client.databases,
        "runs": [one["status"] for one in client.run.from_task(task["id"])],
        "status": ended["status"],
        "addresses": client.vpn.get_addresses(),
    }
    average = sum(part["sum"] for part in parts) / sum(part["count"] for part in parts)
    return {"average": average, "seen": seen}
