"""YAML as this program reads it everywhere: configurations, imports, tests of policies.

Strict, for nothing may be guessed or lost: one document of UTF-8, every key once, and scalars are
the text that is written (YAML takes the zip code 01067 for 567 and the country NO for false).
What is said about a file never quotes it, apart from its keys: it may hold passwords.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from v6srv import names
from v6srv.errors import Invalid

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(
    _TAG + kind for kind in ("str", "null", "bool", "int", "float", "timestamp", "merge", "value")
)
_KNOWN_TAGS = _SCALARS | {f"{_TAG}map", f"{_TAG}seq"}
_TYPED = frozenset(_TAG + kind for kind in ("bool", "int", "float"))
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C, which wheels of PyYAML have: fifteen times as fast."""
_DEEPEST = 100
"""How many levels a file may have. What is in C would go on until its stack ends."""
_ALLOWED_COPIES = 10_000
"""How many nodes aliases may repeat: enough for people, too few for a file made to explode."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file."""

    place: str
    """`file:line:column`, or the file when it is about the whole."""
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class BadYaml(Invalid):
    """A file that cannot be used; `faults` has an entry for each thing that is wrong."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


def place(name: str, mark: Any) -> str:
    """`file:line:column` of a mark of PyYAML; the file alone without one."""
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def read(path: Path, name: str | None = None) -> yaml.Node | None:
    """The root of a file, known to be sound; None when it is empty.

    `name` is what the file is called in messages; its own name unless told. Raises BadYaml.
    """
    name = name or path.name
    try:
        text = path.read_text(encoding="utf-8")
        _require_shallow(text, name)
        root = yaml.compose(text, Loader=_LOADER)
        if root is not None:
            _require_bounded(root, name)
            faults = tuple(dict.fromkeys(_faults(root, name)))
            if faults:
                raise BadYaml(*faults)
    except UnicodeDecodeError as error:
        raise BadYaml(Fault(name, "cannot be read: it is not UTF-8")) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadYaml(Fault(name, f"cannot be read: {reason}")) from error
    except yaml.YAMLError as error:
        raise BadYaml(_described(error, name)) from error
    return root


def values(node: yaml.Node | None, *, typed: bool = False) -> Any:
    """A node of `read` as dictionaries, lists, texts and None: nothing but null has a type.

    With `typed`, numbers and booleans have theirs, for what is written again, unless they would be
    written as another text. Keys of a merge (`<<`) are those of the mapping itself, which win.
    """
    if isinstance(node, yaml.MappingNode):
        own = {k.value: values(v, typed=typed) for k, v in node.value if not _is_merge(k)}
        merged = (_merged(value, typed) for key, value in node.value if _is_merge(key))
        return next(merged, {}) | own
    if isinstance(node, yaml.SequenceNode):
        return [values(member, typed=typed) for member in node.value]
    if node is None or is_null(node):
        return None
    if typed and isinstance(node, yaml.ScalarNode) and node.tag in _TYPED:
        return _typed(node)
    return node.value


def places(root: yaml.Node | None, name: str) -> dict[str, str]:
    """Where everything of a file stands that `values` gives, by its path: `users[0].email`.

    Members of a mapping are where their keys are. The path of the root is empty.
    """
    found = {"": place(name, root.start_mark if root else None)}

    def note(node: yaml.Node | None, path: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if _is_merge(key):
                    for part in reversed(_parts(value)):
                        note(part, path)
            for key, value in node.value:
                if not _is_merge(key):
                    one = f"{path}.{key.value}".removeprefix(".")
                    found[one] = place(name, key.start_mark)
                    note(value, one)
        elif isinstance(node, yaml.SequenceNode):
            for index, member in enumerate(node.value):
                one = f"{path}[{index}]"
                found[one] = place(name, member.start_mark)
                note(member, one)

    note(root, "")
    return found


def _typed(node: yaml.ScalarNode) -> Any:
    """The number or boolean of a node; its text if that has another form: 01067, off."""
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except ValueError:  # 0x_ looks like a number, and is none
        return node.value
    return value if yaml.safe_dump(value).partition("\n")[0] == node.value else node.value


def is_null(node: yaml.Node) -> bool:
    """Whether nothing is written, or one of YAML's words for it."""
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def _is_merge(key: yaml.Node) -> bool:
    return bool(key.tag == f"{_TAG}merge")


def _merged(node: yaml.Node, typed: bool) -> dict[str, Any]:
    """The keys that a merge brings; of several mappings the first one wins."""
    found: dict[str, Any] = {}
    for part in reversed(_parts(node)):
        found |= values(part, typed=typed)
    return found


def _parts(merged: yaml.Node) -> list[yaml.Node]:
    return merged.value if isinstance(merged, yaml.SequenceNode) else [merged]


def _faults(node: yaml.Node, name: str) -> Iterator[Fault]:
    """What YAML allows and we do not."""
    if node.tag not in _KNOWN_TAGS:
        yield Fault(place(name, node.start_mark), "a tag (!...) that has no meaning here")
    if isinstance(node, yaml.SequenceNode):
        for member in node.value:
            yield from _faults(member, name)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            yield from _faults_of_key(key, value, seen, name)
            yield from _faults(value, name)
    elif names.unstorable(node.value):
        yield Fault(place(name, node.start_mark), "characters that cannot be stored")


def _faults_of_key(key: yaml.Node, value: yaml.Node, seen: set[str], name: str) -> Iterator[Fault]:
    where = place(name, key.start_mark)
    if not isinstance(key, yaml.ScalarNode) or not key.value.strip():
        yield Fault(where, "a name expected")
        return
    yield from _faults(key, name)
    if key.value in seen:
        yield Fault(where, f"{key.value!r} is given twice")
    seen.add(key.value)
    if _is_merge(key) and not all(isinstance(part, yaml.MappingNode) for part in _parts(value)):
        yield Fault(where, "<< takes the keys of mappings, and this is none")


def _require_shallow(text: str, name: str) -> None:
    """Raise BadYaml when a file has more levels than anybody needs."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise BadYaml(Fault(place(name, event.start_mark), "is nested too deeply"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _require_bounded(root: yaml.Node, name: str) -> None:
    """Raise BadYaml when aliases would make the file endless, or many times what is written."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_:
            raise BadYaml(Fault(place(name, node.start_mark), "contains itself"))
        if id(node) not in sizes:
            open_.add(id(node))
            members: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                members = [one for pair in node.value for one in pair]
            elif isinstance(node, yaml.SequenceNode):
                members = node.value
            sizes[id(node)] = 1 + sum(map(size, members))
            open_.remove(id(node))
        return sizes[id(node)]

    if size(root) - len(sizes) > _ALLOWED_COPIES:
        raise BadYaml(Fault(name, "its aliases (*...) repeat too much"))


def _described(error: yaml.YAMLError, name: str) -> Fault:
    """Where and what. An unquoted text that begins with * or ! is quoted by PyYAML: we do not."""
    problem = re.sub(
        r"(['\"]).{2,}\1", "(...)", getattr(error, "problem", None) or "bad characters"
    )
    if problem.startswith("but found another document"):
        problem = "one document expected, and here begins another"
    return Fault(place(name, getattr(error, "problem_mark", None)), f"is not YAML: {problem}")
