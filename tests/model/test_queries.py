"""The helpers of the tables and of identity.scripting, on both databases (seed-map.md)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from tests.support import Caller
from tests.world import NOON, PASSWORD, USERS, World, api_key
from v6srv import passwords
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.rules import RULES
from v6srv.db import LARGEST_ID, session, utcnow
from v6srv.errors import Conflict, Invalid
from v6srv.identity import scripting
from v6srv.model import (
    Account,
    Collaboration,
    Node,
    NodeConfig,
    Organization,
    PolicyRevision,
    Port,
    Result,
    Role,
    Rule,
    Run,
    Task,
    User,
)
from v6srv.model.queries import Queries
from v6srv.vocabulary import Operation, Resource, Scope

TABLES = (
    Account,
    User,
    Node,
    NodeConfig,
    Organization,
    Collaboration,
    Task,
    Result,
    Port,
    Role,
    Rule,
)


@pytest.fixture(autouse=True)
def _at_the_prompt(app: Flask) -> Iterator[None]:
    """As in `v6srv shell`: a session, and no request."""
    with app.app_context():
        yield


def stored(query: Any) -> Any:
    """What another connection sees, so only what was committed."""
    with Session(session.get_bind()) as other:
        return other.scalar(query)


def revision() -> tuple[int, int]:
    with Session(session.get_bind()) as other:
        row = other.scalars(select(PolicyRevision)).one()
        return row.lines, row.members


# --- every table


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_get_returns_all_rows_by_id_or_one(table: type[Queries], world: World) -> None:
    rows = table.get()
    ids = [row.id for row in rows]
    assert ids == sorted(ids)
    assert len(ids) == session.scalar(select(func.count()).select_from(table)) > 0
    assert table.get(ids[-1]) is rows[-1]


@pytest.mark.parametrize("id", [0, -1, 999_999, LARGEST_ID + 1])
def test_get_of_an_unknown_id_is_none(id: int, world: World) -> None:
    assert Task.get(id) is None


def test_get_keeps_users_and_nodes_apart(world: World) -> None:
    assert User.get(world.node.north_registry) is None
    assert Node.get(world.user.viewer) is None


def test_exists_compares_a_column_exactly(world: World) -> None:
    assert User.exists("username", "viewer")
    assert not User.exists("username", "Viewer")
    assert User.exists("last_seen", None)
    assert Role.exists("slug", "viewer")
    assert not Organization.exists("name", "south-east")


@pytest.mark.parametrize("field", ["nothing", "roles", "role_ids", "exists"])
def test_exists_asks_only_stored_columns(field: str, world: World) -> None:
    with pytest.raises(Invalid, match=f"User has no column '{field}'"):
        User.exists(field, 1)


def test_save_stores_a_new_row(world: World) -> None:
    organization = Organization(name="centre")
    organization.save()
    assert stored(select(Organization.name).where(Organization.id == organization.id)) == "centre"


def test_save_stores_changes(world: World) -> None:
    user = User.get_by_username("viewer")
    user.firstname = "Ada"
    user.save()
    assert stored(select(User.firstname).where(User.id == world.user.viewer)) == "Ada"


def test_save_of_what_breaks_a_rule_of_the_database_leaves_the_session_usable(world: World) -> None:
    before = revision()
    with pytest.raises(Conflict):
        Collaboration(name="registry").save()
    assert revision() == before
    Collaboration(name="another").save()
    assert Collaboration.name_exists("another")


def test_save_and_delete_tell_running_servers(world: World, call: Caller) -> None:
    """A role that loses its rules at the prompt grants nothing in the next request."""
    assert call("analyst", "GET", "/task").status_code == 200
    lines, members = revision()
    role = Role.get(world.role.analysts)
    assert role is not None
    role.rules = []
    role.save()
    after = revision()
    assert after > (lines, members)
    assert call("analyst", "GET", "/task").status_code == 403
    Role.get(world.role.helpers).delete()  # type: ignore[union-attr]
    assert revision() > after


def test_delete_removes_a_row_and_what_hangs_on_it(world: World) -> None:
    task = Task.get(world.task.running)
    assert task is not None
    task.delete()
    assert stored(select(Task.id).where(Task.id == world.task.subtask)) is None
    assert stored(select(Result.id).where(Result.task_id == world.task.running)) is None
    assert stored(select(Port.id).where(Port.id == world.port["first"])) is None
    assert stored(select(Task.id).where(Task.id == world.task.finished)) is not None


def test_delete_of_what_is_needed_is_refused(world: World) -> None:
    north = Organization.get(world.org.north)
    assert north is not None
    with pytest.raises(Conflict):
        north.delete()
    assert (
        stored(select(User.organization_id).where(User.id == world.user.viewer)) == world.org.north
    )


@pytest.mark.parametrize("row", ["fresh", "changed", "deleted"])
def test_somebody_who_wrote_between_reading_and_saving_is_no_obstacle(
    row: str, world: World
) -> None:
    """SQLite lets no transaction write whose view is older than the newest change."""
    user = User.get_by_username("nobody")
    with session.get_bind().begin() as other:
        other.execute(text("UPDATE organization SET country = 'Norway' WHERE name = 'east'"))
    if row == "fresh":
        Organization(name="centre").save()
        assert stored(select(Organization.id).where(Organization.name == "centre"))
    elif row == "changed":
        user.firstname = "Ada"
        user.save()
        assert stored(select(User.firstname).where(User.id == user.id)) == "Ada"
    else:
        user.delete()
        assert stored(select(User.id).where(User.username == "nobody")) is None
    assert stored(select(Organization.country).where(Organization.name == "east")) == "Norway"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_help_names_columns_relations_and_helpers(
    table: type[Queries], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table.help() is None
    shown = capsys.readouterr().out
    assert shown.startswith(f"{table.__name__}: ")
    assert "\n  id: Integer()\n" in shown
    assert "\n  save(): Store this row" in shown
    helpers = shown.partition("\nhelpers\n")[2].splitlines()
    assert len(helpers) >= 5
    assert [line for line in helpers if not line.partition(": ")[2]] == []


def test_help_shows_relations_and_parameters(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    Collaboration.help()
    shown = capsys.readouterr().out
    assert "\n  organizations: list of Organization\n" in shown
    assert "\n  get_nodes_from_organizations(ids): " in shown
    assert "\n  organization_ids" not in shown  # what the wire format needs is no column


# --- collaboration


def test_find_by_name(world: World) -> None:
    found = Collaboration.find_by_name("trial")
    assert found is not None
    assert found.id == world.collab.trial
    assert Collaboration.find_by_name("Trial") is None


def test_name_exists(world: World) -> None:
    assert Collaboration.name_exists("trial")
    assert not Collaboration.name_exists("trials")


def test_ids_of_members_and_tasks(world: World) -> None:
    registry, nothing = (
        Collaboration.get(world.collab.registry),
        Collaboration.get(world.collab.nothing),
    )
    assert registry is not None
    assert nothing is not None
    assert registry.get_organization_ids() == [world.org.north, world.org.south]
    of_registry = [world.task.finished, world.task.running, world.task.failed, world.task.subtask]
    assert registry.get_task_ids() == of_registry
    assert nothing.get_organization_ids() == [world.org.west]
    assert nothing.get_task_ids() == []


def test_nodes_of_organizations(world: World) -> None:
    registry = Collaboration.get(world.collab.registry)
    north, west = Organization.get(world.org.north), Organization.get(world.org.west)
    assert registry is not None
    assert north is not None
    assert west is not None
    found = registry.get_node_from_organization(north)
    assert found is not None
    assert found.id == world.node.north_registry
    assert registry.get_node_from_organization(west) is None  # its node is in another one
    nodes = registry.get_nodes_from_organizations(
        [world.org.south, world.org.north, world.org.west]
    )
    assert [node.id for node in nodes] == [world.node.north_registry, world.node.south_registry]
    assert registry.get_nodes_from_organizations([]) == []


# --- node


def test_a_node_exists_in_its_place_only(world: World) -> None:
    assert Node.exists(world.org.west, world.collab.trial)
    assert not Node.exists(world.org.west, world.collab.nothing)
    assert not Node.exists(world.org.north, world.collab.trial)


def test_check_key(world: World) -> None:
    node = Node.get(world.node.north_registry)
    assert node is not None
    assert scripting.check_key(node, api_key("north_registry"))
    assert not scripting.check_key(node, api_key("south_registry"))


def test_check_key_of_a_node_of_a_3x_server(world: World) -> None:
    node = Node.get(world.node.north_registry)
    assert node is not None
    node.key_digest, node.api_key = None, passwords.hash_password("an old key")
    assert scripting.check_key(node, "an old key")
    assert not scripting.check_key(node, api_key("north_registry"))
    node.api_key = None
    assert not scripting.check_key(node, "an old key")


# --- organization


def test_get_by_name(world: World) -> None:
    found = Organization.get_by_name("south")
    assert found is not None
    assert found.id == world.org.south
    assert Organization.get_by_name("nowhere") is None
    Organization(name="south").save()
    assert Organization.get_by_name("south") is found  # the oldest


def test_results_and_tasks_of_an_organization(world: World) -> None:
    west = Organization.get(world.org.west)
    assert west is not None
    own = sorted([world.result["waiting", "west"], world.result["killed", "west"]])
    assert west.get_result_ids() == own
    assert [result.id for result in west.results] == own
    assert [task.id for task in west.created_tasks] == [world.task.killed]
    east = Organization.get_by_name("east")
    assert east is not None
    assert east.get_result_ids() == []


# --- task, result, rule


def test_run_ids_are_given_once(world: World) -> None:
    highest = session.scalar(select(func.max(Run.id)))
    first, second = Task.next_run_id(), Task.next_run_id()
    assert highest < first < second
    session.commit()
    session.delete(session.get_one(Run, second))
    session.commit()
    assert Task.next_run_id() > second


def test_results_for_node(world: World) -> None:
    running = Task.get(world.task.running)
    assert running is not None

    def ids(node: int) -> list[int]:
        found = Node.get(node)
        assert found is not None
        return [result.id for result in running.results_for_node(found)]

    assert ids(world.node.north_registry) == [world.result["running", "north"]]
    assert ids(world.node.south_registry) == [world.result["running", "south"]]
    assert ids(world.node.south_trial) == []  # the organization takes part, this node does not
    assert ids(world.node.west_trial) == []


def test_results_for_a_node_outside_collaborations_are_none(world: World) -> None:
    task, node = Task.get(world.task.running), Node.get(world.node.north_registry)
    assert task is not None
    assert node is not None
    task.collaboration_id = node.collaboration_id = None
    assert task.results_for_node(node) == []


def test_a_result_is_complete_when_it_is_finished(world: World) -> None:
    def complete(task: str, org: str) -> bool:
        result = Result.get(world.result[task, org])
        assert result is not None
        return result.complete

    assert complete("finished", "north")
    assert complete("killed", "west")
    assert not complete("running", "north")


def test_get_a_rule_by_its_words(world: World) -> None:
    found = Rule.get_by_("task", "ORGANIZATION", "CREATE")
    assert found is not None
    assert found.id == world.rule["task", "ORGANIZATION", "CREATE"]
    assert Rule.get_by_("task", Scope.ORGANIZATION, Operation.CREATE) is found
    assert Rule.get_by_("task", "own", "create") is None
    assert Rule.get_by_("task", "everywhere", "create") is None


# --- user


def test_get_a_user_by_name_and_address(world: World) -> None:
    assert User.get_by_username("viewer").id == world.user.viewer
    assert User.get_by_email("south_admin@south.example").id == world.user.south_admin
    with pytest.raises(NoResultFound):
        User.get_by_username("VIEWER")
    with pytest.raises(NoResultFound):
        User.get_by_email("nobody@nowhere.example")


def test_username_exists(world: World) -> None:
    assert User.username_exists("viewer")
    assert not User.username_exists("stranger")


@pytest.mark.parametrize(
    ("attempts", "minutes_ago", "left"),
    [
        (4, 0, 0),
        (5, 0, 16),
        (5, 14.5, 1),
        (6, 10, 6),
        (5, 15, 0),
        (5, None, 0),
    ],
)
def test_is_blocked(attempts: int, minutes_ago: float | None, left: int, world: World) -> None:
    """Five attempts lock for fifteen minutes; the last failed one counts."""
    user = User.get_by_username("viewer")
    user.failed_login_attempts = attempts
    user.last_login_attempt = None if minutes_ago is None else NOON - timedelta(minutes=minutes_ago)
    blocked, message = user.is_blocked(5, 15, NOON)
    assert blocked is bool(left)
    assert user.minutes_blocked(5, 15, NOON) == left
    if blocked:
        assert f"viewer is blocked for another {left} minutes" in str(message)
    else:
        assert message is None


def test_is_blocked_means_now(world: World, call: Caller) -> None:
    user = User.get_by_username("viewer")
    user.failed_login_attempts, user.last_login_attempt = 5, utcnow()
    user.save()
    login = {"username": "viewer", "password": PASSWORD}
    assert user.is_blocked(5, 15)[0]
    assert call(None, "POST", "/token/user", json=login).status_code == 401
    user.last_login_attempt = utcnow() - timedelta(minutes=16)
    user.save()
    assert not user.is_blocked(5, 15)[0]
    assert call(None, "POST", "/token/user", json=login).status_code == 200


def test_a_weak_password_is_not_set(world: World) -> None:
    user = User.get_by_username("viewer")
    before = user.password
    assert scripting.set_password(user, "short") == passwords.password_problem("short") is not None
    assert user.password == before
    assert scripting.check_password(user, PASSWORD)


def test_a_new_password_unlocks_and_ends_tokens(world: World, call: Caller) -> None:
    assert call("viewer", "GET", f"/user/{world.user.viewer}").status_code == 200
    user = User.get_by_username("viewer")
    user.failed_login_attempts, user.last_login_attempt = 5, utcnow()
    assert scripting.set_password(user, "An0ther-Pass!") is None
    user.save()
    assert scripting.check_password(user, "An0ther-Pass!")
    assert not scripting.check_password(user, PASSWORD)
    assert call("viewer", "GET", f"/user/{world.user.viewer}").status_code == 401
    login = {"username": "viewer", "password": "An0ther-Pass!"}
    assert call(None, "POST", "/token/user", json=login).status_code == 200


@pytest.fixture
def authz(app: Flask) -> Authorizer:
    found: Authorizer = app.extensions["authz"]
    return found


@pytest.mark.parametrize("name", sorted({*USERS, "root"}))
def test_can_agrees_with_the_rules_that_a_user_holds(
    name: str, world: World, authz: Authorizer
) -> None:
    """Every rule held, and the wider scopes of it; and the three things that everybody may."""
    user = User.get_by_username(name)
    held = {
        (rule.name, rule.operation, rule.scope)
        for rule in [*user.rules, *(rule for role in user.roles for rule in role.rules)]
    }
    held |= {("user", Operation.VIEW, Scope.OWN), ("role", Operation.VIEW, Scope.OWN)}
    held.add(("user", Operation.EDIT, Scope.OWN))  # the password: a condition counts, as below
    if name == "container_role":  # a line with a condition counts, see policies
        held.add(("task", Operation.CREATE, Scope.ORGANIZATION))
    order = list(Scope)
    for declared in RULES:
        wider = order[order.index(declared.scope) :]
        expected = any((declared.resource, declared.operation, scope) in held for scope in wider)
        answer = scripting.can(authz, user, declared.resource, declared.scope, declared.operation)
        assert answer is expected, (name, declared.key)


def test_can_follows_what_is_granted_at_the_prompt(world: World, authz: Authorizer) -> None:
    user = User.get_by_username("nobody")
    assert not scripting.can(authz, user, "task", "ORGANIZATION", "VIEW")
    rule = Rule.get_by_("task", "ORGANIZATION", "VIEW")
    assert rule is not None
    user.rules.append(rule)
    user.save()
    assert scripting.can(authz, user, Resource.TASK, Scope.ORGANIZATION, Operation.VIEW)
    assert not scripting.can(authz, user, "task", "GLOBAL", "VIEW")


def test_can_refuses_unknown_words_and_unknown_users(world: World, authz: Authorizer) -> None:
    user = User.get_by_username("root")
    with pytest.raises(ValueError, match="everywhere"):
        scripting.can(authz, user, "task", "everywhere", "view")
    user.delete()
    assert not scripting.can(authz, user, "task", "global", "view")
