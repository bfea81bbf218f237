"""The site has every page, once. `make site` builds it, and fails for a dead link."""

import re

from tests.docs.pages import PAGES, ROOT

INDEX = ROOT / "docs" / "index.rst"


def test_every_page_is_in_the_contents_of_the_site() -> None:
    named = re.findall(r"^   (?:[^<\n:]+ <)?/([\w/*-]+)>?$", INDEX.read_text(), re.M)
    found = [
        page.relative_to(ROOT).as_posix()
        for name in named
        for page in sorted(ROOT.glob(f"{name}.md"))
    ]
    assert sorted(found) == sorted(page.relative_to(ROOT).as_posix() for page in PAGES)


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [page.name[:4] for page in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
