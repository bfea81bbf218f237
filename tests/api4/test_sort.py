"""`sort`: by what a list shows, or refused (rest.md 1 of 4.x)."""

import pytest

from tests.api4.routes import ROUTES
from tests.api4.shared import data, refused

LISTS = [route.path for route in ROUTES if route.paged]
NEVER = {"/task": {"databases", "collaboration"}, "/run": {"node", "ports"}, "/node": {"config"}}
"""What is put together of other rows."""


@pytest.mark.parametrize("path", LISTS)
def test_every_field_of_a_list_sorts_it_or_is_refused(call4, world, path):
    rows = data(call4("root", "GET", path, query={"per_page": 9999}))
    total = len(rows)
    for name in rows[0] if rows else ():
        for sign in ("", "-"):
            query = {"sort": f"{sign}{name}", "per_page": 9999}
            answer = call4("root", "GET", path, query=query)
            if name in NEVER.get(path, ()):
                refused(answer, "sort")
            elif answer.status_code == 400:
                refused(answer, "sort")
                assert name not in ("id", "name", "status", "username")
            else:
                assert len(data(answer)) == total, name


def test_derived_columns_sort(call4, world):
    def listed(path, sort, field):
        return [row[field] for row in data(call4("root", "GET", path, query={"sort": sort}))]

    for path, field in (("/task", "status"), ("/run", "status"), ("/task", "name")):
        found = listed(path, field, field)
        assert found == sorted(found)
        assert listed(path, f"-{field}", field) == found[::-1]
    ids = listed("/task", "id", "id")
    assert ids == sorted(ids)


@pytest.mark.parametrize("sort", ["id", "-id", "status,-id"])
@pytest.mark.parametrize("who", ["root", "viewer", "north_registry"])
def test_pages_together_are_the_list(call4, world, who, sort):
    """Far pages are read in another way than the first; each tells how many rows there are."""

    def read(query):
        return call4(who, "GET", "/run", query={"sort": sort, **query})

    def ids(answer):
        return [row["id"] for row in data(answer)]

    whole = ids(read({"per_page": 9999}))
    assert len(whole) > 2
    pages = [read({"per_page": 2, "page": page}) for page in range(1, len(whole) + 2)]
    assert [id for page in pages for id in ids(page)] == whole
    assert ids(pages[-1]) == [], "beyond the last row"
    assert {page.headers["total-count"] for page in pages} == {str(len(whole))}


@pytest.mark.parametrize("page", [1, 2])
def test_of_nothing_each_page_is_empty(call4, world, page):
    answer = call4("root", "GET", "/task", query={"name": "no such task", "page": page})
    assert (data(answer), answer.headers["total-count"]) == ([], "0")
