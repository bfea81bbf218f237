"""Rules that 3.x has no name for: they count, are not shown there, and stay where it edits."""

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.authz.principal import Principal
from v6srv.authz.rules import FINER_RULES
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.dialect.rule_names import KNOWN_TO_3, KNOWN_TO_4, NAMES, RULES_BY_NAME
from v6srv.errors import NotFound
from v6srv.model import Role, Rule, User
from v6srv.service import roles
from v6srv.vocabulary import PrincipalKind

Give = Callable[..., None]
FINER = {rule.text for rule in FINER_RULES}


@pytest.fixture
def give(call: Caller) -> Give:
    """Give users extra rules: `give("nobody", "task:own:view")`."""

    def given_to(name: str, *texts: str) -> None:
        with call.app.app_context(), as_server(ServerWrite.COMMAND), db.transaction() as sess:
            user = sess.scalars(select(User).where(User.username == name)).one()
            user.rules = [rule for rule in sess.scalars(select(Rule)) if rule.text in texts]
            assert len(user.rules) == len(texts)

    return given_to


def _set_role(call: Caller, id: int, texts: Iterable[str]) -> None:
    with call.app.app_context(), as_server(ServerWrite.COMMAND), db.transaction() as sess:
        wanted = set(texts)
        role = sess.get_one(Role, id)
        role.rules = [rule for rule in sess.scalars(select(Rule)) if rule.text in wanted]


def _in_role(call: Caller, id: int) -> set[str]:
    with call.app.app_context(), db.reading():
        return {rule.text for rule in db.session.get_one(Role, id).rules}


def _ids_of(call: Caller) -> dict[str, int]:
    with call.app.app_context(), db.reading():
        return {rule.text: rule.id for rule in db.session.scalars(select(Rule))}


# --- what they let do


@pytest.mark.parametrize(
    ("rule", "path", "seen"),
    [
        ("task:own_organization:view", "/task", lambda r: r["initiator"]),
        ("task:own:view", "/task", lambda r: r["init_user"]),
    ],
)
def test_tasks_that_one_started(call, world, give, rule, path, seen):
    every = call("root", "GET", path).json
    own = {world.org.south} if "organization" in rule else {world.user.south_researcher}
    expected = [row["id"] for row in every if seen(row) in own]
    assert 0 < len(expected) < len(every)
    _no_roles(call, "south_researcher")
    give("south_researcher", rule)
    assert [row["id"] for row in call("south_researcher", "GET", path).json] == expected
    other = next(row["id"] for row in every if row["id"] not in expected)
    assert call("south_researcher", "GET", f"{path}/{other}").status_code == 403


def _no_roles(call: Caller, name: str) -> None:
    with call.app.app_context(), as_server(ServerWrite.COMMAND), db.transaction() as sess:
        sess.scalars(select(User).where(User.username == name)).one().roles = []


def test_results_belong_to_who_started_the_task(call, world, give):
    """Not to who computes them."""
    tasks = {row["id"]: row["initiator"] for row in call("root", "GET", "/task").json}
    every = call("root", "GET", "/result").json
    expected = [row["id"] for row in every if tasks[row["task"]["id"]] == world.org.north]
    foreign = [row for row in every if row["id"] in expected]
    assert any(row["organization"]["id"] != world.org.north for row in foreign)
    give("nobody", "result:own_organization:view")
    assert [row["id"] for row in call("nobody", "GET", "/result").json] == expected


def test_rows_of_the_own_collaborations(call, world, give):
    give(
        "nobody",
        "node:collaboration:view",
        "user:collaboration:view",
        "role:collaboration:view",
        "organization:collaboration:edit",
        "collaboration:collaboration:edit",
    )
    nodes = {row["id"] for row in call("nobody", "GET", "/node").json}
    assert nodes == {world.node.north_registry, world.node.south_registry}
    users = {row["organization"]["id"] for row in call("nobody", "GET", "/user").json}
    assert users == {world.org.north, world.org.south}
    roles = {row["name"] for row in call("nobody", "GET", "/role").json}
    assert {"analysts", "helpers", "Root"} <= roles
    partner, stranger = f"/organization/{world.org.south}", f"/organization/{world.org.west}"
    assert call("nobody", "PATCH", partner, json={"country": "x"}).status_code == 200
    assert call("nobody", "PATCH", stranger, json={"country": "x"}).status_code == 403
    own, other = f"/collaboration/{world.collab.registry}", f"/collaboration/{world.collab.trial}"
    assert call("nobody", "PATCH", own, json={"name": "renamed"}).status_code == 200
    assert call("nobody", "PATCH", other, json={"name": "renamed, too"}).status_code == 403


def test_the_public_key_of_a_partner_is_its_own(call, world, give):
    give("nobody", "organization:collaboration:edit")
    key = {"public_key": "a2V5"}
    partner = f"/organization/{world.org.south}"
    assert call("nobody", "PATCH", partner, json=key).status_code == 403
    assert call("nobody", "PATCH", f"/organization/{world.org.north}", json=key).status_code == 200
    assert call("root", "PATCH", partner, json=key).status_code == 200  # as 3.x has it
    assert call("collab_admin", "PATCH", partner, json={"public_key": "b3Ro"}).status_code == 200


def test_work_is_stopped_on_the_own_nodes(call, world, give):
    give("nobody", "event:own_organization:create")
    body = {"id": world.node.north_registry}
    assert call("nobody", "POST", "/kill/node/tasks", json=body).status_code == 200
    body = {"id": world.node.south_registry}
    assert call("nobody", "POST", "/kill/node/tasks", json=body).status_code == 403


def test_who_holds_a_rule_hands_out_what_it_covers(call, world):
    """And nothing wider."""
    create = {"name": "narrower", "description": "", "organization_id": world.org.north}
    rules = [world.rule["user", "ORGANIZATION", "VIEW"], world.rule["node", "GLOBAL", "VIEW"]]
    assert call("collab_admin", "POST", "/role", json={**create, "rules": rules}).status_code == 201
    create |= {"name": "wider", "rules": [world.rule["task", "GLOBAL", "VIEW"]]}
    assert call("collab_admin", "POST", "/role", json=create).status_code == 403


# --- what 3.x sees of them


def test_3x_does_not_know_them(call, world):
    ids = _ids_of(call)
    shown = call("nobody", "GET", "/rule")
    assert {row["id"] for row in shown.json}.isdisjoint(ids[text] for text in FINER)
    assert shown.headers["total-count"] == "53"
    for query in ({"scope": "OWN_ORGANIZATION"}, {"name": "node", "scope": "COLLABORATION"}):
        assert call("nobody", "GET", "/rule", query=query).json == []
    of_root = call("root", "GET", f"/role/{world.role.root}/rule")
    assert of_root.headers["total-count"] == "53"
    one = ids["task:own:view"]
    assert call("root", "GET", f"/rule/{one}").status_code == 404
    role = {"name": "x", "description": "", "rules": [one]}
    assert call("root", "POST", "/role", json=role).status_code == 404
    path = f"/role/{world.role.analysts}/rule/{one}"
    assert [call("root", method, path).status_code for method in ("POST", "DELETE")] == [404, 404]


def test_extra_rules_stay_when_3x_edits_a_user(call, world, give):
    hidden = {"task:own:view", "user:collaboration:view"}
    give("nobody", *hidden, "task:global:view")
    ids, path = _ids_of(call), f"/user/{world.user.nobody}"
    shown = call("root", "GET", path).json["rules"]
    assert [row["id"] for row in shown] == [ids["task:global:view"]]
    new = [ids["port:global:view"]]
    answer = call("root", "PATCH", path, json={"rules": new})
    assert [row["id"] for row in answer.json["rules"]] == new
    with call.app.app_context(), db.reading():
        user = db.session.get_one(User, world.user.nobody)
        assert {rule.text for rule in user.rules} == hidden | {"port:global:view"}


def test_what_4x_does_not_know_stays_likewise(call, world):
    """The services that 4.x uses are the same; only what is known differs."""
    ids, id = _ids_of(call), world.role.analysts
    _set_role(call, id, {"event:collaboration:create", "task:own:view"})
    root = Principal(PrincipalKind.USER, world.user.root, world.org.root, roles=("role:root",))
    authz, unknown = call.app.extensions["authz"], ids["event:collaboration:create"]
    with call.app.app_context(), as_server(ServerWrite.COMMAND), db.transaction() as sess:
        role = sess.get_one(Role, id)
        roles.change(root, authz, role, {"rules": [ids["result:own:view"]]}, KNOWN_TO_4)
        with pytest.raises(NotFound):
            roles.change(root, authz, role, {"rules": [unknown]}, KNOWN_TO_4)
    assert _in_role(call, id) == {"event:collaboration:create", "result:own:view"}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_role_that_both_dialects_edit_loses_nothing(
    call: Caller, world: World, seed: int
) -> None:
    """4.x gives a random set; 3.x replaces what it sees; 4.x finds its own part as it was."""
    chance, ids = random.Random(seed), _ids_of(call)
    given_by_4 = set(chance.sample(sorted(NAMES.values()), 20))
    held = {RULES_BY_NAME[name] for name in given_by_4} | {"event:collaboration:create"}
    _set_role(call, world.role.analysts, held)
    path = f"/role/{world.role.analysts}"
    shown = [row["id"] for row in call("root", "GET", path).json["rules"] or ()]
    assert set(shown) == {ids[text] for text in held & KNOWN_TO_3}
    # What is sent back as it was read changes nothing.
    assert call("root", "PATCH", path, json={"rules": shown}).status_code == 200
    assert _in_role(call, world.role.analysts) == held
    new = set(chance.sample(sorted(KNOWN_TO_3), 5))
    body = {"rules": [ids[text] for text in new]}
    assert call("root", "PATCH", path, json=body).status_code == 200
    after = _in_role(call, world.role.analysts)
    assert after == new | (held - KNOWN_TO_3)
    seen_by_4 = {NAMES[text] for text in after & KNOWN_TO_4}
    kept = {name for name in given_by_4 if RULES_BY_NAME[name] not in KNOWN_TO_3}
    assert kept <= seen_by_4
