"""What each dialect calls the rules. Rules are named by what they mean, not by equal words.

For tasks and results `organization` has always meant "member of the collaboration"; 4.x says
COLLABORATION for that, and ORGANIZATION for what the own organization started. Rules that a dialect
has no name for are not there in it: they are kept where somebody replaces what he or she sees.
"""

from collections.abc import Mapping

Name = tuple[str, str, str]
"""Resource, operation and scope, as `GET /rule` of 4.x writes them."""

_OF_BOTH: Mapping[str, Name] = {
    "node:global:view": ("node", "VIEW", "GLOBAL"),
    "node:organization:view": ("node", "VIEW", "ORGANIZATION"),
    "node:global:edit": ("node", "EDIT", "GLOBAL"),
    "node:organization:edit": ("node", "EDIT", "ORGANIZATION"),
    "node:global:create": ("node", "CREATE", "GLOBAL"),
    "node:organization:create": ("node", "CREATE", "ORGANIZATION"),
    "node:global:delete": ("node", "DELETE", "GLOBAL"),
    "node:organization:delete": ("node", "DELETE", "ORGANIZATION"),
    "collaboration:global:view": ("collaboration", "VIEW", "GLOBAL"),
    "collaboration:organization:view": ("collaboration", "VIEW", "ORGANIZATION"),
    "collaboration:global:edit": ("collaboration", "EDIT", "GLOBAL"),
    "collaboration:global:create": ("collaboration", "CREATE", "GLOBAL"),
    "collaboration:global:delete": ("collaboration", "DELETE", "GLOBAL"),
    "organization:global:view": ("organization", "VIEW", "GLOBAL"),
    "organization:organization:view": ("organization", "VIEW", "ORGANIZATION"),
    "organization:collaboration:view": ("organization", "VIEW", "COLLABORATION"),
    "organization:global:edit": ("organization", "EDIT", "GLOBAL"),
    "organization:organization:edit": ("organization", "EDIT", "ORGANIZATION"),
    "organization:global:create": ("organization", "CREATE", "GLOBAL"),
    "task:global:view": ("task", "VIEW", "GLOBAL"),
    "task:organization:view": ("task", "VIEW", "COLLABORATION"),
    "task:global:create": ("task", "CREATE", "GLOBAL"),
    "task:organization:create": ("task", "CREATE", "COLLABORATION"),
    "task:global:delete": ("task", "DELETE", "GLOBAL"),
    "task:organization:delete": ("task", "DELETE", "COLLABORATION"),
    "result:global:view": ("run", "VIEW", "GLOBAL"),
    "result:organization:view": ("run", "VIEW", "COLLABORATION"),
    "user:global:view": ("user", "VIEW", "GLOBAL"),
    "user:organization:view": ("user", "VIEW", "ORGANIZATION"),
    "user:global:create": ("user", "CREATE", "GLOBAL"),
    "user:organization:create": ("user", "CREATE", "ORGANIZATION"),
    "user:global:edit": ("user", "EDIT", "GLOBAL"),
    "user:organization:edit": ("user", "EDIT", "ORGANIZATION"),
    "user:own:edit": ("user", "EDIT", "OWN"),
    "user:global:delete": ("user", "DELETE", "GLOBAL"),
    "user:organization:delete": ("user", "DELETE", "ORGANIZATION"),
    "user:own:delete": ("user", "DELETE", "OWN"),
    "role:global:view": ("role", "VIEW", "GLOBAL"),
    "role:organization:view": ("role", "VIEW", "ORGANIZATION"),
    "role:global:create": ("role", "CREATE", "GLOBAL"),
    "role:organization:create": ("role", "CREATE", "ORGANIZATION"),
    "role:global:edit": ("role", "EDIT", "GLOBAL"),
    "role:organization:edit": ("role", "EDIT", "ORGANIZATION"),
    "role:global:delete": ("role", "DELETE", "GLOBAL"),
    "role:organization:delete": ("role", "DELETE", "ORGANIZATION"),
    "port:global:view": ("port", "VIEW", "GLOBAL"),
    "port:organization:view": ("port", "VIEW", "ORGANIZATION"),
    "event:organization:view": ("event", "RECEIVE", "ORGANIZATION"),
    "event:collaboration:view": ("event", "RECEIVE", "COLLABORATION"),
    "event:global:view": ("event", "RECEIVE", "GLOBAL"),
    "event:organization:create": ("event", "SEND", "COLLABORATION"),
    "event:global:create": ("event", "SEND", "GLOBAL"),
    "policy:global:view": ("policy", "VIEW", "GLOBAL"),
    "policy:global:create": ("policy", "CREATE", "GLOBAL"),
    "policy:global:edit": ("policy", "EDIT", "GLOBAL"),
    "policy:global:delete": ("policy", "DELETE", "GLOBAL"),
}
_OF_4: Mapping[str, Name] = {
    "node:collaboration:view": ("node", "VIEW", "COLLABORATION"),
    "node:collaboration:edit": ("node", "EDIT", "COLLABORATION"),
    "node:collaboration:create": ("node", "CREATE", "COLLABORATION"),
    "node:collaboration:delete": ("node", "DELETE", "COLLABORATION"),
    "collaboration:collaboration:edit": ("collaboration", "EDIT", "COLLABORATION"),
    "collaboration:collaboration:delete": ("collaboration", "DELETE", "COLLABORATION"),
    "organization:collaboration:edit": ("organization", "EDIT", "COLLABORATION"),
    "organization:global:delete": ("organization", "DELETE", "GLOBAL"),
    "task:own_organization:view": ("task", "VIEW", "ORGANIZATION"),
    "task:own:view": ("task", "VIEW", "OWN"),
    "task:own_organization:delete": ("task", "DELETE", "ORGANIZATION"),
    "task:own:delete": ("task", "DELETE", "OWN"),
    "result:own_organization:view": ("run", "VIEW", "ORGANIZATION"),
    "result:own:view": ("run", "VIEW", "OWN"),
    "user:collaboration:view": ("user", "VIEW", "COLLABORATION"),
    "user:collaboration:create": ("user", "CREATE", "COLLABORATION"),
    "user:collaboration:edit": ("user", "EDIT", "COLLABORATION"),
    "user:collaboration:delete": ("user", "DELETE", "COLLABORATION"),
    "role:collaboration:view": ("role", "VIEW", "COLLABORATION"),
    "role:collaboration:create": ("role", "CREATE", "COLLABORATION"),
    "role:collaboration:edit": ("role", "EDIT", "COLLABORATION"),
    "role:collaboration:delete": ("role", "DELETE", "COLLABORATION"),
    "event:own_organization:create": ("event", "SEND", "ORGANIZATION"),
    "study:global:view": ("study", "VIEW", "GLOBAL"),
    "study:organization:view": ("study", "VIEW", "ORGANIZATION"),
    "study:collaboration:view": ("study", "VIEW", "COLLABORATION"),
    "study:global:edit": ("study", "EDIT", "GLOBAL"),
    "study:collaboration:edit": ("study", "EDIT", "COLLABORATION"),
    "study:organization:edit": ("study", "EDIT", "ORGANIZATION"),
    "study:global:create": ("study", "CREATE", "GLOBAL"),
    "study:collaboration:create": ("study", "CREATE", "COLLABORATION"),
    "study:global:delete": ("study", "DELETE", "GLOBAL"),
    "study:collaboration:delete": ("study", "DELETE", "COLLABORATION"),
    "study:organization:delete": ("study", "DELETE", "ORGANIZATION"),
}
_OF_3 = frozenset({"event:collaboration:create"})
"""4.x has one word where 3.x has two: stopping tasks, and that and nodes, of a collaboration."""

NAMES: Mapping[str, Name] = {**_OF_BOTH, **_OF_4}
"""What 4.x calls each rule that it has. 3.x calls rules as policies do, in capitals."""

RULES_BY_NAME: Mapping[Name, str] = {name: rule for rule, name in NAMES.items()}

KNOWN_TO_4 = frozenset(NAMES)
KNOWN_TO_3 = _OF_BOTH.keys() | _OF_3
"""The rules that a dialect has names for."""
