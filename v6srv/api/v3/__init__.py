"""The endpoints of 3.x whose form 4.x changed."""

from v6srv.api.v3 import collaboration, node, organization, port, result, role, rule, task, user

RESOURCES = (node, organization, collaboration, task, result, user, role, rule, port)
"""The modules, in the order of the documentation."""
