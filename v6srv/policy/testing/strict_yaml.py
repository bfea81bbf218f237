"""Strict reading of YAML: what is not as it has to be is a problem with file:line:column."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import yaml

from v6srv.authz import clock
from v6srv.authz.source.problems import Problem
from v6srv.suggestions import suggestion
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope
from v6srv.yaml_files import is_null, place

_Word = TypeVar("_Word", Effect, Operation, PrincipalKind, Resource, Scope)


class Bad(Exception):
    """What is being read cannot be used; the problem is None when it has been told already."""

    def __init__(self, problem: Problem | None = None) -> None:
        self.problem = problem


@dataclass(slots=True)
class StrictReader:
    """Reads one file; goes on after a problem, to find them all."""

    file: str
    """What problems call it."""
    problems: list[Problem] = field(default_factory=list)

    def place(self, node: yaml.Node) -> str:
        """`file:line:column`."""
        return place(self.file, node.start_mark)

    def bad(self, node: yaml.Node, message: str) -> Bad:
        """A problem at this node, to raise."""
        return Bad(Problem(self.place(node), message))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Note a problem and go on after this block."""
        try:
            yield
        except Bad as bad:
            self.note(bad)

    def note(self, bad: Bad) -> None:
        """Keep a problem for the end, once."""
        if bad.problem is not None and bad.problem not in self.problems:
            self.problems.append(bad.problem)

    def entries(self, node: yaml.Node) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """The keys and values of a mapping."""
        if not isinstance(node, yaml.MappingNode):
            raise self.bad(node, "names with values expected")
        entries: list[tuple[yaml.ScalarNode, yaml.Node]] = node.value
        return entries

    def mapping(self, node: yaml.Node, known: Sequence[str], what: str) -> dict[str, yaml.Node]:
        """The values of a mapping that has no other keys than these."""
        for key, _ in self.entries(node):
            if key.value not in known:
                near = suggestion(key.value, known)
                raise self.bad(key, f"{what} has no {key.value!r}{near}")
        return {key.value: value for key, value in self.entries(node)}

    def needed(self, parts: Mapping[str, yaml.Node], key: str, node: yaml.Node) -> yaml.Node:
        """The value of a key that must be there."""
        if key not in parts:
            raise self.bad(node, f"{key} is missing")
        return parts[key]

    def sequence(self, node: yaml.Node | None) -> list[yaml.Node]:
        """The members of a list; none for nothing."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.bad(node, "a list expected: [ ... ]")
        members: list[yaml.Node] = node.value
        return members

    def text(self, node: yaml.Node) -> str:
        """A scalar as it is written; YAML's guess of its type does not matter."""
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.bad(node, "a text expected")
        return str(node.value).strip()

    def number(self, node: yaml.Node | None, *, none: bool = False) -> int | None:
        """A whole number from 1."""
        if node is None or (none and is_null(node)):
            return None
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
            raise self.bad(node, "a number expected, from 1")
        return int(text)

    def numbers(self, node: yaml.Node | None) -> list[int]:
        """A list of whole numbers from 1."""
        return [number for member in self.sequence(node) if (number := self.number(member))]

    def flag(self, node: yaml.Node) -> bool | None:
        """`true`, `false` or null."""
        if is_null(node):
            return None
        if not isinstance(node, yaml.ScalarNode) or node.value not in ("true", "false"):
            raise self.bad(node, "true or false expected")
        return bool(node.value == "true")

    def moment(self, node: yaml.Node | None) -> datetime | None:
        """A time, as policies write it."""
        if node is None:
            return None
        text = self.text(node)
        try:
            return clock.read(text)
        except (ValueError, OverflowError) as error:
            raise self.bad(node, f"{text!r} is no date or time") from error

    def word(self, node: yaml.Node, kind: type[_Word], what: str) -> _Word:
        """A word of the vocabulary."""
        word = self.text(node)
        known = tuple(kind)
        if word not in known:
            raise self.bad(node, f"unknown {what} {word!r}{suggestion(word, known)}")
        return kind(word)

    def lookup(
        self,
        node: yaml.Node,
        things: Mapping[str, Any],
        what: str,
        words: Collection[str] = (),
    ) -> tuple[str, Any]:
        """Something that was defined above, by its name."""
        name = self.text(node)
        if name not in things:
            near = suggestion(name, [*things, *words])
            raise self.bad(node, f"there is no {what} {name!r}{near}")
        if things[name] is None:
            raise Bad  # its own problem has been told
        return name, things[name]
