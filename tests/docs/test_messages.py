"""What the documentation quotes as said by the server is said by it, and all its problems are there."""

import ast
import re
from collections.abc import Iterator

from tests.docs.pages import PAGES, ROOT, name_of, without_blocks

_TABLE = r"^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)"
_PLACE = re.compile(r"<\w+>")
_OF_LIBRARIES = {"Signature verification failed"}
_PROBLEMS = ROOT / "docs" / "operations.md"


def _quoted(title: str, text: str) -> list[str]:
    """The first cells of tables whose first column has this title; what varies is a NUL."""
    rows = "".join(re.findall(_TABLE.format(title=title), text, re.M))
    return [_PLACE.sub("\0", said) for said in re.findall(r"^\| `([^`]+)`", rows, re.M)]


def _source() -> Iterator[ast.AST]:
    for file in (ROOT / "v6srv").rglob("*.py"):
        yield from ast.walk(ast.parse(file.read_text()))


def _text(node: ast.AST) -> str | None:
    """A text in the source; what is put into it is a NUL."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "\0" for part in node.values)
    return None


def test_messages_are_those_of_the_server() -> None:
    known = "\n".join(filter(None, map(_text, _source())))
    quoted = [(page, said) for page in PAGES for said in _quoted("message", without_blocks(page))]
    assert len(quoted) > 5
    wrong = [(page, said) for page, said in quoted if said not in known]
    assert [(name_of(page), said) for page, said in wrong if said not in _OF_LIBRARIES] == []


def test_every_problem_is_explained() -> None:
    told = {"policy: \0: \0", "policy in shadow: \0: \0", "decision log: cannot be written"}
    for file in (ROOT / "v6srv").rglob("*.py"):
        told |= _problems(ast.parse(file.read_text()))
    explained = _quoted("problem", without_blocks(_PROBLEMS))
    assert sorted(explained) == sorted(told), "each once"


def _problems(module: ast.Module) -> set[str]:
    """The texts of the problems that begin in a module."""
    constants = {
        target.id: _text(node.value)
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = set()
    for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
        called = ast.unparse(call.func)
        if called == "Outage":
            said: ast.AST = call.args[0]
        elif called in ("problems.begin", "registry.begin"):
            said = call.args[1]
        else:
            continue
        text = constants.get(said.id) if isinstance(said, ast.Name) else _text(said)
        assert text or ast.unparse(said) == "outage.text", f"what is said by {ast.unparse(call)}?"
        found |= {text} if text else set()
    return found
