"""What the web interface of 4.x asks (clients.md 7): a page of another origin, in a browser."""

import base64
import json
from urllib.parse import urlencode

import pytest
from sqlalchemy import insert

from tests.api4.shared import data, names
from tests.api4.store import DIGEST, algorithm_store
from tests.api4.test_task import INPUT
from tests.support import open_app
from tests.world import IMAGE, PASSWORD, USERS
from v6srv import db
from v6srv.model import AlgorithmStore, NodeConfig, Study, StudyMember

BASE = "/v4/api"
HERE = "https://study.example"
UI = "https://ui.study.example"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LISTS = (
    "organization",
    "collaboration",
    "study",
    "node",
    "task",
    "run",
    "result",
    "user",
    "role",
    "rule",
    "algorithmstore",
)


class Page:
    """The page: each of its requests is preceded by the one with which a browser asks first."""

    def __init__(self, app, username=None):
        self.client, self.headers, self.login = app.test_client(), {}, None
        if username:
            self.log_in(username)

    def log_in(self, username, password=PASSWORD):
        answer = self("POST", "/token/user", {"username": username, "password": password})
        assert answer.status_code == 200, answer.json
        self.login = answer.json
        self.headers = {"Authorization": f"Bearer {self.login['access_token']}"}

    def __call__(self, method, path, json=None, **query):
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        path = path if path.startswith(BASE) else BASE + path  # links are asked for as they are
        asked = {"Origin": UI, "User-Agent": BROWSER}
        wanted = {
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        first = self.client.options(path, headers=asked | wanted)
        assert first.status_code == 200, path
        assert method in first.headers["Access-Control-Allow-Methods"].split(", "), path
        allowed = first.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "content-type"} <= {*allowed}, path
        answer = self.client.open(path, method=method, json=json, headers=asked | self.headers)
        for one in (first, answer):
            assert one.headers["Access-Control-Allow-Origin"] == UI, path
            assert one.headers["Access-Control-Allow-Credentials"] == "true", path
        return answer

    def rows(self, path, **query):
        """The rows of a list, and how many there are as its table says."""
        answer = self("GET", path, **query)
        exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
        assert "total-count" in exposed
        rows = data(answer)
        return rows, int(answer.headers["Total-Count"])


@pytest.fixture
def opened(backend, databases):
    with open_app(databases, backend, True, cors_origins=(UI,)) as (app, world):
        with app.app_context():
            at = world.collab.registry
            study = Study(name="pilot", collaboration_id=at)
            store = AlgorithmStore(name="shop", url="https://store.example", collaboration_id=at)
            db.session.add_all([study, store])
            db.session.flush()
            members = [
                {"study_id": study.id, "organization_id": id}
                for id in (world.org.north, world.org.south)
            ]
            db.session.execute(insert(StudyMember), members)
            values = ("columns_default", "age"), ("database_labels", "default")
            db.session.add_all(
                NodeConfig(node_id=world.node.north_registry, key=key, value=value)
                for key, value in values
            )
            db.session.commit()
        yield app, world


def test_the_first_page_and_those_for_lost_passwords(opened):
    app, _ = opened
    page = Page(app)
    assert page("GET", "/version").json == {"version": "4.15.2"}
    who = {"username": "viewer", "password": PASSWORD}
    for path, body, status in (
        ("/token/user", {**who, "password": "wrong"}, 401),
        ("/recover/lost", {"username": "viewer"}, 200),
        ("/recover/lost", {"email": "viewer@north.example"}, 200),
        ("/recover/reset", {"reset_token": "x", "password": "N3w-Pass-word!"}, 400),
        ("/recover/2fa/lost", {**who, "password": "wrong"}, 200),  # nobody learns who is known
        ("/recover/2fa/lost", who, 200),
        ("/recover/2fa/reset", {"reset_token": "x"}, 400),
    ):
        answer = page("POST", path, body)
        assert (answer.status_code, type(answer.json["msg"])) == (status, str), path


def test_a_user_logs_in_and_changes_the_password(opened):
    app, world = opened
    page = Page(app, "viewer")
    assert page.login["user_url"] == f"{BASE}/user/{world.user.viewer}"
    middle = page.login["access_token"].split(".")[1]
    claims = json.loads(base64.b64decode(middle + "=" * (-len(middle) % 4), validate=True))
    assert claims["exp"] > claims["iat"]
    new = {"current_password": PASSWORD, "new_password": "N3w-Pass-word!"}
    assert page("PATCH", "/password/change", new).status_code == 200
    page.log_in("viewer", new["new_password"])


@pytest.mark.parametrize("who", ["second_root", "collab_admin", "researcher", "extra", "nobody"])
def test_the_page_learns_what_the_user_may_do(opened, who):
    app, world = opened
    page = Page(app, who)
    me = page.login["user_url"]
    id = int(me.rpartition("/")[2])
    shown = page("GET", me, include_permissions="true").json
    plain = page("GET", me).json
    permissions = shown.pop("permissions")
    assert shown == plain
    assert permissions.keys() == {"roles", "rules", "orgs_in_collabs"}
    partners = [] if who in ("extra", "nobody") else [world.org.north, world.org.south]
    assert sorted(permissions["orgs_in_collabs"]) == partners
    roles, count = page.rows(plain["roles"], per_page=9999)
    assert (sorted(row["id"] for row in roles), count) == (permissions["roles"], len(roles))
    answer = page("GET", "/rule", user_id=id, no_pagination="1")
    if who == "nobody":
        assert permissions["rules"] == []
        return
    rules = data(answer)
    assert sorted(rule["id"] for rule in rules) == sorted(permissions["rules"])
    held = {(rule["name"], rule["operation"], rule["scope"]) for rule in rules}
    expected = {
        "second_root": {("study", "CREATE", "GLOBAL"), ("event", "SEND", "COLLABORATION")},
        "collab_admin": {("run", "VIEW", "COLLABORATION"), ("study", "CREATE", "COLLABORATION")},
        "researcher": {("task", "CREATE", "COLLABORATION"), ("run", "VIEW", "COLLABORATION")},
        "extra": {("user", "VIEW", "ORGANIZATION"), ("task", "VIEW", "GLOBAL")},
    }
    assert expected[who] <= held


@pytest.mark.parametrize("resource", LISTS)
def test_tables_have_pages_an_order_and_a_count(opened, resource):
    app, _ = opened
    page = Page(app, "second_root")
    path = f"/{resource}"
    every, count = page.rows(path, page=1, per_page=9999)
    assert 0 < len(every) == count
    first, total = page.rows(path, page=1, per_page=10)
    assert (len(first), total) == (min(10, count), count)
    order = "id" if resource in ("run", "result") else "name"
    order = "username" if resource == "user" else order
    for sort in (order, f"-{order}"):
        rows, total = page.rows(path, page=1, per_page=9999, sort=sort)
        assert total == count
        assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in every)


def test_tables_are_searched(opened):
    app, _ = opened
    page = Page(app, "second_root")
    found = {
        "organization": "nort",
        "collaboration": "egistr",
        "study": "ilo",
        "node": "orth_reg",
        "task": "unnin",
        "role": "nalyst",
        "algorithmstore": "ho",
    }
    for resource, part in found.items():
        answer = page("GET", f"/{resource}", page=1, per_page=10, sort="name", name=f"%{part}%")
        assert len(names(answer)) == 1, resource
        assert part in names(answer)[0]
    rows, _ = page.rows("/user", username="%earch%", page=1, per_page=10)
    assert {row["username"] for row in rows} == {name for name in USERS if "earch" in name}


@pytest.mark.parametrize("who", ["second_root", "collab_admin"])
def test_every_link_and_every_address_of_a_list_is_answered(opened, who):
    app, _ = opened
    page = Page(app, who)
    links, lists = set(), set()
    for resource in LISTS:
        for row in page.rows(f"/{resource}", page=1, per_page=9999)[0]:
            for value in row.values():
                if isinstance(value, str) and value.startswith(f"{BASE}/"):
                    lists.add(value)
                elif isinstance(value, dict) and "link" in value:
                    links.add(value["link"])
    assert {link.split("/")[3] for link in links} >= {"organization", "task", "run", "user"}
    assert {path.split("/")[3].partition("?")[0] for path in lists} == {*LISTS} - {"rule"} | {
        "rule"
    }
    for path in sorted(links):
        answer = page("GET", path)
        assert answer.status_code == 200, (path, answer.json)
        assert f"{BASE}/{path.split('/')[3]}/{answer.json['id']}" == path
    for path in sorted(lists):
        rows, count = page.rows(path, per_page=9999)
        assert len(rows) == count, path


def test_work(opened):
    """A store, a task from it, its columns, and its end, as a collaboration admin does."""
    app, world = opened
    at = {"server_url": HERE + BASE, "collaboration_id": world.collab.registry}
    page = Page(app, "collab_admin")
    root = Page(app, "second_root")
    with algorithm_store() as shop:
        shop.images[IMAGE] = DIGEST
        body = {"name": "mine", "algorithm_store_url": shop.url, "force": True, **at}
        store = root("POST", "/algorithmstore", body).json
        assert store["url"] == shop.url
        assert root("PATCH", f"/algorithmstore/{store['id']}", {"name": "ours"}).status_code == 200
        columns = {
            "db_label": "default",
            "collaboration_id": world.collab.registry,
            "organizations": [{"id": world.org.north, "input": INPUT}],
        }
        assert page("POST", "/column", columns).json == {"columns": ["age"]}
        targets = [{"id": id, "input": INPUT} for id in (world.org.north, world.org.south)]
        order = {
            "name": "mean",
            "description": "",
            "image": IMAGE,
            "organizations": targets,
            "databases": [{"label": "default", "query": "select 1"}],
            "store_id": store["id"],
            **at,
        }
        task = page("POST", "/task", order)
        assert task.status_code == 201, task.json
        assert task.json["image"] == f"{IMAGE}@{DIGEST}"
        assert page("GET", task.json["algorithm_store"]["link"]).json["name"] == "ours"
        path = f"/task/{task.json['id']}"
        shown = page("GET", path, include="results,runs").json
        assert [len(shown[name]) for name in ("results", "runs")] == [2, 2]
        assert page("GET", f"{path}/status").json == {"status": "pending"}
        assert page("POST", "/kill/task", {"id": task.json["id"]}).status_code == 200
        assert page("GET", path).json["status"] == "killed by user"
        assert page("DELETE", path).status_code == 200
        gone = root("DELETE", f"/algorithmstore/{store['id']}", server_url=HERE + BASE)
        assert (gone.status_code, shop.servers) == (200, {})


def test_records_are_made_changed_and_deleted_with_what_hangs_on_them(opened):
    app, world = opened
    page = Page(app, "second_root")

    def made(resource, body, **changes):
        answer = page("POST", f"/{resource}", body)
        assert answer.status_code in (200, 201), answer.json
        path = f"/{resource}/{answer.json['id']}"
        changed = page("PATCH", path, changes)
        assert changed.status_code == 200, changed.json
        assert {key: changed.json[key] for key in changes} == changes
        return path, answer.json

    blank = dict.fromkeys(("address1", "address2", "zipcode", "country", "domain"), "")
    organization, row = made("organization", {"name": "new", **blank}, country="NL")
    id = row["id"]
    body = {"name": "work", "organization_ids": [id], "encrypted": False}
    collaboration, row = made("collaboration", body, name="our work")
    place = {"collaboration_id": row["id"]}
    study, _ = made("study", {"name": "part", "organization_ids": [id], **place}, name="a part")
    _, node = made("node", {"organization_id": id, **place}, name="its node")
    key = page("POST", "/recover/node", {"id": node["id"]}).json["api_key"]
    assert key != node["api_key"]
    rule = world.rule["task", "ORGANIZATION", "VIEW"]
    body = {"name": "seer", "description": "", "rules": [rule], "organization_id": id}
    role, row = made("role", body, description="sees")
    person = {
        "username": "somebody",
        "firstname": "Some",
        "lastname": "Body",
        "password": PASSWORD,
        "email": "somebody@new.example",
        "organization_id": id,
        "roles": [row["id"]],
        "rules": [],
    }
    user, _ = made("user", person, firstname="Any")
    for path in (role, collaboration, organization):
        assert page("DELETE", path).status_code == 400, path
    for path in (study, role, user, collaboration, organization):
        answer = page("DELETE", path, delete_dependents="true")
        assert answer.status_code == 200, answer.json
        assert page("GET", path).status_code == 404


def test_pages_of_other_origins_are_told_nothing(opened):
    app, _ = opened
    answer = app.test_client().get(f"{BASE}/version", headers={"Origin": "https://evil.example"})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-Allow")]


def test_where_all_origins_may_ask_none_does_with_credentials(app):
    answer = app.test_client().get(f"{BASE}/version", headers={"Origin": UI})
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", UI)
    assert "Access-Control-Allow-Credentials" not in answer.headers
