"""What other rules of a custom role change, and for whom: before anything of it is stored."""

from collections.abc import Collection

from v6srv.authz.source.live import PolicyStore
from v6srv.authz.source.problems import PolicyError
from v6srv.errors import Invalid
from v6srv.policy.diff import audience
from v6srv.policy.diff.compare import PolicyDiff, compare, rooms

NEW = 0
"""The number of a role that is not there yet; none has it."""


def of_role(store: PolicyStore, role: int, rules: Collection[int]) -> PolicyDiff:
    """The decisions that change if a custom role has these rules, by id.

    For all users and nodes there are, and for `role:<id>`: somebody who has the role alone. Of a
    role that is `NEW` for that one only. Raises Invalid where such a policy cannot be.
    """
    member = audience.member_of(f"role:{role}")
    try:
        live, then = store.live, store.with_role(role, rules)
    except PolicyError as error:
        raise Invalid(str(error)) from error
    if role == NEW:
        return compare(live, then, [member])
    return compare(live, then, [*audience.stored(), member], rooms())
