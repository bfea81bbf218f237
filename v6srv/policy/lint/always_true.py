"""Conditions that are true whoever asks, for whatever row: they look like a limit and are none."""

import ast
import itertools
from collections.abc import Iterable, Iterator

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import all_of, conjuncts
from v6srv.authz.line import Line
from v6srv.authz.source import codes
from v6srv.authz.source.check_policy import operations_of, resources_of
from v6srv.authz.source.problems import Problem
from v6srv.authz.source.reach import Reach
from v6srv.authz.theory.knowledge import known_of
from v6srv.authz.theory.satisfiability import negated, satisfiable


def always_true(enforcer: Enforcer, lines: Iterable[Line]) -> Iterator[Problem]:
    """A warning for each line whose condition limits nothing."""
    fields, program = enforcer.definition.fields, enforcer.program
    if "cond" not in fields:
        return
    reach = Reach(enforcer.lines)
    subject_at, resource_at, operation_at, condition_at = map(
        fields.index, ("sub", "res", "act", "cond")
    )
    for line in lines:
        values = line.values
        tree = _written(line, program.condition(values[condition_at]))
        if tree is None:
            continue
        own = reach.own_facts(values[subject_at], program.subject)
        kinds = reach.kinds(values[subject_at])
        cases = itertools.product(
            kinds, resources_of(values[resource_at]), operations_of(values[operation_at])
        )
        known = (known_of(program, *case, more=own) for case in cases)
        if kinds and not any(satisfiable(negated(tree), one) for one in known):
            message = "the condition is always true: it limits nothing"
            yield Problem(line.at(condition_at), message, codes.ALWAYS_TRUE)


def _written(line: Line, condition: ast.expr) -> ast.expr | None:
    """What somebody wrote as the condition; None for nothing, which is `True`.

    The time limits of the line have become its first term (`load.with_limits`).
    """
    limited = line.valid_from is not None or line.valid_until is not None
    terms = conjuncts(condition)[1 if limited else 0 :]
    written = all_of(terms)
    return None if isinstance(written, ast.Constant) and written.value is True else written
