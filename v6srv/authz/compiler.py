"""The compiler: a Casbin matcher and its policy lines become one short expression per question.

Casbin walks all lines for every decision. Here the AND-terms of the matcher that tie a policy field
to the request (`r.act == p.act || p.act == "*"`, `g(r.sub.id, p.sub)`) are *found in its text* and
become an index; what remains is evaluated as far as the fields of a line allow. A line of scope
organization without a condition leaves `r_sub.org in r_obj.orgs`. The remainders of all lines that
can match make the plan of a (principal, resource, operation). Nothing is decided from the lines
without the matcher: edit it, and index and remainders are derived anew.

The plan says the same thing in two forms: as a Python function over facts, and (`where`) as SQL.
"""

import ast
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any

from v6srv.authz.expression import (
    FUNCTIONS,
    TRUE,
    OnlyOfWhatIsThere,
    Substitute,
    all_of,
    check_boolean,
    check_names,
    conjuncts,
    disjuncts,
    facts_in,
    fold,
    names_in,
    nodes_of,
    parse,
    syntax_tree,
    tokens_to_names,
)
from v6srv.authz.line import Line
from v6srv.authz.long_work import step
from v6srv.authz.parts import Parts, Place, Roles, placed_of_role
from v6srv.vocabulary import Effect

Edges = Mapping[str, Sequence[str]]

_OWN_ROLES = "own_roles_too"
_LACKS = "lacks_of"
_REMEMBERED = 8192
"""Conditions, and remainders of lines: most lines of a new version were in the old one, too."""


def closure(edges: Edges, name: str, extra: Iterable[str] = ()) -> frozenset[str]:
    """`name` and all it inherits from; `extra` are further edges of `name` itself."""
    found = {name}
    ahead = [*edges.get(name, ()), *extra]
    while ahead:
        role = ahead.pop()
        if role not in found:
            found.add(role)
            ahead += edges.get(role, ())
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of the matcher for one line: true when the line matches."""

    line: Line
    effect: Effect
    text: str
    tree: ast.expr = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Everything that can match for a (principal, resource, operation).

    `allow` and `deny` hold the distinct remainders, by text. `allow` empty: nothing grants this.
    """

    remainders: tuple[Remainder, ...]
    allow: Mapping[str, ast.expr]
    deny: Mapping[str, ast.expr]
    decide: Callable[..., bool]
    """The decision over facts `(r_sub, r_obj, r_act)`; raises what a missing fact raises."""

    @property
    def always(self) -> bool:
        """Every row is allowed, whatever its facts."""
        return "True" in self.allow and not self.deny

    @property
    def grants_all(self) -> bool:
        """Every row is allowed, apart from those that are denied."""
        return "True" in self.allow

    @property
    def never(self) -> bool:
        """No row is."""
        return not self.allow or "True" in self.deny


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One way for an indexed field to match: a constant, an equal request value, or a role."""

    kind: str
    """`const`, `equal` or the name of a role definition (`g`)."""
    value: str
    """The constant, or the text of the request expression."""


class Program:
    """One matcher of a model over its policy lines.

    `request` and `policy` are the tokens of the definitions (`r_sub`, `p_res`), `graphs` the role
    definitions by name. `known_of_object` lists attributes of the object that are known before any
    row is looked at (`type`); a matcher that needs others to find its lines gets no index for them.
    `lacks` says what the fact of this name is for a principal.
    """

    def __init__(
        self,
        text: str,
        request: Sequence[str],
        policy: Sequence[str],
        graphs: Mapping[str, Edges],
        lines: Iterable[Line],
        known_of_object: frozenset[str] | None = frozenset({"type"}),
        lacks: Callable[[Any], frozenset[str]] | None = None,
    ) -> None:
        self.request, self.policy, self.graphs = request, policy, graphs
        self.parts = lines if isinstance(lines, Parts) else Parts.of(lines)
        self._text = text
        self.subject, self.object = request[0], request[1]
        self._known_of_object = known_of_object
        self._effect_at = next((i for i, t in enumerate(policy) if t.endswith("_eft")), None)
        self.tree = parse(text)
        check_names(self.tree, {*request, *policy}, {*FUNCTIONS, *graphs, "eval"})
        check_boolean(self.tree)
        self._index: list[tuple[int, list[_Leaf]]] = []
        self._rest: list[ast.expr] = []
        for term in conjuncts(self.tree):
            self._sort_term(term)
        self._left = ast.unparse(all_of(self._rest))
        self._words = (tuple(request), frozenset(graphs))
        # The key of a plan: what the index needs, and all that is known before a row is looked at.
        always = [*(f"{self.object}.{name}" for name in known_of_object or ()), *request[2:]]
        found = [leaf.value for _, leaves in self._index for leaf in leaves if leaf.kind != "const"]
        self._keys = list(dict.fromkeys([*found, *always]))
        self.scope_at = next((i for i, t in enumerate(policy) if t.endswith("_scope")), None)
        self._arguments = ", ".join(request)
        self._compile_with(lacks)
        used = {name for term in self._rest for name in names_in(term)}
        self._fields = [t for t in policy if t in used]
        self._known = [key for key in self._keys if key.partition(".")[0] != self.subject]
        self._by_fields = self._indexed_lines()

    def _compile_with(self, lacks: Callable[[Any], frozenset[str]] | None) -> None:
        self._lacks = lacks
        self._environment = _environment(self.graphs) | {_LACKS: lacks}
        self._functions: dict[str, Callable[..., bool]] = {}
        self.key_of: Callable[..., tuple[Any, ...]] = self._compile_text(
            f"({', '.join(self._keys)}{',' if self._keys else ''})", self._arguments
        )

    @cached_property
    def lines(self) -> Sequence[Line]:
        """The lines in their order."""
        return tuple(self.parts)

    @property
    def finds_by_subject(self) -> bool:
        """Whether a line matters to those alone who have its subject, and asks nothing of that."""
        indexed = {self.policy[at] for at in self.indexed}
        return "p_sub" in indexed and "p_sub" not in self._fields

    def having(self, roles: Roles, lacks: Callable[[Any], frozenset[str]] | None) -> "Program":
        """The same matcher, with other lines of these custom roles. Nothing else is made anew."""
        made = copy(self)
        made.__dict__.pop("lines", None)
        made.parts = self.parts.having(roles)
        made._compile_with(lacks)
        made._by_fields = by_fields = dict(self._by_fields)
        for id, lines in roles.items():
            for place, line in placed_of_role(id, self.parts.roles.get(id, ())):
                fields = self._indexed(line)
                left = tuple(one for one in by_fields.pop(fields) if one[0] != place)
                if left:
                    by_fields[fields] = left
            for place, line in placed_of_role(id, lines):
                fields = self._indexed(line)
                by_fields[fields] = (*by_fields.get(fields, ()), (place, line))
        return made

    def over(self, lines: Sequence[Line]) -> "Program":
        """The same matcher over other lines."""
        return Program(
            self._text,
            self.request,
            self.policy,
            self.graphs,
            lines,
            self._known_of_object,
            self._lacks,
        )

    def _indexed(self, line: Line) -> tuple[str, ...]:
        return tuple(line.values[at] for at, _ in self._index)

    def _indexed_lines(self) -> dict[tuple[str, ...], tuple[tuple[Place, Line], ...]]:
        """The lines, with their places, by what their indexed fields hold."""
        found: dict[tuple[str, ...], list[tuple[Place, Line]]] = {}
        for placed in self.parts.placed():
            step()
            found.setdefault(self._indexed(placed[1]), []).append(placed)
        return {fields: tuple(lines) for fields, lines in found.items()}

    # --- reading the matcher

    def _sort_term(self, term: ast.expr) -> None:
        """Make a term part of the index if it only ties one policy field to the request."""
        leaves, fields = [], set()
        for way in disjuncts(term):
            found = self._leaf(way)
            if found is None:
                self._rest.append(term)
                return
            fields.add(found[0])
            leaves.append(found[1])
        [at, *others] = fields
        if others or at in {i for i, _ in self._index}:
            self._rest.append(term)
        else:
            self._index.append((at, leaves))

    def _leaf(self, way: ast.expr) -> tuple[int, _Leaf] | None:
        if isinstance(way, ast.Compare) and isinstance(way.ops[0], ast.Eq):
            sides = (way.left, way.comparators[0])
            for here, there in (sides, sides[::-1]):
                at = self._field(here)
                if at is None:
                    continue
                if isinstance(there, ast.Constant):
                    return at, _Leaf("const", str(there.value))
                if self._known_before(there):
                    return at, _Leaf("equal", ast.unparse(there))
        if isinstance(way, ast.Call) and isinstance(way.func, ast.Name):
            name = way.func.id
            if name in self.graphs and len(way.args) == 2 and self._known_before(way.args[0]):
                at = self._field(way.args[1])
                if at is not None and not isinstance(way.args[0], ast.Constant):
                    return at, _Leaf(name, ast.unparse(way.args[0]))
        return None

    def _field(self, tree: ast.expr) -> int | None:
        if isinstance(tree, ast.Name) and tree.id in self.policy:
            return list(self.policy).index(tree.id)
        return None

    def _known_before(self, tree: ast.expr) -> bool:
        """Whether a request expression has its value before any row is looked at."""
        names = names_in(tree)
        if not names <= set(self.request) or any(isinstance(n, ast.Call) for n in nodes_of(tree)):
            return False
        if self.object not in names or self._known_of_object is None:
            return True
        return facts_in(tree, self.object) <= self._known_of_object

    # --- conditions and remainders

    def condition(self, text: str) -> ast.expr:
        """The tree of a condition (`p.cond`); it cannot break out of its parentheses."""
        return _condition(text, *self._words)

    def remainder(self, line: Line, key: tuple[Any, ...]) -> Remainder:
        """What is left to ask for one line once the request is known except for its row."""
        known = tuple((name, key[self._keys.index(name)]) for name in self._known)
        fields = tuple((name, line.values[list(self.policy).index(name)]) for name in self._fields)
        left = _what_is_left(self._left, fields, known, self._words)
        return Remainder(line, self.effect_of(line), *left)

    def effect_of(self, line: Line) -> Effect:
        """Allow, unless the line says otherwise."""
        return Effect(line.values[self._effect_at]) if self._effect_at is not None else Effect.ALLOW

    def only_evaluates(self, field: str) -> bool:
        """Whether the matcher takes what a field holds as an expression, and never as a text."""
        evaluated = {id(name) for name in _evaluated(self.tree)}
        names = (n for n in nodes_of(self.tree) if isinstance(n, ast.Name) and n.id == field)
        return all(id(name) in evaluated for name in names)

    # --- plans

    @property
    def indexed(self) -> frozenset[int]:
        """Which fields of a line decide, by themselves, whether it is a candidate."""
        return frozenset(at for at, _ in self._index)

    def concerns(self, line: Line, key: tuple[Any, ...]) -> bool:
        """Whether the line can match such a request, whoever asks."""
        for at, leaves in self._index:
            if any(leaf.kind != "const" and leaf.value not in self._known for leaf in leaves):
                continue  # it depends on who asks
            if all(
                line.values[at] != (leaf.value if leaf.kind == "const" else self._of(key, leaf))
                for leaf in leaves
            ):
                return False
        return True

    def _of(self, key: tuple[Any, ...], leaf: _Leaf) -> Any:
        return key[self._keys.index(leaf.value)]

    def candidates(self, key: tuple[Any, ...], membership: Iterable[str]) -> list[Line]:
        """The lines that can match, in their order."""
        values = dict(zip(self._keys, key, strict=True))
        ways: list[set[str]] = []
        for _, leaves in self._index:
            wanted: set[str] = set()
            for leaf in leaves:
                if leaf.kind == "const":
                    wanted.add(leaf.value)
                elif leaf.kind == "equal":
                    wanted.add(values[leaf.value])
                else:
                    wanted |= self._inherited(leaf, values[leaf.value], membership)
            ways.append(wanted)
        placed: list[tuple[Place, Line]] = []
        for combination in itertools.product(*ways):
            placed += self._by_fields.get(combination, ())
        return [line for _, line in sorted(placed, key=itemgetter(0))]

    def _inherited(self, leaf: _Leaf, name: str, membership: Iterable[str]) -> frozenset[str]:
        """All names a `g` term is true for. The principal's own roles are edges of its id."""
        own = membership if leaf.value == f"{self.subject}.id" and leaf.kind == "g" else ()
        return closure(self.graphs[leaf.kind], name, own)

    def plan(
        self,
        key: tuple[Any, ...],
        membership: Iterable[str],
        scopes: frozenset[str] | None = None,
    ) -> Plan:
        """The plan for a key (`key_of`) and a principal's roles; `scopes` limits allowances."""
        allow: dict[str, ast.expr] = {}
        deny: dict[str, ast.expr] = {}
        remainders: list[Remainder] = []
        for line in self.candidates(key, membership):
            step()
            rest = self.remainder(line, key)
            if (
                scopes is not None
                and self.scope_at is not None
                and rest.effect is Effect.ALLOW
                and line.values[self.scope_at] not in scopes
            ):
                continue
            remainders.append(rest)
            if rest.text != "False":
                (allow if rest.effect is Effect.ALLOW else deny)[rest.text] = rest.tree
        if "True" in allow:
            allow = {"True": TRUE}
        if "True" in deny:
            deny = {"True": TRUE}
        return Plan(tuple(remainders), allow, deny, self.decider(allow, deny))

    def decider(
        self, allow: Mapping[str, ast.expr], deny: Mapping[str, ast.expr]
    ) -> Callable[..., bool]:
        """The decision over facts by remainders, by text."""
        granted = " or ".join(f"({text})" for text in sorted(allow)) or "False"
        denied = " or ".join(f"({text})" for text in sorted(deny))
        return self.function(f"not ({denied}) and ({granted})" if denied else granted)

    def function(self, text: str) -> Callable[..., bool]:
        """A Python function of the request for an expression made of remainders."""
        function = self._functions.get(text)
        if function is None:
            function = self._functions[text] = self._compile_text(text, self._arguments)
        return function

    def _compile_text(self, text: str, arguments: str) -> Callable[..., Any]:
        # The text is unparsed from a tree that was checked against a whitelist (expression.parse).
        # No graph holds the principal's own roles; no text in it can look like this call.
        asked = re.sub(rf"\bg\({self.subject}\.id, ", f"{_OWN_ROLES}({self.subject}, ", text)
        if self._lacks is not None:
            asked = re.sub(rf"\b{self.subject}\.lacks\b", f"{_LACKS}({self.subject})", asked)
        tree = OnlyOfWhatIsThere().visit(syntax_tree(f"lambda {arguments}: {asked}"))
        source = ast.unparse(tree)
        function: Callable[..., Any] = eval(  # noqa: S307
            compile(source, "<policy>", "eval"), self._environment
        )
        return function


@lru_cache(_REMEMBERED)
def _condition(text: str, request: tuple[str, ...], graphs: frozenset[str]) -> ast.expr:
    tree = parse(tokens_to_names(text))
    check_names(tree, {*request}, {*FUNCTIONS, *graphs})
    check_boolean(tree)
    return tree


def _evaluated(tree: ast.expr) -> list[ast.Name]:
    """What `eval` is asked of."""
    calls = [n for n in nodes_of(tree) if isinstance(n, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "eval"]
    return [one for call in named for one in call.args if isinstance(one, ast.Name)]


@lru_cache(64)
def _tree_of(matcher: str) -> tuple[ast.expr, frozenset[str]]:
    """Of the terms of a matcher, and which fields it evaluates; what is made of it is new."""
    tree = parse(matcher)
    return tree, frozenset(name.id for name in _evaluated(tree))


@lru_cache(_REMEMBERED)
def _without_conditions(
    matcher: str, fields: tuple[tuple[str, str], ...], known: tuple[tuple[str, Any], ...]
) -> ast.expr:
    """The terms of a matcher with what is known, and with the fields that it does not evaluate."""
    tree, _ = _tree_of(matcher)
    return fold(Substitute(dict(fields), dict(known), parse).visit(tree))


@lru_cache(_REMEMBERED)
def _what_is_left(
    matcher: str,
    fields: tuple[tuple[str, str], ...],
    known: tuple[tuple[str, Any], ...],
    words: tuple[tuple[str, ...], frozenset[str]],
) -> tuple[str, ast.expr]:
    """The terms of a matcher, with what is known, as text and as the tree it was made of."""

    def condition(text: str) -> ast.expr:
        return _condition(text, *words)

    _, evaluated = _tree_of(matcher)
    plain = tuple(field for field in fields if field[0] not in evaluated)
    left = _without_conditions(matcher, plain, known)
    tree = fold(Substitute(dict(fields), dict(known), condition).visit(left))
    return ast.unparse(tree), tree


def _environment(graphs: Mapping[str, Edges]) -> dict[str, Any]:
    """What compiled expressions may call."""
    found: dict[str, Any] = {"__builtins__": {}, **FUNCTIONS}
    found |= {name: _role_function(edges) for name, edges in graphs.items()}
    return found | {_OWN_ROLES: _own_role_function(graphs.get("g", {}))}


def _own_role_function(edges: Edges) -> Callable[[Any, str], bool]:
    def has_role(subject: Any, role: str) -> bool:
        return role in closure(edges, subject.id, getattr(subject, "membership", ()))

    return has_role


def _role_function(edges: Edges) -> Callable[[str, str], bool]:
    def has_role(member: str, role: str) -> bool:
        return role in closure(edges, member)

    return has_role
