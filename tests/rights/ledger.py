"""Who was given what, and what was taken away: kept by a test, in plain Python, from what it did.

What follows from it is said here once more in the words of the contract (tests/contract/rules.csv).
No table is read and no policy asked: what the server forgot to write, to read or to end shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Rule = tuple[str, str]
"""Resource and scope of a rule to view."""

VIEWER = frozenset({
    *(("user", "ORGANIZATION"), ("organization", "ORGANIZATION"), ("node", "ORGANIZATION")),
    *(("organization", "COLLABORATION"), ("collaboration", "ORGANIZATION")),
    ("role", "ORGANIZATION"),
})  # fmt: skip
RESOURCES = ("organization", "collaboration", "user", "role", "node")
RULES = (*sorted(VIEWER), *((resource, "GLOBAL") for resource in RESOURCES))


@dataclass
class Role:
    organization: int | None
    rules: set[Rule]


@dataclass
class Person:
    organization: int
    roles: set[int] = field(default_factory=set)
    rules: set[Rule] = field(default_factory=set)


@dataclass
class Computer:
    organization: int
    collaboration: int | None


@dataclass
class Session:
    """One login and its tokens."""

    kind: str
    account: int
    access: str
    refresh: str = ""
    ended: bool = False
    task: int = 0
    collaboration: int | None = None
    """Of a container: that of its task."""


@dataclass
class Ledger:
    """All of it."""

    members: dict[int, set[int]]
    organizations: set[int]
    roles: dict[int, Role]
    people: dict[int, Person]
    nodes: dict[int, Computer]
    killed: set[int] = field(default_factory=set)

    def is_in(self, session: Session) -> bool:
        """Whether a session still is one."""
        if session.kind == "user":
            return not session.ended and session.account in self.people
        node = self.nodes.get(session.account)
        if session.kind == "node":
            return node is not None and not session.ended
        there = node is not None and node.collaboration == session.collaboration
        return there and session.task not in self.killed

    def seen_by(self, session: Session, resource: str) -> set[int]:
        """The ids that a session may view."""
        found = self.by_rule(session, resource)
        if session.kind == "user":
            roles = self.people[session.account].roles
            found |= {"user": {session.account}, "role": roles}.get(resource, set())
        return found

    def by_rule(self, session: Session, resource: str) -> set[int]:
        """Those of them that are not only one's own account and roles."""
        if session.kind != "user":
            return self._seen_by_node(session, resource)
        person = self.people[session.account]
        held = set(person.rules).union(*(self.roles[role].rules for role in person.roles))
        scopes = {scope for name, scope in held if name == resource}
        return set[int]().union(*(self._within(resource, s, person) for s in scopes))

    def _within(self, resource: str, scope: str, person: Person) -> Iterable[int]:
        organization = person.organization
        if scope == "GLOBAL":
            return getattr(self, _TABLES[resource])
        if scope == "COLLABORATION":
            return self._partners(self._collaborations(organization)) | {organization}
        if resource == "organization":
            return {organization}
        if resource == "collaboration":
            return self._collaborations(organization)
        if resource == "role":
            return {
                id for id, one in self.roles.items() if one.organization in (None, organization)
            }
        rows = self.people if resource == "user" else self.nodes
        return {id for id, row in rows.items() if row.organization == organization}

    def _seen_by_node(self, session: Session, resource: str) -> set[int]:
        node = self.nodes[session.account]
        here = {node.collaboration} - {None}
        if resource == "organization":
            return self._partners(here) | {node.organization}
        if resource == "collaboration":
            return self._collaborations(node.organization) & here
        return {session.account} if resource == "node" else set()

    def _collaborations(self, organization: int) -> set[int]:
        return {id for id, members in self.members.items() if organization in members}

    def _partners(self, collaborations: Iterable[int | None]) -> set[int]:
        return set().union(*(self.members[id] for id in collaborations if id is not None))


_TABLES = {
    "organization": "organizations",
    "collaboration": "members",
    "user": "people",
    "role": "roles",
    "node": "nodes",
}
