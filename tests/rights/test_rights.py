"""Nobody ever gains a right that no line gives, and nobody keeps one that was taken away.

Accounts, sessions, roles and memberships come and go in any order through REST; after each step
sessions ask for what they may view, and a ledger (`tests/rights/ledger.py`) knows what they may.
`make soak` goes further (V6SRV_TEST_EXAMPLES).
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.databases import Databases
from tests.examples import examples
from tests.rights.ledger import RESOURCES, RULES, VIEWER, Computer, Ledger, Person, Role, Session
from tests.support import Caller, open_app
from tests.world import IMAGE, NODES, ORGANIZATIONS, ROLES, TASKS, USERS, World, api_key
from v6srv.identity import principals, sessions
from v6srv.identity.claims import Claims

EXAMPLES = examples(6)
ENOUGH = 100
"""Some find a fault, sooner or later: which are tried depends on the modules that are loaded."""

CLOSED = {"collaboration": {"container"}, "node": {"container"}}
"""Lists that the contract opens to other kinds only (tests/contract/routes.csv)."""

some = st.integers(0, 1000)
rules = st.lists(st.sampled_from(RULES), max_size=4, unique=True)


class Rights(RuleBasedStateMachine):
    """What administrators, people and nodes do."""

    databases: Databases

    @initialize()
    def begin(self) -> None:
        self.open = ExitStack()
        opened = open_app(self.databases, "sqlite", True, login_rate_limit="off")
        app, world = self.open.enter_context(opened)
        assert world is not None
        self.world, self.call = world, Caller(app)
        self.ledger = first_page(world)
        self.sessions: list[Session] = []
        self.passwords: dict[int, str] = {}
        self.count = self.steps = 0
        self.new_person(0, 0, [("organization", "GLOBAL")])

    def teardown(self) -> None:
        if hasattr(self, "open"):
            self.open.close()

    # --- what administrators do

    def root(self, method: str, path: str, **more: Any) -> Any:
        answer = self.call("second_root", method, path, **more)
        assert answer.status_code in (200, 201), answer.text
        return answer.json

    @rule(at=some, role=some, extra=rules)
    def new_person(self, at: int, role: int, extra: list[Any]) -> None:
        organization = pick(sorted(self.ledger.organizations), at)
        self.count += 1
        name, password = f"person-{self.count}", f"Fr3sh-Gr4pes-{self.count}!"
        body = {"username": name, "password": password, "firstname": "a", "lastname": "b"}
        roles = [pick(self.fitting(organization), role)] if role % 3 else []
        made = self.root(
            "POST",
            "/user",
            json={
                **body,
                "email": f"{name}@example.org",
                "organization_id": organization,
                "roles": roles,
                "rules": self.ids(extra),
            },
        )
        self.passwords[made["id"]] = password
        self.ledger.people[made["id"]] = Person(organization, set(roles), set(extra))
        self.log_in(len(self.passwords) - 1)

    @rule(who=some)
    def delete_person(self, who: int) -> None:
        if person := self.person(who):
            self.root("DELETE", f"/user/{person}")
            del self.ledger.people[person], self.passwords[person]

    @rule(who=some, role=some, keep=st.booleans())
    def change_roles(self, who: int, role: int, keep: bool) -> None:
        if person := self.person(who):
            known = self.ledger.people[person]
            roles = {pick(self.fitting(known.organization), role)} | (
                known.roles if keep else set()
            )
            roles = roles if role % 4 else set()
            self.root("PATCH", f"/user/{person}", json={"roles": sorted(roles)})
            known.roles = roles

    @rule(who=some, extra=rules)
    def change_rules(self, who: int, extra: list[Any]) -> None:
        if person := self.person(who):
            self.root("PATCH", f"/user/{person}", json={"rules": self.ids(extra)})
            self.ledger.people[person].rules = set(extra)

    @rule(at=some, held=rules)
    def new_role(self, at: int, held: list[Any]) -> None:
        organization = pick(sorted(self.ledger.organizations), at)
        body = {"name": f"role-{len(self.ledger.roles)}-{self.count}", "description": "d"}
        body |= {"organization_id": organization, "rules": self.ids(held)}
        made = self.root("POST", "/role", json=body)
        self.ledger.roles[made["id"]] = Role(organization, set(held))

    @rule(which=some, held=st.sampled_from(RULES), give=st.booleans())
    def change_role(self, which: int, held: Any, give: bool) -> None:
        id, role = pick(self.own_roles(), which)
        path = f"/role/{id}/rule/{self.world.rule[*held, 'VIEW']}"
        if give and held not in role.rules:
            self.root("POST", path)
            role.rules.add(held)
        elif not give and held in role.rules:
            self.root("DELETE", path)
            role.rules.discard(held)

    @rule(which=some, organization=some)
    def join_or_leave(self, which: int, organization: int) -> None:
        id, members = pick(sorted(self.ledger.members.items()), which)
        one = pick(sorted(self.ledger.organizations), organization)
        leaves = one in members
        path = f"/collaboration/{id}/organization"
        self.root("DELETE" if leaves else "POST", path, json={"id": one})
        members ^= {one}
        for node in self.ledger.nodes.values():
            if leaves and (node.organization, node.collaboration) == (one, id):
                node.collaboration = None

    @rule(which=some)
    def delete_node(self, which: int) -> None:
        if self.ledger.nodes and which % 3 == 0:
            id = pick(sorted(self.ledger.nodes), which)
            self.root("DELETE", f"/node/{id}")
            del self.ledger.nodes[id]

    @rule(which=some)
    def kill_task(self, which: int) -> None:
        tasks = {one.task for one in self.sessions if one.task} - self.ledger.killed
        if tasks:
            id = pick(sorted(tasks), which)
            self.root("POST", "/kill/task", json={"id": id})
            self.ledger.killed.add(id)

    # --- what people and nodes do

    @rule(who=some)
    def log_in(self, who: int) -> None:
        if person := self.person(who):
            self.enter(person)

    def enter(self, person: int) -> None:
        name = f"person-{self.passwords[person].split('-')[2].rstrip('!')}"
        body = {"username": name, "password": self.passwords[person]}
        told = self.open_session("/token/user", body)
        self.sessions.append(Session("user", person, *told))

    def open_session(self, path: str, body: dict[str, str]) -> tuple[str, str]:
        answer = self.call(None, "POST", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json["access_token"], answer.json["refresh_token"]

    @rule(which=some)
    def refresh(self, which: int) -> None:
        known = [one for one in self.sessions if one.refresh]
        session = pick(known, which)
        answer = self.as_(session.refresh, "POST", "/token/refresh")
        assert (answer.status_code == 200) == self.ledger.is_in(session), answer.text
        if answer.status_code == 200:
            session.access = answer.json["access_token"]
            session.refresh = answer.json["refresh_token"]

    @rule(which=some)
    def log_out(self, which: int) -> None:
        known = [one for one in self.sessions if one.kind != "container" and not one.ended]
        if known and which % 2:
            session = pick(known, which)
            answer = self.as_(session.access, "POST", "/token/logout")
            session.ended = answer.status_code == 200 or session.ended

    @rule(which=some, other=some)
    def end_one_session(self, which: int, other: int) -> None:
        """Those that are listed are those that are good; one ends, of whoever asks or another."""
        known = [one for one in self.sessions if one.kind == "user" and self.ledger.is_in(one)]
        if not known:
            return
        session = pick(known, which)
        path = f"/user/{session.account}/session"
        listed = self.as_(session.access, "GET", path)
        assert listed.status_code == 200, listed.text
        mine = {sid(one): one for one in known if one.account == session.account}
        assert {one["id"] for one in listed.json} == set(mine), "a session that nobody knows of"
        name = pick(sorted(mine), other)
        answer = self.as_(session.access, "DELETE", f"{path}/{name}")
        assert answer.status_code == 200, answer.text
        mine[name].ended = True

    @rule(which=some)
    def change_password(self, which: int) -> None:
        known = [one for one in self.sessions if one.kind == "user" and self.ledger.is_in(one)]
        if known:
            session = pick(known, which)
            self.enter(session.account)  # somewhere else, too
            old = self.passwords[session.account]
            new = old[:-1] + "!!" if len(old) < 40 else old.replace("!!", "!")
            body = {"current_password": old, "new_password": new}
            answer = self.as_(session.access, "PATCH", "/password/change", json=body)
            assert answer.status_code == 200, answer.text
            self.passwords[session.account] = new
            for other in self.sessions:
                same = (other.kind, other.account) == ("user", session.account)
                other.ended |= same and other is not session

    @rule(name=st.sampled_from(sorted(NODES)))
    def node_logs_in(self, name: str) -> None:
        id = getattr(self.world.node, name)
        if id in self.ledger.nodes:
            told = self.open_session("/token/node", {"api_key": api_key(name)})
            self.sessions.append(Session("node", id, *told))

    @rule(which=some, task=st.sampled_from(["running", "waiting"]))
    def container_begins(self, which: int, task: str) -> None:
        known = [one for one in self.sessions if one.kind == "node" and self.ledger.is_in(one)]
        if not known:
            return
        node = pick(known, which)
        id, collaboration = getattr(self.world.task, task), TASKS[task][0]
        body = {"task_id": id, "image": IMAGE}
        answer = self.as_(node.access, "POST", "/token/container", json=body)
        if answer.status_code == 200:
            place = getattr(self.world.collab, collaboration)
            one = Session("container", node.account, answer.json["container_token"])
            one.task, one.collaboration = id, place
            assert self.ledger.is_in(one), "a token for what is over, or not the node's"
            self.sessions.append(one)

    # --- what they may

    @invariant()
    def they_see_what_they_may(self) -> None:
        """One session that is over, if there is one, and one that is not."""
        if not hasattr(self, "sessions"):
            return
        self.steps += 1
        over = [one for one in self.sessions if not self.ledger.is_in(one)]
        there = [one for one in self.sessions if self.ledger.is_in(one)]
        for those in (over, there):
            if those:
                # Now the newest, now another one; all resources and ids come in turn.
                session = those[-1 - (self.steps * 5 if self.steps % 2 else 0) % len(those)]
                self.ask(session, RESOURCES[self.steps % 5], 1 + self.steps * 7 % 30)

    def ask(self, session: Session, resource: str, id: int) -> None:
        listed = self.as_(session.access, "GET", f"/{resource}", query_string={"per_page": 200})
        one = self.as_(session.access, "GET", f"/{resource}/{id}")
        told = f"{session.kind} {session.account}: {resource} {id}: {one.text[:200]}"
        if not self.ledger.is_in(session):
            assert (listed.status_code, one.status_code) == (401, 401), told
            return
        seen = self.ledger.seen_by(session, resource)
        if listed.status_code == 200:
            found = {row["id"] for row in listed.json}
            assert found == seen, f"{told}: gained {found - seen}, lost {seen - found}"
        else:  # lists are for who has a rule, whatever is one's own; some are not for all kinds
            assert listed.status_code == 403, told
            assert session.kind in CLOSED.get(resource, ()) or not self.ledger.by_rule(
                session, resource
            ), f"{told}: lost {seen}"
        assert (one.status_code == 200) == (id in seen), told

    # --- helpers

    def as_(self, token: str, method: str, path: str, **more: Any) -> Any:
        header = {"Authorization": f"Bearer {token}"}
        return self.call.client.open(f"/api{path}", method=method, headers=header, **more)

    def person(self, which: int) -> int | None:
        return pick(sorted(self.passwords), which) if self.passwords else None

    def fitting(self, organization: int) -> list[int]:
        """Roles that people of an organization may have, and that the ledger knows all of."""
        known = [id for id, role in self.own_roles() if role.organization == organization]
        return [*known, self.world.role.viewer]

    def own_roles(self) -> list[tuple[int, Role]]:
        return [(id, r) for id, r in sorted(self.ledger.roles.items()) if r.organization]

    def ids(self, held: list[Any]) -> list[int]:
        return [self.world.rule[*one, "VIEW"] for one in held]


def sid(session: Session) -> str:
    """What the server calls a session."""
    said: str = jwt.decode(session.access, options={"verify_signature": False})["sid"]
    return said


def pick(found: Any, which: int) -> Any:
    return found[which % len(found)]


def first_page(world: World) -> Ledger:
    """What tests/world.py begins with; people who are there are only looked at."""
    from tests.world import COLLABORATIONS

    organization = vars(world.org)
    defaults = {id for name, id in vars(world.role).items() if name not in ROLES}
    roles = {id: Role(None, set()) for id in defaults}
    roles[world.role.viewer].rules = set(VIEWER)
    for name, (where, held) in ROLES.items():
        mine = {(resource, scope) for resource, scope, do in held if do == "VIEW"}
        roles[getattr(world.role, name)] = Role(organization[where], mine)
    people = {getattr(world.user, name): Person(organization[w]) for name, (w, _) in USERS.items()}
    people[world.user.root] = Person(world.org.root)
    assert set(ORGANIZATIONS) < set(organization)
    return Ledger(
        members={
            getattr(world.collab, name): {organization[one] for one in members}
            for name, members in COLLABORATIONS.items()
        },
        organizations=set(organization.values()),
        roles=roles,
        people=people,
        nodes={
            getattr(world.node, name): Computer(organization[o], getattr(world.collab, c))
            for name, (o, c, _) in NODES.items()
        },
    )


def explore(databases: Databases, most: int = EXAMPLES) -> None:
    Rights.databases = databases
    run_state_machine_as_test(
        Rights,
        settings=settings(
            max_examples=most,
            stateful_step_count=40,
            deadline=None,
            derandomize="V6SRV_TEST_EXAMPLES" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            phases=[Phase.generate, Phase.shrink] if EXAMPLES > 20 else [Phase.generate],
        ),
    )


def test_nobody_gains_and_nobody_keeps(databases: Databases) -> None:
    explore(databases)


FAULTS: dict[str, tuple[object, str, Callable[[Any], Callable[..., Any]]]] = {
    "one session does not end": (sessions, "end_one", lambda _: lambda *_: None),
    "tokens never end": (Claims, "honoured", lambda _: lambda *_: True),
    "everybody is a viewer": (
        principals,
        "_known_user",
        lambda real: lambda id, row, *more: real(id, _viewer_too(row), *more),
    ),
}


class _viewer_too:
    """A row of an account that has the role Viewer as well."""

    def __init__(self, row: Any) -> None:
        self._row = row
        self.roles = [*row.roles, [0, "viewer"]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    where, name, broken = FAULTS[fault]
    monkeypatch.setattr(where, name, broken(getattr(where, name)))
    with pytest.raises(AssertionError, match=r"gained|401|nobody knows of"):
        explore(databases, ENOUGH)  # the first that finds it is the last
