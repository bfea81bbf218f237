"""The endpoints of 4.x that 3.x does not have, or has in another form."""

from types import ModuleType

RESOURCES: tuple[ModuleType, ...] = ()
"""The modules, in the order of the documentation."""
