"""Filters by number: one that no row can have is no mistake, it finds nothing.

The web interface of 3.x asks for ids of 0 and -1 on every page. The filters are those that the
documentation of the API lists, so a new one is tested by itself.
"""

import pytest

from tests.api.shared import opened_once
from tests.contract.routes import BY_KIND, ROUTES, Route

_opened = opened_once

PAGING = ("page", "per_page")
NOBODY = ("0", "-1", "-0", "+0", "999999", *(str(n) for n in (2**31 - 1, 2**31, 2**63, -(2**63))))
FAR = (str(10**30), str(-(10**30)), "9" * 1000)
NO_NUMBERS = (
    "",
    " ",
    "abc",
    "1.5",
    "1e3",
    "0x1",
    "None",
    "True",
    "1_0",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "1;2",
    "\x00",
)
LISTS = [route for route in ROUTES if route.method == "GET" and route.paged]


def _number_filters(call, route: Route) -> list[str]:
    document = call.client.get("/apispec_1.json").json
    parameters = document["paths"][f"/api{route.path}"]["get"].get("parameters", ())
    found = []
    for one in parameters:
        schema = one.get("schema", {})
        schema = schema.get("items", schema)
        if one["in"] == "query" and one["name"] not in PAGING and schema.get("type") == "integer":
            found.append(one["name"])
    return found


def _callers(route: Route) -> list[str]:
    """One of each kind who may do everything, and one who may do little."""
    return [
        *(BY_KIND[kind] for kind in route.callers),
        *(["viewer"] if "U" in route.callers else []),
    ]


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_a_number_that_no_row_has_finds_nothing(call, world, route):
    for name in _number_filters(call, route):
        for who in _callers(route):
            for value in (*NOBODY, *FAR):
                answer = call(who, "GET", route.url(world), query={name: value, "page": 1})
                narrow = who in ("viewer", "north_registry")
                if narrow and (route.path, name) == ("/collaboration", "organization_id"):
                    # Of organizations that there might be, only to those who may view theirs.
                    possible = value in ("999999", str(2**31 - 1))
                    assert answer.status_code == (403 if possible else 200), value
                    continue
                assert (answer.status_code, answer.json) == (200, []), (who, name, value)
                assert answer.headers["total-count"] == "0"


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_what_is_no_number_is_refused(call, world, route):
    for name in _number_filters(call, route):
        for value in NO_NUMBERS:
            answer = call(_callers(route)[0], "GET", route.url(world), query={name: value})
            assert answer.status_code == 400, (name, value)
            assert name in answer.json["errors"]


def test_the_filters_that_were_looked_at(call, world):
    """The two tests above look at something."""
    found = {f"{route.path}?{name}" for route in LISTS for name in _number_filters(call, route)}
    assert len(found) >= 24
    assert {"/task?collaboration_id", "/role?organization_id", "/result?port"} <= found


def test_one_that_no_row_has_among_others(call, world):
    """Repeated values are alternatives."""
    query = {"organization_id": [0, world.org.south, 10**30]}
    answer = call("root", "GET", "/role", query=query)
    assert [role["name"] for role in answer.json] == ["helpers"]


@pytest.mark.parametrize(
    "path", ["/task/{}", "/node/{}", "/collaboration/{}/task", "/role/1/rule/{}"]
)
def test_ids_in_paths_of_any_length_are_not_found(call, world, path):
    method = "DELETE" if "rule" in path else "GET"
    for id in (0, 2**31, 2**63, 10**30, "9" * 99, "9" * 5000):
        assert call("root", method, path.format(id)).status_code == 404


def test_ids_in_bodies_of_any_length_are_refused(call, world):
    for id in ("9" * 99, "9" * 5000):
        answer = call("root", "POST", "/kill/task", json={"id": id})
        assert answer.status_code in (400, 404)
