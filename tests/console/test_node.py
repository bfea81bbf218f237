"""Pages of nodes."""

import html
import re
import subprocess

import pytest
import yaml

from tests.wire.station import V3, V4
from tests.world import api_key
from v6srv.model import Node
from v6srv.passwords import key_digest

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def _place(world, **more):
    return {"collaboration_id": world.collab.nothing, "organization_id": world.org.west, **more}


def _key(page):
    return re.search(r'id="key" class="secret">([^<]+)<', page)[1]


def _files(page):
    found = re.findall(r'<pre id="file(\d)">(.*?)</pre>', page, re.DOTALL)
    return {int(number): html.unescape(text) for number, text in found}


@pytest.mark.parametrize("who", ["viewer", "collab_admin", "root"])
def test_the_list_has_what_rest_answers(visit, world, call, who):
    page = visit(who).get("/node")
    seen = set(re.findall(r"/node/\d+\">([^<]+)<", page))
    assert seen == {row["name"] for row in call(who, "GET", "/node").json}
    assert ("Register a node" in page) == (who != "viewer")


@SQLITE
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "south"}, {"south_registry", "south_trial"}),
        ({"status": "online"}, {"north_registry", "west_trial"}),
        ({"status": "new"}, {"south_trial"}),
        (
            {"status": "", "name": ""},
            {"north_registry", "south_registry", "south_trial", "west_trial"},
        ),
    ],
)
def test_the_list_is_filtered(visit, world, query, names):
    page = visit("root").client.get("/console/node", query_string=query).text
    assert set(re.findall(r"/node/\d+\">([^<]+)<", page)) == names


@SQLITE
def test_a_list_of_one_place_says_which(visit, world):
    page = visit("root").get("/node", collaboration_id=world.collab.trial)
    assert "south_registry" not in page
    assert "in the collaboration" in page


def test_a_page_shows_what_is_known(visit, world, call):
    page = visit("viewer").get(f"/node/{world.node.north_registry}")
    for known in ("online", "10.0.0.7", "encryption", "False", "never"):
        assert known in page
    for offered in ("Rename", "New key", "Delete", "Stop everything"):
        assert offered not in page
    call("north_registry in 4", "GET", "/node")
    page = visit("root").get(f"/node/{world.node.north_registry}")
    for offered in ("Rename", "New key", "Delete", "Stop everything"):
        assert offered in page


@SQLITE
def test_each_right_is_offered_by_itself(visit, world):
    page = visit("org_admin").get(f"/node/{world.node.north_registry}")
    assert "Rename" in page
    assert "New key" in page
    assert "Stop everything" in page
    assert "Delete" not in page
    visit("org_admin").get(f"/node/{world.node.south_registry}", status=403)


def test_a_node_is_registered_and_its_key_shown_once(visit, world, app, call):
    root = visit("root")
    page = root.sent("/node/new", _place(world))
    key = _key(page)
    answer = call(None, "POST", "/token/node", json={"api_key": key})
    assert answer.status_code == 200, answer.text
    with app.app_context():
        row = Node.get(int(re.search(r"/node/(\d+)/configuration", page)[1]))
        assert (row.organization_id, row.collaboration_id) == (world.org.west, world.collab.nothing)
    assert key not in root.get(f"/node/{row.id}")
    assert key not in root.get(f"/node/{row.id}/key")
    again = root.sent("/node/new", _place(world), status=400)
    assert "already has a node" in again
    assert "/node/new" in root.get("/node/new")


@SQLITE
def test_a_new_key_ends_the_old_one(visit, world, app, call):
    root, path = visit("root"), f"/node/{world.node.north_registry}/key"
    assert "ends at once" in root.get(path)
    with app.app_context():
        assert Node.get(world.node.north_registry).key_digest == key_digest(
            api_key("north_registry")
        )
    key = _key(root.sent(path))
    old = call(None, "POST", "/token/node", json={"api_key": api_key("north_registry")})
    assert old.status_code == 401
    assert call(None, "POST", "/token/node", json={"api_key": key}).status_code == 200


@SQLITE
def test_the_file_is_what_the_node_of_each_generation_reads(visit, world):
    root = visit("root")
    page = root.sent(f"/node/{world.node.west_trial}/key")
    key, files = _key(page), _files(page)
    three, four = yaml.safe_load(files[3])["application"], yaml.safe_load(files[4])
    for keys, base in ((three, "/api"), (four, "/v4/api")):
        assert (keys["api_key"], keys["api_path"], keys["port"]) == (key, base, 80)
        assert keys["server_url"] == "http://localhost"
        assert keys["encryption"]["enabled"] is True
    assert three["databases"] == {"default": "/data/registry.csv"}
    assert four["databases"][0]["label"] == "default"
    path = f"/node/{world.node.west_trial}/configuration"
    for generation, text in files.items():
        answer = root.post(path, {"api_key": key, "generation": generation})
        assert answer.text == text
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Cache-Control"] == "no-store"
    answer = root.post(path, {"api_key": api_key("west_trial"), "generation": 3})
    assert answer.status_code == 400
    assert root.post(path, {"api_key": key, "generation": 5}).status_code == 400
    assert root.client.get(f"/console{path}").status_code == 405


_READ = """
import sys, docker
docker.from_env = lambda *_args, **_kwargs: None  # the node's packages look for an engine
from vantage6.cli.configuration_manager import NodeConfigurationManager
found = NodeConfigurationManager.from_file(sys.argv[1])
keys = found.config if hasattr(found, "config") else found.application
print(keys["api_key"], keys["api_path"], keys["encryption"]["enabled"])
"""


@SQLITE
@pytest.mark.parametrize("release", [V3, V4], ids=["3.x", "4.x"])
def test_the_released_program_reads_it(visit, world, tmp_path, release):
    page = visit("root").sent(f"/node/{world.node.north_registry}/key")
    release.require()
    generation = 3 if release is V3 else 4
    file = tmp_path / "node.yaml"
    file.write_text(_files(page)[generation])
    command = [str(release.python), "-c", _READ, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    base = {3: "/api", 4: "/v4/api"}[generation]
    assert done.stdout.split() == [_key(page), base, "False"]


@SQLITE
def test_what_is_not_allowed_is_not_done(visit, world, app):
    viewer, path = visit("viewer"), f"/node/{world.node.north_registry}"
    for page in ("edit", "key", "delete"):
        viewer.get(f"{path}/{page}", status=403)
    viewer.get("/node/new", status=403)
    for form in ("edit", "key", "stop", "delete"):
        assert viewer.post(f"{path}/{form}", {"name": "mine"}).status_code == 403
    assert viewer.post("/node/new", _place(world)).status_code == 403
    assert visit("org_admin").post("/node/new", _place(world)).status_code == 403
    with app.app_context():
        row = Node.get(world.node.north_registry)
        assert (row.name, row.key_digest) == (
            "north_registry",
            key_digest(api_key("north_registry")),
        )


def test_a_node_is_renamed_stopped_and_removed(visit, world, app):
    root, path = visit("root"), f"/node/{world.node.north_registry}"
    page = root.sent(f"{path}/edit", {"name": "<i>North</i>", "organization_id": world.org.east})
    assert "&lt;i&gt;North&lt;/i&gt; now" in page
    assert "<i>North" not in page
    assert "has been told to stop" in root.sent(f"{path}/stop")
    with app.app_context():
        assert Node.get(world.node.north_registry).organization_id == world.org.north
    off = f"/node/{world.node.south_registry}/stop"
    assert "is not online" in root.sent(off, status=400)
    assert "has been removed" in root.sent(f"{path}/delete")
    root.get(path, status=404)


@SQLITE
def test_the_list_costs_little_more_than_that_of_rest(visit, world, call, count_queries):
    root = visit("root")
    root.get("/node")
    call("root", "GET", "/node", query={"page": 1})
    with count_queries() as of_page:
        root.get("/node")
    with count_queries() as of_rest:
        call("root", "GET", "/node", query={"page": 1})
    assert len(of_page) <= len(of_rest) + 2  # the names of organizations and collaborations
