"""Who, what and on which row, read from text: what is meant, and what cannot be meant."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.world import World
from v6srv.authz.facts import TABLES
from v6srv.authz.row_facts import row_facts
from v6srv.errors import Invalid, NotFound
from v6srv.model import Organization, Task
from v6srv.policy import ask
from v6srv.vocabulary import Operation, PrincipalKind, Resource

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def opened(app: Flask, world: World) -> Iterator[World]:
    with app.app_context():
        yield world


# --- who


def test_a_user_that_does_not_exist_takes_part_in_what_its_organization_does(opened: World) -> None:
    south = opened.org.south
    who = ask.made_up_principal({"org": south, "roles": ["researcher", "viewer"]})
    assert (who.kind, who.id, who.organization_id) == (PrincipalKind.USER, "user:0", south)
    assert who.collaboration_ids == {opened.collab.registry, opened.collab.trial}
    assert who.roles == ("role:researcher", "role:viewer")


def test_every_fact_of_a_principal_can_be_given(opened: World) -> None:
    given = {
        "kind": "container",
        "id": 7,
        "org": None,
        "collabs": [4, 5],
        "roles": [opened.role.analysts, opened.role.viewer, "node"],
        "rules": [3],
        "task": 9,
        "run": 4,
        "image": "x",
    }
    who = ask.made_up_principal(given)
    assert (who.kind, who.account_id, who.id) == (PrincipalKind.CONTAINER, 7, "container:9")
    assert (who.organization_id, who.collaboration_ids) == (None, {4, 5})
    assert who.roles == (f"role:{opened.role.analysts}", "role:viewer", "role:node", "rule:3")
    assert (who.run_id, who.image) == (4, "x")


def test_a_real_principal_can_be_looked_at_with_something_different(opened: World) -> None:
    real = ask.principal(f"user:{opened.user.extra}")
    other = ask.made_up_principal({"roles": ["viewer"]}, real)
    assert (other.id, other.organization_id) == (real.id, real.organization_id)
    assert other.collaboration_ids == real.collaboration_ids
    assert other.roles == ("role:viewer", *real.roles)
    moved = ask.made_up_principal({"org": opened.org.west}, real)
    assert moved.roles == real.roles
    assert moved.collaboration_ids == {opened.collab.trial, opened.collab.nothing}
    task = ask.made_up_principal({"kind": "container"}, real)
    assert task.id == "container:0"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"organisation": 3}, "a principal has no 'organisation'"),
        ({"role": ["viewer"]}, "did you mean roles?"),
        ({"kind": "users"}, "unknown kind of principal 'users', did you mean user?"),
        ({"kind": 3}, "kind must be text"),
        ({"id": "7"}, "id must be a whole number"),
        ({"id": True}, "id must be a whole number"),
        ({"id": -1}, "id must be a whole number"),
        ({"id": 2**31}, "id must be a whole number"),
        ({"org": 1.0}, "org must be a whole number"),
        ({"org": 10**30}, "org must be a whole number"),
        ({"collabs": 1}, "collabs must be a list"),
        ({"collabs": ["1"]}, "collabs must be a list"),
        ({"roles": "viewer"}, "roles must be a list"),
        ({"roles": ["viewr"]}, "there is no role 'viewr', did you mean viewer?"),
        ({"roles": [99999]}, "there is no role 99999"),
        ({"roles": ["\x00"]}, "roles must be a list"),
        ({"rules": [99999]}, "there is no rule 99999"),
        ({"rules": [0]}, "there is no rule 0"),
        ({"image": "\ud800"}, "image must be text"),
        ({"image": ["x"]}, "image must be text"),
    ],
)
def test_principals_that_cannot_be(opened: World, given: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as refused:
        ask.made_up_principal(given)
    assert message in str(refused.value)


# --- what


def test_a_row_has_the_facts_of_its_table(opened: World) -> None:
    id = opened.task.running
    thing = ask.thing(f"task:{id}")
    assert (thing.resource, thing.id, thing.name) == (Resource.TASK, id, f"task:{id}")
    assert thing.table is TABLES[Task]
    assert thing.facts == row_facts(Task, [id], Resource.TASK)[id]
    assert not thing.foreign


def test_another_resource_can_be_asked_of_a_row(opened: World) -> None:
    thing = ask.thing(f"organization:{opened.org.north}", Resource.NODE)
    assert (thing.resource, thing.facts.type, thing.foreign) == (Resource.NODE, "node", True)
    assert thing.table is TABLES[Organization]
    assert ask.thing(f"task:{opened.task.running}", Resource.EVENT).foreign


def test_a_row_that_does_not_exist_has_only_what_is_given(opened: World) -> None:
    thing = ask.thing('task: {"image": "x", "orgs": [3], "owners": ["user:5"]}')
    assert thing.facts.image == "x"
    assert thing.facts.orgs == {3}
    assert thing.facts.owners == {"user:5"}
    assert (thing.facts.run, thing.facts.collabs, thing.id) == (None, frozenset(), None)
    assert vars(thing.facts).keys() - {"type"} == TABLES[Task].facts.keys()
    encrypted = ask.made_up_row(Resource.COLLABORATION, {"encrypted": True})
    assert encrypted.facts.encrypted is True


def test_what_is_so_for_every_real_row_follows_from_what_is_given(opened: World) -> None:
    node = ask.made_up_row(Resource.NODE, {"id": 30, "org": 3}).facts
    assert (node.orgs, node.owners, node.collabs) == ({3}, {"node:30"}, frozenset())
    organization = ask.made_up_row(Resource.NODE, {"id": 3}, Resource.ORGANIZATION).facts
    assert (organization.type, organization.org, organization.orgs) == ("node", 3, {3})
    assert ask.made_up_row(Resource.NODE, {"org": 3, "orgs": []}).facts.orgs == frozenset()


def test_a_resource_as_a_whole_is_nobodys(opened: World) -> None:
    for thing in (ask.thing("policy"), ask.thing("task", Resource.POLICY)):
        assert (thing.resource, thing.table, thing.id) == (Resource.POLICY, None, None)
        assert (thing.facts.org, thing.facts.orgs, thing.facts.owners) == (None, set(), set())


def test_a_room_is_an_event(opened: World) -> None:
    main = ask.thing("room:collaboration_1")
    assert (main.resource, main.facts.collabs, main.facts.orgs) == (Resource.EVENT, {1}, set())
    sub = ask.thing("room:collaboration_1_organization_2")
    assert (sub.facts.collabs, sub.facts.orgs, sub.facts.org) == ({1}, {2}, 2)
    made_up = ask.thing('event:{"collabs": [1], "orgs": [2], "owner_orgs": [2], "org": 2}')
    assert vars(made_up.facts) == vars(sub.facts)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", Invalid, "unknown resource ''"),
        ("tsk:1", Invalid, "unknown resource 'tsk', did you mean task?"),
        ("task:", Invalid, "is not task:<id>, task:{...} or task"),
        ("task:x", Invalid, "is not task:<id>"),
        ("task:-1", Invalid, "is not task:<id>"),
        ("task:²", Invalid, "is not task:<id>"),
        ("task:1 ", Invalid, "is not task:<id>"),
        ("task:0", NotFound, "Task id=0 is not found!"),
        ("task:99999", NotFound, "Task id=99999 is not found!"),
        (f"task:{10**30}", NotFound, "is not found!"),
        ("task:{", Invalid, "the row is not valid JSON"),
        ("task:{'image': 1}", Invalid, "the row is not valid JSON"),
        ('task:{"country": "NL"}', Invalid, "a row of task has no 'country'"),
        ('task:{"type": "node"}', Invalid, "a row of task has no 'type'"),
        ('task:{"orgs": 3}', Invalid, "orgs must be a list"),
        ('task:{"owners": [5]}', Invalid, "owners must be a list"),
        ('task:{"run": "3"}', Invalid, "run must be a whole number"),
        ('collaboration:{"encrypted": 1}', Invalid, "encrypted must be true or false or null"),
        ("event:1", Invalid, "event has no rows of its own"),
        ("room:", Invalid, "'' is not a room"),
        ("room:all_nodes", Invalid, "is not a room"),
        ("room:collaboration_01", Invalid, "is not a room"),
        ("room:collaboration_1_organization_x", Invalid, "is not a room"),
    ],
)
def test_rows_that_cannot_be_meant(
    opened: World, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        ask.thing(text)
    assert message in str(refused.value)


# --- words


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (ask.operation, "veiw", "unknown operation 'veiw', did you mean view?"),
        (ask.operation, "", "unknown operation '': view, edit, create, delete"),
        (ask.resource, "VIEW", "unknown resource 'VIEW'"),
        (ask.moment, "tomorrow", "'tomorrow' is no date or time"),
        (ask.moment, "0001-01-01T00:00:00+23:00", "is no date or time"),
        (lambda text: ask.document(text, "it"), "[]", "it must be a JSON object"),
        (lambda text: ask.document(text, "it"), "[" * 10**6, "it is not valid JSON"),
        (lambda text: ask.document(text, "it"), "9" * 5000, "it is not valid JSON"),
    ],
)
def test_words_that_mean_nothing(
    opened: World, read: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(Invalid) as refused:
        read(text)
    assert message in str(refused.value)


def test_words_that_mean_something(opened: World) -> None:
    assert ask.operation("view") is Operation.VIEW
    assert ask.resource("node") is Resource.NODE
    assert ask.moment("2026-01-01").isoformat() == "2026-01-01T00:00:00+00:00"
    assert ask.moment("2026-01-01T01:00+02:00").hour == 23


def test_made_up_principals_may_have_roles_that_only_files_speak_of(opened: World) -> None:
    who = ask.made_up_principal({"roles": ["monitor"]}, None, {"role:monitor", "role:12"})
    assert who.roles == ("role:monitor",)
    with pytest.raises(Invalid, match=r"no role 'monitr', did you mean monitor\?"):
        ask.made_up_principal({"roles": ["monitr"]}, None, {"role:monitor"})
    with pytest.raises(Invalid, match="no role '12'"):
        ask.made_up_principal({"roles": ["12"]}, None, {"role:12"})
