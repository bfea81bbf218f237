"""Every quirk has a test named after it, or a line that says why not.

tests/contract/quirk_ids.txt lists the entries of quirks.md (Q-01 ...) and realtime-quirks.md
(A1, S1, N1, C1, O1 ...).
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
IDS = (HERE.parent / "contract" / "quirk_ids.txt").read_text().split()


def key(id: str) -> tuple[str, int]:
    """`Q-07` and `q_07` are one entry, `S7` and `s_07` as well."""
    letter, number = re.fullmatch(r"([A-Za-z])[-_]?(\d+)", id).groups()
    return letter.upper(), int(number)


def named() -> set[tuple[str, int]]:
    sources = [path.read_text() for path in HERE.glob("test_*_quirks.py")]
    return {
        key(found)
        for source in sources
        for found in re.findall(r"^def test_([a-z]_\d\d)_", source, re.MULTILINE)
    }


def excused() -> set[tuple[str, int]]:
    lines = (HERE / "not_tested.txt").read_text().splitlines()
    entries = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    assert all(len(reason.split()) > 5 for _, _, reason in entries)
    return {key(id) for id, _, _ in entries}


def test_every_quirk_has_a_test_named_after_it_or_a_reason():
    missing = [id for id in IDS if key(id) not in named() | excused()]
    assert missing == []


def test_names_and_reasons_are_about_quirks_that_are_listed():
    listed = {key(id) for id in IDS}
    assert len(listed) == len(IDS) == 145
    assert named() <= listed
    assert excused() <= listed
    assert named() & excused() == set()
