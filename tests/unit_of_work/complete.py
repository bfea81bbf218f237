"""The second property: who is refused has asked for something that is not allowed."""

from __future__ import annotations

from tests.unit_of_work.asked import Unclear, asked
from tests.unit_of_work.changes import changes
from tests.unit_of_work.lines import Policy
from tests.unit_of_work.sockets import SHARE
from tests.unit_of_work.sound import Judge, Request
from tests.unit_of_work.state import State, Who

_ON_ANOTHER = {
    "POST /kill/task": ("create", "task", "event"),
    "POST /kill/node/tasks": ("create", "node", "event"),
    "POST /port": ("create", "result", "port"),
    "DELETE /port": ("delete", "result", "port"),
}
"""Endpoints that ask for something on a row of another table: operation, table, resource."""
_ON_ONESELF = {"PATCH /password/change": ("user", "password"), SHARE: ("node", "config")}
"""Endpoints for one's own row: of which kind, and the field."""


def reasons(request: Request, who: Who, policy: Policy, before: State) -> list[str]:
    """Why the request is refused; empty if nothing speaks against it. Raises Unclear."""
    if request.route in _ON_ONESELF:
        return _of_oneself(request, who, policy, before)
    found = [*_of_row(request, who, policy, before)]
    if found:
        return found
    after = asked(request, who, before)
    found += Judge(policy, who, request, before, after).refusals()
    id, resource = request.ids.get("id"), request.path.split("/")[1]
    if _edits(request) and id and _same(before, after, resource, id):
        found += _of_no_change(who, policy, before, resource, id)
    if not request.odd:
        return found + _of_rights(request, who, policy, before, after)
    if not found:
        raise Unclear("what is of no use may be of use after all")
    return found


def _of_row(request: Request, who: Who, policy: Policy, before: State) -> list[str]:
    """What is asked of the row in the path, or of the one that the body names."""
    id = request.ids.get("id")
    as_ = resource = request.path.split("/")[1]
    operation = "edit" if _edits(request) else "delete"
    if request.route in _ON_ANOTHER:
        operation, resource, as_ = _ON_ANOTHER[request.route]
        named = {**(request.body or {}), **(request.query or {})}
        id = named.get("result_id", named.get("id"))
    if not isinstance(id, int):
        return []
    if before.row(resource, id) is None:
        if policy.allows_all(who, operation, as_):
            return []
        return [f"there is no {resource} {id}, and not everybody is told"]
    if operation == "edit" and not request.route.endswith("/collaboration/{id}/node"):
        return []  # what is changed decides
    asked_of = {id} | _left(request, before)
    refused = [
        one
        for one in asked_of
        if not policy.allows(who, operation, before.facts(resource, one, as_))
    ]
    return [f"{operation} of {as_} on {resource} {one}" for one in refused]


def _left(request: Request, before: State) -> set[int]:
    """The collaboration that a node leaves for another: whoever moves it edits both."""
    if request.route != "POST /collaboration/{id}/node" or request.odd:
        return set()
    node = before.row("node", (request.body or {})["id"])
    return {node["collaboration_id"]} - {None} if node else set()


def _edits(request: Request) -> bool:
    """Whether the row in the path is edited: it, or its members and nodes."""
    if "}/" in request.route:
        return request.route != "DELETE /role/{id}/rule/{rule_id}"
    return request.method == "PATCH"


def _of_oneself(request: Request, who: Who, policy: Policy, before: State) -> list[str]:
    """What accounts of one kind change of their own row, by a line that says so."""
    kind, field = _ON_ONESELF[request.route]
    if who.kind != kind:
        return [f"only a {kind} has a {field}"]
    allowed = policy.allows(who, "edit", before.facts(kind, who.account), {field})
    return [] if allowed else [f"edit of the own {field}"]


def _same(before: State, after: State, resource: str, id: int) -> bool:
    found = ((one.resource, one.id) for one in changes(before, after))
    return (resource, id) not in found


def _of_no_change(who: Who, policy: Policy, before: State, resource: str, id: int) -> list[str]:
    """Who asks for nothing asks to edit all the same."""
    allowed = policy.allows(who, "edit", before.facts(resource, id))
    return [] if allowed else [f"edit of {resource} {id}, of nothing"]


# --- what goes beyond the lines (permissions.md 5)


def _of_rights(
    request: Request, who: Who, policy: Policy, before: State, after: State
) -> list[str]:
    """Nobody gives what is not theirs, and nobody takes over the account of somebody more powerful."""
    body, id = request.body or {}, request.ids.get("id", 0)
    route = request.route
    rules: set[int] = set()
    if route in ("POST /user", "PATCH /user/{id}"):
        rules |= _of_account(request, before)
        strangers = [
            role for role in body.get("roles", ()) if _is_strange(role, request, who, after)
        ]
        if strangers:
            return [f"roles of another organization: {strangers}"]
    if route in ("POST /role", "PATCH /role/{id}"):
        rules |= set(body.get("rules", ()))
    if "rule_id" in request.ids:
        rules.add(request.ids["rule_id"])
    other = id != who.account
    if route == "DELETE /user/{id}" and other:
        rules |= _power_of(before, id)
    if route == "PATCH /user/{id}" and "email" in body and other:
        rules |= _power_of(before, id)
    lacking = [one for one in rules if not policy.hands_out(who, before.tables["rule"][one,])]
    return [f"rules that are not held: {sorted(lacking)}"] if lacking else []


def _of_account(request: Request, before: State) -> set[int]:
    """The rules that an account is given, and those that are taken from it."""
    body, user = request.body or {}, request.ids.get("id", 0)
    rules = set(body.get("rules", ()))
    roles = set(body.get("roles", ()))
    if "roles" in body:
        roles |= before.roles_of(user)
    if "rules" in body:
        rules |= before.extra_rules_of(user)
    return rules.union(*(before.rules_in(role) for role in roles))


def _power_of(state: State, user: int) -> set[int]:
    return set(state.extra_rules_of(user)).union(*map(state.rules_in, state.roles_of(user)))


def _is_strange(role: int, request: Request, who: Who, after: State) -> bool:
    """Whether a role is of another organization than the user who is given it."""
    body, user = request.body or {}, after.row("user", request.ids.get("id"))
    organization = user["organization_id"] if user else body.get("organization_id", who.org)
    row = after.row("role", role)
    return row is not None and row["organization_id"] not in (None, organization)


__all__ = ["Unclear", "reasons"]
