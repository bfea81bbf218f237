"""The page of one's own account."""

import re

import pytest

from tests.console.conftest import OWN
from tests.world import PASSWORD
from v6srv.identity import page_session

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
NEW = "Qu1te-new-one!"


def abilities(page):
    """What a page says that somebody may: what, scope, conditions, exceptions."""
    rows = re.findall(r'<tr>\s*<th scope="row">(.*?)</tr>', page, re.S)
    cells = [re.split("</t[dh]>\\s*(?:<td>)?", row) for row in rows]
    return {cell[0]: [re.sub("<.*?>", "", text).strip() for text in cell[1:4]] for cell in cells}


@SQLITE
def test_it_says_what_one_may_as_the_policy_has_it(visit, world, call):
    page = visit("researcher").get("/account")
    told = abilities(page)
    words = "See tasks from collaborations that count your organization as member"
    assert told["view task"] == ["organization", words, ""]
    assert told["create task"][0] == "organization"
    assert "never where !(r.sub.org in r.obj.orgs)" in told["create task"][2]
    assert told["edit user"][0] == "own"
    assert "scope own, where r.obj.id == r.sub.account" in told["edit user"][2]
    assert "create user" not in told
    query = {"principal": f"user:{world.user.researcher}"}
    asked = call("root", "GET", "/policy/can", query=query).json
    reaches = [one["reach"] for one in asked["abilities"]]
    may = [one for one in reaches if one["scope"] or one["conditional"]]
    assert {f"{one['operation']} {one['resource']}" for one in may} == told.keys()


def test_a_new_password_ends_all_sessions_but_this_one(visit, world, call):
    here, there = visit("viewer"), visit("viewer")
    form = {"current_password": PASSWORD, "new_password": NEW, "again": NEW}
    page = here.sent("/account/password", form)
    assert "Your password has been changed" in page
    assert NEW not in page
    here.get("/account")
    there.get("/account", status=303)
    for password, status in ((PASSWORD, 401), (NEW, 200)):
        body = {"username": "viewer", "password": password}
        assert call(None, "POST", "/token/user", body).status_code == status


@SQLITE
@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"current_password": "wrong"}, "Your current password is not correct!"),
        ({"again": f"{NEW}x"}, "not typed the same way twice"),
        ({"again": ""}, "not typed the same way twice"),
        ({"new_password": "easy", "again": "easy"}, "Password too short"),
        ({"new_password": PASSWORD, "again": PASSWORD}, "same as current password"),
        ({"current_password": ""}, "Your current password is missing"),
        ({"new_password": "", "again": ""}, "Your new password is missing!"),
    ],
)
def test_a_password_that_is_refused_stays(visit, world, call, form, told):
    form = {"current_password": PASSWORD, "new_password": NEW, "again": NEW} | form
    viewer = visit("viewer")
    assert told in viewer.sent("/account/password", form, status=400)
    viewer.get("/account")  # still logged in
    body = {"username": "viewer", "password": PASSWORD}
    assert call(None, "POST", "/token/user", body).status_code == 200


@SQLITE
def test_guessing_the_current_password_locks_the_account(visit, world):
    viewer = visit("viewer")
    form = {"current_password": "wrong", "new_password": NEW, "again": NEW}
    for _ in range(5):
        viewer.sent("/account/password", form, status=400)
    right = form | {"current_password": PASSWORD}
    assert "not correct" in viewer.sent("/account/password", right, status=400)


@SQLITE
def test_one_logs_out_everywhere(visit, world):
    here, there = visit("nobody"), visit("nobody")
    assert f'href="/console/user/{world.user.nobody}/session"' in here.get("/account")
    assert "Log out everywhere" in here.get(f"/user/{world.user.nobody}/session")
    answer = here.post(f"/user/{world.user.nobody}/session", follow_redirects=True)
    assert "log in again" in answer.text
    there.get("/account", status=303)
    assert here.client.get_cookie(page_session.COOKIE) is None


@SQLITE
def test_a_browser_finds_the_account_from_every_page(visit, world):
    assert 'href="/console/account">viewer</a>' in visit("viewer").get("/")
    answer = visit(None).client.get("/console/account", headers=OWN)
    assert answer.location == "/console/login?next=/console/account"
