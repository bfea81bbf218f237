"""docs/security.md: every promise names the tests that keep it, and these exist."""

import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))
ROWS = re.findall(r"^\|(?! ?-|---)(.+)\|$", PAGE, re.M)


def test_there_are_enough_to_speak_of() -> None:
    assert len(NAMED) > 50
    assert len(ROWS) > 50


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_the_tests_that_are_named_exist(file: str) -> None:
    text = (ROOT / file).read_text()
    wanted = [name for place, name in NAMED if place == file and name]
    assert [name for name in wanted if not re.search(rf"^def {name}\(", text, re.M)] == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith(" V")])
def test_no_promise_is_without_a_test(row: str) -> None:
    assert "`tests/" in row


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith(" CVE-")])
def test_every_advisory_has_a_test_or_says_why_not(row: str) -> None:
    *_, here = row.strip().split(" | ")
    assert "`tests/" in here or re.search(r"\bof the |\*\*not closed yet\*\*", here), here
