"""Cases: the rows that two versions of a policy decide differently, found without any row.

What two plans ask of a row is a formula over a few questions, such as `r.sub.org in r.obj.orgs` or
`glob(r.obj.image, 'a/*')`. A case is a set of answers to them. Answers are tried one by one, only
those that some row can give together (`possible.py`), and only until both formulas agree: what is
left are exactly the cases in which they differ. Nothing is sampled.

What hangs on `r.sub.lacks` alone is no case: who may hand out another rule is told as that, once,
and not for every user and role that has it. Both plans are asked as of somebody who lacks what
neither version lets be handed out.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from v6srv.authz.attempt import attempt, holds
from v6srv.authz.compiler import Plan, Program
from v6srv.authz.expression import facts_in, names_in
from v6srv.authz.principal import SubjectFacts
from v6srv.authz.theory.possible_rows import possible_rows
from v6srv.authz.theory.row_questions import (
    CHANGES,
    CLOCK,
    Form,
    Question,
    Rows,
    answered,
    asks_of_row,
    example,
    form,
)
from v6srv.errors import Invalid
from v6srv.vocabulary import Operation, Resource

_TOO_MANY_STEPS = 50_000

Formula = bool | tuple[Any, ...]
"""True, False, ("is", key), ("not", formula), ("and" or "or", frozenset of formulas)."""


Room = tuple[int, int | None]
"""The socket room of a collaboration, or of one organization in it."""

Conditions = tuple[tuple[str, bool], ...]

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Case:
    """Some rows, by what policies ask of them; without conditions: every row."""

    conditions: Conditions = ()
    """Expressions of the policy, and whether each holds."""
    rooms: tuple[Room, ...] = ()
    """Socket rooms, instead of rows; the conditions are times then."""
    scope: str | None = None
    """The scope of a rule that is handed out, instead of rows."""

    @property
    def name(self) -> str:
        """In words; `every row` when nothing is asked."""
        return self.told()

    def told(self, *, everything: bool = False) -> str:
        """In words, with all rooms or the first ones."""
        if self.scope is not None:
            return self.scope
        known_first = sorted(self.conditions, key=lambda condition: condition[0] not in _PHRASES)
        words = [_phrase(*condition) for condition in known_first]
        if self.rooms:
            shown = self.rooms if everything else self.rooms[:_SHOWN]
            more = len(self.rooms) - len(shown)
            others = f" and {more} more" if more else ""
            words.insert(0, f"room of {', '.join(map(_room, shown))}{others}")
        return ", ".join(words) or "every row"


_PHRASES = {
    "r.sub.org in r.obj.orgs": ("organization", "other organizations"),
    "r.sub.org in r.obj.owner_orgs": ("own organization", "not of the own organization"),
    "meets(r.sub.collabs, r.obj.collabs)": ("collaboration", "other collaborations"),
    "r.sub.id in r.obj.owners": ("own", "not own"),
    "r.sub.org == r.obj.org": ("the own organization", "not the own organization"),
}


def _room(room: Room) -> str:
    collaboration, organization = room
    of = "" if organization is None else f"organization {organization} in "
    return f"{of}collaboration {collaboration}"


def _phrase(text: str, holds: bool) -> str:
    if text in _PHRASES:
        return _PHRASES[text][0 if holds else 1]
    left, unequal, right = text.partition(" != ")
    if unequal and not holds:
        return f"{left} == {right}"
    return text if holds else f"not ({text})"


@dataclass(frozen=True, slots=True)
class Found:
    """A case that is decided differently."""

    case: Case
    gained: bool
    answers: Mapping[str, bool]
    """What every atom of both plans is in one row of the case."""
    example: Mapping[str, Any]
    """The facts of that row, of those that are asked."""


@dataclass(frozen=True, slots=True)
class _Atom:
    """One question of a plan that is not made of others."""

    text: str
    tree: ast.expr = field(compare=False)
    program: Program = field(compare=False)
    form: Form | None = field(compare=False)
    """None when only the principal is asked."""


class Pair:
    """The old and the new plan of a (principal, resource, operation), ready to be compared.

    Principals with equal plans share it, and those who are alike to all its questions share the
    answer. `moments` are the times to decide at, earliest first.
    """

    def __init__(
        self,
        old: tuple[Plan, Program],
        new: tuple[Plan, Program],
        request: tuple[Resource, Operation],
        moments: Sequence[datetime],
    ) -> None:
        self.resource, self.operation = request
        self.moments = moments
        self._same_roles = dict(old[1].graphs) == dict(new[1].graphs)
        self._programs: tuple[Any, Any] = old[1], new[1]
        self._atoms: dict[str, _Atom] = {}
        self._sides = [self._plan(*old), self._plan(*new)]
        self._open = [key for key, atom in self._atoms.items() if atom.form is not None]
        self._known = [key for key, atom in self._atoms.items() if atom.form is None]
        self._constants = frozenset(
            (type(node.value), node.value)
            for atom in self._atoms.values()
            for node in ast.walk(atom.tree)
            if isinstance(node, ast.Constant)
        )
        self._found: dict[Any, tuple[Found, ...]] = {}

    # --- formulas

    def _plan(self, plan: Plan, program: Program) -> tuple[Formula, frozenset[str]]:
        """The formula of a plan and all atoms in it, which are noted."""
        allowed = any_of(self.formula(tree, program) for tree in plan.allow.values())
        denied = any_of(self.formula(tree, program) for tree in plan.deny.values())
        return all_of((allowed, negation(denied))), atoms_in(allowed) | atoms_in(denied)

    def formula(self, tree: ast.expr, program: Program, *, note: bool = True) -> Formula:
        """An expression of one of both versions, over atoms."""
        if isinstance(tree, ast.Constant):
            return bool(tree.value)
        of_row = asks_of_row(tree, program)
        if of_row and isinstance(tree, ast.BoolOp):
            terms = [self.formula(term, program, note=note) for term in tree.values]
            return all_of(terms) if isinstance(tree.op, ast.And) else any_of(terms)
        if of_row and isinstance(tree, ast.UnaryOp):
            return negation(self.formula(tree.operand, program, note=note))
        text = ast.unparse(tree)
        # `g` means the roles of its own version.
        alone = not self._same_roles and names_in(tree) & set(program.graphs)
        version = "new" if program is self._programs[1] else "old"
        key = f"{version} {text}" if alone else text
        if note and key not in self._atoms:
            asked = form(tree, program) if of_row else None
            self._atoms[key] = _Atom(text, tree, program, asked)
        return ("is", key)

    @property
    def times(self) -> dict[str, str]:
        """The atoms that only the time answers, and how policies write them."""
        return {
            key: spoken(atom)
            for key, atom in self._atoms.items()
            if atom.form is not None and atom.form.fact == CLOCK
        }

    def answers(self, who: SubjectFacts, row: object) -> dict[str, bool]:
        """What every atom is for a row, now."""
        return {key: self._answer(atom, who, row) for key, atom in self._atoms.items()}

    def _answer(self, atom: _Atom, who: SubjectFacts, row: object) -> bool:
        return holds(atom.program.function(atom.text), who, row, self.operation.value)

    # --- cases

    def found(self, who: SubjectFacts) -> tuple[Found, ...]:
        """All cases that are decided differently for this principal.

        Raises Invalid when they are too many, or when a condition cannot be compared.
        """
        who = self._lacking(who)
        values, failing = self._values(who)
        alike = self._alike(who, values, failing)
        found = self._found.get(alike)
        if found is None:
            found = self._found[alike] = tuple(self._search(who, values, failing))
        return found

    def _lacking(self, who: SubjectFacts) -> SubjectFacts:
        """With the rules that it may not hand out in either version, where that is asked."""
        if not any("lacks" in facts_in(a.tree, a.program.subject) for a in self._atoms.values()):
            return who
        old, new = (
            program.function(f"{program.subject}.lacks")(who, None, self.operation.value)
            for program in self._programs
        )
        return who.lacking(frozenset(old) & frozenset(new))

    def _values(self, who: SubjectFacts) -> tuple[dict[str, Any], frozenset[str]]:
        """What this principal makes of each atom, and the atoms that fail for it.

        That is an answer, or what the row is compared with.
        """
        values: dict[str, Any] = {}
        failing = set()
        for key, atom in self._atoms.items():
            text = atom.text if atom.form is None else atom.form.other
            if text is None:
                continue
            function = atom.program.function(text)
            value, error = attempt(function, who, None, self.operation.value)
            if error is None and attempt(hash, value)[1] is None:
                values[key] = value
            else:
                failing.add(key)
        return values, frozenset(failing)

    def _alike(
        self, who: SubjectFacts, values: Mapping[str, Any], failing: frozenset[str]
    ) -> tuple[Any, ...]:
        """Equal for principals who differ only in numbers that no atom tells apart."""
        symbols: dict[Any, int] = {}
        own = (who.org, who.account)

        def plain(value: Any) -> Any:
            if isinstance(value, (tuple, list, frozenset)):
                members = frozenset(value)
                told = {plain(one) for one in members if self._tells(one) or one in own}
                return ("set", frozenset(told), len(told) < len(members))
            if self._told(value):
                return (type(value), value)
            if value == who.id:
                return "id"
            return symbols.setdefault(value, len(symbols)) if _is_number(value) else value

        return (
            who.kind,
            *map(plain, own),
            plain(who.id),
            plain(who.collabs),
            failing,
            *(plain(values.get(key)) for key in self._open),
            *(values.get(key) for key in self._known),
        )

    def _tells(self, member: Any) -> bool:
        """Whether principals differ who do not both have it in a set: texts are no numbers."""
        return self._told(member) or isinstance(member, str)

    def _told(self, value: Any) -> bool:
        return value is None or (type(value), value) in self._constants

    def _search(
        self, who: SubjectFacts, values: Mapping[str, Any], failing: frozenset[str]
    ) -> Iterator[Found]:
        known = {key: values.get(key) is True for key in self._known}
        # A plan with a condition that fails denies.
        old, new = (
            False if failing & atoms else assigned(formula, known) for formula, atoms in self._sides
        )
        if old == new:
            return
        request = (self.resource.value, self.operation.value)
        asked = atoms_in(old) | atoms_in(new)
        questions = {
            key: Question(key, asked_form, atom.program, who, request)
            for key, atom in self._atoms.items()
            if key not in failing and (asked_form := atom.form) is not None
        }
        relevant = [question for key, question in questions.items() if key in asked]
        rows = possible_rows(self.resource, self.operation, who, relevant, self.moments)
        steps = _Search({q.key: q for q in relevant}, self._atoms)
        for conditions, gained, left in steps.cases(old, new, rows):
            facts = example(left)
            answers = {
                key: question.answer(question.value(facts))
                for key, question in questions.items()
                if question.facts <= facts.keys()
            }
            yield Found(Case(conditions), gained, {**known, **answers}, facts)


class _Search:
    """Tries answers until both formulas agree or neither asks anything more."""

    def __init__(self, questions: Mapping[str, Question], atoms: Mapping[str, _Atom]) -> None:
        self._questions, self._atoms, self._steps = questions, atoms, 0

    def cases(
        self, old: Formula, new: Formula, rows: Rows, path: Conditions = ()
    ) -> Iterator[tuple[Conditions, bool, Rows]]:
        """Conditions, whether the case is gained, and its rows."""
        self._steps += 1
        if self._steps > _TOO_MANY_STEPS:
            raise Invalid("Too many conditions are different to list all cases")
        if old == new:
            return
        if isinstance(old, bool) and isinstance(new, bool):
            yield path, new, rows
            return
        key = self._next(old, new)
        question, atom = self._questions[key], self._atoms[key]
        ways = [
            (answer, left) for answer in (True, False) if (left := answered(rows, question, answer))
        ]
        for answer, left in ways:
            told = (*path, (spoken(atom), answer)) if len(ways) == 2 else path
            known = {key: answer}
            yield from self.cases(assigned(old, known), assigned(new, known), left, told)

    def _next(self, old: Formula, new: Formula) -> str:
        """What to ask: first what only one of both asks, then what is easiest to read."""
        different = atoms_in_terms(_terms(old) ^ _terms(new))
        return min(
            atoms_in(old) | atoms_in(new),
            key=lambda key: (key not in different, _rank(self._questions[key].fact), key),
        )


_ORDER = ("orgs", "collabs", "owners", "owner_orgs", "org", "id")


def _rank(fact: str) -> int:
    if fact in (CHANGES, CLOCK):
        return len(_ORDER) + 1
    return _ORDER.index(fact) if fact in _ORDER else len(_ORDER)


def spoken(atom: _Atom) -> str:
    """An atom as policies write it: `r.sub.org in r.obj.orgs`."""
    text = atom.text
    for token in atom.program.request:
        text = text.replace(f"{token}.", f"{token.replace('_', '.', 1)}.")
    return text


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# --- formulas


def all_of(terms: Iterable[Formula]) -> Formula:
    """The AND of formulas."""
    return _joined("and", False, terms)


def any_of(terms: Iterable[Formula]) -> Formula:
    """The OR of formulas."""
    return _joined("or", True, terms)


def _joined(word: str, deciding: bool, terms: Iterable[Formula]) -> Formula:
    found: set[Formula] = set()
    for term in terms:
        if term is deciding:
            return deciding
        if isinstance(term, bool):
            continue
        if term[0] == word:
            found |= term[1]
        else:
            found.add(term)
    if any(negation(term) in found for term in found):
        return deciding
    if not found:
        return not deciding
    return found.pop() if len(found) == 1 else (word, frozenset(found))


def negation(formula: Formula) -> Formula:
    """The NOT of a formula."""
    if isinstance(formula, bool):
        return not formula
    return formula[1] if formula[0] == "not" else ("not", formula)


def assigned(formula: Formula, known: Mapping[str, bool]) -> Formula:
    """A formula once these atoms are known."""
    if isinstance(formula, bool):
        return formula
    word, inner = formula
    if word == "is":
        return known.get(inner, formula)
    if word == "not":
        return negation(assigned(inner, known))
    join = all_of if word == "and" else any_of
    return join(assigned(term, known) for term in inner)


def atoms_in(formula: Formula) -> frozenset[str]:
    """The keys of all atoms of a formula."""
    if isinstance(formula, bool):
        return frozenset()
    word, inner = formula
    if word == "is":
        return frozenset({inner})
    return atoms_in(inner) if word == "not" else atoms_in_terms(inner)


def atoms_in_terms(terms: Iterable[Formula]) -> frozenset[str]:
    """The keys of all atoms of some formulas."""
    return frozenset().union(*map(atoms_in, terms))


def _terms(formula: Formula) -> frozenset[Formula]:
    """What a formula joins, negated or not; itself when it joins nothing."""
    if isinstance(formula, bool):
        return frozenset()
    if formula[0] in ("and", "or"):
        terms: frozenset[Formula] = formula[1]
        return terms
    return frozenset({formula})
