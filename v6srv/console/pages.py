"""All pages: whoever imports this has them at `blp`, each module for what it is called after."""

from v6srv.console import (
    log_in,
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
    task,
    user,
)
from v6srv.console.blueprint import blp

__all__ = [
    "blp",
    "log_in",
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
    "task",
    "user",
]
