"""/vpn: configurations for nodes, addresses for algorithms (rest.md 3.11)."""

import socket
import threading

import pytest

from tests.support import Caller, open_app
from tests.unit.test_vpn import NEW, OLD, Portal
from v6srv import db
from v6srv.model import Port, Task

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def settings(port, **changes):
    return {
        "url": f"http://127.0.0.1:{port}",
        "redirect_url": "http://localhost",
        "client_id": "client",
        "client_secret": "hush",
        "portal_username": "robot",
        "portal_userpass": "secret",
        **changes,
    }


@pytest.fixture
def portal():
    server = Portal()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@SQLITE
def test_a_node_gets_a_configuration_and_fresh_keys_for_an_old_one(backend, databases, portal):
    vpn = settings(portal.server_port)
    with open_app(databases, backend, True, vpn_server=vpn) as (app, _):
        call = Caller(app)
        answer = call("north_registry", "GET", "/vpn")
        assert (answer.status_code, answer.json) == (200, {"ovpn_config": NEW})
        answer = call("north_registry", "POST", "/vpn/update", json={"vpn_config": OLD})
        assert answer.status_code == 200
        assert answer.json == {"ovpn_config": NEW.replace("T 1", "T 2").replace("Y 1", "Y 2")}
        for body in ({}, {"vpn_config": None}, {"vpn_config": ""}):
            answer = call("north_registry", "POST", "/vpn/update", json=body)
            assert (answer.status_code, answer.json["msg"]) == (400, "vpn_config is missing!")
        portal.refuse = {"/api.php/create_keypair"}
        for answer in (
            call("north_registry", "GET", "/vpn"),
            call("north_registry", "POST", "/vpn/update", json={"vpn_config": OLD}),
        ):
            assert answer.status_code == 500
            assert "VPN portal" in answer.json["msg"]


@SQLITE
def test_an_unreachable_portal_is_503(backend, databases):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open_app(databases, backend, True, vpn_server=settings(port)) as (app, _):
        assert Caller(app)("north_registry", "GET", "/vpn").status_code == 503


@pytest.mark.parametrize(
    ("who", "status"),
    [("north_registry", 501), ("viewer", 403), ("container", 403), (None, 401)],
)
@SQLITE
def test_without_a_portal_there_is_no_vpn_and_it_is_for_nodes_only(call, world, who, status):
    assert call(who, "GET", "/vpn").status_code == status
    body = {"vpn_config": OLD}
    assert call(who, "POST", "/vpn/update", json=body).status_code == status


# --- addresses


@pytest.fixture
def child_port(app, world):
    """The subtask of `running` listens as well."""
    with app.app_context(), db.writing():
        db.session.add(Port(port=4444, label="child", result_id=world.result["subtask", "south"]))
        db.session.commit()
    return 4444


def ports(answer):
    assert answer.status_code == 200
    return sorted(address["port"] for address in answer.json["addresses"])


def test_an_algorithm_sees_where_its_own_task_listens(call, world):
    answer = call("container", "GET", "/vpn/algorithm/addresses")
    assert answer.json == {
        "addresses": [
            {
                "port": port,
                "label": label,
                "ip": "10.0.0.7",
                "organization_id": world.org.north,
                "task_id": world.task.running,
                "parent_id": None,
            }
            for port, label in ((1111, "first"), (2222, "second"))
        ]
    }


@pytest.mark.parametrize(
    ("task", "query", "found"),
    [
        ("running", {}, [1111, 2222]),
        ("running", {"label": "second"}, [2222]),
        ("running", {"label": "sec%"}, []),
        ("running", {"only_children": "True"}, [4444]),
        ("running", {"include_children": "True"}, [1111, 2222, 4444]),
        ("running", {"include_children": "True", "label": "child"}, [4444]),
        ("running", {"only_parent": "True"}, [1111, 2222]),  # has none: its own
        ("running", {"include_parent": "True"}, [1111, 2222]),
        ("subtask", {}, [4444]),
        ("subtask", {"only_parent": "True"}, [1111, 2222]),
        ("subtask", {"include_parent": "True"}, [1111, 2222, 4444]),
        ("subtask", {"only_children": "True"}, []),
        # What the algorithm client sends.
        (
            "running",
            {
                "only_children": "False",
                "only_parent": "False",
                "include_children": "False",
                "include_parent": "False",
            },
            [1111, 2222],
        ),
    ],
)
def test_relatives_are_added_or_asked_for_instead(call, world, child_port, task, query, found):
    node = "north_registry" if task == "running" else "south_registry"
    who = world.container(task, node)
    assert ports(call(who, "GET", "/vpn/algorithm/addresses", query=query)) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"only_self": "1"}, [1111, 2222]),
        ({"only_siblings": "1"}, [6666]),
        ({"only_siblings": "1", "include_children": "1"}, [4444, 6666]),
        ({"only_self": "1", "label": "first"}, [1111]),
        ({"only_siblings": "False", "only_self": "0"}, [1111, 2222, 6666]),
        ({}, [1111, 2222, 6666]),
    ],
)
def test_the_own_task_is_asked_for_at_one_place(call4, world, app, child_port, query, found):
    """4.x: which of the organizations that compute it (rest.md 3.9)."""
    with app.app_context():
        db.session.add(Port(port=6666, label="app", result_id=world.result["running", "south"]))
        db.session.commit()
    assert ports(call4("container", "GET", "/vpn/algorithm/addresses", query=query)) == found


def test_ports_of_another_run_are_out_of_reach(call, world, app):
    with app.app_context(), db.writing():
        task = db.session.get(Task, world.task.failed)
        task.parent_id = world.task.running  # a relative on paper, but of another run
        db.session.add(Port(port=5555, result_id=world.result["failed", "south"]))
        db.session.commit()
    answer = call("container", "GET", "/vpn/algorithm/addresses", query={"only_children": "1"})
    assert ports(answer) == []


@pytest.mark.parametrize(
    "query",
    [
        {"only_children": "True", "only_parent": "True"},
        {"only_children": "True", "include_parent": "True"},
        {"only_parent": "True", "include_children": "True"},
        {"only_siblings": "1", "only_self": "1"},
        {"only_siblings": "1", "only_children": "1"},
        {"only_self": "1", "only_parent": "1"},
        {"only_parent": "maybe"},
    ],
)
@SQLITE
def test_contradictions_are_400(call, world, query):
    answer = call("container", "GET", "/vpn/algorithm/addresses", query=query)
    assert answer.status_code == 400
    assert isinstance(answer.json["msg"], str)


@pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("north_registry", 403), (None, 401)])
@SQLITE
def test_only_algorithms_ask_for_addresses(call, world, who, status):
    assert call(who, "GET", "/vpn/algorithm/addresses").status_code == status
