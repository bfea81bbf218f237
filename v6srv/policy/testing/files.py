"""Reading policy tests: `tests/*.yaml` beside the policies. Strict: nothing is guessed.

A file is a suite: named principals, named rows (facts given by hand, no database), and cases, each
with the effect it expects. A case is written alone (`tests`) or as a cell of a table (`tables`).
Everything unknown, missing, given twice or of the wrong type is a problem with file:line:column.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from v6srv import yaml_files
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.fact_types import Fact, implied, naming
from v6srv.authz.facts import NAMING, facts_of, room_facts
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.authz.rules import RULE_TEXTS
from v6srv.authz.source.folder import Stamp, stamp
from v6srv.authz.source.lines import found_in
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.policy.testing.strict_yaml import StrictReader
from v6srv.suggestions import suggestion
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope
from v6srv.yaml_files import BadYaml, is_null

FOLDER = "tests"
"""Where the tests of a folder of policies are."""

_SUITE = ("suite", "about", "clock", "principals", "rows", "tests", "tables")
_USER = ("kind", "id", "org", "collabs", "roles")
_NODE = ("kind", "id", "org", "collabs", "roles")
_CONTAINER = ("kind", "node", "org", "collabs", "task", "run", "image")
_KEYS_OF_KIND = {
    PrincipalKind.USER: _USER,
    PrincipalKind.NODE: _NODE,
    PrincipalKind.CONTAINER: _CONTAINER,
}
_NEEDED = {
    PrincipalKind.USER: ("id",),
    PrincipalKind.NODE: ("id",),
    PrincipalKind.CONTAINER: ("node", "task"),
}
_AXES = {"principal": "principals", "operation": "operations", "row": "rows"}
"""What a case is made of: the key that fixes it, and the key that spreads it over columns."""
_WHERE = ("clock", "changes")
_CASE = ("name", *_AXES, "rule", "effect", "because", *_WHERE)
_TABLE = ("name", *_AXES, *_AXES.values(), "rules", *_WHERE)


@dataclass(frozen=True, slots=True)
class Case:
    """One question to the policy and the effect that is expected."""

    suite: str
    name: str
    origin: str
    """`file:line:column`."""
    subject: SubjectFacts
    resource: Resource
    operation: Operation
    row: SimpleNamespace | None
    """Facts of the row; None asks whether the principal may hand out the rule of `scope`."""
    scope: Scope | None
    at: datetime | None
    """When it is asked; None: at the time of the run."""
    expected: Effect
    because: str | None
    """What a line that decided has to say, in words of lines; empty: no line matched."""

    @property
    def title(self) -> str:
        """The name of a case in a report."""
        return f"{self.suite}: {self.name}"


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file."""

    name: str
    file: str
    cases: tuple[Case, ...]


def test_paths(folder: Path) -> list[Path]:
    """The files of tests of a folder of policies, by name."""
    return found_in(folder / FOLDER, "*.yaml")


def stamp_of_tests(folder: Path) -> Stamp:
    """The files beside the policies that are tests, or look like it; empty without any.

    A folder of tests that cannot be looked into is not empty.
    """
    tests = folder / FOLDER
    if os.path.lexists(tests) and not os.access(tests, os.R_OK | os.X_OK):
        return ((str(tests), 0, 0, 0, 0),)
    return stamp(tests, ("*.yaml", "*.yml"))


def read_tests(folder: Path, enforcer: Enforcer) -> list[Suite]:
    """The suites of a folder of policies, from its folder `tests`, by name of file.

    `enforcer` knows the roles. Raises PolicyError with everything that is wrong, and when there is
    no test at all.
    """
    paths = test_paths(folder)
    if not paths:
        raise PolicyError([Problem(FOLDER, "there are no tests: no file of the form *.yaml")])
    suites: list[Suite] = []
    problems = [
        Problem(f"{FOLDER}/{path.name}", "would not be read: call it .yaml")
        for path in sorted((folder / FOLDER).glob("*.yml"))
    ]
    for path in paths:
        try:
            suites.append(read_suite(path, enforcer))
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)
    return suites


def read_suite(path: Path, enforcer: Enforcer) -> Suite:
    """The suite in a file. Raises PolicyError with everything that is wrong with it."""
    name = f"{FOLDER}/{path.name}"
    try:
        root = yaml_files.read(path, name)
    except BadYaml as error:
        raise PolicyError(Problem(fault.place, fault.message) for fault in error.faults) from error
    return _Reader(name, roles=enforcer.roles).suite(root)


def hypothetical_row(resource: Resource, given: Mapping[str, Any]) -> SimpleNamespace:
    """The facts of a row that is not in the database.

    What is not given follows from what is (the organizations that a node belongs to from its `org`)
    where that is true of every real row, and is None or the empty set otherwise.
    """
    facts = facts_of(resource)
    absent = {name: fact.absent for name, fact in facts.items()}
    return SimpleNamespace(type=resource.value, **{**absent, **implied(facts, given), **given})


@dataclass(slots=True)
class _Row:
    resource: Resource
    given: dict[str, Any]
    """What was written, without what follows from it."""
    room: bool = False

    def given_to(self, resource: Resource) -> dict[str, Any]:
        """What a row of this resource takes from this one.

        As another resource (an event about a task), what follows from the facts stays as it was.
        """
        taken = self.given if resource is self.resource else vars(self.facts())
        return {name: value for name, value in taken.items() if name in facts_of(resource)}

    def facts(self) -> SimpleNamespace:
        if self.room:
            return SimpleNamespace(type=self.resource.value, **self.given)
        return hypothetical_row(self.resource, self.given)


@dataclass(slots=True)
class _Asked:
    """The parts of a case, while it is put together."""

    principal: tuple[str, SubjectFacts] | None = None
    operation: Operation | None = None
    row: tuple[str, _Row] | None = None
    rule: tuple[Resource, Scope, Operation] | None = None
    at: datetime | None = None
    changes: frozenset[str] = frozenset()

    @property
    def described(self) -> str:
        """`researcher may create our task`, for cases without a name of their own."""
        who = self.principal[0] if self.principal else ""
        if self.rule:
            return f"{who}, handing out {' '.join(self.rule)}"
        row = self.row[0] if self.row else ""
        changes = f" ({', '.join(sorted(self.changes))})" if self.changes else ""
        return f"{who}, {self.operation} {row}{changes}"


@dataclass(slots=True)
class _Reader(StrictReader):
    """Reads one file of tests."""

    roles: frozenset[str] = frozenset()
    name: str = ""
    at: datetime | None = None
    principals: dict[str, SubjectFacts | None] = field(default_factory=dict)
    rows: dict[str, _Row | None] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)

    # --- the file

    def suite(self, root: yaml.Node | None) -> Suite:
        """The suite. Raises PolicyError."""
        if root is None:
            raise PolicyError([Problem(f"{self.file}:1:1", "the file is empty")])
        with self.collecting():
            parts = self.mapping(root, _SUITE, "a suite")
            with self.collecting():
                self.name = self.text(self.needed(parts, "suite", root))
                self.at = self.moment(parts.get("clock"))
                if "about" in parts:
                    self.text(parts["about"])
            self.named(parts.get("principals"), self.principals, self.principal)
            self.named(parts.get("rows"), self.rows, lambda node: self.row(node))
            for node in self.sequence(parts.get("tests")):
                with self.collecting():
                    self.test(node)
            for node in self.sequence(parts.get("tables")):
                with self.collecting():
                    self.table(node)
            if not self.cases and not self.problems:
                raise self.bad(root, "the suite has no test")
        if self.problems:
            raise PolicyError(self.problems)
        return Suite(self.name, self.file, tuple(self.cases))

    def named(self, node: yaml.Node | None, into: dict[str, Any], read: Any) -> None:
        """Read a mapping of things by name; those that are bad keep their name."""
        if node is None:
            return
        with self.collecting():
            for key, value in self.entries(node):
                if key.value in (*_SUITE, *_TABLE):
                    raise self.bad(key, f"{key.value!r} is a word of this format, not a name")
                found = None
                with self.collecting():
                    found = read(value)
                into[key.value] = found

    # --- principals

    def principal(self, node: yaml.Node) -> SubjectFacts:
        """A principal, its roles by name (`researcher`) or number, or as lines write them."""
        entries = {key.value: value for key, value in self.entries(node)}
        kind = PrincipalKind.USER
        if "kind" in entries:
            kind = self.word(entries["kind"], PrincipalKind, "kind")
        parts = self.mapping(node, _KEYS_OF_KIND[kind], f"a {kind}")
        for key in _NEEDED[kind]:
            self.needed(parts, key, node)
        account = self.number(parts["node" if kind is PrincipalKind.CONTAINER else "id"])
        assert account is not None
        return Principal(
            kind,
            account,
            self.number(parts.get("org"), none=True),
            frozenset(self.numbers(parts.get("collabs"))),
            tuple(self.role(role) for role in self.sequence(parts.get("roles"))),
            task_id=self.number(parts.get("task"), none=True),
            run_id=self.number(parts.get("run"), none=True),
            image=self.text(parts["image"]) if "image" in parts else None,
        ).facts

    def role(self, node: yaml.Node) -> str:
        """`researcher`, 12 or `rule:3`, as lines write it; only what lines speak of."""
        word = self.text(node)
        role = word if ":" in word else f"role:{word}"
        if role not in self.roles:
            known = sorted(name.removeprefix("role:") for name in self.roles)
            raise self.bad(node, f"no line speaks of {role}{suggestion(word, known)}")
        return role

    # --- rows

    def row(self, node: yaml.Node) -> _Row:
        """A row: its resource and facts, perhaps those of another one first; or a room."""
        entries = {key.value: value for key, value in self.entries(node)}
        if "room" in entries:
            return self.room(self.mapping(node, ("room",), "a room")["room"])
        base = None
        if "like" in entries:
            _, base = self.lookup(entries["like"], self.rows, "row")
            if base.room:
                raise self.bad(entries["like"], "a room is not like any row")
        if "resource" in entries:
            resource = self.word(entries["resource"], Resource, "resource")
        elif base is not None:
            resource = base.resource
        else:
            raise self.bad(node, "resource is missing")
        known = facts_of(resource)
        given = {} if base is None else base.given_to(resource)
        for key, value in self.entries(node):
            if key.value in ("like", "resource"):
                continue
            if key.value not in known:
                words = ("like", "resource", *known)
                near = suggestion(key.value, words)
                raise self.bad(key, f"{resource} has no fact {key.value!r}{near}")
            given[key.value] = self.fact(value, known[key.value], f"{resource}.{key.value}")
        return _Row(resource, given)

    def room(self, node: yaml.Node) -> _Row:
        """The socket room of a collaboration, or of one organization in it."""
        parts = self.mapping(node, ("collab", "org"), "a room")
        collab = self.number(self.needed(parts, "collab", node))
        org = self.number(parts.get("org"), none=True)
        assert collab is not None
        return _Row(Resource.EVENT, room_facts(collab, org), room=True)

    def fact(self, node: yaml.Node, fact: Fact, name: str) -> Any:
        """The value of a fact, of the type that it has in every row."""
        if not fact.is_set:
            if fact.of is bool:
                return self.flag(node)
            if fact.of is int:
                return self.number(node, none=True)
            return None if is_null(node) else self.text(node)
        if fact.of is int:
            members: list[Any] = self.numbers(node)
        elif name.rpartition(".")[2] in NAMING:
            members = [self.owner(member, fact.kind) for member in self.sequence(node)]
        else:
            members = [self.rule_text(member) for member in self.sequence(node)]
        if members and fact.never:
            raise self.bad(node, f"{name} is empty for every row")
        return frozenset(members)

    def rule_text(self, node: yaml.Node) -> str:
        """`task:organization:view`, a rule that is declared."""
        word = self.text(node)
        if word not in RULE_TEXTS:
            raise self.bad(node, f"unknown rule {word!r}{suggestion(word, RULE_TEXTS)}")
        return word

    def owner(self, node: yaml.Node, kind: str | None) -> str:
        """`user:5`, of the kind that owns such rows."""
        word = self.text(node)
        if not naming(kind or "user|node").fullmatch(word):
            raise self.bad(node, f"{word!r} is not {kind or 'user'}:<id>")
        return word

    # --- cases

    def test(self, node: yaml.Node) -> None:
        """A single test: one case."""
        parts = self.mapping(node, _CASE, "a test")
        asked = self.asked(parts, node)
        if "rule" not in parts:
            for key in _AXES:
                self.needed(parts, key, node)
        expected = self.word(self.needed(parts, "effect", node), Effect, "effect")
        because = None
        if "because" in parts:
            because = "" if is_null(parts["because"]) else self.text(parts["because"])
        name = self.text(parts["name"]) if "name" in parts else None
        self.add(node, asked, expected, name, because)

    def table(self, node: yaml.Node) -> None:
        """A decision table: one part of the case is fixed, one makes columns, one makes lines."""
        entries = [(key, value) for key, value in self.entries(node)]
        parts = {key.value: value for key, value in entries if key.value in _TABLE}
        lines = [(key, value) for key, value in entries if key.value not in _TABLE]
        fixed = [axis for axis in (*_AXES, "rule") if axis in parts]
        spread = [axis for axis in (*_AXES, "rule") if _columns(axis) in parts]
        handing_out = spread == ["rule"]
        if len(spread) != 1 or len(fixed) != (0 if handing_out else 1) or set(fixed) & set(spread):
            raise self.bad(
                node,
                "a table needs one of principal, operation or row, and another of principals,"
                " operations or rows for its columns; or just rules",
            )
        [columns] = spread
        used = {"rule", "operation", "row"} if handing_out else {*fixed, columns}
        [line_axis] = _AXES.keys() - used
        if not lines:
            raise self.bad(node, f"the table has no line: the lines are {line_axis}s")
        heads = self.sequence(parts[_columns(columns)])
        if not heads:
            raise self.bad(parts[_columns(columns)], "the table has no column")
        name = self.text(parts["name"]) if "name" in parts else None
        for key, cells in lines:
            with self.collecting():
                # A word that is no name may be a mistyped word of the format.
                line = self.part(line_axis, key, _TABLE)
                effects = self.sequence(cells)
                if len(effects) != len(heads):
                    raise self.bad(cells, f"{len(effects)} effects for {len(heads)} columns")
                for head, cell in zip(heads, effects, strict=True):
                    asked = self.asked(parts, node)
                    setattr(asked, line_axis, line)
                    setattr(asked, columns, self.part(columns, head))
                    expected = self.word(cell, Effect, "effect")
                    title = f"{name}: {asked.described}" if name else None
                    self.add(cell, asked, expected, title, None)

    def asked(self, parts: Mapping[str, yaml.Node], node: yaml.Node) -> _Asked:
        """What a test or table fixes of its cases."""
        asked = _Asked(at=self.moment(parts["clock"]) if "clock" in parts else self.at)
        asked.changes = frozenset(self.text(word) for word in self.sequence(parts.get("changes")))
        for axis in (*_AXES, "rule"):
            if axis in parts:
                setattr(asked, axis, self.part(axis, parts[axis]))
        return asked

    def part(self, axis: str, node: yaml.Node, words: Sequence[str] = ()) -> Any:
        """A part of a case by its name; a row may also be written out."""
        if axis == "operation":
            return self.word(node, Operation, axis)
        if axis == "rule":
            return self.rule(node)
        if axis == "principal":
            return self.lookup(node, self.principals, axis, words)
        if isinstance(node, yaml.MappingNode):
            row = self.row(node)
            like = next((v.value for k, v in node.value if k.value == "like"), row.resource.value)
            return f"{like} (changed)" if like in self.rows else like, row
        return self.lookup(node, self.rows, axis, words)

    def rule(self, node: yaml.Node) -> tuple[Resource, Scope, Operation]:
        """`task organization view`, in the order of policy lines."""
        words = self.text(node).split()
        kinds = (Resource, Scope, Operation)
        if len(words) != len(kinds):
            raise self.bad(node, "a rule is written: resource scope operation")
        for word, kind in zip(words, kinds, strict=True):
            if word not in tuple(kind):
                near = suggestion(word, tuple(kind))
                raise self.bad(node, f"unknown {kind.__name__.lower()} {word!r}{near}")
        return Resource(words[0]), Scope(words[1]), Operation(words[2])

    def add(
        self,
        node: yaml.Node,
        asked: _Asked,
        expected: Effect,
        name: str | None,
        because: str | None,
    ) -> None:
        """A complete case."""
        if asked.principal is None:
            raise self.bad(node, "principal is missing")
        if asked.rule and (asked.row or asked.operation or asked.changes):
            raise self.bad(node, "a rule that is handed out has no row, operation or changes")
        resource, scope, operation = asked.rule or (None, None, asked.operation)
        if asked.row is not None:
            resource = asked.row[1].resource
        assert resource is not None
        assert operation is not None
        self.cases.append(
            Case(
                self.name,
                name or asked.described,
                self.place(node),
                asked.principal[1].changing(asked.changes),
                resource,
                operation,
                asked.row[1].facts() if asked.row else None,
                scope,
                asked.at,
                expected,
                because,
            )
        )


def _columns(axis: str) -> str:
    return _AXES.get(axis, "rules")


__all__ = [
    "FOLDER",
    "Case",
    "Suite",
    "hypothetical_row",
    "read_suite",
    "read_tests",
    "stamp_of_tests",
    "test_paths",
]
