"""The policy and the database of an instance, for commands that ask them questions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from v6srv.cli.database import connected, must_exist

if TYPE_CHECKING:
    from v6srv.authz.authorizer import Authorizer
    from v6srv.settings import Settings


@contextmanager
def opened(settings: "Settings") -> Iterator["Authorizer"]:
    """The Authorizer of an instance with its database connected; nothing is prepared or changed.

    Raises PolicyError when its policies are not valid, Invalid when the schema of the database is
    not that of this release.
    """
    from v6srv import db
    from v6srv.authz.authorizer import Authorizer
    from v6srv.authz.source.live import PolicyStore
    from v6srv.identity import principals

    must_exist(settings.uri)
    principals.configure(settings)
    with connected(settings.uri):
        authz = Authorizer(PolicyStore(settings.policies))
        db.session.remove()
        yield authz
