"""Conditions that differ in nothing but their numbers: what one of them may be, all may be.

A policy that a program writes has thousands of them (`r.obj.org == 17`, `r.obj.org == 18`). What is
asked of the form of a condition is asked once for all that have the same shape.
"""

import re

_NUMBERS = re.compile(r"""'[^']*'|"[^"]*"|(?<![\w.])(?P<number>[2-9]|[1-9][0-9]{1,8})(?![\w.])""")
"""Numbers that are not inside a text. Not 0 and 1, which equal False and True, and none so large
that it could be refused."""


def shape(condition: str) -> str:
    """The condition with its first number written as 2, the next one that differs as 3, and so on.

    The same comparisons of its numbers with each other and with 0, 1, False and True hold, as far
    as they are asked for equality.
    """
    if "'''" in condition or '"""' in condition:
        return condition  # texts that may hold quotes
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        number = found["number"]
        return names.setdefault(number, str(len(names) + 2)) if number else found.group()

    return _NUMBERS.sub(name, condition)
