"""What readers of some pages have already."""

from tests.takeover.conftest import reference

__all__ = ["reference"]
