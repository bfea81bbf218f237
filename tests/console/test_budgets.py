"""How many statements pages may send: counted and not timed, so that a busy machine changes nothing.

What a page offers is one statement at most, however much it is; the others read who asks, the row
or the rows, the names of related rows, and what is shown of them in full. A page that needs more
says why in the commit that raises its number; `bench/pages.py` measures what that costs.
"""

import pytest

from tests.console.places import of_world, places
from tests.support import counting

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

ANY_PAGE = 5
"""A list is who asks, how many, the rows, and two kinds of names: it does not grow with its rows."""
LARGER = {
    "collaboration": 7,  # members, nodes, studies, stores
    "collaboration_deletion": 11,  # what goes with it, counted
    "now": 8,  # nodes, events, the policy
    "organization": 7,  # its collaborations, nodes, users, roles
    "organization_deletion": 17,
    "overview": 9,  # nodes, runs, events, the policy
    "policy_socket": 6,
    "role": 7,  # who has it, and whether others do; all rules
    "role_copy": 6,
    "role_deletion": 12,  # who loses what
    "study": 6,  # members, and who could be one
    "task": 9,  # runs, the tree, nodes that are away, three kinds of names
    "user": 6,
    "user_edit": 8,  # the roles and rules to choose from
}
PEOPLE = ("root", "org_admin", "collab_admin", "researcher", "viewer")


def test_no_page_sends_more_statements_than_it_may(app, world, call, visit):
    ids = of_world(world, call)
    shown, over = set(), {}
    for who in PEOPLE:
        client = visit(who).client
        for place in places(app, ids):
            name = place.endpoint.removeprefix("console.")
            client.get(f"/console{place.path}")  # what was never asked before is not counted
            with counting() as statements:
                answer = client.get(f"/console{place.path}")
            if answer.status_code == 200:
                shown.add(name)
                if len(statements) > LARGER.get(name, ANY_PAGE):
                    over[who, name] = statements
    assert not over, {key: len(statements) for key, statements in over.items()}
    assert len(shown) > 50
    assert LARGER.keys() <= shown
