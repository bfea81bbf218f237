"""What nodes ask for: the results that are theirs to compute."""

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.model import Task
from v6srv.service import lists
from v6srv.service.generations import note_generation
from v6srv.vocabulary import PrincipalKind, Resource


def note_asked(who: Principal, state: str | None, generation: int) -> None:
    """A node that asks for what is open shows by the way it asks of which generation it is."""
    if who.kind is PrincipalKind.NODE and state == "open":
        note_generation(who.account_id, generation)


def require_parents(
    who: Principal, authz: Authorizer, task_id: int | None, node_id: int | None
) -> None:
    """Refuse to list results of a task or a node that one may not view, as 4.x does.

    Nodes ask for what they were told of, and that may be gone: there is no work then. Raises
    Denied, or Invalid for an unknown one.
    """
    if who.kind is PrincipalKind.NODE:
        return
    lists.require_view(who, authz, Resource.RESULT, task_id, Task)
    lists.require_view(who, authz, Resource.NODE, node_id)
