"""What a request changes of a row is decided together, whatever is read while it is changed."""

import pytest

from tests.api.test_policy_line_rest import add, line
from tests.support import Caller
from tests.world import World


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        ("collaboration", "organization_ids"),
        ("role", "rules"),
        ("user", "roles"),
        ("user", "rules"),
    ],
)
def test_members_are_changed_with_the_rest(
    world: World, call: Caller, resource: str, field: str
) -> None:
    """Only who changes this field may change anything: not the name first, by itself."""
    rows = {"collaboration": world.collab.registry, "role": world.role.analysts}
    url = f"/{resource}/{rows.get(resource, world.user.viewer)}"
    condition = f"meets(r.sub.changes, ('{field}',))"
    subject = f"user:{world.user.researcher}"
    add(call, line(subject, resource, "edit", condition, effect="allow"))
    name = {"firstname" if resource == "user" else "name": "Ours"}
    members = {
        "organization_ids": [world.org.south],
        "rules": [world.rule["user", "ORGANIZATION", "VIEW"]],
        "roles": [],
    }
    assert call("researcher", "PATCH", url, json=name).status_code == 403
    answer = call("researcher", "PATCH", url, json={**name, field: members[field]})
    assert answer.status_code == 200, answer.json


def test_a_node_that_moves_is_where_it_was_until_all_of_it_is_decided(
    world: World, call: Caller
) -> None:
    """A denial on nodes of the own organization cannot be shaken off with the first piece."""
    condition = "r.obj.org == r.sub.org && meets(r.sub.changes, ('collaboration_id',))"
    add(call, line(f"user:{world.user.collab_admin}", "node", "edit", condition))
    west = {"organization_id": world.org.west, "collaboration_id": world.collab.nothing}
    url = f"/node/{world.node.north_registry}"
    for more in ({}, {"ip": "10.0.0.9"}, {"name": "ours"}):
        answer = call("collab_admin", "PATCH", url, json={**west, **more})
        assert answer.status_code == 403
