"""The endpoints below the base path of 4.x are those of its contract (rest.md 3), and our own."""

import re

from flask import Flask

from tests.api4.routes import ROUTES

OWN = (
    *("/event", "/health/", "/metrics", "/oidc", "/policy"),
    *("/token/logout", "/user/<int:id>/session", "/user/<int:id>/notification"),
)
"""What this server has beyond the contract, in both dialects."""


def _routes(app: Flask) -> set[str]:
    found = set()
    for rule in app.url_map.iter_rules():
        base, _, path = rule.rule.partition("/v4/api")
        if not base and path.startswith("/") and not path.startswith(OWN):
            spoken = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
            found |= {f"{method} {spoken}" for method in rule.methods - {"HEAD", "OPTIONS"}}
    return found


def test_the_document_describes_them(app: Flask) -> None:
    """At their own paths, with what the guards ask."""
    document = app.test_client().get("/v4/apispec_1.json").get_json()
    views = {}
    for rule in app.url_map.iter_rules():
        view = getattr(app.view_functions[rule.endpoint], "view_class", None)
        if view is not None and rule.rule.startswith("/v4/api/"):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                views[path, method.lower()] = getattr(view, method.lower()).rule.document()
    described = {
        (path, method): operation["x-required-rule"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and "responses" in operation
    }
    assert described == views
    operation = document["paths"]["/v4/api/organization"]["get"]
    assert operation["tags"] == ["organization"]
    assert "delete" in document["paths"]["/v4/api/organization/{id}"]
    assert {tag["name"] for tag in document["tags"]} >= {"organization", "study", "run"}


def test_the_endpoints_are_those_of_the_contract(app: Flask) -> None:
    assert _routes(app) == {str(route) for route in ROUTES}
