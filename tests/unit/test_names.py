"""The rules for names and addresses, each by itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Text

from v6srv import names
from v6srv.db import Base
from v6srv.model import checks


@pytest.mark.parametrize(
    "other",
    [
        "Nora",
        "NORA",
        "\uff2eora",
        "no\u200bra",
        "nora\u00ad",
        "\u2060nora",
        "nora\ufe0f",
        "no\u034fra",
    ],
    ids=ascii,
)
def test_what_looks_alike_is_one(other: str) -> None:
    assert names.key(other) == names.key("nora")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u00c9mile", "e\u0301mile"),
        ("STRASSE", "stra\u00dfe"),
        ("\u0130", "i\u0307"),
        ("\u00e9", "e\u200d\u0301"),
    ],
    ids=ascii,
)
def test_case_is_that_of_all_scripts(one: str, other: str) -> None:
    """SQLite's `lower` knows ASCII only, and PostgreSQL's depends on its locale."""
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize("unseen", ["\u200b", "\u3164", "\ufe0f\ufe0f", "\U000e0100"], ids=ascii)
def test_what_cannot_be_seen_is_no_name(unseen: str) -> None:
    assert names.key(unseen) == ""
    assert names.name(unseen) is not None


@pytest.mark.parametrize("other", ["nor", "nora2", "n\u00f6ra", "no ra", "nora."], ids=ascii)
def test_what_does_not_look_alike_is_not(other: str) -> None:
    assert names.key(other) != names.key("nora")


@pytest.mark.parametrize(
    ("organization", "collaboration", "name"),
    [
        ("North", "Study", "North - Study Node"),
        (None, "Study", "- Study Node"),
        ("  North\n", "Study \x07", "North - Study Node"),
        ("n" * 400, "s" * 400, f"{'n' * 123} - {'s' * 123} Node"),
        ("n" * 122 + " x", "s", f"{'n' * 122} - s Node"),
    ],
)
def test_the_name_of_a_node_is_a_good_one(
    organization: str | None, collaboration: str | None, name: str
) -> None:
    assert names.node_name(organization, collaboration) == name
    assert names.faults("node", {"name": name}) == {}


@pytest.mark.parametrize(
    "number",
    [
        "7",
        "007",
        "-7",
        "+ 7",
        "\u22127",
        "1 2",
        "\uff11\uff12",
        "\u0661",
        "1\u00b2",
        "\u2460",
        "1\u200b2",
    ],
    ids=ascii,
)
def test_what_would_be_taken_for_an_id_is_no_new_name(number: str) -> None:
    for table, column in NUMBERED:
        [fault] = names.faults(table, {column: number})[column]
        assert "number" in fault
    assert names.faults("role", {"name": number}) == {}


@pytest.mark.parametrize("name", ["7b", "b7", "1.5", "1_000", "0x7", "-", "12-13", "1/2", "\u4e00"])
def test_what_has_numbers_in_it_is_a_name(name: str) -> None:
    for table, column in NUMBERED:
        assert names.faults(table, {column: name}) == {}


NUMBERED = (
    ("collaboration", "name"),
    ("node", "name"),
    ("organization", "name"),
    ("user", "username"),
)
"""What is called by a name that is its own, and known by an id as well."""

FREE = {
    "collaboration": set[str](),
    "node": {"api_key"},
    "organization": set[str](),
    "role": set[str](),
    "study": set[str](),
    "algorithmstore": set[str](),
    "user": {"email_key", "otp_secret", "password", "username_key"},
}
"""Texts that people see and the contract leaves free, and those that the server makes."""


def test_every_text_of_accounts_and_their_owners_has_a_rule_or_is_free() -> None:
    """A new column does not go without one by mistake."""
    for table, rules in names.RULES.items():
        columns = Base.metadata.tables[table].c
        texts = {column.name for column in columns if isinstance(column.type, Text)}
        assert texts - rules.keys() == FREE[table]
    assert {model.__tablename__ for model in checks.RULED} == set(names.RULES)


def _bulk_statements() -> Iterator[tuple[str, str, str]]:
    """File, verb and table of every statement that writes such rows past their rules."""
    root = Path(names.__file__).parent
    tables = {model.__name__ for model in checks.RULED}
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args:
                verb = ast.unparse(node.func).rpartition(".")[2]
                table = ast.unparse(node.args[0]).partition(".")[0]
                if verb in ("insert", "update") and table in tables | {"target"}:
                    yield str(file.relative_to(root)), verb, table


def test_statements_that_pass_by_the_tables_are_few() -> None:
    """Whatever is added here must set no column of `names.RULES`, or ask the rule itself."""
    assert set(_bulk_statements()) == {
        ("model/checks.py", "update", "User"),  # the keys
        ("service/accounts.py", "update", "User"),  # of nobody: the work that an account would be
        ("service/mail_queue.py", "update", "User"),  # when a token was mailed
        ("service/takeover/copying.py", "insert", "target"),  # reported
    }
