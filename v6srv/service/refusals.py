"""What the policy refuses, said in the words of the contract.

A line decides; services only know better words for it, and only where it was refused.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Denied, Refusal, V6srvError
from v6srv.model import Rule

Words = Callable[[Refusal | None], V6srvError | None]


@contextmanager
def in_words(words: Words) -> Iterator[None]:
    """Raise what `words` makes of the decision where what is inside is denied.

    None: there are no better words than those of the denial.
    """
    try:
        yield
    except Denied as denied:
        with session.no_autoflush:  # what was denied is still about to be written
            said = words(denied.decision)
        if said is None:
            raise
        raise said from denied


def lacking(who: Principal, authz: Authorizer, rules: Iterable[Rule]) -> Rule | None:
    """The first of these rules that `who` may not hand out."""
    lacks = authz.policy.lacks(who.facts)
    return next((rule for rule in rules if rule.text in lacks), None)
