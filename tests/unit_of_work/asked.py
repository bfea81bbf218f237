"""The state that a request asks for: what would be stored if everything were allowed.

Only as much of it as policies can tell. `Unclear` where the order in which the server looks at
things decides what is answered, or where a request asks for nothing that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit_of_work.requests import WORDS
from tests.unit_of_work.sound import Request
from tests.unit_of_work.state import PAIRS, TABLES, Row, State, Who

_EDITS = {
    "organization": ("name", "domain", "address1", "zipcode", "country"),
    "collaboration": ("name", "encrypted"),
    "user": ("username", "firstname", "lastname", "email"),
    "role": ("name", "description"),
    "result": ("started_at", "finished_at", "status", "result", "log"),
}
"""Fields of bodies that are columns."""


class Unclear(Exception):
    """What is asked for cannot be told from the request alone."""


def asked(request: Request, who: Who, before: State) -> State:
    """The state after the request, if all of it is done. Raises Unclear."""
    draft = Draft(request, who, before)
    draft.make()
    return draft.state


class Draft:
    """A state on its way to what a request asks for."""

    def __init__(self, request: Request, who: Who, before: State) -> None:
        self.request, self.who, self.before = request, who, before
        self.state = before.copy()
        self.body: dict[str, Any] = request.body or {}
        self.id = request.ids.get("id", 0)
        self.resource = request.path.split("/")[1]

    def make(self) -> None:
        """Change the state. Raises Unclear."""
        if self.request.odd:
            self._odd()
            return
        if "{id}" in self.request.route:
            self.row(self.resource, self.id)
        _STEPS.get(self.request.route, Draft._by_method)(self)

    def row(self, resource: str, id: int) -> Row:
        """A row to be changed. Raises Unclear when there is none."""
        found = self.state.tables[TABLES[resource]].get((id,))
        if found is None:
            raise Unclear(f"there is no {resource} {id}")
        return found

    def add(self, resource: str, row: Row) -> int:
        """A new row, with the id that it will have."""
        id = self.state.next_id[resource]
        table = self.state.tables[TABLES[resource]]
        columns = dict.fromkeys(column for one in table.values() for column in one)
        table[id,] = {**columns, **row, "id": id}
        if resource in ("user", "node"):
            self.state.tables["authenticatable"][id,] = {"id": id, "status": None}
        return id

    def pairs(self, table: str, owner: str, id: int, others: list[int]) -> None:
        """Replace what belongs to a row in an association table; `owner` is the column of its id."""
        rows = self.state.tables[table]
        for key in [key for key, row in rows.items() if row[owner] == id]:
            del rows[key]
        [other] = set(PAIRS[table]) - {owner}
        for one in others:
            row = {owner: id, other: one}
            rows[tuple(row[column] for column in PAIRS[table])] = row

    # --- steps

    def _odd(self) -> None:
        """Who is refused a body of no use is refused every change: also none."""
        if self.request.method != "PATCH":
            raise Unclear("nothing that could be made")
        if "{id}" in self.request.route:
            self.row(self.resource, self.id)

    def _by_method(self) -> None:
        if self.request.method == "DELETE":
            self._delete()
        elif self.request.method == "PATCH":
            self._edit()

    def _edit(self) -> None:
        row = self.row(self.resource, self.id)
        row |= {name: self.body[name] for name in _EDITS[self.resource] if name in self.body}

    def _delete(self) -> None:
        del self.state.tables[TABLES[self.resource]][self.id,]
        if self.resource == "task":
            for id in self.before.tree(self.id):
                self.state.tables["task"].pop((id,), None)
            self._drop("result", "task_id", "task")
            self._drop("port", "result_id", "result")

    def _drop(self, resource: str, column: str, owner: str) -> None:
        rows = self.state.tables[TABLES[resource]]
        for key in [key for key, row in rows.items() if self.state.row(owner, row[column]) is None]:
            del rows[key]

    def _new_organization(self) -> None:
        words = dict.fromkeys(_EDITS["organization"], "")
        self.add("organization", {**words, "_public_key": None, **self._without_key()})

    def _edit_organization(self) -> None:
        self._edit()
        if "public_key" in self.body:
            row = self.row("organization", self.id)
            row["_public_key"] = self.body["public_key"] or None

    def _without_key(self) -> Row:
        return {name: value for name, value in self.body.items() if name != "public_key"}

    def _new_collaboration(self) -> None:
        if not self.body.get("organization_ids"):
            raise Unclear("a collaboration of nobody")
        row = {"name": self.body["name"], "encrypted": bool(self.body.get("encrypted"))}
        self._members(self.add("collaboration", row), self.body["organization_ids"])

    def _edit_collaboration(self) -> None:
        self._edit()
        if "organization_ids" in self.body:
            self._members(self.id, self.body["organization_ids"])

    def _add_member(self) -> None:
        self._members(self.id, [*self.state.members_of(self.id), self.body["id"]])

    def _remove_member(self) -> None:
        members = self.state.members_of(self.id)
        self._members(self.id, [one for one in members if one != self.body["id"]])

    def _members(self, collaboration: int, organizations: list[int]) -> None:
        for one in organizations:
            self.row("organization", one)
        left = self.state.members_of(collaboration) - set(organizations)
        self.pairs("Member", "collaboration_id", collaboration, organizations)
        for row in self.state.tables["node"].values():
            if row["collaboration_id"] == collaboration and row["organization_id"] in left:
                row["collaboration_id"] = None

    def _put_node(self) -> None:
        node = self.row("node", self.body["id"])
        if node["collaboration_id"] == self.id:
            raise Unclear("a node that is there")
        self._require_room(node["organization_id"], self.id, node["id"])
        node["collaboration_id"] = self.id

    def _take_node(self) -> None:
        node = self.row("node", self.body["id"])
        if node["collaboration_id"] != self.id:
            raise Unclear("a node that is not there")
        node["collaboration_id"] = None

    def _new_node(self) -> None:
        organization = self.body.get("organization_id", self.who.org)
        collaboration = self.body["collaboration_id"]
        self._require_room(organization, collaboration, 0)
        self.add("node", {"organization_id": organization, "collaboration_id": collaboration})

    def _edit_node(self) -> None:
        node = self.row("node", self.id)
        node["name"] = self.body.get("name", node["name"])
        account = self.state.tables["authenticatable"][self.id,]
        if "ip" in self.body or "clear_ip" in self.body:
            account["ip"] = self.body.get("ip")
        place = {
            name: self.body.get(name, node[name])
            for name in ("organization_id", "collaboration_id")
        }
        if place != {name: node[name] for name in place}:
            self._require_room(place["organization_id"], place["collaboration_id"], self.id)
            node |= place

    def _require_room(self, organization: int | None, collaboration: int, node: int) -> None:
        """Raises Unclear where a node cannot be: what is answered depends on what may be seen."""
        place = (organization, collaboration)
        taken = any(
            (row["organization_id"], row["collaboration_id"]) == place and row["id"] != node
            for row in self.state.tables["node"].values()
        )
        if organization not in self.state.members_of(collaboration) or taken:
            raise Unclear("no place for a node")

    def _renew_key(self) -> None:
        self.row("node", self.body["id"])["key_digest"] = "another"

    def _new_user(self) -> None:
        organization = self.body.get("organization_id", self.who.org)
        self.row("organization", organization)
        names = {name: self.body[name] for name in _EDITS["user"]}
        user = self.add("user", {**names, "organization_id": organization})
        self._rights(user)

    def _edit_user(self) -> None:
        self._edit()
        self._rights(self.id)

    def _rights(self, user: int) -> None:
        for id in self.body.get("rules", ()):
            self._require_rule(id)
        for id in self.body.get("roles", ()):
            self.row("role", id)
        if "roles" in self.body:
            self.pairs("Permission", "user_id", user, self.body["roles"])
        if "rules" in self.body:
            self.pairs("UserPermission", "user_id", user, self.body["rules"])

    def _end_sessions(self) -> None:
        self.state.tables["authenticatable"][self.id,]["token_version"] += 1

    def _end_session(self) -> None:
        """Whether it is there makes no difference to who may end it."""
        row = self.state.tables["login_session"].get((self.request.ids["name"],))
        if row is not None and row["account_id"] == self.id:
            row["ended"] = not row["ended"]
        else:
            self._end_sessions()

    def _add_mail(self) -> None:
        table = self.state.tables["notification"]
        if not any(row["user_id"] == self.id for row in table.values()):
            new = max((id for (id,) in table), default=0) + 1
            table[new,] = {"id": new, "user_id": self.id, "url": None}

    def _remove_notification(self) -> None:
        row = self.state.tables["notification"].get((self.request.ids["number"],))
        if row is None or row["user_id"] != self.id:
            raise Unclear("there is no such notification")
        del self.state.tables["notification"][row["id"],]

    def _new_role(self) -> None:
        organization = self.body.get("organization_id", self.who.org)
        self.row("organization", organization)
        names = {name: self.body[name] for name in _EDITS["role"]}
        role = self.add("role", {**names, "organization_id": organization})
        self._set_rules(role, self.body.get("rules", []))

    def _edit_role(self) -> None:
        self._edit()
        if "rules" in self.body:
            self._set_rules(self.id, self.body["rules"])

    def _add_rule(self) -> None:
        rule = self.request.ids["rule_id"]
        self._set_rules(self.id, [*self.state.rules_in(self.id) | {rule}])

    def _remove_rule(self) -> None:
        rule = self.request.ids["rule_id"]
        self._set_rules(self.id, [*self.state.rules_in(self.id) - {rule}])

    def _set_rules(self, role: int, rules: list[int]) -> None:
        for id in rules:
            self._require_rule(id)
        self.pairs("role_rule_association", "role_id", role, rules)

    def _require_rule(self, id: int) -> None:
        if (id,) not in self.state.tables["rule"]:
            raise Unclear(f"there is no rule {id}")

    def _new_task(self) -> None:
        collaboration = self.body["collaboration_id"]
        self.row("collaboration", collaboration)
        parent = self.row("task", self.who.task) if self.who.task else None
        self.add(
            "task",
            {
                "image": self.body["image"],
                "database": self.body["database"],
                "collaboration_id": collaboration,
                "initiator_id": self.who.org,
                "run_id": parent["run_id"] if parent else 10**6,
                "parent_id": self.who.task,
                "init_user_id": parent["init_user_id"] if parent else self.who.account,
            },
        )

    def _edit_result(self) -> None:
        row = self.row("result", self.id)
        status = self.body.get("status")
        if row["finished_at"] is None:
            self._edit()
            if status == "killed by user" and "finished_at" not in self.body:
                row["finished_at"] = "now"
        elif status == row["status"] == "killed by user" and row["log"] is None:
            row["log"] = self.body.get("log")

    def _new_port(self) -> None:
        self.row("result", self.body["result_id"])
        self.add("port", self.body)

    def _no_ports(self) -> None:
        assert self.request.query is not None
        result = self.request.query["result_id"]
        self.row("result", result)
        rows = self.state.tables["algorithmport"]
        for key in [key for key, row in rows.items() if row["result_id"] == result]:
            del rows[key]

    def _kill(self) -> None:
        """Whether anything still runs makes no difference to who may stop it."""
        self.row(self.request.path.split("/")[2], self.body["id"])

    def _new_line(self) -> None:
        words = {f"v{number}": self.body[word] for number, word in enumerate(WORDS)}
        self.add("policy", {"ptype": "p", **words})

    def _edit_line(self) -> None:
        row = self.row("policy", self.id)
        if row["ptype"] != "p" and self.body.keys() & set(WORDS):
            raise Unclear("a line without these fields")
        for number, word in enumerate(WORDS):
            if word in self.body:
                row[f"v{number}"] = self.body[word]
        row["comment"] = self.body.get("comment", row["comment"])

    def _password(self) -> None:
        """Nothing that a policy is asked about."""


_STEPS: dict[str, Callable[[Draft], None]] = {
    "POST /organization": Draft._new_organization,
    "PATCH /organization/{id}": Draft._edit_organization,
    "POST /collaboration": Draft._new_collaboration,
    "PATCH /collaboration/{id}": Draft._edit_collaboration,
    "POST /collaboration/{id}/organization": Draft._add_member,
    "DELETE /collaboration/{id}/organization": Draft._remove_member,
    "POST /collaboration/{id}/node": Draft._put_node,
    "DELETE /collaboration/{id}/node": Draft._take_node,
    "POST /node": Draft._new_node,
    "PATCH /node/{id}": Draft._edit_node,
    "POST /recover/node": Draft._renew_key,
    "POST /user": Draft._new_user,
    "PATCH /user/{id}": Draft._edit_user,
    "DELETE /user/{id}/session": Draft._end_sessions,
    "DELETE /user/{id}/session/{name}": Draft._end_session,
    "POST /user/{id}/notification": Draft._add_mail,
    "DELETE /user/{id}/notification/{number}": Draft._remove_notification,
    "POST /role": Draft._new_role,
    "PATCH /role/{id}": Draft._edit_role,
    "POST /role/{id}/rule/{rule_id}": Draft._add_rule,
    "DELETE /role/{id}/rule/{rule_id}": Draft._remove_rule,
    "POST /task": Draft._new_task,
    "PATCH /result/{id}": Draft._edit_result,
    "POST /port": Draft._new_port,
    "DELETE /port": Draft._no_ports,
    "POST /kill/task": Draft._kill,
    "POST /kill/node/tasks": Draft._kill,
    "POST /policy/line": Draft._new_line,
    "PATCH /policy/line/{id}": Draft._edit_line,
    "PATCH /password/change": Draft._password,
}
"""What each endpoint does; the others edit or delete the row of their path."""
