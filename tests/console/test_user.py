"""Pages of users."""

import pytest

from tests.support import counting
from tests.world import PASSWORD
from v6srv.model import User

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
OWN = "You can't modify your own permissions"


def linked(page, part):
    """The numbers of the rows that a page leads to."""
    pieces = (piece.split('"')[0] for piece in page.split(f'href="/console/{part}/')[1:])
    return {int(piece) for piece in pieces if piece.isdecimal()}


def boxes(page, name):
    """The values that can be set by this name, and those that are."""
    inputs = [piece.split(">")[0] for piece in page.split("<input ")[1:]]
    found = [one for one in inputs if f'name="{name}"' in one and "checkbox" in one]
    free = [one for one in found if "disabled" not in one]
    value = {one: int(one.split('value="')[1].split('"')[0]) for one in free}
    return {*value.values()}, {value[one] for one in free if "checked" in one}


@SQLITE
@pytest.mark.parametrize("who", ["viewer", "org_admin", "collab_admin", "extra", "root"])
def test_somebody_sees_the_users_that_may_be_seen(visit, world, call, who):
    seen = {row["id"] for row in call(who, "GET", "/user").json}
    assert linked(visit(who).get("/user"), "user") == seen


@SQLITE
def test_whoever_may_view_nobody_finds_the_own_account(visit, world):
    assert linked(visit("nobody").get("/user"), "user") == {world.user.nobody}


@SQLITE
def test_a_list_takes_as_many_queries_whatever_its_length(visit, world):
    admin = visit("org_admin")
    admin.get("/user")
    with counting() as few:
        assert len(linked(admin.get("/user", username="viewer"), "user")) == 1
    with counting() as many:
        assert len(linked(admin.get("/user"), "user")) > 5
    assert len(many) == len(few) <= 5


def test_one_is_added_changed_logged_out_and_removed(visit, world, app, call):
    admin = visit("org_admin")
    offered, _ = boxes(admin.get("/user/new"), "roles")
    assert {world.role.analysts, world.role.empty} < offered
    named = {row["name"]: row["id"] for row in call("root", "GET", "/role").json}
    assert named["Viewer"] in offered
    assert named["Root"] not in offered
    assert named["node"] not in offered  # what nodes are
    form = {"username": "fresh", "email": "fresh@north.example", "password": "N0t-so-easy!"}
    form |= {"firstname": '<b>Fre"sh</b>', "roles": ["", str(world.role.analysts)]}
    page = admin.sent("/user/new", form)
    assert "fresh has been added." in page
    assert "&lt;b&gt;Fre&#34;sh&lt;/b&gt;" in page
    assert "<b>Fre" not in page
    assert linked(page, "role") == {world.role.analysts}
    with app.app_context():
        id = User.get_by_username("fresh").id
    asked = {"Authorization": f"Bearer {call.token('fresh')}"}
    assert call(None, "GET", f"/user/{id}", headers=asked).status_code == 200
    assert "logged out everywhere" in admin.sent(f"/user/{id}/session")
    assert call(None, "GET", f"/user/{id}", headers=asked).status_code == 401
    page = admin.sent(f"/user/{id}/edit", {"firstname": "", "lastname": "Anew", "roles": [""]})
    assert "<b>Fre" not in page
    assert "Anew" in page
    assert linked(page, "role") == set()
    assert "fresh has been removed." in admin.sent(f"/user/{id}/delete")
    assert call("root", "GET", f"/user/{id}").status_code == 404


def sessions_of(page):
    """The names of sessions that a page offers to end."""
    return {piece.split('"')[0] for piece in page.split("/session/")[1:]}


def test_sessions_are_listed_and_end_one_by_one(visit, world, call):
    body = {"username": "viewer", "password": PASSWORD}
    here, there = (call(None, "POST", "/token/user", body).json for _ in range(2))
    headers = [{"Authorization": f"Bearer {one['access_token']}"} for one in (here, there)]
    own, path = f"/user/{world.user.viewer}", f"/user/{world.user.viewer}/session"
    admin = visit("org_admin")
    listed = call(None, "GET", path, headers=headers[0]).json
    names = {one["id"] for one in listed}
    assert sessions_of(admin.get(path)) == names
    assert len(names) == 2
    gone = next(one["id"] for one in listed if not one["current"])
    assert "The session has ended." in admin.sent(f"{path}/{gone}")
    assert sessions_of(admin.get(path)) == names - {gone}
    statuses = [call(None, "GET", own, headers=one).status_code for one in headers]
    assert statuses == [200, 401]
    admin.sent(f"{path}/{gone}", status=404)
    visit("researcher").sent(f"{path}/{gone}", status=403)


@SQLITE
def test_this_browser_is_told_from_others(visit, world):
    browser = visit(None)
    form = {"username": "nobody", "password": PASSWORD}
    browser.post("/login", form)
    path = f"/user/{world.user.nobody}/session"
    page = browser.get(path)
    assert page.count("this browser") == 1
    [name] = sessions_of(page)
    assert "log in again" in browser.sent(f"{path}/{name}")


@SQLITE
def test_nobody_is_offered_to_change_the_own_permissions_and_it_is_refused(visit, world, app):
    admin, own = visit("org_admin"), f"/user/{world.user.org_admin}/edit"
    page = admin.get(own)
    assert OWN in page
    assert boxes(page, "roles") == boxes(page, "rules") == (set(), set())
    assert OWN not in admin.get(f"/user/{world.user.viewer}/edit")
    admin.sent(own, {"roles": ["", str(world.role.analysts)]}, status=403)
    with app.app_context():
        assert [role.name for role in User.get_by_username("org_admin").roles] == [
            "Organization Admin"
        ]
    assert "has been changed" in admin.sent(own, {"username": "renamed"})  # but names may be


@SQLITE
def test_what_belongs_to_somebody_more_powerful_is_not_offered_and_refused(visit, world):
    admin, root = visit("org_admin"), f"/user/{world.user.second_root}"
    page = admin.get(root)
    assert "Sessions" not in page
    assert "Delete" not in page
    admin.get(f"{root}/session", status=403)
    page = admin.get(f"{root}/edit")
    assert "rules that you do not hold" in page
    assert 'name="email"' not in page
    assert 'name="roles"' not in page
    assert 'name="lastname"' in page
    admin.sent(f"{root}/session", status=403)
    admin.sent(f"{root}/delete", status=403)
    admin.get(f"{root}/delete", status=403)
    admin.sent(f"{root}/edit", {"roles": [""]}, status=403)


@SQLITE
def test_a_role_of_nodes_that_somebody_has_is_not_lost(visit, world, call):
    root, path = visit("root"), f"/user/{world.user.node_role}"
    offered, chosen = boxes(root.get(f"{path}/edit"), "roles")
    assert chosen < offered
    assert len(chosen) == 1
    root.sent(f"{path}/edit", {"lastname": "x", "roles": ["", *map(str, chosen)]})
    assert boxes(root.get(f"{path}/edit"), "roles") == (offered, chosen)


@SQLITE
def test_rules_are_offered_as_far_as_one_holds_them(visit, world, app, call):
    admin, path = visit("org_admin"), f"/user/{world.user.nobody}"
    free, chosen = boxes(admin.get(f"{path}/edit"), "rules")
    rule = world.rule
    assert rule["task", "ORGANIZATION", "VIEW"] in free
    assert rule["task", "GLOBAL", "VIEW"] not in free
    assert chosen == set()
    form = {"rules": ["", str(rule["task", "ORGANIZATION", "VIEW"])]}
    assert "view task, scope organization" in admin.sent(f"{path}/edit", form)
    assert boxes(admin.get(f"{path}/edit"), "rules") == (
        free,
        {rule["task", "ORGANIZATION", "VIEW"]},
    )
    admin.sent(f"{path}/edit", {"rules": ["", str(rule["task", "GLOBAL", "VIEW"])]}, status=403)


@SQLITE
def test_who_may_only_look_is_offered_nothing_else(visit, world):
    viewer = visit("viewer")
    assert "New user" not in viewer.get("/user")
    page = viewer.get(f"/user/{world.user.org_admin}")
    assert "/edit" not in page
    assert "Sessions" not in page
    for path in ("/user/new", f"/user/{world.user.org_admin}/edit"):
        assert "Ask an administrator" in viewer.get(path, status=403)
        viewer.sent(path, {"lastname": "x"}, status=403)
    assert "Sessions" in viewer.get(f"/user/{world.user.viewer}")
    own = f"/user/{world.user.nobody}"  # has no rule at all
    assert "/edit" not in visit("nobody").get(own)
    visit("nobody").get(f"{own}/edit", status=403)


@SQLITE
def test_a_locked_account_says_so(visit, world, call):
    admin, path = visit("org_admin"), f"/user/{world.user.viewer}"
    assert "locked" not in admin.get(path)
    for _ in range(5):
        call(None, "POST", "/token/user", {"username": "viewer", "password": f"{PASSWORD}x"})
    assert "locked" in admin.get(path)
    assert admin.get("/user").count("locked") == 1


@SQLITE
def test_a_new_password_against_the_rules_is_refused(visit, world, app):
    form = {"username": "fresh", "email": "fresh@north.example", "password": "easy"}
    assert "too short" in visit("org_admin").sent("/user/new", form, status=400)
    with app.app_context():
        assert not User.username_exists("fresh")
