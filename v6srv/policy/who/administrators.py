"""Whom somebody can ask who was refused: those who could give him or her rights."""

from sqlalchemy import select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.offers import Offers
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.identity import principals
from v6srv.model import User
from v6srv.policy import ask
from v6srv.policy.who.abilities import Poll
from v6srv.vocabulary import Operation, Resource

_LOOKED_AT, NAMED = 200, 5
_GIVING = frozenset({"roles"})
"""What is changed of a user who is given more."""


def whom_to_ask(authz: Authorizer, who: Principal) -> list[str]:
    """Names of users of the same organization, whom `who` may view, and who could change its roles.

    Of the first 200 that there are; five at most. Empty when there is nobody.
    """
    if who.user_id is None:
        return []
    same = select(User.id).where(
        User.organization_id == who.organization_id, User.id != who.user_id
    )
    some = [*session.scalars(same.order_by(User.id).limit(_LOOKED_AT))]
    names = Offers(authz.store, who).names(Resource.USER, some)
    if not names:
        return []
    poll = Poll(authz.policy, Operation.EDIT, ask.row(Resource.USER, who.user_id), _GIVING)
    found = (known.principal for known in principals.everyone(names))
    return [names[one.account_id] for one in found if one.user_id and poll.allows(one)][:NAMED]
