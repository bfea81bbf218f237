"""A right that is taken away is gone, whatever else is broken.

The live policy holds no grant but those of the last valid files and of the database as it is now.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, insert
from sqlalchemy.exc import OperationalError

from tests.examples import examples
from tests.policy_edits import look, take_up
from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.authz.principal import Principal
from v6srv.authz.source import live as live_module
from v6srv.authz.source.live import PolicyStore
from v6srv.model import CasbinRule, PolicyRevision, RoleRule
from v6srv.vocabulary import Operation, PrincipalKind, Resource

NAMES = ("v0", "v1", "v2", "v3", "v4", "v5")


@pytest.fixture
def store(app: Flask, tmp_path: Path) -> PolicyStore:
    """The store of the application, over a copy of the policies that a test may edit."""
    found: PolicyStore = app.extensions["authz"].store
    for path in found.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    found.folder = tmp_path
    with app.app_context():
        assert take_up(found)
    return found


def _raise_revision() -> None:
    db.session.get_one(PolicyRevision, 1).lines += 1
    db.session.commit()


def _give(role: int, rule: int) -> None:
    db.session.execute(insert(RoleRule).values(role_id=role, rule_id=rule))


def _take(role: int) -> None:
    db.session.execute(delete(RoleRule).where(RoleRule.c.role_id == role))


def test_a_role_that_files_speak_of_may_lose_its_last_rule(
    app: Flask, world: World, call: Caller, store: PolicyStore
) -> None:
    role, who = world.role.empty, _principal("role:viewer")
    with app.app_context():
        _give(role, world.rule["node", "GLOBAL", "DELETE"])
        _raise_revision()
    (store.folder / "local.csv").write_text(f"g, role:viewer, role:{role}\n")
    with app.app_context():
        assert look(store), store.problem
    assert _may(store, who, Resource.NODE, Operation.DELETE)
    assert call("root", "PATCH", f"/role/{role}", json={"rules": []}).status_code == 200
    assert call("viewer", "GET", "/role").status_code == 200
    assert not _may(store, who, Resource.NODE, Operation.DELETE)
    assert store.problem is None


def test_what_cannot_go_live_keeps_nothing_else_alive(
    app: Flask, world: World, call: Caller, store: PolicyStore
) -> None:
    """One role would let strangers in; meanwhile another one loses a rule, and a line denies."""
    dangerous, other = world.role.empty, world.role.helpers
    viewer = {"v0": "role:viewer", "v2": "global", "v4": "True"}
    with app.app_context():
        db.session.add(CasbinRule(ptype="g", v0="kind:user", v1=f"role:{dangerous}"))
        db.session.add(CasbinRule(ptype="g", v0="role:viewer", v1=f"role:{other}"))
        _take(other)
        _give(other, world.rule["collaboration", "GLOBAL", "DELETE"])
        _raise_revision()
    call("root", "GET", "/rule")
    who = _principal("role:viewer")
    assert _may(store, who, Resource.COLLABORATION, Operation.DELETE)
    with app.app_context():
        _give(dangerous, world.rule["task", "GLOBAL", "VIEW"])
        _take(other)
        db.session.add(CasbinRule(ptype="p", v1="task", v3="view", v5="deny", **viewer))
        _raise_revision()
    assert call("viewer", "GET", "/task").status_code == 403
    assert "everybody may view every task" in (store.problem or "")
    assert not _may(store, who, Resource.COLLABORATION, Operation.DELETE)
    assert not _may(store, _principal(), Resource.TASK, Operation.VIEW)


def test_a_revocation_between_two_reads_is_not_passed_over(
    app: Flask, world: World, call: Caller, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits after this one has read the lines, and before anything else."""
    role = world.role.empty
    with app.app_context():
        _give(role, world.rule["collaboration", "GLOBAL", "DELETE"])
        _raise_revision()
    read, late = live_module.stored, []

    def read_and_revoke() -> Any:
        lines = read()
        if not late:
            late.append(True)
            db.session.rollback()
            _take(role)
            _raise_revision()
        return lines

    monkeypatch.setattr(live_module, "stored", read_and_revoke)
    with app.app_context():
        assert take_up(store)
    assert call("root", "GET", "/rule").status_code == 200
    assert not _may(store, _principal(f"role:{role}"), Resource.COLLABORATION, Operation.DELETE)


def test_an_edit_that_meets_a_failing_database_is_not_forgotten(
    app: Flask, world: World, call: Caller, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = store.folder / "shadow"
    shadow.mkdir()
    for path in store.folder.glob("*.*"):
        (shadow / path.name).write_bytes(path.read_bytes())
    denial = "p, role:viewer, task, global, view, True, deny\n"
    (store.folder / "local.csv").write_text(denial)

    def away() -> Any:
        raise OperationalError("SELECT", {}, Exception("the database is away"))

    with app.app_context():
        with monkeypatch.context() as broken:
            broken.setattr(live_module, "stored", away)
            for _ in range(2):
                with pytest.raises(OperationalError):
                    look(store)
        assert look(store)
    assert call("viewer", "GET", "/task").status_code == 403
    assert store.shadow is not None


# --- any sequence of edits, changes and failures


def _principal(*roles: str) -> Principal:
    return Principal(PrincipalKind.USER, 99_999, 99_999, roles=roles)


def _may(store: PolicyStore, who: Principal, resource: Resource, operation: Operation) -> bool:
    return store.live.plan(who.facts, resource, operation).always


ASKED = [(Resource.COLLABORATION, Operation.DELETE), (Resource.NODE, Operation.DELETE)]
"""Nobody but root holds these by the files that are shipped."""


class _Model:
    """What the test has done, and so what may be granted."""

    def __init__(self, world: World, store: PolicyStore, chance: random.Random) -> None:
        self.store, self.chance = store, chance
        self.roles = [world.role.empty, world.role.helpers]
        self.rules = {
            question: world.rule[question[0].value, "GLOBAL", question[1].name]
            for question in ASKED
        }
        self.files: set[tuple[str, ...]] = set()
        """Lines of the last valid files beside the shipped ones."""
        self.held: dict[int, set[tuple[Resource, Operation]]] = {role: set() for role in self.roles}
        self.added: set[tuple[str, ...]] = set()

    def edit_files(self) -> None:
        path = self.store.folder / "local.csv"
        kind = self.chance.choice(["valid", "valid", "invalid", "vanish"])
        lines = {self._line() for _ in range(self.chance.randrange(4))}
        text = "".join(", ".join(line) + "\n" for line in lines)
        if kind == "invalid":
            path.write_text(text + "p, role:viewer, tsak, global, view, True, deny\n")
        elif kind == "valid":
            path.write_text(text)
            self.files = lines
        else:
            path.unlink(missing_ok=True)
            self.files = set()

    def change_roles(self) -> None:
        role = self.chance.choice(self.roles)
        self.held[role] = {question for question in ASKED if self.chance.random() < 0.4}
        _take(role)
        for question in sorted(self.held[role]):
            _give(role, self.rules[question])
        _raise_revision()

    def change_lines(self) -> None:
        db.session.execute(delete(CasbinRule))
        self.added = {self._line() for _ in range(self.chance.randrange(3))}
        rows = [*self.added, *([("p", "viewer", "task")] if self.chance.random() < 0.3 else [])]
        for ptype, *values in rows:
            named = dict(zip(NAMES, values, strict=False))
            db.session.add(CasbinRule(ptype=ptype, **named))
        _raise_revision()

    def _line(self) -> tuple[str, ...]:
        role = f"role:{self.chance.choice(self.roles)}"
        if self.chance.random() < 0.4:
            member = self.chance.choice(["role:viewer", "role:viewer", "kind:user"])
            return ("g", member, role)
        resource, operation = self.chance.choice(ASKED)
        # Denials are about viewers only: one that locked root out would not go live.
        subject, effect = self.chance.choice(
            [(role, "allow"), ("role:viewer", "allow"), ("role:viewer", "deny")]
        )
        return ("p", subject, resource.value, "global", operation.value, "True", effect)

    def granted(self, who: Principal, question: tuple[Resource, Operation]) -> bool:
        """The most that `who` may be allowed: some line grants it, and no line denies it."""
        lines = self.files | self.added
        names, before = {*who.roles, "kind:user"}, -1
        while len(names) != before:
            before = len(names)
            names |= {line[2] for line in lines if line[0] == "g" and line[1] in names}
        wanted = (question[0].value, "global", question[1].value, "True")
        effects = {line[-1] for line in lines if line[1] in names and line[2:6] == wanted}
        by_role = any(f"role:{role}" in names and question in self.held[role] for role in self.held)
        return (by_role or "allow" in effects) and "deny" not in effects


@pytest.mark.parametrize("seed", range(examples(2)))
def test_nothing_is_granted_but_by_valid_files_and_the_database_of_now(
    app: Flask, world: World, store: PolicyStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    model = _Model(world, store, chance)
    people = [_principal(), _principal("role:viewer"), *map(_principal, _names(model.roles))]
    seen = 0
    with app.app_context():
        model.change_roles()
        _settle(store)
        for step in range(25):
            chance.choice([model.edit_files, model.change_roles, model.change_lines])()
            if chance.random() < 0.4:
                _interrupt(store, monkeypatch, chance)
            _settle(store)
            for who in people:
                for question in ASKED:
                    allowed, most = _may(store, who, *question), model.granted(who, question)
                    where = (step, who.roles, question, store.problem)
                    assert allowed <= most, where
                    assert allowed == most or store.problem is not None, where
                    seen += allowed
    assert seen, "no decision of this run allowed anything"


def _names(roles: list[int]) -> list[str]:
    return [f"role:{role}" for role in roles]


def _settle(store: PolicyStore) -> None:
    """What a loop and a request do, with nothing in their way."""
    look(store)
    store.follow(_revision())
    db.session.rollback()


def _revision() -> int:
    return db.session.get_one(PolicyRevision, 1, populate_existing=True).lines


def _interrupt(store: PolicyStore, monkeypatch: pytest.MonkeyPatch, chance: random.Random) -> None:
    """The same, while something fails that the store asks for."""
    failures: list[tuple[Any, str, Callable[..., Any]]] = [
        (live_module, "stored", _database_fails),
        (live_module, "current_revision", _database_fails),
        (live_module, "read_texts", _disk_fails),
        (PolicyStore, "_build_shadow", _database_fails),
    ]
    revision = _revision()
    with monkeypatch.context() as broken:
        broken.setattr(*chance.choice(failures))
        for attempt in (lambda: look(store), lambda: store.follow(revision)):
            try:
                attempt()
            except (OperationalError, OSError):
                db.session.rollback()


def _database_fails(*_: Any) -> Any:
    raise OperationalError("SELECT", {}, Exception("the database is away"))


def _disk_fails(*_: Any) -> Any:
    raise OSError("the disk is away")
