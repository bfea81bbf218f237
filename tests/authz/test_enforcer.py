"""The enforcer is Casbin's: its reading API says what stock Casbin says, and nothing writes to it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import casbin
import pytest
import sqlalchemy_adapter
from casbin.core_enforcer import EnforceContext
from flask import Flask

from tests.stock_casbin import stock_enforcer
from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.authz.enforcer import Enforcer, Immutable
from v6srv.authz.source.load import build

POLICIES = Path(__file__).parents[2] / "policies"

READS: dict[str, list[tuple[Any, ...]]] = {
    "get_all_actions": [()],
    "get_all_named_actions": [("p",)],
    "get_all_objects": [()],
    "get_all_named_objects": [("p",)],
    "get_all_roles": [()],
    "get_all_named_roles": [("g",)],
    "get_all_subjects": [()],
    "get_all_named_subjects": [("p",)],
    "get_field_index": [("p", "eft"), ("p", "cond")],
    "get_filtered_grouping_policy": [(1, "role:root"), (0, "role:researcher")],
    "get_filtered_named_grouping_policy": [("g2", 0, "global")],
    "get_filtered_named_policy": [("p", 1, "task")],
    "get_filtered_policy": [(0, "role:viewer"), (1, "task", "", "view"), (5, "deny")],
    "get_grouping_policy": [()],
    "get_implicit_permissions_for_user": [("role:researcher",), ("kind:node",), ("nobody",)],
    "get_implicit_roles_for_user": [("kind:node",), ("role:researcher",)],
    "get_implicit_users_for_permission": [],  # asks `enforce` about names: requests hold facts here
    "get_implicit_users_for_resource": [],  # takes the second field for the name of the resource's
    "get_implicit_users_for_resource_by_domain": [],  # owner; it is so with stock Casbin, too
    "get_named_grouping_policy": [("g",), ("g2",)],
    "get_named_implicit_permissions_for_user": [("p", "role:viewer")],
    "get_named_policy": [("p",)],
    "get_permissions_for_user": [("role:root",), ("kind:user",)],
    "get_policy": [()],
    "get_roles_for_user": [("kind:container",), ("role:researcher",)],
    "get_users_for_role": [("role:viewer",)],
    "has_grouping_policy": [("kind:node", "role:node"), ("kind:node", "role:root")],
    "has_named_grouping_policy": [("g2", "global", "collaboration")],
    "has_named_policy": [("p", "role:root", "*", "global", "*", "True", "allow")],
    "has_permission_for_user": [("role:root", "*", "global", "*", "True", "allow")],
    "has_policy": [("role:root", "*", "global", "*", "True", "allow"), ("x",)],
    "has_role_for_user": [("kind:node", "role:node")],
    "is_filtered": [()],
}
"""Every question of Casbin's API about the policy as such, and what to ask."""

OTHERS = {
    *("enforce", "enforce_ex", "batch_enforce", "new_enforce_context", "new_model"),
    *("get_adapter", "get_model", "get_role_manager", "get_named_role_manager"),
    *("configure_logging",),  # of the process, not of the policy
    *("get_all_roles_by_domain", "get_permissions_for_user_in_domain"),  # this model has no domains
    *("get_named_permissions_for_user_in_domain", "get_roles_for_user_in_domain"),
    *("get_users_for_role_in_domain", "get_allowed_object_conditions"),
}


@pytest.fixture(scope="module")
def enforcer() -> Enforcer:
    return build(POLICIES)


@pytest.fixture(scope="module")
def stock(enforcer: Enforcer) -> casbin.Enforcer:
    """Casbin's own, loaded in its own way from the same lines."""
    return stock_enforcer(enforcer.definition.text, enforcer.lines)


def _api() -> set[str]:
    return {
        name
        for name in dir(casbin.Enforcer)
        if not name.startswith("_") and callable(getattr(casbin.Enforcer, name))
    }


def _writes() -> set[str]:
    return _api() - set(READS) - OTHERS


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, asked) for name, many in READS.items() for asked in many]
)
def test_it_reads_as_stock_casbin(
    enforcer: Enforcer, stock: casbin.Enforcer, name: str, arguments: tuple[Any, ...]
) -> None:
    expected = getattr(stock, name)(*arguments)
    found = getattr(enforcer, name)(*arguments)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("name", sorted(_writes()))
def test_what_would_change_it_is_refused(enforcer: Enforcer, name: str) -> None:
    """Also what a later release of Casbin brings: a method that is not named above has to refuse."""
    before = enforcer.get_policy(), enforcer.get_grouping_policy(), enforcer.enabled
    with pytest.raises(Immutable, match="v6srv policy publish"):
        getattr(enforcer, name)()
    assert (enforcer.get_policy(), enforcer.get_grouping_policy(), enforcer.enabled) == before


def _rule(resource: str, scope: str, operation: str) -> SimpleNamespace:
    return SimpleNamespace(res=resource, scope=scope, act=operation)


def test_the_second_request_is_asked_with_casbins_context(
    enforcer: Enforcer, stock: casbin.Enforcer
) -> None:
    context = EnforceContext("r2", "p", "e", "m2")
    viewer = SimpleNamespace(
        id="role:viewer", kind="kind:nobody", group="org:0", collabs=frozenset(), org=0, roles=()
    )
    for asked in (_rule("task", "organization", "view"), _rule("task", "global", "delete")):
        expected = stock.enforce(context, viewer, asked)
        assert enforcer.enforce(context, viewer, asked) is expected
    assert stock.enforce(context, viewer, _rule("task", "organization", "view"))


def test_requests_that_the_model_does_not_know_are_errors(enforcer: Enforcer) -> None:
    with pytest.raises(RuntimeError, match="invalid request size"):
        enforcer.enforce("a", "b")
    with pytest.raises(RuntimeError, match="no such matcher"):
        enforcer.enforce(EnforceContext("r3", "p", "e", "m3"), "a", "b")


def test_many_requests_are_answered_one_by_one(enforcer: Enforcer) -> None:
    root = SimpleNamespace(
        **{"id": "role:root", "kind": "kind:x", "group": "org:0", "org": 0, "account": 0},
        **{"collabs": frozenset(), "roles": frozenset(), "changes": frozenset(), "run": None},
    )
    task = SimpleNamespace(
        **{"type": "task", "id": 1, "org": 1, "run": 1, "image": "x", "parent": None},
        **{"orgs": frozenset(), "collabs": frozenset(), "owners": frozenset()},
    )
    guest = SimpleNamespace(**{**vars(root), "id": "user:9"})
    assert enforcer.batch_enforce([[root, task, "view"], [guest, task, "view"]]) == [True, False]


def test_stock_tools_read_the_lines_that_admins_add(app: Flask, world: World, call: Caller) -> None:
    """`casbin_rule` is the table of Casbin's own adapter."""
    line = ["role:viewer", "task", "global", "view", "meets(r.obj.orgs, (1, 2))", "deny"]
    names = ("subject", "resource", "scope", "operation", "condition", "effect")
    body = dict(zip(names, line, strict=True))
    assert call("root", "POST", "/policy/line", json=body).status_code == 201
    engine = db.session.get_bind()
    adapter = sqlalchemy_adapter.Adapter(engine, create_table=False)
    stock = casbin.Enforcer(str(POLICIES / "model.conf"), adapter)
    assert stock.get_policy() == [line]
