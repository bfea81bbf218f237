"""No link of the documentation leads nowhere."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, name_of, without_blocks

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]*`")
_TITLE = re.compile(r"^#+ (.*)$", re.M)
_FILE = re.compile(r"`([\w.-][\w./-]*/[\w.-]+\.(?:py|md|conf|csv|yaml|sh|lock))`")
_ELSEWHERE = ("http://", "https://")


@cache
def anchors(page: Path) -> set[str]:
    """What links may name in a page: its titles, as GitHub writes them."""
    found: set[str] = set()
    for title in _TITLE.findall(without_blocks(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower().replace(" ", "-")
        anchor = plain = re.sub(r"[^\w-]", "", words)
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.findall(_CODE.sub("`code`", without_blocks(page))):
        if link.startswith(_ELSEWHERE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    """From the top, from the package, or from where the page is. History names what is gone."""
    named = _FILE.findall(without_blocks(page))
    places = (ROOT, ROOT / "v6srv", page.parent)
    assert [n for n in named if not any((place / n).exists() for place in places)] == []


def test_every_page_of_the_documentation_is_linked() -> None:
    linked = set()
    for page in PAGES:
        for link in _LINK.findall(without_blocks(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            linked |= {target} if target != page else set()
            linked |= set(target.glob("*.md")) if target.is_dir() else set()
    assert [name_of(page) for page in PAGES if page not in linked | {ROOT / "README.md"}] == []


def test_every_part_of_the_program_is_introduced() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    parts = [part.parent.name for part in (ROOT / "v6srv").glob("*/__init__.py")]
    assert [part for part in parts if f"v6srv/{part}" not in text] == []
