"""Organizations: changes of more than one field."""

from collections.abc import Mapping
from typing import Any

from v6srv.model import Organization
from v6srv.model.checks import require_fit


def change(organization: Organization, changes: Mapping[str, Any]) -> None:
    """Change the fields given. Raises Invalid for what breaks a rule, or is no public key."""
    require_fit(organization, changes)
    for name, value in changes.items():
        setattr(organization, name, value)
