"""Which lines a decision came from, for the decision log.

Most plans say it by themselves. Where it hangs on the row which of several conditions held, the
row is asked once more, by the same definitions; only for decisions that are written.
"""

from types import SimpleNamespace

from sqlalchemy import false, func, select

from v6srv.authz.attempt import attempt, holds
from v6srv.authz.compiler import Plan, Remainder
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import TRUE
from v6srv.authz.facts import TABLES, WHOLE
from v6srv.authz.question import Form, Question
from v6srv.db import LARGEST_ID, session
from v6srv.vocabulary import Effect


def origins(question: Question, plan: Plan, enforcer: Enforcer, *, allowed: bool) -> list[str]:
    """Where the lines stand that allowed, or that denied; none when nothing allowed.

    Of a list: all that it is made of. Lines that ask nothing of the row are named alone.
    """
    effect = Effect.ALLOW if allowed else Effect.DENY
    able = [rest for rest in plan.remainders if rest.effect is effect and rest.text != "False"]
    certain = [rest for rest in able if rest.text == "True"]
    if question.form is Form.ANY and not allowed:
        subject = question.who.facts.changing(question.changes)
        certain = enforcer.forbidding(plan, subject, question.operation.value)
    if question.form in (Form.ROWS, Form.ANY):
        found = able if allowed else certain
    elif certain or (allowed and len({rest.text for rest in able}) == 1):
        found = certain or able
    else:
        held = {rest.text: rest for rest in able}
        held = {text: rest for text, rest in held.items() if _matches(question, rest, enforcer)}
        found = [rest for rest in able if rest.text in held]
    return list(dict.fromkeys(rest.line.origin for rest in found))


def _matches(question: Question, rest: Remainder, enforcer: Enforcer) -> bool:
    if question.table is not None:
        return _matches_row(question, rest, enforcer)
    facts = WHOLE if question.form is Form.WHOLE else question.facts
    thing = SimpleNamespace(type=question.resource.value, **facts)
    # What fails did so when it was decided, too, and was logged there.
    function = enforcer.program.function(rest.text)
    return holds(function, question.who.facts, thing, question.operation.value)


def _matches_row(question: Question, rest: Remainder, enforcer: Enforcer) -> bool:
    assert question.table is not None
    id = question.row or 0
    if not 0 < id <= LARGEST_ID:
        return False
    table, own = TABLES[question.table], {rest.text: rest.tree}
    denial = rest.effect is Effect.DENY
    allow, deny = ({"True": TRUE}, own) if denial else (own, {})
    alone = Plan((rest,), allow, deny, enforcer.program.decider(allow, deny))
    where = enforcer.where(alone, table, foreign=question.foreign, lenient=question.lenient)
    subject = question.who.facts.changing(question.changes)
    parameters, error = attempt(where.parameters, subject, question.operation.value)
    if error is not None:
        return False
    query = select(func.coalesce(where.condition, false())).where(table.key == id)
    left = session.execute(query, parameters).scalar_one_or_none()
    return left is not None and bool(left) is not denial
