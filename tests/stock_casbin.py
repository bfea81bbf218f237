"""Stock Casbin, loaded in its own way: what decisions of the compiled policy are compared with.

It parses each condition at each decision, which is most of what it does: here a text is parsed once.
"""

import ast
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import SimpleNamespace

import casbin
from casbin.model import FunctionMap
from casbin.util import expression

from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.line import Line
from v6srv.authz.path_patterns import PATH_PATTERNS

expression.ast = SimpleNamespace(parse=lru_cache(10_000)(ast.parse))  # what is parsed only is read


def stock_enforcer(model: str, lines: Iterable[Line]) -> casbin.Enforcer:
    """Casbin's own enforcer of the text of a model and its lines, with our functions."""
    made = casbin.Enforcer(casbin.Enforcer.new_model(text=model))
    for name, function in FUNCTIONS.items():
        made.add_function(name, function)
    for name in PATH_PATTERNS:
        made.add_function(name, _of_what_is_there(FunctionMap.load_function_map().fm[name]))
    for line in lines:
        if line.ptype == "p":
            made.add_policy(*line.values)
        else:
            made.add_named_grouping_policy(line.ptype, *line.values)
    return made


def _of_what_is_there(function: Callable[[str, str], bool]) -> Callable[[str | None, str], bool]:
    """Stock functions fail for an absent text, which never matches here."""
    return lambda text, pattern: text is not None and function(text, pattern)
