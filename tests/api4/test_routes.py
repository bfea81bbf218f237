"""The endpoints below the base path of 4.x are those of its contract (rest.md 3), and our own."""

import re

from flask import Flask

from tests.api4.routes import ROUTES

OWN = ("/event", "/health/", "/metrics", "/policy")
"""What this server has beyond the contract, in both dialects."""


def _routes(app: Flask) -> set[str]:
    found = set()
    for rule in app.url_map.iter_rules():
        base, _, path = rule.rule.partition("/v4/api")
        if not base and path.startswith("/") and not path.startswith(OWN):
            spoken = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
            found |= {f"{method} {spoken}" for method in rule.methods - {"HEAD", "OPTIONS"}}
    return found


def test_the_endpoints_are_those_of_the_contract(app: Flask) -> None:
    assert _routes(app) == {str(route) for route in ROUTES}
