"""Pages of algorithm stores, with one that answers."""

import re

import pytest

from tests.api4.store import algorithm_store
from v6srv.db import transaction
from v6srv.model import AlgorithmStore

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def stored(app, world):
    """Ids of the stores of each collaboration, and of one that is for all."""
    with app.app_context(), transaction() as sess:
        rows = {
            name: AlgorithmStore(
                name=f"<{name}>",
                url=f"https://{name}.example/api",
                collaboration_id=getattr(world.collab, name, None),
            )
            for name in ("registry", "trial", "all")
        }
        sess.add_all(rows.values())
    return {name: row.id for name, row in rows.items()}


@pytest.mark.parametrize("who", ["viewer", "collab_admin", "root"])
def test_the_list_has_what_rest_answers(visit, stored, call4, who):
    page = visit(who).get("/algorithmstore")
    seen = set(re.findall(r"/algorithmstore/(\d+)\"", page))
    assert seen == {str(row["id"]) for row in call4(who, "GET", "/algorithmstore").json["data"]}
    assert ("New algorithm store" in page) == (who != "viewer")
    assert "&lt;all&gt;" in page
    assert "<all>" not in page


@SQLITE
def test_what_is_not_allowed_is_neither_offered_nor_done(visit, stored, app):
    viewer = visit("viewer")
    viewer.get(f"/algorithmstore/{stored['trial']}", status=403)
    for name in ("registry", "all"):
        path = f"/algorithmstore/{stored[name]}"
        page = viewer.get(path)
        assert "Edit" not in page
        assert "Delete" not in page
        for form in ("edit", "delete"):
            viewer.get(f"{path}/{form}", status=403)
            assert viewer.post(f"{path}/{form}", {"name": "mine"}).status_code == 403
    viewer.get("/algorithmstore/new", status=403)
    with app.app_context():
        assert AlgorithmStore.get(stored["all"]).name == "<all>"


@SQLITE
def test_one_is_added_changed_and_removed(visit, world, app):
    root = visit("root")
    assert "all of them</option>" in root.get("/algorithmstore/new")
    with algorithm_store() as store:
        form = {"name": "images", "algorithm_store_url": store.url, "collaboration_id": ""}
        assert "force" in root.sent("/algorithmstore/new", form, status=400)
        page = root.sent("/algorithmstore/new", form | {"force": "true"})
        assert "images has been added" in page
        assert list(store.servers.values()) == ["http://localhost/v4/api"]
        with app.app_context():
            [row] = AlgorithmStore.get()
        path = f"/algorithmstore/{row.id}"
        changed = {"name": "pictures", "collaboration_id": world.collab.registry}
        page = root.sent(f"{path}/edit", changed)
        assert "registry</a>" in page
        page = root.sent(f"{path}/edit", {"name": "pictures", "collaboration_id": ""})
        assert "pictures has been changed" in page
        assert "all collaborations" in page
        assert "pictures has been removed" in root.sent(f"{path}/delete")
        assert store.servers == {}
    root.get(path, status=404)
