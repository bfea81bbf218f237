"""The rules of both dialects: what one is called in each, by what it means."""

import csv
from pathlib import Path

from v6srv.authz.rules import DECLARED, FINER_RULES, OWN_RULES, RULES
from v6srv.dialect.rule_names import KNOWN_TO_3, KNOWN_TO_4, NAMES, RULES_BY_NAME

CONTRACT = Path(__file__).parents[1] / "contract"


def test_names_are_one_to_one() -> None:
    assert len(NAMES) == len(RULES_BY_NAME)
    assert all(RULES_BY_NAME[name] == rule for rule, name in NAMES.items())


def test_every_declared_rule_is_known_to_a_dialect_and_no_other() -> None:
    assert {rule.text for rule in DECLARED} == KNOWN_TO_3 | KNOWN_TO_4
    assert {rule.text for rule in (*RULES, *OWN_RULES)} == KNOWN_TO_3
    assert {rule.text for rule in FINER_RULES} == KNOWN_TO_4 - KNOWN_TO_3
    assert {"event:collaboration:create"} == KNOWN_TO_3 - KNOWN_TO_4


def test_the_names_of_4x_are_those_of_its_contract() -> None:
    """Those of the same meaning are the rules of 3.x that it says."""
    with (CONTRACT / "rules-v4.csv").open(newline="") as file:
        rows = {(r["resource"], r["operation"], r["scope"]): r for r in csv.DictReader(file)}
    own = {rule.text for rule in OWN_RULES}
    assert {name for rule, name in NAMES.items() if rule not in own} == rows.keys()
    for name, row in rows.items():
        equal = row["in_3x"].replace("|", ":").lower()
        if equal == "same":
            equal = f"{row['resource']}:{row['scope']}:{row['operation']}".lower()
        rule = RULES_BY_NAME[name]
        assert (rule if rule in KNOWN_TO_3 else "") == equal, name
