"""The first property: every row that a request changed is one that its caller may change so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.unit_of_work.changes import Change, changes, unspeakable
from tests.unit_of_work.lines import Policy
from tests.unit_of_work.sockets import PING
from tests.unit_of_work.state import State, Who


@dataclass(frozen=True)
class Request:
    """What somebody asks of the server."""

    who: tuple[str, int, int | None]
    """Kind, account, and the task of a container."""
    route: str
    """Method and path, with the names of ids."""
    ids: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    odd: bool = False
    """Something in the body is of no use, and made so."""

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        path = self.route.partition(" ")[2]
        for name, id in self.ids.items():
            path = path.replace(f"{{{name}}}", str(id))
        return path


@dataclass(frozen=True)
class Judge:
    """What one caller may do by one policy, with what was and what is."""

    policy: Policy
    who: Who
    request: Request
    before: State
    after: State

    def refusals(self) -> list[str]:
        """What differs and may not; empty when all of it may."""
        found = [f"the table {table}" for table in unspeakable(self.before, self.after)]
        for change in changes(self.before, self.after):
            if not self._covered(change) and not self._may(change):
                found.append(str(change))
        return found

    def _may(self, change: Change) -> bool:
        """A new row as it stands, one that is gone as it was, one that differs both ways."""
        if change.operation == "create":
            return self._allowed("create", change, self.after)
        if change.operation == "delete":
            return self._allowed("delete", change, self.before)
        states = (self.before, self.after)
        return all(self._allowed("edit", change, state) for state in states)

    def _allowed(self, operation: str, change: Change, state: State) -> bool:
        facts = state.facts(change.resource, change.id)
        return self.policy.allows(self.who, operation, facts, change.fields)

    # --- what another decision covers, each with its reason

    def _covered(self, change: Change) -> bool:
        """Whether a decision on another row allows this change; takes out the fields it covers."""
        if self._goes_with_its_owner(change) or self._comes_with_its_task(change):
            return True
        for covers in (
            self._author_is_gone,
            self._is_stopped,
            self._node_moves,
            self._rule_leaves,
            self._is_there,
        ):
            covered = covers(change)
            if covered and covered >= change.fields:
                return True
            change.fields -= covered
        return False

    def _goes_with_its_owner(self, change: Change) -> bool:
        """Subtasks and results are nothing without their task, ports nothing without their result:
        who may delete the one deletes the others.
        """
        owner = {"task": ("task", "parent_id"), "result": ("task", "task_id")}
        owner |= {"port": ("result", "result_id")}
        if change.operation != "delete" or change.resource not in owner:
            return False
        table, column = owner[change.resource]
        row = self.before.row(change.resource, change.id)
        assert row is not None
        id = row[column]
        return self.before.row(table, id) is not None and self.after.row(table, id) is None

    def _comes_with_its_task(self, change: Change) -> bool:
        """Who may create a task gives each of its organizations a run (ServerWrite.PARTS)."""
        if (change.resource, change.operation) != ("result", "create"):
            return False
        row = self.after.row("result", change.id)
        assert row is not None
        return self.before.row("task", row["task_id"]) is None

    def _author_is_gone(self, change: Change) -> set[str]:
        """Tasks stay when their author is deleted; they no longer name anybody."""
        if (change.resource, change.operation) != ("task", "edit"):
            return set()
        row = self.before.row("task", change.id)
        assert row is not None
        return {"init_user_id"} if self.after.row("user", row["init_user_id"]) is None else set()

    def _is_stopped(self, change: Change) -> set[str]:
        """Who may stop a task ends what still runs of it and its subtasks (ServerWrite.KILL)."""
        if self.request.route != "POST /kill/task" or change.resource != "result":
            return set()
        old, new = (state.row("result", change.id) for state in (self.before, self.after))
        assert old is not None
        assert new is not None
        assert self.request.body is not None
        task = int(self.request.body["id"])
        ended = old["finished_at"] is None and new["status"] == "killed by user"
        if not ended or old["task_id"] not in self.before.tree(task):
            return set()
        facts = self.before.facts("task", task, "event")
        may = self.policy.allows(self.who, "create", facts)
        return {"status", "finished_at"} if may else set()

    def _node_moves(self, change: Change) -> set[str]:
        """A node leaves with its organization (Cover.MEMBERS), and goes where those that may edit
        both collaborations put it (Cover.COLLABORATIONS), unless a line denies it.
        """
        if (change.resource, change.operation) != ("node", "edit"):
            return set()
        old, new = (state.row("node", change.id) for state in (self.before, self.after))
        assert old is not None
        assert new is not None
        there, here = old["collaboration_id"], new["collaboration_id"]
        left = self.before.members_of(there) - self.after.members_of(there)
        states = (self.before, self.after)
        denied = any(
            self.policy.denies(self.who, "edit", state.facts("node", change.id), change.fields)
            for state in states
        )
        if here is None and old["organization_id"] in left:
            return set() if denied else {"collaboration_id"}
        if "/collaboration/{id}/node" not in self.request.route:
            return set()
        touched = [self.before.facts("collaboration", id) for id in (there, here) if id is not None]
        may = all(self.policy.allows(self.who, "edit", facts) for facts in touched)
        return {"collaboration_id"} if may and not denied else set()

    def _is_there(self, change: Change) -> set[str]:
        """Who is heard is online; that is for nobody to allow (ServerWrite.PRESENCE)."""
        own = (change.resource, change.id) == (self.who.kind, self.who.account)
        return {"status", "last_seen"} if own and self.request.route == PING else set()

    def _rule_leaves(self, change: Change) -> set[str]:
        """To take one rule out of a role asks for `delete` of the role (rest.md 3.9)."""
        if self.request.route != "DELETE /role/{id}/rule/{rule_id}" or change.resource != "role":
            return set()
        states = (self.before, self.after)
        may = all(self._allowed("delete", change, state) for state in states)
        return {"rules"} if may else set()
