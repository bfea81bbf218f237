"""What policies say of the database of a task holds for each of those that a task of 4.x has."""

import pytest

from tests.api.test_policy_line_rest import add, line
from tests.world import average


@pytest.fixture
def order(call4, world):
    """Order a task that reads the databases with these labels."""

    def ordered(*labels, targets=("north", "south")):
        body = {**average(world, *targets), "databases": [{"label": label} for label in labels]}
        return call4("researcher", "POST", "/task", json=body)

    return ordered


@pytest.mark.parametrize("targets", [("north", "south"), ("west",)])
def test_a_database_that_is_denied_is_denied_at_any_place(call4, order, targets):
    secret = line("kind:user", "task", "create", "r.obj.database == 'secret'")
    add(call4, secret)
    open_to_all = order("default", "other", targets=targets).status_code
    assert open_to_all == (201 if targets != ("west",) else 400)
    for labels in (("secret",), ("secret", "default"), ("default", "secret", "other")):
        assert order(*labels, targets=targets).status_code == 403, labels


def test_one_that_is_not_allowed_is_not_allowed_beside_one_that_is(call4, order):
    add(call4, line("kind:user", "task", "create", "r.obj.database != 'default'"))
    for labels in (("other",), ("other", "default"), ("default", "other")):
        assert order(*labels).status_code == 403, labels
    made = order("default", "default")
    assert made.status_code == 201
    assert [one["label"] for one in made.json["databases"]] == ["default", "default"]


def test_3_x_is_shown_the_first(call, order):
    made = order("first", "second", "third").json["id"]
    assert call("researcher", "GET", f"/task/{made}").json["database"] == "first"
