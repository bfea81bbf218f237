"""Pages of organizations."""

import io
from base64 import b64decode, b64encode

import pytest

from tests.api.test_policy_line_rest import add, line
from v6srv.model import Organization

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
PEM = "-----BEGIN PUBLIC KEY-----\nbm90IGEga2V5\n-----END PUBLIC KEY-----\n"


def test_somebody_sees_the_organizations_that_may_be_seen(visit, world, call):
    page = visit("viewer").get("/organization")
    seen = [row["name"] for row in call("viewer", "GET", "/organization").json]
    unseen = {row["name"] for row in call("root", "GET", "/organization").json} - {*seen}
    assert all(name in page for name in seen)
    assert unseen
    assert not any(name in page for name in unseen)
    assert "New organization" not in page
    assert "New organization" in visit("root").get("/organization")


def test_one_is_added_changed_and_removed(visit, world, app):
    root = visit("root")
    page = root.sent("/organization/new", {"name": "<b>Far & Away</b>", "country": "NL"})
    assert "&lt;b&gt;Far &amp; Away&lt;/b&gt; has been added." in page
    assert "<b>Far" not in page
    with app.app_context():
        id = Organization.get_by_name("<b>Far & Away</b>").id
    page = root.sent(f"/organization/{id}/edit", {"name": "Near", "country": ""})
    assert "Near has been changed." in page
    assert "has been changed" not in root.get(f"/organization/{id}")
    assert "Near has been removed." in root.sent(f"/organization/{id}/delete")
    assert "There is no" not in root.get("/organization")
    assert "not found" in root.get(f"/organization/{id}", status=404)


def test_what_is_refused_changes_nothing_and_says_why(visit, world, app):
    page = visit("root").sent("/organization/new", {"name": "Far", "public_key": "?"}, status=400)
    assert "not valid base64" in page
    page = visit("viewer").sent("/organization/new", {"name": "Far"}, status=403)
    assert "Ask an administrator" in page
    assert "the decision <code>" in page
    with app.app_context():
        assert Organization.get_by_name("Far") is None


def test_a_page_shows_what_belongs_to_it_as_far_as_it_may_be_seen(visit, world, call):
    path = f"/organization/{world.org.north}"
    page = visit("viewer").get(path)
    for shown in ("registry", "north_registry · online", "researcher", "analysts"):
        assert shown in page
    assert "Roles of its own (2)" in page
    assert "Nodes (1)" in page
    users = call("viewer", "GET", "/user").json
    assert f"Users ({len(users)})" in page
    assert "/edit" not in page
    page = visit("viewer").get(f"/organization/{world.org.south}")
    assert "Nodes (0)" in page
    assert "south_viewer" not in page


@SQLITE
@pytest.mark.parametrize(
    "form",
    [
        {"public_key": PEM},
        {"public_key": PEM.replace("\n", "\r\n")},
        {"public_key": b64encode(PEM.encode()).decode()},
        {"file": (PEM.encode(), "key.pem")},
    ],
)
def test_a_key_is_given_as_text_or_file_and_downloaded(visit, world, call, form):
    if "file" in form:
        form = {"file": (io.BytesIO(form["file"][0]), form["file"][1]), "public_key": ""}
    admin, path = visit("org_admin"), f"/organization/{world.org.north}"
    assert "has a new public key" in admin.sent(f"{path}/key", form)
    row = call("org_admin", "GET", path).json
    assert b64decode(row["public_key"]).decode() == PEM
    answer = admin.client.get(f"/console{path}/key.pem")
    assert answer.data.decode() == PEM
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert PEM.strip() in admin.get(f"{path}/key")
    assert "no public key any more" in admin.sent(f"{path}/key", {"remove": "true"})
    assert call("org_admin", "GET", path).json["public_key"] == ""
    admin.get(f"{path}/key.pem", status=404)


@SQLITE
@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({}, "Choose a file"),
        ({"public_key": "  "}, "Choose a file"),
        ({"public_key": PEM.replace("PUBLIC", "PRIVATE")}, "this is a private key"),
        ({"public_key": "???"}, "not valid base64"),
        ({"file": (b"\xff\xfe", "key.der")}, "This file is no text"),
    ],
)
def test_what_is_no_public_key_is_refused(visit, world, call, form, reason):
    if "file" in form:
        form = {"file": (io.BytesIO(form["file"][0]), form["file"][1])}
    path = f"/organization/{world.org.north}"
    before = call("root", "GET", path).json["public_key"]
    assert reason in visit("org_admin").sent(f"{path}/key", form, status=400)
    assert call("root", "GET", path).json["public_key"] == before


@SQLITE
def test_the_key_of_others_is_neither_offered_nor_changed(visit, world, call):
    """Who may change the records of partners may not change their keys."""
    right = "organization", "edit", "True", "collaboration"
    add(call, line(f"user:{world.user.org_admin}", *right, effect="allow"))
    admin, path = visit("org_admin"), f"/organization/{world.org.south}"
    page = admin.get(path)
    assert f"{path}/edit" in page
    assert f"{path}/key" not in page
    admin.get(f"{path}/key", status=403)
    assert admin.post(f"{path}/key", {"public_key": PEM}).status_code == 403
    assert call("root", "GET", path).json["public_key"] == ""


@SQLITE
def test_what_goes_with_it_is_counted(visit, world):
    root, path = visit("root"), f"/organization/{world.org.west}/delete"
    page = root.get(path)
    for counted in ("1 task", "2 results", "1 node", "1 user"):
        assert f"<li>{counted}" in page
    assert "still has 1 task" in root.sent(path, status=409)
    assert "west has been removed" in root.sent(path, {"delete_dependents": "true"})


@SQLITE
def test_the_list_costs_as_much_as_that_of_rest(visit, world, call, count_queries):
    root = visit("root")
    root.get("/organization")
    call("root", "GET", "/organization", query={"page": 1})
    with count_queries() as of_page:
        root.get("/organization")
    with count_queries() as of_rest:
        call("root", "GET", "/organization", query={"page": 1})
    assert len(of_page) <= len(of_rest)
