"""Call every public method of the unmodified clients of 4.15.2, and check what they answer.

Run inside the client environment: `every_method.py WHAT CONFIG.json`. Prints which methods exist
and which were called.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import socketio
from vantage6.algorithm.client import AlgorithmClient
from vantage6.client import UserClient
from vantage6.common.client.client_base import ClientBase
from vantage6.common.client.node_client import NodeClient

sys.path.insert(0, str(Path(__file__).parents[1] / "wire"))
from recording import called, existing
from recording import record as recorded

DAY = ("2000-01-01", "2100-01-01")


def record(client: Any, name: str) -> None:
    """Note every call of a public method of the client and its sub-clients."""
    recorded(client, name, ClientBase.SubClient)


def client_of(settings: dict, username: str, password: str) -> UserClient:
    """A client that notes its calls, logged in, without encryption."""
    address = settings["host"], settings["port"], settings["path"]
    client = UserClient(*address, log_level="critical")
    record(client, "user")
    client.authenticate(username, password)
    client.setup_encryption(None)
    return client


def node_of(settings: dict, api_key: str) -> NodeClient:
    """A node, logged in, without encryption."""
    client = NodeClient(settings["host"], settings["port"], settings["path"])
    record(client, "node")
    client.authenticate(api_key)
    client.setup_encryption(None)
    return client


def ids(answer: Any) -> list[int]:
    """Ids of a list, with or without its envelope."""
    return [row["id"] for row in (answer["data"] if isinstance(answer, dict) else answer)]


def user(settings: dict) -> None:
    """Everything a user can do; root at a server that was just started."""
    root = client_of(settings, "root", settings["root_password"])
    assert root.whoami.organization_name == "root"
    assert root.name == root.user.get(1)["firstname"]
    base = f"{settings['host']}:{settings['port']}{settings['path']}"
    assert root.generate_path_to("task", False) == f"{base}/task"
    root.refresh_token()
    assert root.util.get_server_version() == {"version": "4.15.2"}
    assert root.util.get_server_health() == {"database": True}
    alpha, beta = organizations(root)
    together = collaborations(root, alpha, beta)
    study = studies(root, together, alpha, beta)
    api_key = nodes(root, together, study, alpha, beta)
    roles_and_rules(root, alpha)
    people(root, alpha)
    stores(settings, root, together, api_key)
    task = tasks(root, together, study, alpha)
    runs(settings, root, api_key, task, alpha)
    ends(root, task)
    passwords(settings, root)
    removed(root, study, together, alpha, beta)
    root.util.generate_private_key(settings["key"])
    assert root.organization.get()["public_key"]


def organizations(root: UserClient) -> tuple[int, int]:
    """Create, list with filters, get and update without losing what is not given."""
    made = [
        root.organization.create(name, "Street 1", "", "1000", country, f"{name}.example")["id"]
        for name, country in (("alpha", "NL"), ("beta", "DE"))
    ]
    assert set(ids(root.organization.list())) == {1, *made}
    assert ids(root.organization.list(name="al%")) == made[:1]
    assert ids(root.organization.list(country="DE", page=1, per_page=5)) == made[1:]
    changed = root.organization.update(made[0], name="Alpha")
    assert (changed["name"], changed["country"], changed["zipcode"]) == ("Alpha", "NL", "1000")
    assert root.organization.get(made[0])["name"] == "Alpha"
    return made[0], made[1]


def collaborations(root: UserClient, alpha: int, beta: int) -> int:
    """Create, change, list in both scopes."""
    own = root.collaboration.create("own", [1, alpha], encrypted=True)
    found = root.collaboration.create("together", [1, alpha, beta])
    assert (own["encrypted"], found["encrypted"]) == (True, False)
    assert set(ids(root.collaboration.list())) == {own["id"], found["id"]}
    page = root.collaboration.list(scope="global", encrypted=True)
    assert ids(page) == [own["id"]]
    assert page["links"]["self"]
    assert ids(root.collaboration.list(scope="global", encrypted=False)) == [found["id"]]
    assert ids(root.collaboration.list(scope="global", name="to%")) == [found["id"]]
    assert ids(root.organization.list(collaboration=found["id"])) == [1, alpha, beta]
    assert root.collaboration.get(found["id"])["name"] == "together"
    assert root.collaboration.update(own["id"], name="Own")["encrypted"] is True
    assert ids(root.collaboration.add_organization(beta, own["id"])) == [1, alpha, beta]
    assert ids(root.collaboration.remove_organization(alpha, own["id"])) == [1, beta]
    root.collaboration.delete(own["id"])
    root.setup_collaboration(found["id"])
    assert root.collaboration_id == found["id"]
    id: int = found["id"]
    return id


def studies(root: UserClient, together: int, alpha: int, beta: int) -> int:
    """Create, change, list; one that stays."""
    made = root.study.create("pilot", [1, alpha], together)
    id: int = made["id"]
    assert (ids(made["organizations"]), root.study.get(id)["name"]) == ([1, alpha], "pilot")
    assert ids(root.study.list(name="pi%", organization=alpha, collaboration=together)) == [id]
    [listed] = root.study.list(include_organizations=True)["data"]
    assert ids(listed["organizations"]) == [1, alpha]
    assert root.study.update(id, name="Pilot")["name"] == "Pilot"
    assert ids(root.study.add_organization(beta, id)) == [1, alpha, beta]
    assert ids(root.study.remove_organization(beta, id)) == [1, alpha]
    assert ids(root.organization.list(study=id)) == [1, alpha]
    gone = root.study.create("gone", [1], together)["id"]
    root.study.delete(gone)
    assert ids(root.study.list()) == [id]
    return id


def nodes(root: UserClient, together: int, study: int, alpha: int, beta: int) -> str:
    """Create with a default name, update one field, list with filters, delete; alpha's key."""
    a = root.node.create(together, alpha)
    b = root.node.create(together, beta, name="B")
    own = root.node.create(together)
    assert (a["name"], a["status"]) == ("Alpha - together Node", "offline")
    assert set(ids(root.node.list())) == {a["id"], b["id"], own["id"]}
    assert ids(root.node.list(organization=alpha, collaboration=together)) == [a["id"]]
    assert set(ids(root.node.list(study=study))) == {a["id"], own["id"]}
    assert ids(root.node.list(name="B")) == [b["id"]]
    assert ids(root.node.list(is_online=True)) == []
    assert root.node.get(a["id"])["organization"]["id"] == alpha
    assert root.node.update(a["id"], name="A")["name"] == "A"
    assert root.node.update(a["id"], clear_ip=True)["name"] == "A"
    root.node.delete(b["id"])
    assert set(ids(root.node.list())) == {a["id"], own["id"]}
    assert "not online" in root.node.kill_tasks(a["id"])["msg"]
    key: str = a["api_key"]
    return key


def roles_and_rules(root: UserClient, alpha: int) -> None:
    """Rules by filter; a role is changed in one field at a time."""
    rules = root.rule.list(per_page=100)["data"]
    assert len(rules) == 86
    [view] = ids(root.rule.list(name="task", operation="VIEW", scope="GLOBAL"))
    assert root.rule.get(view)["name"] == "task"
    role = root.role.create("auditor", "looks only", [view], organization=alpha)
    assert root.role.get(role["id"])["name"] == "auditor"
    assert root.role.update(role["id"], name="Auditor")["description"] == "looks only"
    changed = root.role.update(role["id"], description="just looks")
    assert changed["name"] == "Auditor"
    root.role.update(role["id"], rules=[view, rules[0]["id"]])
    assert ids(root.rule.list(role=role["id"])) == sorted([view, rules[0]["id"]])
    assert role["id"] in ids(root.role.list(organization=alpha, include_root=True))
    assert ids(root.role.list(name="Aud%", description="just%")) == [role["id"]]
    assert 1 in ids(root.role.list(user=1))
    assert role["id"] in ids(root.role.list(rule=view, per_page=50))
    root.role.delete(role["id"])
    assert ids(root.role.list(name="Auditor")) == []


def people(root: UserClient, alpha: int) -> None:
    """Create, update only what is given, list with filters, delete."""
    researcher = ids(root.role.list(name="Researcher"))
    rita = root.user.create(
        "rita", "Rita", "R", "Rita-pass-1", "rita@a.example", organization=alpha, roles=researcher
    )
    assert root.user.get(rita["id"])["username"] == "rita"
    assert root.user.get()["username"] == "root"
    changed = root.user.update(rita["id"], lastname="Researcher")
    assert (changed["firstname"], changed["lastname"]) == ("Rita", "Researcher")
    assert ids(root.role.list(user=rita["id"])) == researcher
    assert ids(root.user.list(username="ri%")) == [rita["id"]]
    assert ids(root.user.list(organization=alpha)) == [rita["id"]]
    assert ids(root.user.list(role=researcher[0])) == [rita["id"]]
    assert ids(root.user.list(email="rita@a.example", firstname="Rita")) == [rita["id"]]
    assert set(ids(root.user.list())) >= {1, rita["id"]}
    gone = root.user.create("gone", "G", "G", "Gone-pass-1", "g@a.example", organization=alpha)
    root.user.delete(gone["id"])
    assert ids(root.user.list(organization=alpha)) == [rita["id"]]


def stores(settings: dict, root: UserClient, together: int, api_key: str) -> None:
    """Make known, list, change, forget; what goes to the store alone is none of this server's.

    The store has the tokens of users and nodes validated.
    """
    made = root.store.create(settings["store"], "store", collaboration=together, force=True)
    id = made["id"]
    assert root.store.get(id)["url"] == settings["store"]
    assert ids(root.store.list(name="st%", url="%store%", collaboration=together)) == [id]
    root.store.set(id)
    assert root.store.url == settings["store"]
    assert root.store.update(name="Store")["name"] == "Store"
    assert root.store.update(id, all_collaborations=True)["collaborations"] is None
    task = root.task.create(
        [1], "of a store", "registry.example/s:1", "", {"method": "x"}, store=id
    )
    assert task["image"] == f"registry.example/s:1@{settings['digest']}"
    assert task["algorithm_store"]["id"] == id
    assert ids(root.task.list(store=id)) == [task["id"]]
    root.task.delete(task["id"])
    node = node_of(settings, api_key)
    assert node.algorithm_store.get(id)["url"] == settings["store"]
    node.algorithm_store.set(id)
    assert (
        node.algorithm_store.get_algorithm("registry.example/s:1")["digest"] == settings["digest"]
    )
    assert node.algorithm_store.get_algorithm("registry.example/unknown") is None
    root.store.delete(id)
    assert ids(root.store.list()) == []
    root.store.store_id = None


def tasks(root: UserClient, together: int, study: int, alpha: int) -> dict:
    """Tasks, runs and results with all filters, delete; one task that is still pending."""
    databases = [{"label": "default", "query": "select 1"}]
    order = {"image": "registry.example/a:1", "description": "d", "input_": {"method": "x"}}
    made = root.task.create([1, alpha], "first", **order, study=study, databases=databases)
    [database] = made["databases"]
    parameters = json.loads(database["parameters"])
    assert (database["label"], parameters) == ("default", {"query": "select 1"}), made
    other = root.task.create(
        [alpha], "other", "registry.example/b:1", "", {"method": "x"}, collaboration=together
    )
    first, second = made["id"], other["id"]
    assert set(ids(root.task.list())) == {first, second}
    all_runs = root.run.from_task(first)["data"]
    for query in (
        {"name": "fi%"},
        {"image": "registry.example/a%"},
        {"job": made["job_id"]},
        {"description": "d"},
        {"run": all_runs[1]["id"]},
        {"study": study},
        {"database": "default"},
    ):
        assert ids(root.task.list(**query)) == [first], query
    for query in (
        {"initiating_org": 1},
        {"initiating_user": 1},
        {"collaboration": together},
        {"status": "pending"},
        {"user_created": True},
    ):
        assert set(ids(root.task.list(**query))) == {first, second}, query
    assert ids(root.task.list(status="completed")) == []
    assert ids(root.task.list(user_created=False)) == []
    assert ids(root.task.list(parent=first)) == []
    [listed] = root.task.list(name="first", include_results=True)["data"]
    assert len(listed["results"]) == 2
    assert root.task.get(first, include_results=True)["results"][0]["run"]["id"]
    assert set(ids(root.run.list(task=first))) == {one["id"] for one in all_runs}
    assert len(ids(root.run.list(organization=alpha, state="open"))) == 2
    assert ids(root.run.list(port=4321)) == []
    assert len(ids(root.run.list(assigned=DAY))) == 3
    assert ids(root.run.list(started=DAY)) == ids(root.run.list(finished=DAY)) == []
    assert len(ids(root.run.list(page=1, per_page=2))) == 2
    with_task = root.run.list(task=first, include_task=True)["data"][0]
    assert (with_task["task"]["name"], json.loads(with_task["input"])["method"]) == ("first", "x")
    one = all_runs[0]["id"]
    assert root.run.get(one, include_task=True)["task"]["image"] == "registry.example/a:1"
    assert root.result.get(one) is None
    assert ids(root.result.from_task(first)) == [one["id"] for one in all_runs]
    root.task.delete(second)
    assert ids(root.task.list()) == [first]
    return {"task": made, "runs": {run["organization"]["id"]: run["id"] for run in all_runs}}


def runs(settings: dict, root: UserClient, api_key: str, made: dict, alpha: int) -> None:
    """The run of alpha is computed; filters find it in each state."""
    node, task, one = node_of(settings, api_key), made["task"], made["runs"][alpha]
    assert (node.whoami.name, node.whoami.type_) == ("A", "node")
    assert node.is_encrypted_collaboration() is False
    online(root, node)
    node.auto_refresh_token()
    node.refresh_token()
    [queued] = node.run.list(state="open", include_task=True, task_id=task["id"])
    assert (queued["task"]["id"], queued["id"]) == (task["id"], one)
    assert json.loads(queued["input"])["method"] == "x"
    allowed = node.check_user_allowed_to_send_task
    assert allowed(["7"], ["root"], init_org_id=1, init_user_id=1)
    assert not allowed(["7"], ["A"], init_org_id=1, init_user_id=1)
    assert not allowed(["7"], [], init_org_id=1, init_user_id=0)  # a user who is gone
    assert node.get_vpn_config() == (False, "")
    old = Path(settings["key"]).with_suffix(".ovpn")
    old.write_text("an old configuration")
    assert node.refresh_vpn_keypair(str(old)) is False
    node.set_task_start_time(one)
    assert ids(root.run.list(started=DAY)) == [one]
    assert node.request_token_for_container(task["id"], task["image"])["container_token"]
    assert node.run.patch(one, {"status": "active"})["status"] == "active"
    assert ids(root.task.list(status="active")) == [task["id"]]
    node.request("port", json={"port": 4321, "label": "app", "run_id": one}, method="post")
    assert ids(root.run.list(port=4321)) == [one]
    own = f"node/{node.whoami.id_}"
    assert node.request(own, json={"ip": "10.0.0.7"}, method="patch")["name"] == "A"
    assert ids(root.node.list(ip="10.0.0.7")) == [node.whoami.id_]
    assert ids(root.node.list(organization=alpha, last_seen_from=DAY[0])) == [node.whoami.id_]
    assert ids(root.node.list(last_seen_till=DAY[0])) == []
    assert ids(root.run.list(node=node.whoami.id_)) == [one]
    container(settings, node, task, alpha)
    output = {"status": "completed", "result": b'{"n": 3}', "log": "done"}
    output["finished_at"] = "2026-11-24T06:28:14+00:00"
    node.run.patch(one, output, init_org_id=1)
    assert ids(root.run.list(finished=("2026-11-24", "2026-11-25"))) == [one]
    assert ids(root.run.list(finished=("2026-11-25", "2026-11-26"))) == []
    assert ids(root.run.list(task=task["id"], state="open")) == [made["runs"][1]]
    assert json.loads(root.result.get(one)) == {"n": 3}


def online(root: UserClient, node: NodeClient) -> None:
    """A node is online while its socket is open, and only then told to kill what it runs."""
    id = node.whoami.id_
    heard: list[dict] = []
    socket = socketio.Client(reconnection=False)
    socket.on("kill_containers", heard.append, namespace="/tasks")
    socket.connect(f"{node.host}:{node.port}", node.headers, namespaces=["/tasks"])
    wait_until(lambda: ids(root.node.list(is_online=True)) == [id])
    assert "instructed to kill" in root.node.kill_tasks(id)["msg"]
    wait_until(lambda: heard == [{"node_id": id, "collaboration_id": node.collaboration_id}])
    socket.disconnect()
    wait_until(lambda: id in ids(root.node.list(is_online=False)))
    assert ids(root.node.list(is_online=True)) == []


def container(settings: dict, node: NodeClient, task: dict, alpha: int) -> None:
    """Everything an algorithm can do, without a proxy: its node runs the subtask itself."""
    token = node.request_token_for_container(task["id"], task["image"])["container_token"]
    client = AlgorithmClient(token, settings["host"], settings["port"], settings["path"])
    record(client, "algorithm")
    study, together = task["study"]["id"], task["collaboration"]["id"]
    assert (client.study_id, client.collaboration_id) == (study, together)
    assert client.collaboration.get()["id"] == together
    assert client.study.get(study)["id"] == study
    assert ids(client.study.list()) == [study]
    assert ids(client.organization.list()) == [1, alpha]
    assert client.organization.get(1)["id"] == 1
    [mine] = client.vpn.get_addresses()
    assert (mine["port"], mine["label"], mine["ip"]) == (4321, "app", "10.0.0.7")
    assert client.vpn.get_addresses(label="nothing") == client.vpn.get_child_addresses() == []
    assert client.vpn.get_own_address() == [mine]
    assert client.vpn.get_sibling_addresses() == []
    client.vpn.get_parent_address()
    part = client.task.create({"method": "x"}, [alpha], name="part", description="of a whole")
    assert (part["name"], part["description"]) == ("part", "of a whole")
    assert client.task.get(part["id"])["parent"]["id"] == task["id"]
    [run] = client.run.from_task(part["id"])
    assert client.run.get(run["id"])["status"] == "pending"
    node.run.patch(run["id"], {"status": "completed", "result": b"[7]", "log": ""}, init_org_id=1)
    assert client.wait_for_results(part["id"]) == client.result.from_task(part["id"]) == [[7]]
    assert client.result.get(run["id"]) == [7]


def wait_until(check: Any) -> None:
    """Wait for what follows from an event."""
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ends(root: UserClient, made: dict) -> None:
    """A kill stops what is open and leaves alone what is finished."""
    first = made["task"]["id"]
    root.task.kill(first)
    assert root.task.get(first)["status"] == "killed by user"
    found = {one["id"]: one["result"] for one in root.wait_for_results(first)["data"]}
    assert set(found) == set(made["runs"].values())
    assert [json.loads(one) for one in found.values() if one] == [{"n": 3}]


def passwords(settings: dict, root: UserClient) -> None:
    """Change, and recovery by mail of the password and of the second factor."""
    said = root.util.change_my_password(settings["root_password"], "New-pass-1")
    assert "changed" in said["msg"]
    assert root.user.get()["username"] == "root"  # this session lives on
    address = settings["host"], settings["port"], settings["path"]
    nobody = UserClient(*address, log_level="critical")
    record(nobody, "user")
    assert nobody.util.reset_my_password(username="rita")["msg"]
    token = mailed_token(settings, 1)
    assert "reset" in nobody.util.set_my_password(token, "Rita-pass-2")["msg"]
    client_of(settings, "rita", "Rita-pass-2")
    assert nobody.util.reset_two_factor_auth("Rita-pass-2", username="rita")["msg"]
    nobody.util.set_two_factor_auth(mailed_token(settings, 2))


def mailed_token(settings: dict, count: int) -> str:
    """The newest token in the mails, once there are `count`; it has a line of its own."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = "\n".join(p.read_text() for p in sorted(Path(settings["mails"]).glob("*.txt")))
        tokens = re.findall(r"^[\w-]+\.[\w-]+\.[\w-]+$", text, re.MULTILINE)
        if len(tokens) >= count:
            return str(tokens[-1])
        time.sleep(0.1)
    raise AssertionError("no mail came")


def removed(root: UserClient, study: int, together: int, alpha: int, beta: int) -> None:
    """What things hang on goes only when that is said, and with them."""
    root.collaboration.delete(together, delete_dependents=False)
    assert ids(root.collaboration.list(scope="global")) == [together]
    root.organization.delete(beta)
    root.collaboration.delete(together, delete_dependents=True)
    root.collaboration_id = None  # lists would be of the one that is gone
    root.organization.delete(alpha, delete_dependents=True)
    assert ids(root.organization.list()) == [1]
    assert ids(root.study.list()) == ids(root.task.list()) == []


if __name__ == "__main__":
    user(json.loads(Path(sys.argv[2]).read_text()))
    found = {"existing": sorted(existing), "called": sorted(called)}
    sys.stdout.write("\n" + json.dumps(found))
