"""What one version of the policy says: the one place where its lines are put to a row.

    asked = enforcer.asked(who.facts, Resource.TASK, Operation.VIEW, table=TABLES[Task])
    asked.of(facts).allowed   # one row, by its facts
    asked.of_row(12).allowed  # one row, by its id
    asked.rows()              # all rows, as a condition in SQL
    asked.matching(facts)     # the lines that are true of it

All of them mean the same. What fails denies: a condition, or a value that the database would be
given, even where the row makes it unimportant. A row of another table is asked only for facts that
such rows have.
"""

import ast
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, bindparam, false, literal, select

from v6srv.authz.attempt import attempt, holds
from v6srv.authz.compiler import Plan, Program, Remainder
from v6srv.authz.expression import (
    FALSE,
    TRUE,
    all_of,
    conjuncts,
    disjuncts,
    facts_in,
    fold,
    names_in,
)
from v6srv.authz.facts import TABLES, TableFacts
from v6srv.authz.principal import SUBJECT_FACTS, SubjectFacts
from v6srv.authz.question import Form
from v6srv.authz.sql import Where, where
from v6srv.db import LARGEST_ID, session
from v6srv.vocabulary import Effect

_TOO_MANY_PLANS = 400_000
_TOO_MANY_FORMS = 10_000
"""Plans for other tables, or in SQL: few, unless many principals have conditions of their own."""
_ROW = "asked_row"

_LATE_OF_SUBJECTS = frozenset(name for name, fact in SUBJECT_FACTS.items() if fact.late)
_LATE_OF_ROWS = frozenset(
    name for table in TABLES.values() for name, fact in table.facts.items() if fact.late
)
_LATE = re.compile(rf"\.({'|'.join(sorted(_LATE_OF_SUBJECTS | _LATE_OF_ROWS))})\b")

Scopes = frozenset[str] | None
_Form = TypeVar("_Form")

Split = tuple[tuple[Callable[..., Any], ...], str, ast.expr]
"""The terms of a condition that ask nothing of the row; what is left, and its text first."""

NOTHING = Plan((), {}, {}, lambda *_: False)
"""The plan of what no line speaks of."""


class Evaluator:
    """The lines of one matcher, with the plans made of them; remembered for all who share them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._of_others: dict[tuple[Any, ...], Plan] = {}
        self._wheres: dict[tuple[Any, ...], Where] = {}
        self._splits: dict[tuple[Any, ...], Split] = {}
        self._building = threading.Lock()

    def plan(
        self, key: tuple[Any, ...], membership: tuple[str, ...], scopes: Scopes = None
    ) -> Plan:
        """What can match for this key (`Program.key_of`) and these roles."""
        cache_key = (key, membership, scopes)
        plan = self._plans.get(cache_key)
        if plan is None:
            with self._building:
                if len(self._plans) > _TOO_MANY_PLANS:
                    self._plans.clear()
                plan = self._plans[cache_key] = self.program.plan(key, membership, scopes)
        return plan

    def of_others(self, plan: Plan, table: TableFacts, *, lenient: bool) -> Plan:
        """A plan as it is asked of rows of another table than the resource's own."""
        cache_key = (frozenset(plan.allow), frozenset(plan.deny), table.model, lenient)
        return self._form(
            self._of_others,
            cache_key,
            lambda: _known_facts_only(plan, self.program, table, lenient=lenient),
        )

    def whatever_changes(self, plan: Plan, *, known: bool = False) -> Plan:
        """A plan as it is asked before there is a change; itself, if that does not matter.

        It allows what could be allowed with some change, and leaves late facts open (`Fact.late`).
        `known`: what is to be changed is said, and has to be allowed; denials are left for later,
        when it is known whether it changes.
        """
        if not any(_LATE.search(rest.text) for rest in plan.remainders):
            return plan
        late = _LATE_OF_SUBJECTS - {"changes"} if known else _LATE_OF_SUBJECTS
        made = self._form(self._of_others, (plan, known), lambda: _guess(plan, self.program, late))
        same = made.allow.keys() == plan.allow.keys() and made.deny.keys() == plan.deny.keys()
        return plan if same else made

    def covered(self, plan: Plan) -> Plan:
        """The denials of a plan, as if everything else was allowed."""
        deny = plan.deny
        denials = tuple(rest for rest in plan.remainders if rest.effect is Effect.DENY)
        return Plan(denials, {"True": TRUE}, deny, self.program.decider({"True": TRUE}, deny))

    def where(self, plan: Plan, table: TableFacts, prefix: str) -> Where:
        """The SQL form of a plan. Raises ExpressionError where there is none."""
        cache_key = (frozenset(plan.allow), frozenset(plan.deny), table.model, prefix)
        return self._form(self._wheres, cache_key, lambda: where(plan, self.program, table, prefix))

    def split(self, text: str, tree: ast.expr) -> Split:
        """A condition (`text`) in what asks nothing of the row, and the rest."""
        return self._form(self._splits, (text,), lambda: _split(tree, self.program))

    def _form(
        self, known: dict[tuple[Any, ...], _Form], key: tuple[Any, ...], make: Callable[[], _Form]
    ) -> _Form:
        """Another form of a plan, made once."""
        found = known.get(key)
        if found is None:
            with self._building:
                if len(known) >= _TOO_MANY_FORMS:
                    known.clear()
                found = known[key] = make()
        return found


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that are allowed, as a condition and the values to execute it with."""

    condition: ColumnElement[bool]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    failure: Exception | None = None
    """Why they could not be told; then there are none."""


@dataclass(slots=True, eq=False)
class Answer:
    """What the policy says to one question. Nothing changes it."""

    _asked: "Asked"
    _about: object
    """As `Asked.answer` takes it."""
    allowed: bool
    failure: Exception | None = None
    """Why it could not be decided; then it is denied."""

    @property
    def effect(self) -> Effect:
        """The same in the word of lines."""
        return Effect.ALLOW if self.allowed else Effect.DENY

    @property
    def lines(self) -> list[Remainder]:
        """The lines that allowed it, or that denied it; none when nothing allowed.

        Of a list: all that it is made of. Lines that ask nothing of the row are named alone. Where
        it hangs on the row which of several were true, they are asked again, one by one.
        """
        plan = self._asked.plan
        able = [rest for rest in plan.remainders if rest.effect is self.effect]
        able = [rest for rest in able if rest.text != "False"]
        certain = [rest for rest in able if rest.text == "True"]
        if self._about is Form.ANY and not self.allowed:
            return self._asked.forbidding()
        if isinstance(self._about, Form):
            return able if self.allowed else certain
        if certain or (self.allowed and len({rest.text for rest in able}) == 1):
            return certain or able
        different = {rest.text: rest for rest in able}
        true = {text for text, rest in different.items() if self._is_true(rest)}
        return [rest for rest in able if rest.text in true]

    def _is_true(self, rest: Remainder) -> bool:
        return self._asked.only(rest).answer(self._about).allowed


@dataclass(slots=True, eq=False)
class Asked:
    """A question to one version of the policy, but for the row that it is about."""

    evaluator: Evaluator
    plan: Plan
    """Every line that can match."""
    subject: SubjectFacts
    operation: tuple[str, ...]
    """What follows subject and object in the request."""
    table: TableFacts | None = None
    """Whose rows are asked about; None for what is no row."""
    foreign: bool = False
    """Whether that is another table than the resource's own."""
    lenient: bool = False
    """Of such rows: leave out what they cannot be asked, the own rows are decided afterwards."""
    guessed: bool = False
    """Whether it hangs on what is changed, which is not known yet; it is asked again then."""

    def answer(self, about: object) -> Answer:
        """The answer for the facts of a thing, the id of a row, or the form of no single row."""
        if isinstance(about, Form):
            forbidden = about is Form.ANY and self.forbidding()
            return Answer(self, about, not self.plan.never and not forbidden)
        return self.of_row(about) if isinstance(about, int) else self.of(about)

    @property
    def certain(self) -> bool | None:
        """The answer for every row; None where it hangs on the row."""
        plan = self._usable()
        return False if self.plan.never or plan.never else True if plan.always else None

    def narrowed(self) -> "Asked":
        """The same of all rows, without what is known of the subject before any row is looked at.

        Shorter, and often certain. What fails denies here as well.
        """
        if self.certain is not None:
            return self
        if self.rows().failure is not None:
            return replace(self, plan=NOTHING)
        plan = self._usable()
        allow, deny = self._left(plan.allow), self._left(plan.deny)
        return replace(self, plan=replace(plan, allow=allow, deny=deny), foreign=False)

    def _left(self, trees: Mapping[str, ast.expr]) -> Mapping[str, ast.expr]:
        """What is left to ask of rows."""
        left = {}
        for whole, tree in trees.items():
            known, text, rest = self.evaluator.split(whole, tree)
            if all(holds(term, self.subject, None, *self.operation) for term in known):
                left[text] = rest
        return {"True": TRUE} if "True" in left else left

    def of(self, thing: object) -> Answer:
        """The answer for one thing, by its facts (`r.obj`, or the rule that is handed out)."""
        plan = self._usable() if self.foreign else self.plan
        found, error = attempt(plan.decide, self.subject, thing, *self.operation)
        if found is True and self.table is not None:
            error = self.rows().failure
        return Answer(self, thing, found is True and error is None, error)

    def of_row(self, id: int) -> Answer:
        """The answer for the row of the table that has this id, as it is stored."""
        assert self.table is not None
        if self.plan.never or not 0 < id <= LARGEST_ID:
            return Answer(self, id, False)
        rows = self.rows()
        # From the model: a fact may be in the table of what it inherits from.
        query = select(literal(1)).select_from(self.table.model)
        query = query.where(self.table.key == bindparam(_ROW), rows.condition)
        found = session.execute(query, {_ROW: id, **rows.parameters}).first()
        return Answer(self, id, found is not None, rows.failure)

    def rows(self, prefix: str = "policy") -> Rows:
        """The rows of the table that are allowed. `prefix` begins the names of the parameters."""
        if self.plan.never or self.table is None:
            return Rows(false())
        found, error = attempt(self._rows, prefix)
        return Rows(false(), {}, error) if error is not None else Rows(*found)

    def _rows(self, prefix: str) -> tuple[ColumnElement[bool], dict[str, Any]]:
        found = self.where(prefix)
        return found.condition, found.parameters(self.subject, *self.operation)

    def where(self, prefix: str) -> Where:
        """The same for whoever shares the plan. Raises ExpressionError where there is no SQL."""
        assert self.table is not None
        return self.evaluator.where(self._usable(), self.table, prefix)

    def _usable(self) -> Plan:
        """What is asked of the rows."""
        if not self.foreign or self.table is None:
            return self.plan
        return self.evaluator.of_others(self.plan, self.table, lenient=self.lenient)

    # --- line by line

    def matching(self, thing: object) -> list[Remainder]:
        """The lines that are true of a thing, allowances and denials, in their order."""
        return [rest for rest in self.plan.remainders if self.only(rest).of(thing).allowed]

    def only(self, rest: Remainder) -> "Asked":
        """The same question to one line, as if that was an allowance: allowed where it is true."""
        tree = self.tree(rest)
        text = rest.text if tree is rest.tree else ast.unparse(tree)
        allow = {} if text == "False" else {text: tree}
        plan = Plan((rest,), allow, {}, self.evaluator.program.decider(allow, {}))
        return replace(self, plan=plan, foreign=False)

    def tree(self, rest: Remainder) -> ast.expr:
        """What a line asks of the rows."""
        if not self.foreign or self.table is None:
            return rest.tree
        denial = rest.effect is Effect.DENY
        program, lenient = self.evaluator.program, self.lenient
        return _known(rest.tree, program, self.table, denial=denial, lenient=lenient)

    def forbidding(self) -> list[Remainder]:
        """The denials that hold by what is known of the subject alone, whatever the row."""
        program = self.evaluator.program

        def whatever(tree: ast.expr) -> bool:
            terms = (t for t in disjuncts(tree) if program.object not in names_in(t))
            functions = (program.function(ast.unparse(term)) for term in terms)
            return any(holds(one, self.subject, None, *self.operation) for one in functions)

        return [r for r in self.plan.remainders if r.effect is Effect.DENY and whatever(r.tree)]

    def by(self, subject: SubjectFacts) -> "Asked":
        """The same question, asked by somebody else of whom the same lines speak."""
        return replace(self, subject=subject)


def _split(tree: ast.expr, program: Program) -> Split:
    known: list[ast.expr] = []
    rest: list[ast.expr] = []
    for term in conjuncts(tree):
        (rest if program.object in names_in(term) else known).append(term)
    left = all_of(rest)
    return tuple(program.function(ast.unparse(term)) for term in known), ast.unparse(left), left


def _guess(plan: Plan, program: Program, late: frozenset[str]) -> Plan:
    """A plan whose allowances leave open these facts of the principal, and its denials all late."""
    facts = {Effect.ALLOW: late, Effect.DENY: _LATE_OF_SUBJECTS}

    def of(tree: ast.expr, effect: Effect) -> ast.expr:
        return fold(_guessed(tree, program, facts[effect], true=effect is Effect.ALLOW))

    def kept(trees: Mapping[str, ast.expr], effect: Effect) -> dict[str, ast.expr]:
        texts = {ast.unparse(one): one for one in (of(tree, effect) for tree in trees.values())}
        texts.pop("False", None)
        return {"True": TRUE} if "True" in texts else texts

    def guessed(rest: Remainder) -> Remainder:
        tree = of(rest.tree, rest.effect)
        return replace(rest, text=ast.unparse(tree), tree=tree)

    allow, deny = kept(plan.allow, Effect.ALLOW), kept(plan.deny, Effect.DENY)
    return Plan(tuple(map(guessed, plan.remainders)), allow, deny, program.decider(allow, deny))


def _guessed(tree: ast.expr, program: Program, late: frozenset[str], *, true: bool) -> ast.expr:
    """A condition with what it asks of late facts taken for what makes it true, or false."""
    asked = facts_in(tree, program.subject) & late
    if not asked and not facts_in(tree, program.object) & _LATE_OF_ROWS:
        return tree
    if isinstance(tree, ast.BoolOp):
        parts = [_guessed(part, program, late, true=true) for part in tree.values]
        return ast.BoolOp(tree.op, parts)
    if isinstance(tree, ast.UnaryOp):
        return ast.UnaryOp(tree.op, _guessed(tree.operand, program, late, true=not true))
    return TRUE if true else FALSE


def _known_facts_only(plan: Plan, program: Program, table: TableFacts, *, lenient: bool) -> Plan:
    def kept(trees: Mapping[str, ast.expr], *, denial: bool) -> dict[str, ast.expr]:
        parts = (_known(t, program, table, denial=denial, lenient=lenient) for t in trees.values())
        texts = {ast.unparse(tree): tree for tree in parts}
        texts.pop("False", None)
        return {"True": TRUE} if "True" in texts else texts

    allow, deny = kept(plan.allow, denial=False), kept(plan.deny, denial=True)
    return Plan(plan.remainders, allow, deny, program.decider(allow, deny))


def _known(
    tree: ast.expr, program: Program, table: TableFacts, *, denial: bool, lenient: bool
) -> ast.expr:
    """What is left of a line without the terms that ask for facts which rows of this table lack.

    Strict: an allowance with such a term cannot match and a denial with one does. Lenient, where
    the rows themselves are decided afterwards: such terms are left out. So are those that ask for
    the id: it is not one of theirs.
    """
    names, terms = table.facts.keys() | {"type"}, conjuncts(tree)
    if lenient:
        names -= {"id"}
    known = [term for term in terms if facts_in(term, program.object) <= names]
    if len(known) == len(terms):
        return tree
    # Without a term an allowance allows more and a denial denies more.
    return FALSE if denial is lenient else fold(all_of(known))
