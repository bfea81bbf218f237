"""/port of 4.x (rest.md 3.9)."""

import pytest

from tests.api4.shared import refused


def test_a_node_opens_and_closes_the_ports_of_a_run(call, call4, world):
    run = world.result["running", "north"]
    answer = call4("north_registry", "POST", "/port", json={"port": 8888, "run_id": run})
    assert answer.status_code == 201
    assert answer.json == {"id": answer.json["id"], "port": 8888, "label": None}
    body = {"port": 9, "run_id": run, "label": "app"}
    assert call4("north_registry", "POST", "/port", json=body).json["label"] == "app"
    assert len(call4("viewer", "GET", f"/run/{run}").json["ports"]) == 4
    assert call("viewer", "GET", f"/port/{answer.json['id']}").json["result"] == run
    for _ in range(2):
        answer = call4("north_registry", "DELETE", "/port", query={"run_id": run})
        assert (answer.status_code, list(answer.json)) == (200, ["msg"])
        assert call4("viewer", "GET", f"/run/{run}").json["ports"] == []


def test_what_is_wrong_is_refused(call4, world):
    run = world.result["running", "north"]
    south = world.result["running", "south"]
    for port in (0, 65536, "x", None):
        body = {"port": port, "run_id": run}
        refused(call4("north_registry", "POST", "/port", json=body), "port")
    refused(call4("north_registry", "POST", "/port", json={"port": 1}), "run_id")
    refused(call4("north_registry", "DELETE", "/port"), "run_id")
    for id in (south, 999999):
        body = {"port": 1, "run_id": id}
        assert call4("north_registry", "POST", "/port", json=body).status_code == 403
        query = {"run_id": id}
        assert call4("north_registry", "DELETE", "/port", query=query).status_code == 403
    over = {"port": 1, "run_id": world.result["finished", "north"]}
    assert call4("north_registry", "POST", "/port", json=over).status_code == 400


@pytest.mark.parametrize("path", ["/port", "/port/1"])
def test_ports_are_listed_with_their_runs(call4, path):
    assert call4("root", "GET", path).status_code in (404, 405)


@pytest.mark.parametrize("who", ["root", "container"])
def test_only_nodes_open_ports(call4, world, who):
    run = world.result["running", "north"]
    body = {"port": 8888, "run_id": run}
    assert call4(who, "POST", "/port", json=body).status_code == 403
    assert call4(who, "DELETE", "/port", query={"run_id": run}).status_code == 403
