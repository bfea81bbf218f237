"""The endpoints of 4.x that 3.x does not have, or has in another form."""

from v6srv.api.v4 import (
    algorithmstore,
    blobstream,
    collaboration,
    column,
    node,
    organization,
    port,
    result,
    role,
    rule,
    run,
    study,
    task,
    user,
    validate,
)

RESOURCES = (
    validate,
    node,
    organization,
    collaboration,
    study,
    task,
    run,
    result,
    user,
    role,
    rule,
    port,
    column,
    algorithmstore,
    blobstream,
)
"""The modules, in the order of the documentation."""
