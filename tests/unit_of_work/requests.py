"""Random requests to every endpoint that writes, about rows that are there and some that are not."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.unit_of_work.random_lines import COUNTRIES, IMAGES, LineMaker
from tests.unit_of_work.sockets import PING, SHARE
from tests.unit_of_work.sound import Request
from tests.unit_of_work.state import State, caller
from tests.world import PASSWORD

Body = dict[str, Any]
WORDS = ("subject", "resource", "scope", "operation", "condition", "effect")
STATUSES = ("active", "completed", "crashed", "killed by user", "initializing")
_NO_USE: tuple[Any, ...] = (10**6, -1, "x" * 300, [], "\x00", 1.5, {"id": 1}, True)


class RequestMaker:
    """Makes random requests; `state` is what there is when they are made.

    No two texts of one maker are the same, nor of makers with another `number`. What has been
    `done` seldom is asked for more often, by route.
    """

    def __init__(
        self, chance: random.Random, state: State, number: int, done: Mapping[str, int]
    ) -> None:
        self.chance = chance
        self.state = state
        self._done = done
        self._number = 100 * number

    def make(self) -> Request:
        """One request of somebody."""
        who = self._who()
        self._caller = caller(self.state, *who)
        often = {"node": NODES, "container": CONTAINERS}.get(who[0], USERS)
        routes = often if self.chance.random() < 0.8 else USERS
        weights = [1 / (2 + self._done.get(route, 0)) for route in routes]
        [route] = self.chance.choices(routes, weights)
        if route in (SHARE, PING) and self.state.ids("node"):
            who = "node", self.chance.choice(self.state.ids("node")), None
        body = _BODIES[route](self)
        odd = bool(body) and self.chance.random() < 0.08
        if odd and body:
            body[self.chance.choice(sorted(body))] = self.chance.choice(_NO_USE)
        query = {"result_id": self._id("result")} if route == "DELETE /port" else None
        ids = self._ids(route)
        if route == "PATCH /user/{id}" and who[0] == "user" and self.chance.random() < 0.3:
            ids = {"id": who[1]}
        if who[0] == "node" and route == "PATCH /node/{id}" and self.chance.random() < 0.6:
            ids = {"id": who[1]}
        return Request(who, route, ids, body, query, odd)

    # --- who and what

    def _who(self) -> tuple[str, int, int | None]:
        chance, state = self.chance, self.state
        kind = chance.choices(("user", "node", "container"), (75, 18, 7))[0]
        if kind == "container":
            places = {
                (row["organization_id"], row["collaboration_id"]): id
                for (id,), row in state.tables["node"].items()
            }
            found = [
                (places[place], task["id"])
                for result in state.tables["result"].values()
                if (task := state.row("task", result["task_id"]))
                and (place := (result["organization_id"], task["collaboration_id"])) in places
                and result["finished_at"] is None
            ]
            if found:
                node, task = chance.choice(sorted(found))
                return kind, node, task
        if kind == "node" and state.ids("node"):
            return kind, chance.choice(state.ids("node")), None
        users = state.ids("user")
        admins = [id for id in users if state.roles_of(id) & {1, *self._admins()}]
        return "user", chance.choice(admins if admins and chance.random() < 0.6 else users), None

    def _admins(self) -> set[int]:
        slugs = ("root", "org_admin", "collab_admin")
        return {id for (id,), row in self.state.tables["role"].items() if row["slug"] in slugs}

    def _ids(self, route: str) -> dict[str, Any]:
        if "{id}" not in route:
            return {}
        resource = route.split("/")[1]
        ids: dict[str, Any] = {"id": self._id(resource)}
        if "{name}" in route:
            rows = self.state.tables["login_session"].values()
            known = [row["id"] for row in rows if row["account_id"] == ids["id"]]
            ids["name"] = self.chance.choice(sorted(known) or ["nothing"])
        if "{number}" in route:
            rows = self.state.tables["notification"].values()
            mine = [row["id"] for row in rows if row["user_id"] == ids["id"]]
            ids["number"] = self.chance.choice(sorted(mine) or [9999])
        if "{rule_id}" in route:
            rules = sorted(self.state.rules_in(ids["id"])) or [1]
            any_rule = self.chance.choice(sorted(id for (id,) in self.state.tables["rule"]))
            ids["rule_id"] = self.chance.choice((self.chance.choice(rules), any_rule))
        return ids

    def _id(self, resource: str) -> int:
        known = self.state.ids(resource)
        if not known or self.chance.random() < 0.04:
            return 9999
        near = [id for id in known if self._is_near(resource, id)]
        return self.chance.choice(near if near and self.chance.random() < 0.7 else known)

    def _is_near(self, resource: str, id: int) -> bool:
        """Whether a row has to do with who asks."""
        facts = self.state.facts(resource, id)
        if resource in ("result", "port") and self._caller.kind != "user":
            return facts["org"] == self._caller.org
        return self._caller.org in facts["orgs"] or bool(facts["collabs"] & self._caller.collabs)

    def _text(self) -> str:
        self._number += 1
        return f"name {self._number}"

    def _some(self, body: Body, least: int = 0) -> Body:
        """Some of the fields."""
        count = self.chance.randint(least, min(3, len(body)))
        return {name: body[name] for name in self.chance.sample(sorted(body), count)}

    def _several(self, ids: Sequence[int], most: int = 3) -> list[int]:
        return self.chance.sample(list(ids), min(len(ids), self.chance.randint(0, most)))

    # --- bodies

    def _organization(self) -> Body:
        chance = self.chance
        key = chance.choice(("", b64encode(self._text().encode()).decode()))
        return self._some(
            {
                "name": self._text(),
                "domain": chance.choice(("north.example", "other.example")),
                "address1": self._text(),
                "zipcode": chance.choice(("10115", "20095")),
                "country": chance.choice(COUNTRIES),
                "public_key": key,
            }
        )

    def _collaboration(self) -> Body:
        organizations = self._several(self.state.ids("organization"))
        if self.chance.random() < 0.1:
            organizations.append(9999)
        return self._some(
            {
                "name": self._text(),
                "encrypted": self.chance.random() < 0.5,
                "organization_ids": organizations,
            },
            1,
        )

    def _new_collaboration(self) -> Body:
        return {"name": self._text(), **self._collaboration()}

    def _new_node(self) -> Body:
        """Mostly where there is none."""
        state = self.state
        nodes = state.tables["node"].values()
        taken = {(one["organization_id"], one["collaboration_id"]) for one in nodes}
        free = sorted(state.tables["Member"].keys() - taken)
        place = self._id("organization"), self._id("collaboration")
        if free and self.chance.random() < 0.7:
            place = self.chance.choice(free)
        body = {"organization_id": place[0], "collaboration_id": place[1]}
        return {**body, **self._some({"name": self._text()})}

    def _node_patch(self) -> Body:
        body = {
            "name": self._text(),
            "ip": f"10.0.0.{self.chance.randint(1, 250)}",
            "clear_ip": True,
        }
        if self.chance.random() < 0.4:
            body |= {
                "organization_id": self._id("organization"),
                "collaboration_id": self._id("collaboration"),
            }
        return self._some(body)

    def _of_role(self) -> list[int]:
        """Rules, mostly those of a role."""
        role = self.chance.choice(self.state.ids("role"))
        rules = sorted(self.state.rules_in(role)) or [1]
        return self._several(rules)

    def _account(self) -> Body:
        return {
            "username": self._text(),
            "firstname": self._text(),
            "lastname": self._text(),
            "email": f"{self._text()}@north.example".replace(" ", ""),
        }

    def _user(self) -> Body:
        body = {**self._account(), "roles": self._several(self.state.ids("role"), 2)}
        body["rules"] = self._of_role()
        if self.chance.random() < 0.8:
            del body["username"]
        return self._some(body)

    def _new_user(self) -> Body:
        more = {
            "organization_id": self._id("organization"),
            "roles": self._several(self.state.ids("role"), 2),
            "rules": self._of_role(),
        }
        return {**self._account(), "password": PASSWORD, **self._some(more)}

    def _role(self) -> Body:
        return self._some(
            {"name": self._text(), "description": self._text(), "rules": self._of_role()}
        )

    def _new_role(self) -> Body:
        more = {"rules": self._of_role(), "organization_id": self._id("organization")}
        return {"name": self._text(), "description": "", **self._some(more)}

    def _task(self) -> Body:
        collaboration = self._id("collaboration")
        members = sorted(self.state.members_of(collaboration)) or [1]
        targets = self._several(members, 2) or members[:1]
        if self.chance.random() < 0.1:
            targets.append(self._id("organization"))
        return {
            "name": self._text(),
            "collaboration_id": collaboration,
            "organizations": [{"id": id, "input": "aW5wdXQ="} for id in targets],
            "image": self.chance.choice(IMAGES),
            "database": self.chance.choice(("default", "other")),
        }

    def _result(self) -> Body:
        self._number += 1
        moment = f"2031-01-{1 + self._number % 28:02}T10:{self._number % 60:02}:00"
        return self._some(
            {
                "status": self.chance.choice(STATUSES),
                "log": self._text(),
                "result": self._text(),
                "started_at": moment,
                "finished_at": moment,
            }
        )

    def _port(self) -> Body:
        port, label = self.chance.randint(1, 9999), self._text()
        return {"result_id": self._id("result"), "port": port, "label": label}

    def _shared(self) -> Body:
        keys = self.chance.sample(("allowed_users", "encryption", "allowed_orgs"), 2)
        return {key: self.chance.choice(("1", ["2", "3"], True, None)) for key in keys}

    def _password(self) -> Body:
        return {"current_password": PASSWORD, "new_password": "An0ther-Pass!"}

    def _line(self) -> Body:
        return dict(zip(WORDS, LineMaker(self.chance, self.state).line(), strict=True))

    def _line_patch(self) -> Body:
        body = self._line()
        return self._some(
            {
                "effect": body["effect"],
                "scope": body["scope"],
                "subject": body["subject"],
                "comment": self._text(),
            }
        )


def _nothing(_maker: RequestMaker) -> None:
    """No body."""


def _empty(_maker: RequestMaker) -> Body:
    """A body that says nothing."""
    return {}


def _naming(resource: str) -> Callable[[RequestMaker], Body]:
    """A body that names a row."""
    return lambda maker: {"id": maker._id(resource)}


_BODIES: dict[str, Callable[[RequestMaker], Body | None]] = {
    "POST /organization": RequestMaker._organization,
    "PATCH /organization/{id}": RequestMaker._organization,
    "POST /collaboration": RequestMaker._new_collaboration,
    "PATCH /collaboration/{id}": RequestMaker._collaboration,
    "DELETE /collaboration/{id}": _nothing,
    "POST /collaboration/{id}/organization": _naming("organization"),
    "DELETE /collaboration/{id}/organization": _naming("organization"),
    "POST /collaboration/{id}/node": _naming("node"),
    "DELETE /collaboration/{id}/node": _naming("node"),
    "POST /node": RequestMaker._new_node,
    "PATCH /node/{id}": RequestMaker._node_patch,
    "DELETE /node/{id}": _nothing,
    "POST /user": RequestMaker._new_user,
    "PATCH /user/{id}": RequestMaker._user,
    "DELETE /user/{id}": _nothing,
    "DELETE /user/{id}/session": _nothing,
    "DELETE /user/{id}/session/{name}": _nothing,
    "POST /user/{id}/notification": _empty,
    "DELETE /user/{id}/notification/{number}": _nothing,
    "POST /role": RequestMaker._new_role,
    "PATCH /role/{id}": RequestMaker._role,
    "DELETE /role/{id}": _nothing,
    "POST /role/{id}/rule/{rule_id}": _nothing,
    "DELETE /role/{id}/rule/{rule_id}": _nothing,
    "POST /task": RequestMaker._task,
    "DELETE /task/{id}": _nothing,
    "PATCH /result/{id}": RequestMaker._result,
    "POST /port": RequestMaker._port,
    "DELETE /port": _nothing,
    "POST /kill/task": _naming("task"),
    "POST /kill/node/tasks": _naming("node"),
    "PATCH /password/change": RequestMaker._password,
    "POST /recover/node": _naming("node"),
    "POST /policy/line": RequestMaker._line,
    "PATCH /policy/line/{id}": RequestMaker._line_patch,
    "DELETE /policy/line/{id}": _nothing,
    SHARE: RequestMaker._shared,
    PING: _nothing,
}
ROUTES = _BODIES.keys()
"""Every endpoint and event that requests are made for."""
USERS = tuple(route for route in ROUTES if route not in (SHARE, PING))
NODES = (
    *("PATCH /result/{id}", "POST /port", "DELETE /port", "PATCH /node/{id}"),
    *("PATCH /organization/{id}", "POST /task", "PATCH /password/change", SHARE, PING),
)
CONTAINERS = ("POST /task", "POST /port", "PATCH /result/{id}")
"""What callers of each kind ask for mostly."""
