"""What is guessed first is no password: common ones, and what somebody is called."""

import pytest

from v6srv import passwords

NAMES = ("rita", "rita.lang@alpha.example", "Rita", "Lang", "Alpha Hospital", None, "")


@pytest.mark.parametrize(
    "text",
    [
        "Password1!",
        "P@ssw0rd",
        "1Password!",
        "P@$$w0rd1",
        "We1c0me!",
        "Summer2024!",
        "Qwerty123!",
        "1qaz@WSX",
        "!QAZ2wsx",
        "Abcd1234!",
    ],
)
def test_a_common_password_with_ornaments_is_refused_though_it_keeps_all_other_rules(text):
    assert "too easy to guess" in (passwords.password_problem(text) or "")


@pytest.mark.parametrize(
    "text", ["Rita-2024!", "R1ta!2024", "RitaLang#1", "Lang-Rita-1!", "1-Alpha-Hospital!"]
)
def test_a_name_with_ornaments_is_refused_to_who_is_called_so(text):
    assert "too easy to guess" in (passwords.password_problem(text, *NAMES) or "")
    assert passwords.password_problem(text, "nora") is None


@pytest.mark.parametrize("text", ["Rita-pass-1", "Str0ng-Pass!", "Kq7!rzM2w", "A1!" + "a" * 125])
def test_what_has_more_to_it_is_accepted(text):
    assert passwords.password_problem(text, *NAMES) is None


def test_the_rules_of_the_contract_are_named_first():
    assert "too short" in (passwords.password_problem("admin") or "")
    assert "special character" in (passwords.password_problem("Password1") or "")
