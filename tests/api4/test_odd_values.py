"""Whatever is sent to lists and bodies of 4.x, the answer is one that programs can read (F11)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api4.routes import ROUTES
from tests.support import Caller
from v6srv.wire.organization import OrganizationPatch
from v6srv.wire.user import UserPatch
from v6srv.wire.v4.algorithmstore import AlgorithmStoreQuery
from v6srv.wire.v4.collaboration import CollaborationIn, CollaborationPatch, CollaborationQuery
from v6srv.wire.v4.node import NodeIn, NodePatch, NodeQuery
from v6srv.wire.v4.organization import OrganizationIn, OrganizationQuery
from v6srv.wire.v4.role import RoleIn, RolePatch, RoleQuery
from v6srv.wire.v4.rule import RuleQuery
from v6srv.wire.v4.study import StudyIn, StudyPatch, StudyQuery
from v6srv.wire.v4.user import UserIn, UserQuery

VALUES: list[Any] = [
    None, "", "x", "\x00", "\ud800", "%", "0", 0, -1, 2**31, 2**63, 10**30, 1.5, 1e400, True,
    [], [[]], ["x"], [None], [2**63], {}, {"a": {}}, "9" * 5000, "x" * 10_000,
]  # fmt: skip

BODIES = {
    "organization": (OrganizationIn, OrganizationPatch),
    "collaboration": (CollaborationIn, CollaborationPatch),
    "node": (NodeIn, NodePatch),
    "study": (StudyIn, StudyPatch),
    "user": (UserIn, UserPatch),
    "role": (RoleIn, RolePatch),
}
QUERIES = {
    "organization": OrganizationQuery,
    "collaboration": CollaborationQuery,
    "node": NodeQuery,
    "study": StudyQuery,
    "user": UserQuery,
    "role": RoleQuery,
    "rule": RuleQuery,
    "algorithmstore": AlgorithmStoreQuery,
}


def _readable(answer: Any, sent: Any) -> None:
    assert answer.status_code < 500, (sent, answer.json)
    if answer.status_code >= 400:
        assert isinstance(answer.json["msg"], str), sent
        assert isinstance(answer.json["errors"], dict), sent


def _requests(resource: str, id: int) -> Iterator[tuple[str, str, Any]]:
    new, changed = BODIES[resource]
    for schema, method, path in (
        (new, "POST", f"/{resource}"),
        (changed, "PATCH", f"/{resource}/{id}"),
    ):
        for body in VALUES:
            yield method, path, body
        for name in schema().fields:
            for value in VALUES:
                yield method, path, {name: value}


@pytest.mark.parametrize("resource", BODIES)
def test_bodies(call4: Caller, world: Any, resource: str) -> None:
    ids = {
        "organization": world.org.south,
        "collaboration": world.collab.trial,
        "node": world.node.south_trial,
        "study": 1,
        "user": world.user.viewer,
        "role": world.role.helpers,
    }
    study = {"name": "s", "collaboration_id": 1, "organization_ids": [world.org.north]}
    assert call4("root", "POST", "/study", json=study).status_code == 201
    for method, path, body in _requests(resource, ids[resource]):
        sent = {"data": json.dumps(body), "content_type": "application/json"}
        _readable(call4("root", method, path, **sent), (method, path, body))


@pytest.mark.parametrize("resource", QUERIES)
def test_queries(call4: Caller, world: Any, resource: str) -> None:
    for name in [*QUERIES[resource]().fields, "page", "per_page", "sort", "include"]:
        for value in VALUES:
            if isinstance(value, str) and "\ud800" in value:
                continue  # no text of a URL
            query = {name: value}
            _readable(call4("root", "GET", f"/{resource}", query=query), query)


def test_all_lists_are_asked() -> None:
    lists = {route.path.strip("/") for route in ROUTES if route.paged}
    assert lists - QUERIES.keys() == {"task", "run", "result"}
