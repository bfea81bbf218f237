"""What other rules of a custom role change, and for whom: before anything of it is stored."""

from collections.abc import Collection

from v6srv.authz.compiler import closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.principal import Principal
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
    name = f"role:{role}"
    member = audience.member_of(name)
    try:
        live, then = store.live, store.with_role(role, rules)
    except PolicyError as error:
        raise Invalid(str(error)) from error
    if role == NEW:
        return compare(live, then, [member])
    people = audience.stored()
    if all(program.finds_by_subject for program in (live.program, live.hand_out) if program):
        people = [who for who in people if _is_in(who, name, live)]
    return compare(live, then, [*people, member], rooms())


def _is_in(who: Principal, role: str, policy: Enforcer) -> bool:
    """Whether lines of the role can be of this principal."""
    graph, facts = policy.graphs.get("g", {}), who.facts
    names = (facts.id, facts.kind, facts.group, *facts.membership)
    return role in names or any(role in closure(graph, name) for name in names if name in graph)
