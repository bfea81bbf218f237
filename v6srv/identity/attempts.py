"""Attempts to log in that failed: counted, limited and logged, without any secret."""

import logging
from dataclasses import dataclass

from flask import current_app

from v6srv import meters
from v6srv.identity import tokens
from v6srv.identity.rate_limit import Counters, RateLimit
from v6srv.model import User
from v6srv.service.accounts import LockOut
from v6srv.settings import Settings

log = logging.getLogger(__name__)

LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Attempts:
    """What one application has been told about failures, and where it counts them."""

    lock_out: LockOut
    of_users: RateLimit
    """Per source address and account: the lock of the account is one that strangers can cause."""
    of_arrivals: RateLimit
    """Per source address: who comes back from the identity provider, which does not know of it."""
    of_nodes: RateLimit
    """Per source address and key. Each process for itself: anybody can make up any number of keys,
    and a wrong one costs no more than looking it up."""


def attempts() -> Attempts:
    """Those of this application, made from its settings when they are first needed."""
    found: Attempts | None = current_app.extensions.get("v6srv_attempts")
    if found is None:
        found = current_app.extensions.setdefault(
            "v6srv_attempts", _of(current_app.config["SETTINGS"])
        )
    return found


def minutes_locked(user: User) -> int:
    """Begun minutes for which wrong passwords still lock the account; 0 when they do not."""
    lock_out = attempts().lock_out
    return user.minutes_blocked(lock_out.max_attempts, lock_out.minutes)


def failed(what: str, name: str, source: str, reason: str) -> None:
    """Log that somebody who called himself `name` was refused."""
    # Not the reason: who may read metrics must not learn which accounts there are.
    meters.LOGINS.labels("user", "failed").inc()
    log.warning("%s of %s from %s failed: %s", what, shown(name), shown(source), reason)


def locked_out(user: User, minutes: float, source: str) -> None:
    """Log that an account is locked from now on."""
    log.warning(
        "user %d (%s) is locked out for %g minutes after %d failed logins, the last from %s",
        user.id,
        shown(user.username or ""),
        minutes,
        user.failed_login_attempts,
        shown(source),
    )


def shown(text: str) -> str:
    """What somebody sent, fit for one line of log."""
    return ascii(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")


def _of(settings: Settings) -> Attempts:
    policy, secret = settings.password_policy, tokens.secrets()[0]
    shared, own = Counters(settings.rate_limit_store, secret), Counters(None, secret)
    return Attempts(
        lock_out=LockOut(policy.max_failed_attempts, policy.inactivation_minutes),
        of_users=RateLimit("user", settings.login_rate_limit, shared),
        of_arrivals=RateLimit("arrival", settings.login_rate_limit, shared),
        of_nodes=RateLimit("node", settings.login_rate_limit, own),
    )
