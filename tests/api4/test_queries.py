"""How many SQL statements a list of 4.x takes does not depend on its rows."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert

from tests.api.test_queries import ONE_TO_NODES, grow
from tests.api4.routes import ROUTES
from tests.contract.routes import BY_KIND
from tests.databases import Databases
from tests.support import Caller, counting, counting_commits, open_app
from tests.world import World
from v6srv import db
from v6srv.model import AlgorithmStore, Study, StudyMember

FEW, MANY = 10, 300
ALL: dict[str, Any] = {"per_page": 9999}

# As many rules as there are, whatever the world; `filters` below are more queries.
LISTS = [route for route in ROUTES if route.paged]
INCLUDES = {
    "/collaboration": "organizations",
    "/run": "task",
    "/study": "organizations",
    "/task": "runs,results",
}
"""Relations that an answer embeds when it is asked for, in one query more."""


@pytest.fixture(scope="module")
def took(backend: str, databases: Databases) -> dict[int, dict[tuple[str, str, str], Any]]:
    """Rows and statements of each list, in a small and in a large world."""
    found: dict[int, dict[tuple[str, str, str], Any]] = {}
    for size in (FEW, MANY):
        with open_app(databases, backend, with_world=True) as (app, world):
            assert world is not None
            with db.session.get_bind().begin() as connection:
                grow(connection, world, size)
                _grow_what_4x_has(connection, world, size)
            found[size] = _measure(Caller(app, "/v4/api"))
    return found


def _grow_what_4x_has(connection: Connection, world: World, size: int) -> None:
    here = {"url": "https://store.example", "collaboration_id": world.collab.registry}
    stores = [{"name": f"store {i}", **here} for i in range(size)]
    connection.execute(insert(AlgorithmStore), stores)
    studies = [
        {"name": f"study {i}", "collaboration_id": world.collab.registry} for i in range(size)
    ]
    made = connection.scalars(insert(Study).returning(Study.id), studies).all()
    pairs = [{"study_id": id, "organization_id": world.org.north} for id in made]
    connection.execute(insert(StudyMember), pairs)


def _measure(call: Caller) -> dict[tuple[str, str, str], Any]:
    found = {}
    for route in LISTS:
        for who in (*(BY_KIND[kind] for kind in route.callers), "viewer"):
            for include in ("", INCLUDES.get(route.path, "")):
                call(who, "GET", "/organization")  # writes when it was last seen
                with counting() as statements, counting_commits() as commits:
                    answer = call(who, "GET", route.path, query=ALL | {"include": include})
                assert answer.status_code == 200, (route, who, answer.json)
                assert not commits
                rows = int(answer.headers["total-count"])
                found[route.path, who, include] = rows, statements
    return found


@pytest.mark.parametrize("path", [route.path for route in LISTS])
def test_lists_take_few_queries_whatever_their_length(
    took: dict[int, dict[tuple[str, str, str], Any]], path: str
) -> None:
    """The principal, the page, its rows, and what is embedded."""
    for key, (rows, statements) in took[MANY].items():
        if key[0] == path:
            few_rows, few_statements = took[FEW][key]
            alone = key[1] == BY_KIND["N"] and path in ONE_TO_NODES
            grows = path != "/rule" and not alone
            assert rows > few_rows or not grows, (key, "the large world is no larger")
            assert len(statements) == len(few_statements), (key, statements)
            assert len(statements) <= 3 + bool(key[2]), (key, statements)
