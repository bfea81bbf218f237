"""The list of decisions, from their titles."""

import re
from pathlib import Path

ADR = Path(__file__).parents[1] / "docs" / "adr"

HEAD = """# Decisions

What somebody would ask about again: why it is made this way, and what else was considered. A
decision that no longer holds says which one replaced it.

"""


def text() -> str:
    """The page."""
    pages = sorted(ADR.glob("[0-9]*.md"))
    return HEAD + "".join(f"{_line(page)}\n" for page in pages)


def _line(page: Path) -> str:
    number, title = re.match(r"# (\d+)\. (.+)", page.read_text()).groups()
    return f"- [{number}. {title}]({page.name})"
