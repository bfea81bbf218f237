"""For random grants, what somebody may do through one dialect is what it may do through the other,
for everything that both can say."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import World
from v6srv.authz.rules import RULES

GRANTS = 6
NAMES_IN_4 = {"result": "run"}
VIEWED = ("organization", "collaboration", "node", "task", "user", "role", "result")
CHANGED = {
    "organization": "country",
    "collaboration": "name",
    "node": "name",
    "user": "firstname",
    "role": "description",
}
BOTH = [rule for rule in RULES if rule.text != "event:collaboration:create"]
"""The rules of 3.x; those that only 4.x has would say what 3.x cannot."""


@pytest.fixture(scope="module")
def opened(databases: Databases) -> Iterator[tuple[Caller, Caller, World]]:
    with open_app(databases, "sqlite", True) as (app, world):
        assert world is not None
        yield Caller(app, "/v3/api"), Caller(app, "/v4/api"), world


@pytest.mark.parametrize("seed", range(GRANTS))
def test_what_one_may_in_one_dialect_one_may_in_the_other(opened: Any, seed: int) -> None:
    old, new, world = opened
    chosen = random.Random(seed).sample(BOTH, 20)
    rules = [world.rule[r.resource, r.scope.upper(), r.operation.upper()] for r in chosen]
    path = f"/user/{world.user.nobody}"
    assert old("root", "PATCH", path, json={"rules": rules}).status_code == 200
    seen: set[int] = set()
    granted = sorted(rule.text for rule in chosen)
    for resource in VIEWED:
        name = NAMES_IN_4.get(resource, resource)
        everything = [
            row["id"] for row in old("root", "GET", f"/{resource}", query={"per_page": 100}).json
        ]
        listed = listing(old, resource), listing(new, name)
        assert listed[0] == listed[1], (resource, granted)
        for id in everything:
            one = old("nobody", "GET", f"/{resource}/{id}").status_code
            other = new("nobody", "GET", f"/{name}/{id}").status_code
            assert one == other, ("view", resource, id, granted)
            if resource in CHANGED:
                one, other = (
                    call(
                        "nobody",
                        "PATCH",
                        f"/{resource}/{id}",
                        json={CHANGED[resource]: f"{resource} {id} {call.base[2]} {seed}"},
                    ).status_code
                    for call in (old, new)
                )
                assert one == other, ("edit", resource, id, granted)
            seen |= {one, other}
    assert {200, 403} <= seen


def listing(call: Caller, resource: str) -> list[int] | int:
    """The ids in a list, or the status of a refusal."""
    answer = call("nobody", "GET", f"/{resource}", query={"page": 1, "per_page": 100})
    if answer.status_code != 200:
        return answer.status_code
    rows = answer.json["data"] if isinstance(answer.json, dict) else answer.json
    return sorted(row["id"] for row in rows)
