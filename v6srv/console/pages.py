"""All pages: whoever imports this has them at `blp`, each module for what it is called after."""

from v6srv.console import (
    algorithmstore,
    collaboration,
    log_in,
    node,
    organization,
    overview,
    policy,
    policy_decision,
    policy_explain,
    policy_line,
    policy_question,
    policy_socket,
    refused,
    role,
    study,
    task,
    user,
)
from v6srv.console.blueprint import blp

__all__ = [
    "algorithmstore",
    "blp",
    "collaboration",
    "log_in",
    "node",
    "organization",
    "overview",
    "policy",
    "policy_decision",
    "policy_explain",
    "policy_line",
    "policy_question",
    "policy_socket",
    "refused",
    "role",
    "study",
    "task",
    "user",
]
