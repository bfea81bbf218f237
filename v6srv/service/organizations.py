"""Organizations."""

from collections.abc import Mapping
from typing import Any

from v6srv.db import session
from v6srv.model import Organization
from v6srv.model.checks import require_fit


def create(fields: Mapping[str, Any]) -> Organization:
    """A new organization. Raises Invalid for what breaks a rule, or is no public key."""
    organization = Organization(**fields)
    session.add(organization)
    return organization


def change(organization: Organization, changes: Mapping[str, Any]) -> Organization:
    """Change the fields given. Raises Invalid for what breaks a rule, or is no public key."""
    require_fit(organization, changes)
    for name, value in changes.items():
        setattr(organization, name, value)
    return organization
