"""What commands and scripts ask of accounts that takes a hash or a decision (seed-map.md).

The tables cannot do this themselves: they lie below the policies and below everything secret.
Nothing here commits; `save` the account afterwards.
"""

import hmac

from v6srv import passwords
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.db import utcnow
from v6srv.errors import Unauthenticated
from v6srv.identity import principals
from v6srv.identity.claims import Claims
from v6srv.model import Node, User
from v6srv.vocabulary import V4, Operation, PrincipalKind, Resource, Scope

SYSTEM = principals.Known(
    Principal(PrincipalKind.USER, 0, None, roles=("role:root",), name="the system"), 0, None
)
"""Who has the database: no user, with the role of root."""


def set_password(user: User, pw: str) -> str | None:
    """Give the user a new password; with `save` the account is unlocked and its tokens end.

    Returns what is wrong with a password that breaks a rule (auth.md 4), and changes nothing then;
    None when it is set.
    """
    problem = passwords.password_problem(pw, *user.called)
    if problem is not None:
        return problem
    user.password = passwords.hash_password(pw)
    user.failed_login_attempts = user.wrong_codes = 0
    user.end_tokens()
    return None


def check_password(user: User, pw: str) -> bool:
    """Whether this is the user's password. A wrong one does not count towards the lock-out."""
    return passwords.check_password(pw, user.password)


def check_key(node: Node, key: str) -> bool:
    """Whether this is the node's API key, stored as digest or as the hash of a 3.x server."""
    if node.key_digest is not None:
        return hmac.compare_digest(passwords.key_digest(key), node.key_digest)
    return node.api_key is not None and passwords.check_password(key, node.api_key)


def can(authz: Authorizer, user: User, resource: str, scope: str, operation: str) -> bool:
    """Whether the policies let the user do this at this scope or a wider one.

    The words are those of policy lines, in any case; enums do as well. Which rows the answer is
    true for is for conditions and denials to say: ask `authz.decide` about a row. False for a user
    that is not stored. Raises ValueError for an unknown word.
    """
    asked = Resource(resource.lower()), Operation(operation.lower())
    min_scope = Scope(scope.lower())
    try:
        known = principals.load(claims_of(user))
    except Unauthenticated:
        return False
    question = Question(Form.ANY, known.principal, *asked, min_scope=min_scope)
    return not authz.store.follow(known.policy_revision).put(question).plan.never


def claims_of(user: User) -> Claims:
    """What a token of the user would say, if it was issued now for a program of 4.x."""
    return _claims(user.id, user.token_version)


def _claims(account_id: int, version: int) -> Claims:
    return Claims(
        kind=PrincipalKind.USER,
        account_id=account_id,
        version=version,
        session_id=None,
        container=None,
        expires_at=utcnow(),
        jti="",
        dialect=V4,
    )


NO_TOKEN = _claims(SYSTEM.principal.account_id, 0)
"""The claims of the system."""
