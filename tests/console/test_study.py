"""Pages of studies."""

import re

import pytest

from v6srv.db import transaction
from v6srv.model import Collaboration, Organization, Study

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def stored(app, world):
    """Ids of a study of each collaboration."""
    with app.app_context(), transaction() as sess:
        rows = {
            name: Study(
                name=f"study of <{name}>",
                collaboration=Collaboration.get(getattr(world.collab, name)),
                organizations=[Organization.get(getattr(world.org, one)) for one in members],
            )
            for name, members in (("registry", ("north", "south")), ("trial", ("west",)))
        }
        sess.add_all(rows.values())
    return {name: row.id for name, row in rows.items()}


@pytest.mark.parametrize("who", ["viewer", "collab_admin", "root"])
def test_the_list_has_what_rest_answers(visit, stored, call4, who):
    page = visit(who).get("/study")
    seen = set(re.findall(r"/study/(\d+)\"", page))
    assert seen == {str(row["id"]) for row in call4(who, "GET", "/study").json["data"]}
    assert ("New study" in page) == (who != "viewer")
    assert "<registry>" not in page


@SQLITE
def test_what_is_not_allowed_is_neither_offered_nor_done(visit, world, stored, app):
    viewer, path = visit("viewer"), f"/study/{stored['registry']}"
    page = viewer.get(path)
    assert "north" in page
    for offered in ("Rename", "Delete", "Take out", "Add"):
        assert offered not in page
    viewer.get(f"/study/{stored['trial']}", status=403)
    viewer.get("/study/new", status=403)
    for form in ("edit", "delete"):
        viewer.get(f"{path}/{form}", status=403)
    assert viewer.post(f"{path}/edit", {"name": "mine"}).status_code == 403
    assert viewer.post(f"{path}/member/remove", {"id": world.org.south}).status_code == 403
    assert viewer.post(f"{path}/member", {"id": world.org.south}).status_code == 403
    assert viewer.post(f"{path}/delete").status_code == 403
    with app.app_context():
        assert len(Study.get(stored["registry"]).organizations) == 2


def test_one_is_added_changed_and_removed(visit, world, app):
    admin = visit("collab_admin")
    assert "registry</option>" in admin.get("/study/new")
    page = admin.get("/study/new", collaboration_id=world.collab.registry)
    assert f'name="organization_ids" value="{world.org.south}"' in page
    assert f'name="organization_ids" value="{world.org.west}"' not in page
    form = {"name": "Ages", "collaboration_id": world.collab.registry}
    page = admin.sent("/study/new", form | {"organization_ids": [world.org.west]}, status=400)
    assert "not in the collaboration" in page
    admin.sent("/study/new", form | {"organization_ids": [world.org.south]})
    with app.app_context():
        [id] = [row.id for row in Study.get()]
    path = f"/study/{id}"
    assert "called Weights now" in admin.sent(f"{path}/edit", {"name": "Weights"})
    assert "that you may view (2)" in admin.sent(f"{path}/member", {"id": world.org.north})
    assert "that you may view (1)" in admin.sent(f"{path}/member/remove", {"id": world.org.south})
    assert "Weights has been removed" in admin.sent(f"{path}/delete")
    admin.get(path, status=403)


@SQLITE
def test_the_list_costs_little_more_than_that_of_rest(visit, stored, call4, count_queries):
    root = visit("root")
    root.get("/study")
    call4("root", "GET", "/study")
    with count_queries() as of_page:
        root.get("/study")
    with count_queries() as of_rest:
        call4("root", "GET", "/study")
    assert len(of_page) <= len(of_rest) + 1  # the names of collaborations
