"""Organizations: who may change what of them."""

from collections.abc import Mapping
from typing import Any

from v6srv.authz.principal import Principal
from v6srv.errors import Denied
from v6srv.model import Organization
from v6srv.vocabulary import PrincipalKind


def change(who: Principal, organization: Organization, changes: Mapping[str, Any]) -> None:
    """Change the fields given. A node changes its organization's public key only (Q-56).

    Raises Denied, or Invalid for a key that is not base64.
    """
    if who.kind is PrincipalKind.NODE and not changes.keys() <= {"public_key"}:
        raise Denied("A node can only change the public key of its organization")
    for name, value in changes.items():
        setattr(organization, name, value)
