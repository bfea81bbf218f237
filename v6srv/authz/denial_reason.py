"""What the one who is refused may know about it.

Only what the principal holds itself, and only what is the same for every row: the text must not
tell whether a row exists, what its facts are, or that a line denies just this one.
"""

from v6srv.authz.compiler import Plan
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.question import Form, Question
from v6srv.vocabulary import Effect, PrincipalKind, Scope


def told(question: Question, plan: Plan, enforcer: Enforcer) -> str:
    """The reason of a denial, for the caller; empty when the message of the error has it all."""
    if question.form is Form.HAND_OUT:
        return ""
    if question.form is Form.CALLER:
        kinds = " and ".join(f"{kind}s" for kind in PrincipalKind if kind in question.callers)
        return f"this is open to {kinds} only"
    asked = f"{question.resource}:{question.operation}"
    if not plan.allow:
        wide = f" with scope {question.min_scope} or wider" if question.min_scope else ""
        return f"none of your roles and rules grants {asked}{wide}"
    if plan.never:
        return f"a line of the policy forbids {asked} to you"
    but = "not as a whole" if question.form is Form.WHOLE else "not for this one"
    return f"your roles and rules grant {asked}{_reach(plan, enforcer)}, but {but}"


def _reach(plan: Plan, enforcer: Enforcer) -> str:
    """The scopes that are granted, narrowest first, and whether more is asked than that."""
    lines = [
        rest.line.values
        for rest in plan.remainders
        if rest.effect is Effect.ALLOW and rest.text != "False"
    ]
    at = enforcer.program.scope_at
    held = set() if at is None else {values[at] for values in lines}
    scopes = [scope.value for scope in Scope if scope in held]
    reach = f" with scope {' and '.join(scopes)}" if scopes else ""
    at = enforcer.definition.condition_at
    conditional = at is not None and any(values[at] != "True" for values in lines)
    return f"{reach} under conditions" if conditional else reach
