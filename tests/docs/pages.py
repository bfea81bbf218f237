"""The pages of the documentation and their blocks.

A block says by its first line what it is, and so what is done with it:

- `sh`: commands, run in their order as a reader would paste them; `sh refused`: they must fail;
  `sh elsewhere`: for another machine, only read by a shell, not run.
- `python`: run in between, with the interpreter of the real client; `python server`: with that of the
  server; `python fragment`: only parsed.
- `text`: directly below a block that is run, what it prints, line by line; otherwise only shown.
- everything else is a sample, see samples.py. A block of an unknown kind fails.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("docs/**/*.md")])

RUN = ("sh", "sh refused", "python", "python server")
SHOWN = "text"

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    kind: str
    text: str
    follows: bool
    """Nothing but an empty line stands between it and the block before."""

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """The page as links name it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in their order."""
    found, text, end = [], page.read_text(encoding="utf-8"), -1
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        inside = "".join(line[indent:] or "\n" for line in match["text"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start()) + 1
        follows = end >= 0 and not text[end : match.start()].strip()
        found.append(Block(page, line, match["kind"].strip(), inside, follows))
        end = match.end()
    return found


def without_blocks(page: Path) -> str:
    """The text between the blocks; lines keep their numbers."""
    return _BLOCK.sub(lambda match: "\n" * match[0].count("\n"), page.read_text(encoding="utf-8"))
