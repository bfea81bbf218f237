"""A small real algorithm: the average of a column over data that stays where it is.

`partial` runs on the data of one organization; `central` asks all organizations for their partial
results and combines them, as a task that starts subtasks. Run by the wrapper of vantage6 3.11.1.
"""

import time


def RPC_partial(data, column):
    """Sum and count of one organization."""
    values = data[column]
    return {"sum": float(values.sum()), "count": int(values.count())}


def RPC_sleep(data, seconds):
    """Takes its time, to be killed."""
    time.sleep(seconds)
    return {"slept": seconds}


def central(client, data, column):
    """The average over all organizations of the collaboration."""
    organizations = [one["id"] for one in client.organization.list()]
    task = client.task.create(
        input_={"method": "partial", "kwargs": {"column": column}},
        organization_ids=organizations,
    )
    while not client.task.get(task["id"])["complete"]:
        time.sleep(0.2)
    parts = client.result.get(task_id=task["id"])
    seen = {
        "parts": len(parts),
        "collaboration": client.collaboration.get()["id"],
        "node": client.node.get()["id"],
        "addresses": client.vpn.get_addresses(),
        "children": client.vpn.get_child_addresses(),
    }
    average = sum(part["sum"] for part in parts) / sum(part["count"] for part in parts)
    return {"average": average, "seen": seen}
