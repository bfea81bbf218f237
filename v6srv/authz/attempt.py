"""Where whatever a condition raises is caught: what fails holds for nobody, allowance or denial.

A compiled condition can fail as Python fails, for a fact that is not there. The decision of the
whole plan is one such function, so a condition that fails denies.
"""

from collections.abc import Callable
from typing import Any


def attempt(function: Callable[..., Any], *request: Any) -> tuple[Any, Exception | None]:
    """What a function of the policy returns, and None; or None, and why it failed."""
    try:
        return function(*request), None
    except Exception as error:
        return None, error


def holds(function: Callable[..., Any], *request: Any) -> bool:
    """Whether a function of the policy says True; one that fails does not."""
    return attempt(function, *request)[0] is True


def why(error: Exception) -> str:
    """Why it failed, in one line."""
    return f"{type(error).__name__}: {error}"
