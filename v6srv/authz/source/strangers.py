"""Who is let in without a role: what lines give to every user, node or container.

A stranger is somebody of whom only the kind is known. Such a principal may view what it has a part
in, edit and delete what is its own, and do what its protocol needs; `_part` says so, as expressions
of policies. A line that can be true for anything else lets strangers in, whatever its scope and its
condition look like. It is meant when it is given to the role that says so (`DECLARING`).
"""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache

from v6srv.authz import clock
from v6srv.authz.compiler import Remainder, closure
from v6srv.authz.enforcer import Enforcer, Thing
from v6srv.authz.expression import parse
from v6srv.authz.line import Line
from v6srv.authz.long_work import step
from v6srv.authz.rules import DEFAULT_ROLES
from v6srv.authz.source import codes
from v6srv.authz.source.check_policy import in_short, operations_of, resources_of, turns
from v6srv.authz.source.problems import Problem
from v6srv.authz.theory.knowledge import known_of_strangers, stranger
from v6srv.authz.theory.satisfiability import joined, negated, satisfiable
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

DECLARING = {kind: f"role:any_{kind}" for kind in PrincipalKind}
"""The roles that say: this is for every user (node, container), and meant."""

_USER, _NODE, _CONTAINER = PrincipalKind
_OWNER = "{sub}.id in {obj}.owners"
_ACCOUNT = "{obj}.id == {sub}.account"
_MEMBER = "{sub}.org in {obj}.orgs"
_STARTED = "{sub}.org in {obj}.owner_orgs"
_ORGANIZATION = "{obj}.org == {sub}.org"
_IN_AN_ORGANIZATION = "({sub}.org != None and {obj}.org == {sub}.org)"
_ITSELF = "{obj}.id == {sub}.org"
_COLLABORATION = "meets({sub}.collabs, {obj}.collabs)"
_RUN = "{obj}.run == {sub}.run"
_PARENT = "{obj}.parent == {sub}.task"
_SUBTASK = f"({_PARENT} and {{obj}}.image == {{sub}}.image and {_COLLABORATION})"
"""The server makes what a container starts a subtask of its task: that alone is no limit."""

_SEEN = {
    (_USER, Resource.USER): (_ACCOUNT,),
    (_NODE, Resource.NODE): (_ACCOUNT,),
    (_CONTAINER, Resource.NODE): (_ACCOUNT,),
    (_CONTAINER, Resource.TASK): ("{obj}.id == {sub}.task", _PARENT, _RUN),
    (_CONTAINER, Resource.RESULT): (_RUN,),
    (_CONTAINER, Resource.PORT): (_RUN,),
}
"""What one has a part in besides the rows of one's organization and its collaborations."""

_SEEN_BY_ALL = {
    Resource.ORGANIZATION: (_ITSELF,),
    Resource.COLLABORATION: ("{obj}.id in {sub}.collabs",),
}

_WITHOUT_ORGANIZATION = (Resource.COLLABORATION, Resource.EVENT, Resource.POLICY)
"""Resources of which rows have no organization: those who have none have no part in them."""

_PROTOCOL = {
    (_NODE, Resource.NODE, Operation.EDIT): (_MEMBER, _ORGANIZATION, _ACCOUNT),
    (_NODE, Resource.ORGANIZATION, Operation.EDIT): (_MEMBER, _ORGANIZATION, _ITSELF),
    (_NODE, Resource.RESULT, Operation.EDIT): (_ORGANIZATION,),
    (_NODE, Resource.PORT, Operation.CREATE): (_ORGANIZATION,),
    (_NODE, Resource.PORT, Operation.EDIT): (_ORGANIZATION,),
    (_NODE, Resource.PORT, Operation.DELETE): (_ORGANIZATION,),
    (_CONTAINER, Resource.TASK, Operation.CREATE): (_SUBTASK,),
}
"""What nodes and containers change because they are that: no client could work without it."""


def _part(kind: PrincipalKind, resource: Resource, operation: Operation) -> Sequence[str]:
    """The relations to a row that make an operation harmless."""
    if operation is Operation.VIEW:
        own = _IN_AN_ORGANIZATION if resource in _WITHOUT_ORGANIZATION else _ORGANIZATION
        everyone = (_OWNER, _STARTED, _MEMBER, own, _COLLABORATION, *_SEEN_BY_ALL.get(resource, ()))
        return (*everyone, *_SEEN.get((kind, resource), ()))
    needed = _PROTOCOL.get((kind, resource, operation), ())
    if kind == str(resource):
        return (_OWNER, _ACCOUNT, *needed)
    if resource is Resource.ROLE:  # it is not owned by those who hold it
        return needed
    if operation is Operation.CREATE:  # whoever makes a row owns it from then on
        return needed
    return (_OWNER, *needed)


_tree = cache(parse)


def stranger_problems(enforcer: Enforcer) -> Iterator[Problem]:
    """A policy that lets strangers in, now or later, and does not say so, does not go live."""
    strangers, told = Strangers(enforcer), _Told()
    for kind, resource in itertools.product(PrincipalKind, Resource):
        step()
        for operation in Operation:
            for rest in strangers.let_in(kind, resource, operation):
                if not _is_meant(enforcer, rest.line, kind):
                    passing = strangers.is_passing(rest, kind, resource, operation)
                    for place in strangers.places(rest.line, kind, resource):
                        told.add(place, kind, passing, f"{operation} {_rows(rest, resource)}")
    yield from told.problems()


def needless_declarations(enforcer: Enforcer, lines: Iterable[Line]) -> Iterator[Problem]:
    """Lines that say that strangers are meant where none are let in."""
    strangers = Strangers(enforcer)
    at, kinds = enforcer.definition.fields.index, {role: kind for kind, role in DECLARING.items()}
    for line in lines:
        kind = kinds.get(line.values[at("sub")])
        if kind is None or strangers.effect_of(line) is Effect.DENY:
            continue
        asked = itertools.product(
            resources_of(line.values[at("res")]), operations_of(line.values[at("act")])
        )
        if not any(rest.line is line for each in asked for rest in strangers.let_in(kind, *each)):
            message = f"this lets nobody in who has no part in it, did you mean kind:{kind}?"
            place, meant = line.at(at("sub")), f"kind:{kind}"
            yield Problem(place, message, codes.NEEDLESS_DECLARATION, meant)


def _is_meant(enforcer: Enforcer, line: Line, kind: PrincipalKind) -> bool:
    """Whether the line is given to strangers on purpose, for this resource and operation."""
    values = dict(zip(enforcer.definition.fields, line.values, strict=True))
    return values["sub"] == DECLARING[kind] and "*" not in (values["res"], values["act"])


def _rows(rest: Remainder, resource: Resource) -> str:
    return f"every {resource}" if rest.text == "True" else f"a {resource} that is not theirs"


class Strangers:
    """What the lines of one version let strangers do."""

    def __init__(self, enforcer: Enforcer) -> None:
        self.enforcer, self.program, self.now = enforcer, enforcer.program, clock.now()
        self.fields = enforcer.definition.fields
        self.effect_of = self.program.effect_of
        self._edges = [line for line in enforcer.lines if line.ptype == "g"]
        graph = enforcer.graphs.get("g", {})
        self._reached = {kind: closure(graph, f"kind:{kind}") for kind in PrincipalKind}
        named = {name for line in self._edges for name in line.values[:1] if _is_for_people(name)}
        people = {*named, *(f"role:{role.slug}" for role in DEFAULT_ROLES)}
        self._of_people = {
            name for one in people if _is_for_people(one) for name in closure(graph, one)
        }

    # --- what is let in

    def let_in(
        self, kind: PrincipalKind, resource: Resource, operation: Operation
    ) -> list[Remainder]:
        """What lines leave to ask of a stranger, where it is not a part in the row."""
        rests = self._remainders(kind, resource, operation)
        denied = [rest.tree for rest in rests if rest.effect is Effect.DENY]
        return [
            rest
            for rest in rests
            if rest.effect is Effect.ALLOW
            and rest.text != "False"
            and self._is_open(rest.tree, denied, kind, resource, operation)
        ]

    def _remainders(
        self, kind: PrincipalKind, resource: Resource, operation: Operation
    ) -> list[Remainder]:
        program = self.program
        key = program.key_of(stranger(kind), Thing(resource.value), operation.value)
        return [program.remainder(line, key) for line in program.candidates(key, ())]

    def _is_open(
        self,
        tree: ast.expr,
        denied: Sequence[ast.expr],
        kind: PrincipalKind,
        resource: Resource,
        operation: Operation,
        at: datetime | None = None,
    ) -> bool:
        program, since = self.program, None if at else self.now
        relations = {
            text.format(sub=program.subject, obj=program.object)
            for text in _part(kind, resource, operation)
        }
        if ast.unparse(tree) in relations:
            return False  # most lines: their scope is all that is left to ask
        known = known_of_strangers(program, kind, resource, operation, at=at, since=since)
        open_ = [tree, negated(joined(ast.Or(), [*map(_tree, sorted(relations))]))]
        if kind is not _USER:  # nodes are registered for one, and run containers for it
            open_.append(_tree(f"{program.subject}.org != None"))
        # Without the denials first: what is harmless by itself has not to be compared with them.
        return satisfiable(joined(ast.And(), open_), known) and (
            not denied or satisfiable(joined(ast.And(), [*open_, *map(negated, denied)]), known)
        )

    def is_passing(
        self, rest: Remainder, kind: PrincipalKind, resource: Resource, operation: Operation
    ) -> bool:
        """Whether strangers are let in only until, or only from, some moment."""
        rests = self._remainders(kind, resource, operation)
        denied = [one.tree for one in rests if one.effect is Effect.DENY]
        moments = turns([rest.tree, *denied], self.now)
        return not all(
            self._is_open(rest.tree, denied, kind, resource, operation, at) for at in moments
        )

    # --- where it is said

    def places(self, line: Line, kind: PrincipalKind, resource: Resource) -> list[str]:
        """Where the fault is: the matcher, the lines that give a role to strangers, or the line."""
        if self._is_of_the_matcher(line, kind, resource):
            return [_place_of_matcher(self.enforcer.definition.text)]
        subject = line.values[self.fields.index("sub")]
        given = [edge.place for edge in self._edges if self._gives(edge, kind, subject)]
        return given or [line.place]

    def _gives(self, edge: Line, kind: PrincipalKind, subject: str) -> bool:
        """Whether a line gives a role of people, and with it the lines of `subject`, to a kind."""
        member, role = edge.values
        others = {f"{word}:{other}" for other in PrincipalKind for word in ("kind", "role")}
        others -= {f"kind:{kind}", f"role:{kind}"}
        return (
            member in self._reached[kind] - others
            and member not in self._of_people
            and role in self._of_people | others
            and subject in closure(self.enforcer.graphs["g"], role)
        )

    def _is_of_the_matcher(self, line: Line, kind: PrincipalKind, resource: Resource) -> bool:
        """Whether a narrow scope holds rows that have nothing to do with the principal."""
        values = dict(zip(self.fields, line.values, strict=True))
        if values.get("scope", Scope.GLOBAL) == Scope.GLOBAL:
            return False
        wide = {"cond": "True", "act": Operation.VIEW.value}
        bare = replace(line, values=tuple(wide.get(name, v) for name, v in values.items()))
        key = self.program.key_of(stranger(kind), Thing(resource.value), Operation.VIEW.value)
        tree = self.program.remainder(bare, key).tree
        return self._is_open(tree, (), kind, resource, Operation.VIEW)


def _is_for_people(name: str) -> bool:
    """Whether it names people, or a role that people are given: not a kind and what it has."""
    kind, _, rest = name.partition(":")
    if kind == "role":
        default = any(rest == role.slug for role in DEFAULT_ROLES)
        return rest.isdecimal() or (default and rest not in tuple(PrincipalKind))
    return kind != "kind"


def _place_of_matcher(text: str) -> str:
    found = re.search(r"(?m)^[ \t]*(?=m\s*=)", text)
    before = text[: found.end()] if found else ""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"model.conf:{line}:{column}"


class _Told:
    """What lines let strangers do, told in one sentence for each place and kind."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, PrincipalKind, bool], dict[str, None]] = {}

    def add(self, place: str, kind: PrincipalKind, passing: bool, words: str) -> None:
        self._words.setdefault((place, kind, passing), {})[words] = None

    def problems(self) -> Iterator[Problem]:
        for (place, kind, passing), words in self._words.items():
            who = "everybody" if kind is _USER else f"every {kind}"
            time = " for some time" if passing else ""
            code = codes.STRANGERS_FOR_A_TIME if passing else codes.STRANGERS_LET_IN
            message = f"{who} may {in_short([*words])}{time}, without a role"
            meant = f"{DECLARING[kind]}, with a resource and an operation, says that it is meant"
            yield Problem(place, f"{message} ({meant})", code)
