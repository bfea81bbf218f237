"""Every page there is, as the application has it: a new one is tried without being named here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.routing import AnyConverter, Rule

from tests.support import Caller
from tests.world import World
from v6srv.vocabulary import PrincipalKind

_FURTHER = {"rule_id": 1, "organization_id": 2}
"""What other parameters of paths stand for."""
_ASKED = {
    "console.policy_can_csv": "?principal=user:1",
    "console.policy_matrix_cell": "?role=viewer&resource=task&operation=view",
    "console.policy_who_can_csv": "?operation=view&resource=task",
}
"""What has to be asked of those that are files: pages have a form for it."""


@dataclass(frozen=True)
class Place:
    """A method at a path, with numbers that are of the world."""

    endpoint: str
    method: str
    path: str
    """Below the console's own."""
    callers: frozenset[PrincipalKind]
    """Empty: nobody has to log in."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def of_world(world: World, call: Caller) -> dict[str, Any]:
    """By what follows `/console/`: the number of one that root may see."""
    line = {
        "subject": "role:viewer",
        "resource": "port",
        "scope": "own",
        "operation": "view",
        "effect": "allow",
    }
    study = {
        "name": "subgroup",
        "collaboration_id": world.collab.registry,
        "organization_ids": [world.org.north],
    }
    return {
        "policy": call("root", "POST", "/policy/line", json=line).json["id"],
        "study": Caller(call.app, "/v4/api")("root", "POST", "/study", json=study).json["id"],
        "decision": call("nobody", "GET", "/task").json["decision_id"],
        "organization": world.org.north,
        "collaboration": world.collab.registry,
        "node": world.node.north_registry,
        "task": world.task.running,
        "result": world.result["running", "north"],
        "user": world.user.viewer,
        "role": world.role.analysts,
    }


def places(app: Flask, ids: dict[str, Any], method: str = "GET") -> Iterator[Place]:
    """All of this method, in the order of their paths."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.endpoint.startswith("console.") and method in (rule.methods or ()):
            view = getattr(app.view_functions[rule.endpoint].view_class, method.lower())
            path = app.url_map.bind("").build(rule.endpoint, _values(rule, ids), method)
            path = path.removeprefix("/console") + _ASKED.get(rule.endpoint, "")
            yield Place(rule.endpoint, method, path, view.rule.callers)


def _values(rule: Rule, ids: dict[str, Any]) -> dict[str, object]:
    resource = rule.rule.split("/")[2]
    values: dict[str, object] = {}
    for name in rule.arguments:
        converter = rule._converters[name]
        if isinstance(converter, AnyConverter):
            values[name] = sorted(converter.items)[0]
        elif name == "id" and "int:id" in rule.rule:
            values[name] = ids.get(resource, 1)
        elif name == "id":
            values[name] = ids.get("decision", "x")
        else:
            values[name] = _FURTHER.get(name, "x")
    return values
