"""Organizations: changes of more than one field."""

from collections.abc import Mapping
from typing import Any

from v6srv.model import Organization


def change(organization: Organization, changes: Mapping[str, Any]) -> None:
    """Change the fields given. Raises Invalid for a key that is not base64."""
    for name, value in changes.items():
        setattr(organization, name, value)
