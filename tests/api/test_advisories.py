"""The published advisories of the reference server do not reproduce here.

docs/security.md has the list, with the tests of other files for the rest.
"""

import base64
import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.world import IMAGE, PASSWORD
from v6srv import db
from v6srv.model import Rule, User

ROOT = Path(__file__).parents[2]
LONGEST_REFRESH_S = 48 * 3600

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_a_locked_account_answers_like_one_that_there_is_not(call, world):
    """CVE-2022-39228: who is locked out was told so, and so were strangers."""

    def guess(name):
        body = {"username": name, "password": "wrong"}
        answers = [call(None, "POST", "/token/user", json=body) for _ in range(8)]
        return [(one.status_code, one.json["msg"]) for one in answers]

    assert guess("viewer") == guess("nobody-of-this-name")


@pytest.mark.parametrize("who", ["root", "collab_admin"])
def test_nobody_moves_to_another_organization(call, world, app, who):
    """CVE-2023-22738: they kept their rights there."""
    body = {"organization_id": world.org.west}
    call(who, "PATCH", f"/user/{world.user.extra}", json=body)
    with app.app_context():
        assert db.session.get(User, world.user.extra).organization_id == world.org.north


def test_refresh_tokens_end(call, world):
    """CVE-2023-23929."""
    body = {"username": "viewer", "password": PASSWORD}
    token = call(None, "POST", "/token/user", json=body).json["refresh_token"]
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert 0 < claims["exp"] - claims["iat"] <= LONGEST_REFRESH_S


def test_nothing_that_is_sent_is_run_when_it_is_read(call, world, app):
    """CVE-2023-23930: inputs and results were pickles. The server hands them on as text."""
    unsafe = re.compile(r"^\s*(?:import|from) (?:pickle|marshal|shelve|dill|cloudpickle)\b", re.M)
    files = (ROOT / "v6srv").rglob("*.py")
    assert [file.name for file in files if unsafe.search(file.read_text())] == []


def test_who_may_view_a_collaboration_only_does_not_see_its_tasks(call, world, app):
    """CVE-2023-41882."""
    with app.app_context():
        keys = ("collaboration", "ORGANIZATION", "VIEW")
        user = db.session.get(User, world.user.nobody)
        user.rules = [db.session.get(Rule, world.rule[keys])]
        db.session.commit()
    place = f"/collaboration/{world.collab.registry}"
    assert call("nobody", "GET", place).status_code == 200
    assert call("nobody", "GET", f"{place}/task").status_code == 403


@pytest.mark.parametrize("name", ["parent_id", "parent", "run_id", "job_id", "initiator_id"])
def test_who_starts_a_task_cannot_say_that_it_is_a_subtask(call, world, app, name):
    """CVE-2023-47631: nodes let pass what has a parent."""
    task = {
        "name": "average",
        "image": IMAGE,
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.south, "input": "aW5wdXQ="}],
        name: world.task.running,
    }
    answer = call("researcher", "POST", "/task", json=task)
    assert answer.status_code in (201, 400)
    if answer.status_code == 201:
        assert answer.json["parent"] is None
        assert answer.json["initiator"] == world.org.north
        others = {one["run_id"] for one in call("root", "GET", "/task").json[:-1]}
        assert answer.json["run_id"] not in others - {answer.json["run_id"]}


def test_the_image_of_the_server_has_no_remote_shell(backend):
    """CVE-2024-21653. It is also not run by root."""
    told = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"ssh|EXPOSE\s+22|passwd", told)
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", told, re.M)


def test_who_edits_own_collaborations_does_not_take_in_strangers(call4, world, app):
    """CVE-2024-32969: a collaboration that grows brings rights over those who come in.

    All members at once are for those who edit every collaboration, and one by one only whom one
    may view.
    """
    with app.app_context():
        edit = select(Rule).where(Rule.name == "collaboration", Rule.operation == "EDIT")
        scoped = [rule for rule in db.session.scalars(edit) if rule.scope.name == "COLLABORATION"]
        db.session.get(User, world.user.viewer).rules = scoped
        db.session.commit()
    path = f"/collaboration/{world.collab.registry}"
    body = {"organization_ids": [world.org.north, world.org.south, world.org.east]}
    assert call4("viewer", "PATCH", path, json=body).status_code == 403
    added = call4("viewer", "POST", f"{path}/organization", json={"id": world.org.east})
    assert added.status_code == 404
    assert call4("viewer", "PATCH", path, json={"name": "renamed"}).status_code == 200


def test_a_line_keeps_collaborations_from_growing(call, call4, world, app):
    """CVE-2024-32969: the one that docs/security.md gives to who does not want it at all.

    Without it a member comes in that may be viewed, which is the contract; and root goes on.
    """
    page = (ROOT / "docs" / "security.md").read_text()
    [line] = re.findall(r"`p, (kind:user, collaboration, [^`]*deny)`", page)
    words = ("subject", "resource", "scope", "operation", "condition", "effect")
    fields = re.fullmatch(r"(\S+), (\w+), (\w+), (\w+), (.*), (\w+)", line).groups()
    with app.app_context():
        wanted = {("collaboration", "COLLABORATION", "EDIT"), ("organization", "GLOBAL", "VIEW")}
        rules = db.session.scalars(select(Rule)).all()
        held = [one for one in rules if (one.name, one.scope.name, one.operation.name) in wanted]
        assert len(held) == 2
        db.session.get(User, world.user.viewer).rules = held
        db.session.commit()
    path = f"/collaboration/{world.collab.registry}"

    def add(who, organization):
        return call4(who, "POST", f"{path}/organization", json={"id": organization}).status_code

    def rename(name):
        return call4("viewer", "PATCH", path, json={"name": name}).status_code

    assert add("viewer", world.org.east) in (200, 201)
    body = dict(zip(words, fields, strict=True))
    assert call("root", "POST", "/policy/line", json=body).status_code == 201
    assert add("viewer", world.org.west) == 403
    assert rename("again") == 200
    assert add("second_root", world.org.west) in (200, 201)
