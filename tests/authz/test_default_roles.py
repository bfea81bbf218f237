"""The shipped policies are the contract's default roles and rules."""

import csv
from collections import Counter
from pathlib import Path

from v6srv.authz.line import Line
from v6srv.authz.rules import DEFAULT_ROLES, RULES
from v6srv.authz.source.load import build, declared_grants

CONTRACT = Path(__file__).parents[1] / "contract"
POLICIES = Path(__file__).parents[2] / "policies"


def _rows(name: str) -> list[dict[str, str]]:
    with (CONTRACT / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_declared_rules_are_those_of_the_contract_in_its_order() -> None:
    expected = [
        (row["resource"], row["scope"].lower(), row["operation"].lower())
        for row in _rows("rules.csv")
    ]
    assert len(expected) == 53
    assert [rule.key for rule in RULES] == expected


def test_the_default_roles_hold_the_156_rules_of_the_contract() -> None:
    expected = {
        (row["role"], row["resource"], row["scope"].lower(), row["operation"].lower())
        for row in _rows("default_roles.csv")
    }
    held = declared_grants(POLICIES)
    known = {(rule.resource, rule.scope, rule.operation) for rule in RULES}
    shipped = {
        (role.name, *(word.value for word in rule))
        for role in DEFAULT_ROLES
        for rule in held[role.slug] & known
    }
    assert shipped == expected
    assert len(shipped) == 156


def test_the_fixed_roles_are_marked_as_in_the_contract() -> None:
    held = declared_grants(POLICIES)
    for row, rule in zip(_rows("rules.csv"), RULES, strict=True):
        key = (rule.resource, rule.scope, rule.operation)
        assert (key in held["node"]) is (row["assign_to_node"] == "true"), rule
        assert (key in held["container"]) is (row["assign_to_container"] == "true"), rule


def test_the_shipped_policies_are_valid_with_a_custom_role() -> None:
    custom = Line("p", ("role:12", "task", "own", "view", "True", "allow"), "db:role:12")
    enforcer = build(POLICIES, [custom])
    assert Counter(line.origin.split(":")[0] for line in enforcer.lines)["db"] == 1
