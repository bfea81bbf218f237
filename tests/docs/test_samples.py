"""Every block of the documentation is of a known kind, and every sample is valid."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, RUN, SHOWN, Block, blocks, name_of, without_blocks
from tests.docs.samples import CHECKS
from tests.docs.test_policies import LINES, TESTS

_KINDS = {*RUN, SHOWN, LINES, TESTS, *CHECKS}
_SAMPLES = [block for page in PAGES for block in blocks(page) if block.kind in CHECKS]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    unknown = [f"{block}: {block.kind!r}" for block in blocks(page) if block.kind not in _KINDS]
    assert unknown == [], f"the kinds are: {sorted(_KINDS)}"
    before = ""
    for number, line in enumerate(without_blocks(page).splitlines(), 1):
        indented = line.startswith("    ") and not before
        assert not indented, f"{name_of(page)}:{number}: put ``` around it, so that it is checked"
        assert "```" not in line, f"{name_of(page)}:{number}: this block has no end"
        before = line.strip()


@pytest.mark.parametrize("block", _SAMPLES, ids=str)
def test_a_sample_is_valid(block: Block, tmp_path: Path) -> None:
    CHECKS[block.kind](block, tmp_path)
