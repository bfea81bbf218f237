"""What the documentation quotes as a message of the server is one."""

import ast
import re

from tests.docs.pages import PAGES, ROOT, name_of, without_blocks

_TABLE = re.compile(r"^\| message \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.M)
_PLACE = re.compile(r"<\w+>")


def _texts() -> str:
    """All texts in the source of the server; what is put into them is a NUL."""
    found = []
    for file in (ROOT / "v6srv").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "\0" for p in node.values)
                found.append("".join(map(str, parts)))
    return "\n".join(found)


def test_messages_are_those_of_the_server() -> None:
    known, quoted, wrong = _texts(), 0, []
    libraries = {"Signature verification failed"}  # of PyJWT, handed on
    for page in PAGES:
        for rows in _TABLE.findall(without_blocks(page)):
            for message in re.findall(r"^\| `([^`]+)`", rows, re.M):
                quoted += 1
                if message not in libraries and _PLACE.sub("\0", message) not in known:
                    wrong.append(f"{name_of(page)}: {message}")
    assert wrong == []
    assert quoted > 5
