"""Call every public method of the unmodified clients, and check what they answer.

Run inside the client environment: `every_method.py WHAT CONFIG.json`. Prints which methods exist
and which were called.
"""

import json
import pickle
import re
import sys
import time
from pathlib import Path
from typing import Any

import docker
from recording import called, existing
from recording import record as recorded

docker.from_env = lambda *_args, **_kwargs: None  # the node's packages look for an engine at import

import socketio  # noqa: E402
from vantage6.client import ClientBase, ContainerClient, UserClient  # noqa: E402
from vantage6.client.algorithm_client import AlgorithmClient  # noqa: E402
from vantage6.node.node_client import NodeClient  # noqa: E402


def record(client: Any, name: str) -> None:
    """Note every call of a public method of the client and its sub-clients."""
    recorded(client, name, ClientBase.SubClient)


def client_of(settings: dict, username: str, password: str) -> UserClient:
    """A client that notes its calls, logged in, without encryption."""
    client = UserClient(settings["host"], settings["port"], settings["path"], log_level="critical")
    record(client, "user")
    client.authenticate(username, password)
    client.setup_encryption(None)
    return client


def node_of(settings: dict, api_key: str) -> NodeClient:
    """A node, logged in, without encryption."""
    client = NodeClient(settings["host"], settings["port"], settings["path"])
    if settings["note_nodes"]:
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
    assert root.token
    assert root.headers["Authorization"].startswith("Bearer ")
    assert (root.host, root.port, root.path) == (
        settings["host"],
        settings["port"],
        settings["path"],
    )
    assert root.name == root.user.get(1)["firstname"]
    assert (
        root.generate_path_to("task")
        == f"{settings['host']}:{settings['port']}{settings['path']}/task"
    )
    root.refresh_token()
    assert root.util.get_server_version() == {"version": "3.11.1"}
    assert root.util.get_server_health() == {"database": True}
    alpha, beta = organizations(root)
    study = collaborations(root, alpha, beta)
    api_key = nodes(root, study, alpha, beta)
    roles_and_rules(root, alpha)
    people(root, alpha)
    task = tasks(root, study, alpha)
    runs(settings, root, api_key, task)
    ends(root, task)
    passwords(settings, root)
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
    assert ids(root.organization.list(country="DE")) == made[1:]
    changed = root.organization.update(made[0], name="Alpha")
    assert (changed["name"], changed["country"], changed["zipcode"]) == ("Alpha", "NL", "1000")
    assert root.organization.get(made[0])["name"] == "Alpha"
    return made[0], made[1]


def collaborations(root: UserClient, alpha: int, beta: int) -> int:
    """Create, and list in both scopes."""
    own = root.collaboration.create("own", [1, alpha], encrypted=True)
    study = root.collaboration.create("study", [1, alpha, beta])
    assert own["encrypted"] is True
    assert study["encrypted"] is False
    assert set(ids(root.collaboration.list())) == {own["id"], study["id"]}
    page = root.collaboration.list(scope="global", encrypted=True)
    assert ids(page) == [own["id"]]
    assert page["links"]["self"]
    assert ids(root.collaboration.list(scope="global", encrypted=False)) == [study["id"]]
    assert ids(root.collaboration.list(scope="global", name="st%")) == [study["id"]]
    assert ids(root.organization.list(collaboration=study["id"])) == [1, alpha, beta]
    assert root.collaboration.get(study["id"])["name"] == "study"
    found: int = study["id"]
    return found


def nodes(root: UserClient, study: int, alpha: int, beta: int) -> str:
    """Create with a default name, update one field, list with filters, delete; alpha's key."""
    a = root.node.create(study, alpha)
    b = root.node.create(study, beta, name="B")
    own = root.node.create(study)
    assert a["name"] == "Alpha - study Node"
    assert a["api_key"]
    assert set(ids(root.node.list())) == {a["id"], b["id"], own["id"]}
    assert ids(root.node.list(organization=alpha)) == [a["id"]]
    assert ids(root.node.list(name="B")) == [b["id"]]
    assert ids(root.node.list(is_online=True)) == []
    assert root.node.get(a["id"])["organization"]["id"] == alpha
    assert root.node.update(a["id"], name="A")["name"] == "A"
    assert root.node.update(a["id"], collaboration=study)["name"] == "A"  # null is "not given"
    root.node.delete(b["id"])
    assert set(ids(root.node.list())) == {a["id"], own["id"]}
    assert "not online" in root.node.kill_tasks(a["id"])["msg"]
    key: str = a["api_key"]
    return key


def roles_and_rules(root: UserClient, alpha: int) -> None:
    """Rules by filter; a role is changed in one field at a time."""
    rules = root.rule.list(per_page=100)["data"]
    assert len(rules) == 53
    [view] = ids(root.rule.list(name="task", operation="VIEW", scope="GLOBAL"))
    assert root.rule.get(view)["name"] == "task"
    role = root.role.create("auditor", "looks only", [view], organization=alpha)
    assert root.role.get(role["id"])["name"] == "auditor"
    assert root.role.update(role["id"], name="Auditor")["description"] == "looks only"
    changed = root.role.update(role["id"], description="just looks")
    assert (changed["name"], len(changed["rules"])) == ("Auditor", 1)
    assert len(root.role.update(role["id"], rules=[view, rules[0]["id"]])["rules"]) == 2
    assert ids(root.rule.list(role=role["id"])) == sorted([view, rules[0]["id"]])
    assert ids(root.role.list(organization=alpha)) == [role["id"]]
    assert len(ids(root.role.list(organization=alpha, include_root=True))) == 8
    assert ids(root.role.list(name="Aud%", description="just%")) == [role["id"]]
    assert 1 in ids(root.role.list(user=1))
    assert role["id"] in ids(root.role.list(rule=view))
    root.role.delete(role["id"])
    assert ids(root.role.list(organization=alpha)) == []


def people(root: UserClient, alpha: int) -> None:
    """Create, update only what is given, list with filters."""
    researcher = ids(root.role.list(name="Researcher"))
    rita = root.user.create(
        "rita", "Rita", "R", "Rita-pass-1", "rita@a.example", organization=alpha, roles=researcher
    )
    assert "otp_secret" not in rita or rita["otp_secret"] is None
    assert root.user.get(rita["id"])["username"] == "rita"
    assert root.user.get()["username"] == "root"
    changed = root.user.update(rita["id"], lastname="Researcher")
    assert (changed["firstname"], changed["lastname"]) == ("Rita", "Researcher")
    assert [role["id"] for role in changed["roles"]] == researcher
    assert ids(root.user.list(username="ri%")) == [rita["id"]]
    assert ids(root.user.list(organization=alpha)) == [rita["id"]]
    assert ids(root.user.list(role=researcher[0])) == [rita["id"]]
    assert ids(root.user.list(email="rita@a.example", firstname="Rita")) == [rita["id"]]
    assert set(ids(root.user.list())) >= {1, rita["id"]}


def tasks(root: UserClient, study: int, alpha: int) -> dict:
    """Tasks and results with all filters, delete; one task that is still pending."""
    made = root.task.create(
        collaboration=study,
        organizations=[1, alpha],
        name="first",
        image="registry.example/a:1",
        description="d",
        input={"method": "x"},
    )
    other = root.post_task(
        name="other",
        image="registry.example/b:1",
        collaboration_id=study,
        input_={"method": "x"},
        organization_ids=[alpha],
    )
    first = made["id"]
    assert set(ids(root.task.list())) == {first, other["id"]}
    for query in (
        {"name": "fi%"},
        {"image": "registry.example/a%"},
        {"run": made["run_id"]},
        {"description": "d"},
        {"result": made["results"][1]["id"]},
    ):
        assert ids(root.task.list(**query)) == [first], query
    for query in (
        {"initiator": 1},
        {"initiating_user": 1},
        {"collaboration": study},
        {"status": "pending"},
        {"database": "default"},
    ):
        assert set(ids(root.task.list(**query))) == {first, other["id"]}, query
    assert ids(root.task.list(status="completed")) == []
    listed = root.task.list(name="first", include_results=True)["data"]
    assert [one["organization"] for one in listed[0]["results"]] == [1, alpha]
    assert root.task.get(first, include_results=True)["results"][0]["status"] == "pending"
    assert set(ids(root.result.list(task=first))) == {one["id"] for one in made["results"]}
    assert len(ids(root.result.list(organization=alpha, state="open"))) == 2
    assert ids(root.result.list(port=4321)) == []
    day = ("2000-01-01", "2100-01-01")
    assert len(ids(root.result.list(assigned=day))) == 3
    assert ids(root.result.list(started=day)) == []
    assert ids(root.result.list(finished=day)) == []
    assert len(ids(root.result.list(page=1, per_page=2))) == 2
    assert root.result.list(task=first, include_task=True)["data"][0]["task"]["name"] == "first"
    assert len(root.result.from_task(first)) == 2
    one = made["results"][0]["id"]
    assert root.result.get(one)["id"] == one
    assert root.result.get(one, include_task=True)["task"]["image"] == "registry.example/a:1"
    assert len(root.get_results(task_id=first)) == 2
    root.task.delete(other["id"])
    assert ids(root.task.list()) == [first]
    kept: dict = made
    return kept


def runs(settings: dict, root: UserClient, api_key: str, task: dict) -> None:
    """The second result of the task is computed; filters find it in each state."""
    node = node_of(settings, api_key)
    alpha = node.whoami.organization_id
    assert (node.whoami.name, node.whoami.type_) == ("A", "node")
    assert node.is_encrypted_collaboration() is False
    online(root, node)
    node.auto_refresh_token()
    node.refresh_token()
    [queued] = node.get_results(state="open", include_task=True, task_id=task["id"])
    one = queued["id"]
    assert (queued["task"]["id"], one) == (task["id"], task["results"][1]["id"])
    assert pickle.loads(queued["input"]) == {"method": "x"}
    assert node.check_user_allowed_to_send_task(["7"], ["root"], initiator_id=1, init_user_id=1)
    assert not node.check_user_allowed_to_send_task(["7"], ["A"], initiator_id=1, init_user_id=1)
    assert node.get_vpn_config() == (False, "")
    old = Path(settings["key"]).with_suffix(".ovpn")
    old.write_text("an old configuration")
    assert node.refresh_vpn_keypair(str(old)) is False
    day = ("2000-01-01", "2100-01-01")
    node.set_task_start_time(one)
    assert ids(root.result.list(started=day)) == [one]
    assert node.request_token_for_container(task["id"], task["image"])["container_token"]
    assert node.patch_results(one, {"status": "active"})["status"] == "active"
    assert ids(root.task.list(status="active")) == [task["id"]]
    assert ids(root.task.list(status="pending")) == []
    ports = {"port": 4321, "label": "app", "result_id": one}
    node.request("port", json=ports, method="post")
    assert ids(root.result.list(port=4321)) == [one]
    assert ids(root.result.list(port=4322)) == []
    own = f"node/{node.whoami.id_}"
    assert node.request(own, json={"ip": "10.0.0.7"}, method="patch")["name"] == "A"
    assert ids(root.node.list(ip="10.0.0.7")) == [node.whoami.id_]
    assert ids(root.node.list(organization=alpha, last_seen_from="2000-01-01")) == [node.whoami.id_]
    assert ids(root.node.list(last_seen_till="2000-01-01")) == []
    assert ids(root.result.list(node=node.whoami.id_)) == [one]
    node.patch_results(
        one,
        {
            "status": "completed",
            "result": pickle.dumps({"n": 3}),
            "finished_at": "2026-11-24T06:28:14",
        },
        init_org_id=1,
    )
    assert ids(root.result.list(finished=("2026-11-24", "2026-11-25"))) == [one]
    assert ids(root.result.list(finished=("2026-11-25", "2026-11-26"))) == []
    assert ids(root.result.list(task=task["id"], state="open")) == [task["results"][0]["id"]]
    assert root.result.get(one)["result"] == {"n": 3}


def online(root: UserClient, node: NodeClient) -> None:
    """A node is online while its socket is open, and only then told to kill what it runs."""
    id = node.whoami.id_
    heard: list[dict] = []
    socket = socketio.Client(reconnection=False)
    socket.on("kill_containers", heard.append, namespace="/tasks")
    address = f"{node.host}:{node.port}"
    socket.connect(address, node.headers, transports=["websocket"], namespaces=["/tasks"])
    wait_until(lambda: ids(root.node.list(is_online=True)) == [id])
    assert "instructed to kill" in root.node.kill_tasks(id)["msg"]
    wait_until(lambda: heard == [{"node_id": id, "collaboration_id": node.collaboration_id}])
    socket.disconnect()
    wait_until(lambda: ids(root.node.list(is_online=False)) == [id])
    assert ids(root.node.list(is_online=True)) == []


def wait_until(check: Any) -> None:
    """Wait for what follows from an event."""
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ends(root: UserClient, task: dict) -> None:
    """A kill stops what is open and leaves alone what is finished."""
    first = task["id"]
    root.task.kill(first)
    assert root.task.get(first)["status"] == "failed"
    found = {one["id"]: one for one in root.wait_for_results(first)}
    killed, computed = (found[one["id"]] for one in task["results"])
    assert (killed["status"], killed["result"]) == ("killed by user", None)
    assert computed["status"] == "completed"
    assert pickle.loads(computed["result"]) == {"n": 3}


def passwords(settings: dict, root: UserClient) -> None:
    """Change, and recovery by mail of the password and of the second factor."""
    said = root.util.change_my_password(settings["root_password"], "New-pass-1")
    assert "changed" in said["msg"]
    assert root.user.get()["username"] == "root"  # this session lives on
    nobody = UserClient(settings["host"], settings["port"], settings["path"], log_level="critical")
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


def container(settings: dict) -> None:
    """Everything an algorithm can do, by the old and the new client, without a proxy."""
    address = (settings["host"], settings["port"], settings["path"])
    new = AlgorithmClient(settings["token"], *address)
    record(new, "algorithm")
    study, own, other = settings["collaboration"], *settings["organizations"]
    assert new.collaboration.get()["id"] == study
    assert ids(new.organization.list()) == [own, other]
    assert new.organization.get(other)["id"] == other
    assert new.node.get()["id"] == settings["node"]
    mine = {
        "port": 4321,
        "label": "app",
        "ip": "10.0.0.7",
        "organization_id": own,
        "task_id": settings["task"],
        "parent_id": None,
    }
    assert new.vpn.get_addresses() == [mine]
    assert new.vpn.get_addresses(label="nothing") == []
    assert new.vpn.get_child_addresses() == []
    assert new.vpn.get_parent_address() == [mine]  # its own, for want of a parent
    task = new.task.create({"method": "x"}, [own, other], name="part", description="of a whole")
    assert (task["name"], task["description"]) == ("part", "of a whole")
    assert new.task.get(task["id"])["parent"]["id"] == settings["task"]
    assert new.result.get(task["id"]) == []
    assert new.request(f"task/{task['id']}")["run_id"] == task["run_id"]
    old = ContainerClient(settings["token"], *address)
    record(old, "container")
    old.authenticate()
    assert [one["id"] for one in old.get_organizations_in_my_collaboration()] == [own, other]
    assert old.get_task(settings["task"])["complete"] is False
    assert old.get_results(settings["task"]) == []
    assert old.request(f"task/{task['id']}")["parent"]["id"] == settings["task"]
    assert (
        old.generate_path_to("task")
        == f"{settings['host']}:{settings['port']}{settings['path']}/task"
    )
    assert new.generate_path_to("task") == old.generate_path_to("task")
    addresses = old.get_algorithm_addresses(settings["task"])
    assert addresses == [{"ip": "10.0.0.7", "port": 4321, "label": "app"}]
    assert old.get_algorithm_address_by_label(settings["task"], "app") == "10.0.0.7:4321"
    assert old.get_algorithm_address_by_label(settings["task"], "nothing") is None
    second = old.create_new_task({"method": "x"}, [other])
    assert second["parent"]["id"] == settings["task"]
    assert second["run_id"] == task["run_id"]
    child(settings, new, old, task, mine)


def child(
    settings: dict, new: AlgorithmClient, old: ContainerClient, task: dict, mine: dict
) -> None:
    """A subtask runs at the same node: both see the other's address, and its result."""
    node = node_of(settings, settings["api_key"])
    [part] = node.get_results(state="open", task_id=task["id"])
    assert pickle.loads(part["input"]) == {"method": "x"}
    port = {"port": 5555, "label": "part", "result_id": part["id"]}
    node.request("port", json=port, method="post")
    theirs = {**mine, "port": 5555, "label": "part", "task_id": task["id"]}
    theirs["parent_id"] = settings["task"]
    assert new.vpn.get_child_addresses() == [theirs]
    both = new.vpn.get_addresses(include_children=True)
    assert sorted(one["port"] for one in both) == [4321, 5555]
    assert new.vpn.get_addresses(include_children=True, label="part") == [theirs]
    token = node.request_token_for_container(task["id"], task["image"])["container_token"]
    address = (settings["host"], settings["port"], settings["path"])
    inner = AlgorithmClient(token, *address)
    assert inner.vpn.get_addresses() == [theirs]
    assert inner.vpn.get_parent_address() == [mine]
    both = inner.vpn.get_addresses(include_parent=True)
    assert sorted(one["port"] for one in both) == [4321, 5555]
    output = {"result": pickle.dumps({"n": 3}), "status": "completed"}
    output["finished_at"] = "2026-11-24T06:28:14.113388"
    node.patch_results(part["id"], output, init_org_id=task["initiator"])
    assert new.result.get(task["id"]) == [{"n": 3}]
    assert old.get_results(task["id"]) == [{"n": 3}]


if __name__ == "__main__":
    {"user": user, "container": container}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))
    found = {"existing": sorted(existing), "called": sorted(called)}
    sys.stdout.write("\n" + json.dumps(found))
