"""Every page there is, as the application has it: a new one is tried without being named here."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask
from werkzeug.routing import AnyConverter, Rule

from tests.world import World
from v6srv.vocabulary import PrincipalKind

_FURTHER = {"rule_id": 1, "organization_id": 2}
"""What other parameters of paths stand for."""


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


def ids(world: World) -> dict[str, int]:
    """By what follows `/console/`: the number of one that root may see."""
    return {
        "organization": world.org.north,
        "collaboration": world.collab.registry,
        "node": world.node.north_registry,
        "task": world.task.running,
        "result": world.result["running", "north"],
        "user": world.user.viewer,
        "role": world.role.analysts,
    }


def places(app: Flask, ids: dict[str, int], method: str = "GET") -> Iterator[Place]:
    """All of this method, in the order of their paths."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.endpoint.startswith("console.") and method in (rule.methods or ()):
            view = getattr(app.view_functions[rule.endpoint].view_class, method.lower())
            path = app.url_map.bind("").build(rule.endpoint, _values(rule, ids), method)
            yield Place(rule.endpoint, method, path.removeprefix("/console"), view.rule.callers)


def _values(rule: Rule, ids: dict[str, int]) -> dict[str, object]:
    resource = rule.rule.split("/")[2]
    values: dict[str, object] = {}
    for name in rule.arguments:
        converter = rule._converters[name]
        if isinstance(converter, AnyConverter):
            values[name] = sorted(converter.items)[0]
        elif name == "id" and "int:id" in rule.rule:
            values[name] = ids.get(resource, 1)
        else:
            values[name] = _FURTHER.get(name, "x")
    return values
