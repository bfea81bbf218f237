"""What only the compiled policy shows: lines that cannot select rows, root locked out."""

import ast
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from v6srv.authz import clock
from v6srv.authz.compiler import Plan, Program
from v6srv.authz.enforcer import Enforcer, Thing
from v6srv.authz.expression import ExpressionError, facts_in, times_in
from v6srv.authz.facts import MODELS, TABLES, facts_of
from v6srv.authz.line import Line
from v6srv.authz.long_work import step
from v6srv.authz.source import codes
from v6srv.authz.source.problems import WHOLE, Problem
from v6srv.authz.source.shapes import shape
from v6srv.authz.sql import where
from v6srv.authz.theory.knowledge import known_of, some_root, stranger
from v6srv.authz.theory.satisfiability import joined, negated, satisfiable
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource

_NODES_ALONE = (
    (Resource.RESULT, Operation.EDIT),
    (Resource.PORT, Operation.CREATE),
    (Resource.PORT, Operation.EDIT),
    (Resource.PORT, Operation.DELETE),
)
"""What nodes report of their runs. Root needs none of it to repair a server."""


def resources_of(word: str) -> Sequence[Resource]:
    """The resources that a field of a line means."""
    return tuple(Resource) if word == "*" else (Resource(word),)


def operations_of(word: str) -> Sequence[Operation]:
    """The operations that a field of a line means."""
    return tuple(Operation) if word == "*" else (Operation(word),)


def list_problems(enforcer: Enforcer) -> Iterator[Problem]:
    """Every line must have a form for lists, for each resource and operation it speaks of.

    Which these are says the matcher: it may bring any line to any row.
    """
    program, definition = enforcer.program, enforcer.definition
    subject_at, condition_at = definition.fields.index("sub"), definition.condition_at
    shaped = condition_at if program.only_evaluates("p_cond") else None
    requests = [
        (resource, program.key_of(stranger(), Thing(resource.value), operation.value))
        for resource, operation in itertools.product(Resource, Operation)
    ]

    def kind_of(line: Line, shaped: int | None = None) -> tuple[str, ...]:
        values = enumerate(line.values)
        return tuple(shape(v) if at == shaped else v for at, v in values if at != subject_at)

    alike = {kind_of(line): line for line in reversed(program.lines)}  # the first of each kind
    sound: set[tuple[str, ...]] = set()
    done: set[tuple[Resource, str]] = set()
    for line in alike.values():
        form = kind_of(line, shaped)
        if form not in sound:
            try:
                for resource, key in requests:
                    if program.concerns(line, key):
                        step()
                        _check_list_form(program, line, resource, key, done)
                sound.add(form)
            except ExpressionError as error:
                yield Problem(line.at(condition_at or 0), str(error), codes.NO_LIST_FORM)


def _check_list_form(
    program: Program,
    line: Line,
    resource: Resource,
    key: tuple[Any, ...],
    done: set[tuple[Resource, str]],
) -> None:
    """Raises ExpressionError if a line has no form for lists of this resource."""
    rest = program.remainder(line, key)
    unknown = facts_in(rest.tree, program.object) - {*facts_of(resource), "type"}
    if unknown:
        raise ExpressionError(f"{resource} has no fact r.obj.{', r.obj.'.join(sorted(unknown))}")
    if resource in MODELS and (resource, rest.text) not in done:
        done.add((resource, rest.text))
        alone = Plan((rest,), {rest.text: rest.tree}, {}, lambda *_: False)
        where(alone, program, TABLES[MODELS[resource]])


def sanity_problems(enforcer: Enforcer, *, complete: bool = True) -> Iterator[Problem]:
    """A policy that locks root out does not go live.

    Not `complete`: lines are missing, so only what others do is told, not what nobody does.
    """
    locked = _Blame()
    for resource, operation in itertools.product(Resource, Operation):
        step()
        locked.add(_who_locks_out(enforcer, resource, operation), resource, operation)
    for place, what in locked.shown(complete):
        message = f"root may not {what}: nobody could repair it"
        yield Problem(place, message, codes.ROOT_LOCKED_OUT)


def passing_problems(enforcer: Enforcer, now: datetime) -> Iterator[Problem]:
    """As `sanity_problems`, for what is so only between now and some time, or later for a while."""
    locked = _Blame()
    for resource, operation in itertools.product(Resource, Operation):
        if _who_locks_out(enforcer, resource, operation) is None:
            plan = enforcer.plan(some_root(), resource, operation)
            for moment in turns([*plan.allow.values(), *plan.deny.values()], now):
                found = _who_locks_out(enforcer, resource, operation, moment)
                locked.add(found, resource, operation)
    for place, what in locked.shown(True):
        message = f"root may not {what} for some time: nobody could repair it"
        yield Problem(place, message, codes.ROOT_LOCKED_OUT_FOR_A_TIME)


def turns(trees: Iterable[ast.expr], now: datetime) -> list[datetime]:
    """Now, and every later moment at which what is said changes by itself."""
    texts = {text for tree in trees for text in times_in(tree)} - {clock.OPEN_END}
    moments = sorted({clock.read(text) for text in texts})
    return [now, *(moment for moment in moments if moment > now)]


def in_short(words: Sequence[str]) -> str:
    """`view task, edit task, create task and 3 more`."""
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


class _Blame:
    """What lines do to which resources, told in one sentence for each line."""

    def __init__(self) -> None:
        self._by_place: dict[str, dict[tuple[Resource, Operation], None]] = {}

    def add(self, lines: Iterable[Line] | None, resource: Resource, operation: Operation) -> None:
        """Lines to blame; none when it is the policy as a whole, None when all is well."""
        if lines is None:
            return
        places = [line.place for line in lines] or [WHOLE]
        for place in places:
            self._by_place.setdefault(place, {})[resource, operation] = None

    def shown(self, complete: bool) -> Iterator[tuple[str, str]]:
        """Place and words, such as `view task, edit task and 3 more`."""
        for place, pairs in self._by_place.items():
            if place == WHOLE and not complete:
                continue
            yield place, in_short([f"{operation} {resource}" for resource, operation in pairs])


def _who_locks_out(
    enforcer: Enforcer, resource: Resource, operation: Operation, at: datetime | None = None
) -> list[Line] | None:
    """The denials that leave root nothing; an empty list when nothing grants it."""
    if (resource, operation) in _NODES_ALONE:
        return None
    plan = enforcer.plan(some_root(), resource, operation)
    if plan.always:
        return None
    known = known_of(enforcer.program, PrincipalKind.USER, resource, operation, at=at)
    allow = joined(ast.Or(), list(plan.allow.values()))
    deny = joined(ast.Or(), list(plan.deny.values()))
    if satisfiable(joined(ast.And(), (allow, negated(deny))), known):
        return None
    denials = [rest for rest in plan.remainders if rest.effect is Effect.DENY]
    return [
        rest.line
        for rest in denials
        if plan.allow
        and not satisfiable(joined(ast.And(), (allow, negated(rest.tree))), known)
        and rest.text != "False"
    ]
