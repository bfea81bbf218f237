"""What logic says is impossible is impossible: compared with trying everything.

Random expressions over a few facts are evaluated, as decisions evaluate them, for every combination
of values; an expression that is true for one of them must be called satisfiable.
"""

import ast
import itertools
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v6srv.authz import clock
from v6srv.authz.expression import FUNCTIONS, OnlyOfWhatIsThere, parse, tokens_to_names
from v6srv.authz.theory.literals import Known
from v6srv.authz.theory.patterns import matched_together
from v6srv.authz.theory.satisfiability import implies, satisfiable

NUMBERS = (None, 1, 2, 3)
TEXTS = (None, "a", "ab", "b/a")
SETS = tuple(frozenset(s) for n in range(3) for s in itertools.combinations((1, 2, 3), n))
YEARS = ("2001", "2002", "2003")
MOMENTS = [datetime(year, 6, 1, tzinfo=UTC) for year in (2000, 2001, 2002, 2003)]

number = st.sampled_from(["r.obj.run", "r.obj.id", "r.sub.org", "1", "2", "3", "None"])
ordered = st.sampled_from(["r.obj.run", "r.sub.org", "1", "2", "3"])
text = st.sampled_from(["r.obj.image", "r.sub.image", "'a'", "'ab'", "None"])
pattern = st.sampled_from(["a*", "*a", "b/?", "a", "*", "?b"])
sets = st.sampled_from(["r.obj.orgs", "r.sub.collabs", "(1, 2)", "(3,)", "()"])
facts = st.sampled_from(["r.obj.orgs", "r.sub.collabs"])
equals = st.sampled_from(["==", "!="])
window = st.tuples(*[st.sampled_from([*(f"{y}-01-01" for y in YEARS), "_"])] * 2)

atoms = st.one_of(
    st.tuples(number, equals, number).map(" ".join),
    st.tuples(ordered, st.sampled_from(["<", "<=", ">", ">="]), ordered).map(" ".join),
    st.tuples(text, equals, text).map(" ".join),
    st.tuples(number, st.sampled_from(["in", "not in"]), sets).map(" ".join),
    st.tuples(facts, sets).map(lambda p: f"meets({p[0]}, {p[1]})"),
    st.tuples(facts, sets).map(lambda p: f"within({p[0]}, {p[1]})"),
    st.tuples(text, pattern).map(lambda p: f"glob({p[0]}, '{p[1]}')"),
    window.map(lambda w: f"timeMatch('{w[0]}', '{w[1]}')"),
    st.sampled_from(["True", "False"]),
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"({' '.join(p)})"),
        inner.map(lambda p: f"!({p})"),
    ),
    max_leaves=6,
)

_FACTS = {
    "r_obj.run": NUMBERS,
    "r_obj.id": NUMBERS,
    "r_sub.org": NUMBERS,
    "r_obj.image": TEXTS,
    "r_sub.image": TEXTS,
    "r_obj.orgs": SETS,
    "r_sub.collabs": SETS,
}


def _true_somewhere(expression: str) -> bool:
    python = tokens_to_names(expression)
    tree = OnlyOfWhatIsThere().visit(parse(python))
    code = compile(ast.unparse(ast.fix_missing_locations(tree)), "x", "eval")
    asked = [name for name in _FACTS if name in python]
    for values in itertools.product(*(_FACTS[name] for name in asked)):
        subject, row = SimpleNamespace(), SimpleNamespace()
        for name, value in zip(asked, values, strict=True):
            token, _, fact = name.partition(".")
            setattr(subject if token == "r_sub" else row, fact, value)
        for moment in MOMENTS if "timeMatch" in python else MOMENTS[:1]:
            with clock.stopped(moment):
                if eval(code, {"r_sub": subject, "r_obj": row, **FUNCTIONS}):
                    return True
    return False


@settings(max_examples=600, deadline=None, derandomize=True)
@given(expressions)
def test_what_is_called_impossible_is_never_true(expression: str) -> None:
    if not satisfiable(parse(tokens_to_names(expression))):
        assert not _true_somewhere(expression)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(expressions, expressions)
def test_what_is_said_to_follow_follows(one: str, other: str) -> None:
    if implies(parse(tokens_to_names(one)), parse(tokens_to_names(other))):
        assert not _true_somewhere(f"({one}) && !({other})")


@pytest.mark.parametrize(
    ("expression", "possible"),
    [
        ("r.obj.run == 1 && r.obj.run == 2", False),
        ("r.obj.run == 1 && r.obj.run == r.obj.id && r.obj.id == 2", False),
        ("r.obj.run != 1 || r.obj.run == 1", True),
        ("!(r.obj.run != 1 || r.obj.run == 1)", False),
        ("glob(r.obj.image, 'a*') && glob(r.obj.image, '*b')", True),
        ("glob(r.obj.image, 'a*') && !glob(r.obj.image, '*')", False),
        ("1 in r.obj.orgs && within(r.obj.orgs, (2,))", False),
        ("meets(r.obj.orgs, (1, 2)) && !(1 in r.obj.orgs) && !(2 in r.obj.orgs)", False),
        ("r.sub.account > 3 && r.sub.account < 4", False),
        ("r.sub.account >= 3 && r.sub.account < 4", True),
        ("!(r.sub.org >= 3) && !(r.sub.org < 3)", True),
        ("r.sub.org == None && !(r.sub.org > 3)", True),
        ("!(r.sub.org > 3) && r.sub.org > 4", False),
        ("timeMatch('2001-01-01', '2002-01-01') && timeMatch('2002-01-01', '_')", False),
        ("timeMatch('2001-01-01', '_') && !timeMatch('2002-01-01', '_')", True),
        ("r.obj.run in (1, 2) && r.obj.run in (2, 3) && r.obj.run != 2", False),
        ("g(r.sub.id, 'role:a') && !g(r.sub.id, 'role:a')", False),
    ],
)
def test_what_is_found_impossible(expression: str, possible: bool) -> None:
    assert satisfiable(parse(tokens_to_names(expression))) is possible


def test_time_that_is_over_is_over_for_those_who_know_the_time() -> None:
    tree = parse("timeMatch('2001-01-01', '2002-01-01')")
    assert satisfiable(tree)
    assert satisfiable(tree, Known(since=clock.read("2001-12-31")))
    assert not satisfiable(tree, Known(since=clock.read("2002-01-01")))
    assert not satisfiable(tree, Known(at=clock.read("2000-01-01")))


def test_an_expression_of_too_many_ways_is_left_alone() -> None:
    pairs = " && ".join(f"(r.obj.run == {n} || r.obj.id == {n})" for n in range(1, 30))
    assert satisfiable(parse(tokens_to_names(f"{pairs} && r.obj.run != r.obj.run")))


patterns = st.text("ab*?", max_size=5)
WORDS = ["".join(word) for n in range(6) for word in itertools.product("abc", repeat=n)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(patterns, patterns, patterns)
def test_patterns_match_together_when_some_text_matches_them(one: str, two: str, no: str) -> None:
    glob = FUNCTIONS["glob"]
    if any(glob(w, one) and glob(w, two) and not glob(w, no) for w in WORDS):
        assert matched_together([one, two], [no])
    elif len(one + two + no) <= 5:  # then a word of five letters is long enough
        assert not matched_together([one, two], [no])


def test_too_many_patterns_may_match_together() -> None:
    hard = [f"*a{'?' * n}" for n in range(16)]
    assert matched_together(["*b"], hard)
    assert not matched_together(["a"], ["*", *hard])
