"""Whether literals can hold together: values that are equal, patterns, orders and times.

What depends on what between facts is in `relations`.
"""

from collections.abc import Sequence

from v6srv.authz import clock
from v6srv.authz.theory.groups import Groups
from v6srv.authz.theory.literals import Known, Literal, inside, keys
from v6srv.authz.theory.relations import Relations


def consistent(way: Sequence[Literal], known: Known) -> bool:
    """Whether literals can hold together, as far as this is understood."""
    groups = Groups(known)
    for literal in way:
        if literal.kind == "equal":
            here, there = groups.of(literal.left), groups.of(literal.right)
            if literal.so and here is not there:
                groups.join(literal.left, literal.right)
    relations = Relations(way, groups, known)
    return (
        _say(way, groups)
        and relations.fit()
        and all(group.possible() for group in groups.all())
        and all(_differ(literal, groups) for literal in way)
        and _within_fit(way, relations)
        and _time_fits(way, known)
    )


def _say(way: Sequence[Literal], groups: Groups) -> bool:
    """Note what literals say of single values; false when two say the opposite."""
    said: dict[str, bool] = {}
    for literal in way:
        if literal.kind == "other":
            if said.setdefault(literal.left, literal.so) is not literal.so:
                return False
        elif literal.kind == "one_of":
            group = groups.of(literal.left)
            (group.among if literal.so else group.not_among).append(literal.right)
        elif literal.kind == "glob":
            group = groups.of(literal.left)
            (group.like if literal.so else group.unlike).append(literal.right)
        elif literal.kind == "order":
            groups.of(literal.left).order.append(literal.right)
    return True


def _differ(literal: Literal, groups: Groups) -> bool:
    if literal.kind != "equal" or literal.so:
        return True
    here, there = groups.of(literal.left), groups.of(literal.right)
    if here is there:
        return False
    for one, other in ((here, there), (there, here)):
        if other.constants and not one.constants:
            one.not_among.append(list(other.constants.values()))
            if not one.possible():
                return False
    return True


def _within_fit(way: Sequence[Literal], relations: Relations) -> bool:
    """Whether members are among those that sets are within; of two sets one may say too little."""
    for literal in way:
        if literal.kind == "within" and literal.so:
            allowed = keys(literal.right)
            for member in relations.members(literal.left):
                only = member.only()
                if not allowed or (only and only not in allowed):
                    return False
            if any(
                other.kind == "within"
                and not other.so
                and other.left == literal.left
                and allowed <= keys(other.right)
                for other in way
            ):
                return False
    return True


def _time_fits(way: Sequence[Literal], known: Known) -> bool:
    """Whether some moment is in all windows that must be open and in none that must be closed."""
    windows = [literal for literal in way if literal.kind == "time"]
    if not windows:
        return True
    marks = {m for w in windows for m in (w.left, w.right) if m is not None}
    start = min(marks, default=clock.now())
    moments = {*marks, known.since or start.replace(year=1)}
    return any(
        (known.since is None or moment >= known.since)
        and all(inside(moment, (w.left, w.right)) is w.so for w in windows)
        for moment in moments
    )
