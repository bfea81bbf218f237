"""Pages of roles."""

import html
import re

import pytest

from tests.console.test_user import boxes, linked
from tests.support import counting
from v6srv.authz.principal import Principal
from v6srv.authz.rules import RULE_TEXTS
from v6srv.model import Role
from v6srv.policy.who.held import How, held
from v6srv.vocabulary import PrincipalKind

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def changes(page):
    """What a page says that changes: (gains or loses, what, where, who)."""
    rows = re.findall(r'<tr class="(?:gained|lost)">(.*?)</tr>', page, re.S)
    return [
        tuple(re.sub("<.*?>", "", cell).strip() for cell in re.findall("<t[dh].*?</t[dh]>", row))
        for row in rows
    ]


@SQLITE
@pytest.mark.parametrize("who", ["viewer", "org_admin", "collab_admin", "nobody", "root"])
def test_somebody_sees_the_roles_that_may_be_seen(visit, world, call, who):
    seen = {row["id"] for row in call(who, "GET", "/role").json}
    assert linked(visit(who).get("/role"), "role") == seen


@SQLITE
def test_a_list_takes_as_many_queries_whatever_its_length(visit, world):
    root = visit("root")
    root.get("/role")
    with counting() as few:
        assert len(linked(root.get("/role", name="analy"), "role")) == 1
    with counting() as many:
        assert len(linked(root.get("/role"), "role")) > 5
    assert len(many) == len(few) <= 4


@SQLITE
def test_what_roles_hold_is_what_the_enforcer_lets_them_hand_out(app, world):
    """Defined twice: by how lines reach, and by the second matcher of the model."""
    policy = app.extensions["authz"].policy
    for role in Role.get():
        found = held(policy, [role.subject])
        full = {text for text, one in found.items() if one.how in (How.OWN, How.COVERED)}
        partly = {text for text, one in found.items() if one.how is How.PARTLY}
        somebody = Principal(PrincipalKind.USER, 0, None, roles=(role.subject,))
        handed = {*RULE_TEXTS} - policy.lacks(somebody.facts)
        assert full <= handed <= full | partly, role.name
        assert bool(partly) is (role.slug == "container"), role.name
        if role.slug is None:
            own = {text for text, one in found.items() if one.how is How.OWN}
            assert own == {rule.text for rule in role.rules}
        elif role.slug != "container":
            assert {rule.text for rule in role.rules} <= full


@SQLITE
def test_a_matrix_says_in_words_how_something_is_held(visit, world, call):
    named = {row["name"]: row["id"] for row in call("root", "GET", "/role").json}
    page = visit("root").get(f"/role/{named['Researcher']}")
    assert 'title="create task, scope organization: yes, a rule of its own"' in page
    assert 'title="view task, scope organization: yes, with Viewer"' in page
    assert 'title="view task, scope own: yes, with Viewer"' in page
    assert 'title="delete task, scope own: yes, with organization"' in page
    assert 'title="delete node, scope global: no"' in page
    page = visit("root").get(f"/role/{named['container']}")
    assert "held partly" in page
    assert "under conditions: r.obj.image == r.sub.image" in page
    assert "delete" not in page.split("<main")[1].split("<h2>")[0].lower()  # a default role


def test_one_is_made_of_another_with_a_look_at_what_it_grants(visit, world, app, call):
    admin = visit("org_admin")
    page = admin.get(f"/role/{world.role.analysts}/copy")
    free, chosen = boxes(page, "rules")
    rule = world.rule
    assert chosen == {row["id"] for row in of_analysts(call)}
    assert rule["node", "GLOBAL", "DELETE"] not in free
    assert "you do not hold this rule" in page
    form = {"name": '<b>"Readers"</b>', "description": "x", "rules": ["", *map(str, chosen)]}
    page = admin.sent("/role/new/preview", form)
    assert "<b>" not in page
    assert ("gains", "view task", "organization") in changes(page)
    assert Role.get()[-1].name == "empty"  # nothing is stored yet
    page = admin.sent("/role/new", hidden(page))
    assert "&lt;b&gt;&#34;Readers&#34;&lt;/b&gt; has been added." in page
    made = Role.get()[-1]
    assert ({one.id for one in made.rules}, made.organization_id) == (chosen, world.org.north)


def of_analysts(call):
    return next(r for r in call("root", "GET", "/role").json if r["name"] == "analysts")["rules"]


def hidden(page):
    """What a page sends on when its form is sent."""
    found = re.findall('<input type="hidden" name="(.*?)" value="(.*?)">', page)
    form: dict[str, list[str]] = {}
    for name, value in found:
        form.setdefault(name, []).append(html.unescape(value))
    return form


def test_before_it_is_saved_one_sees_for_whom_something_changes(visit, world, call):
    admin, path = visit("org_admin"), f"/role/{world.role.analysts}"
    rule = world.rule
    _, chosen = boxes(admin.get(f"{path}/edit"), "rules")
    new = {*chosen, rule["user", "ORGANIZATION", "VIEW"]} - {rule["task", "ORGANIZATION", "CREATE"]}
    assert call("analyst", "GET", f"/user/{world.user.viewer}").status_code == 403
    form = {"name": "analysts", "description": "", "rules": ["", *map(str, new)]}
    page = admin.sent(f"{path}/preview", form)
    told = changes(page)
    assert ("gains", "view user", "organization", "analyst") in told
    assert any(one[:2] == ("loses", "create task") and one[3] == "analyst" for one in told)
    assert not any(one[1] == "view task" for one in told)
    assert call("analyst", "GET", f"/user/{world.user.viewer}").status_code == 403
    assert "analysts has been changed." in admin.sent(f"{path}/edit", hidden(page))
    assert call("analyst", "GET", f"/user/{world.user.viewer}").status_code == 200
    assert boxes(admin.get(f"{path}/edit"), "rules")[1] == new
    page = admin.sent(f"{path}/preview", {"name": "readers", "rules": ["", *map(str, new)]})
    assert "Nobody may do more than before, or less." in page


@SQLITE
def test_who_gains_is_named_to_those_only_who_may_view_them(visit, world, app, call):
    """`helpers` are of the south; somebody there has the role, and whoever may change it from
    elsewhere need not see who."""
    call("root", "PATCH", f"/user/{world.user.south_viewer}", {"roles": [world.role.helpers]})
    rules = [world.rule["role", "GLOBAL", "EDIT"], world.rule["role", "GLOBAL", "VIEW"]]
    rules.append(world.rule["user", "ORGANIZATION", "VIEW"])
    rules.append(world.rule["user", "ORGANIZATION", "EDIT"])
    call("root", "PATCH", f"/user/{world.user.nobody}", {"rules": rules})
    path, form = f"/role/{world.role.helpers}/preview", {"rules": [""]}
    told = changes(visit("nobody").sent(path, form))
    assert ("loses", "view user", "organization", "1 whom you may not view") in told
    told = changes(visit("root").sent(path, form))
    assert ("loses", "view user", "organization", "south_viewer") in told


@SQLITE
def test_who_loses_a_role_is_seen_before_it_is_deleted(visit, world, call):
    admin, path = visit("org_admin"), f"/role/{world.role.analysts}/delete"
    page = admin.get(path)
    assert "analyst will lose this role" in page
    assert ("loses", "view task", "organization", "analyst") in changes(page)
    assert "analysts has been removed." in admin.sent(path)
    assert call("analyst", "GET", "/task").status_code == 403
    page = visit("root").get(f"/role/{world.role.helpers}/delete")
    assert "Nobody has this role." in page
    assert changes(page) == []


@SQLITE
def test_what_one_may_not_is_not_offered_and_is_refused(visit, world, call):
    viewer, admin, path = visit("viewer"), visit("org_admin"), f"/role/{world.role.analysts}"
    page = viewer.get(path)
    assert not any(word in page for word in ("Edit", "Delete", "New role"))
    form = {"name": "x", "rules": ["", "1"]}
    for refused in ("/role/new", "/role/new/preview", f"{path}/edit", f"{path}/preview"):
        viewer.sent(refused, form, status=403)
    viewer.sent(f"{path}/delete", status=403)
    beyond = {"name": "x", "rules": ["", str(world.rule["node", "GLOBAL", "DELETE"])]}
    for refused in ("/role/new", f"{path}/edit"):
        assert "that you don&#39;t hold" in admin.sent(refused, beyond, status=403)
    named = {row["name"]: row["id"] for row in call("root", "GET", "/role").json}
    for word in ("edit", "delete"):
        visit("root").get(f"/role/{named['Viewer']}/{word}", status=403)
    call("root", "PATCH", path, {"rules": [world.rule["node", "GLOBAL", "DELETE"]]})
    page = admin.get(f"{path}/edit")
    assert "This role has rules that you do not hold" in page
    assert boxes(page, "rules") == (set(), set())
    page = admin.sent(f"{path}/preview", {"name": "renamed"})
    assert "renamed has been changed" in admin.sent(f"{path}/edit", hidden(page))
    assert [row["id"] for row in call("root", "GET", f"{path}/rule").json] == [
        world.rule["node", "GLOBAL", "DELETE"]
    ]


@SQLITE
@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"name": "", "rules": [""]}, "Missing data"),
        ({"name": "Root", "rules": [""]}, "Root"),
        ({"name": "x", "rules": ["x"]}, "Not a valid integer"),
        ({"name": "x", "rules": ["99999"]}, "not found"),
        ({"name": "x"}, "Missing data"),
    ],
)
def test_what_is_no_role_is_refused(visit, world, form, told):
    known = len(Role.get())
    page = visit("root").post("/role/new", form).text
    assert told in page
    assert len(Role.get()) == known
