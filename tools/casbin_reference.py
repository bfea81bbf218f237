"""The page that says of each feature of Casbin whether it is the same here, refused or different.

`tests/policy/test_casbin_features.py` tries every row.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of a feature."""

    SAME = "same"
    REFUSED = "refused"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, as an edit of the default policies."""

    name: str
    verdict: Verdict
    instead: str
    """What to do instead, or what is different; for the same ones what to know."""
    condition: str = ""
    """A condition on tasks that uses it."""
    line: str = ""
    """A line that uses it."""
    model: tuple[tuple[str, str], ...] = ()
    """Replacements in `model.conf`."""
    code: str = ""
    """The lint code that tells of it."""


S, R, D = Verdict.SAME, Verdict.REFUSED, Verdict.DIFFERENT
_EFFECT = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
_P = "p = sub, res, scope, act, cond, eft"
_IMAGE = "r.obj.image"

FUNCTIONS = (
    Feature("`keyMatch`", S, "patterns with `?` or `[` are refused", f"keyMatch({_IMAGE}, 'a/*')"),
    Feature(
        "`keyMatch2`",
        S,
        "signs of regular expressions are refused: a dot would be any letter",
        f"keyMatch2({_IMAGE}, 'a/:x')",
    ),
    Feature(
        "`globMatch`",
        D,
        "a text with an empty segment never matches",
        f"globMatch({_IMAGE}, 'a/*')",
        code="other-than-casbin",
    ),
    Feature(
        "`timeMatch`",
        D,
        "UTC instead of local time; the end is not part of the window; `valid_from=` and `valid_until=` are shorter",
        "timeMatch('2020-01-01 00:00:00', '2021-01-01 00:00:00')",
        code="other-than-casbin",
    ),
    Feature(
        "`keyMatch3`",
        R,
        "`keyMatch2` or `glob`",
        f"keyMatch3({_IMAGE}, 'a/{{x}}')",
        code="unknown-function",
    ),
    Feature(
        "`keyMatch4`",
        R,
        "`keyMatch2` or `glob`",
        f"keyMatch4({_IMAGE}, 'a/{{x}}')",
        code="unknown-function",
    ),
    Feature(
        "`keyMatch5`",
        R,
        "`keyMatch2` or `glob`",
        f"keyMatch5({_IMAGE}, 'a/{{x}}')",
        code="unknown-function",
    ),
    Feature(
        "`regexMatch`",
        R,
        "`glob`: an expression can take seconds, and databases do not agree on it",
        f"regexMatch({_IMAGE}, '^a')",
        code="unknown-function",
    ),
    Feature(
        "`ipMatch`",
        R,
        "no fact is an address; limit addresses in the proxy",
        "ipMatch(r.sub.id, '10.0.0.0/8')",
        code="unknown-function",
    ),
    Feature(
        "`keyGet`, `keyGet2`",
        R,
        "`keyMatch2`: a function says yes or no",
        f"keyGet({_IMAGE}, 'a/*') == 'b'",
        code="unknown-function",
    ),
    Feature(
        "functions of one's own",
        R,
        "a fact, or a line for a role",
        "isAdult(r.sub.id)",
        code="unknown-function",
    ),
    Feature(
        "`g` in conditions",
        S,
        "knows inherited roles; `r.sub.roles` knows those held directly",
        "g(r.sub.id, 'role:viewer')",
    ),
)
EXPRESSIONS = (
    Feature(
        "`==`, `!=`, `&&`, `||`, `!`",
        S,
        "an absent value equals nothing but `None`",
        f"{_IMAGE} == 'a/b' || !(r.obj.id != 2)",
    ),
    Feature("`in` with a list", S, "a list of one is `('a',)`", f"{_IMAGE} in ('a/b', 'c')"),
    Feature("`in` with a set", S, "`meets` for two sets", "r.sub.org in r.obj.orgs"),
    Feature(
        "`<`, `>`, `<=`, `>=`",
        S,
        "between facts of the caller and numbers; with an absent value never true",
        "r.sub.org > 1",
    ),
    Feature(
        "`<` with facts of a row", R, "`==`, `!=` and `in`", "r.obj.id > 5", code="no-list-form"
    ),
    Feature(
        "attributes (ABAC)",
        S,
        "the facts of the reference, and no others",
        "r.sub.org == r.obj.org",
    ),
    Feature(
        "unknown attributes", R, "a fact of the reference", "r.sub.Age == 18", code="unknown-fact"
    ),
    Feature(
        "the request as one value",
        R,
        "`r.sub.id`, `r.obj.id`",
        "r.sub == 'user:1'",
        code="unknown-fact",
    ),
    Feature(
        "arithmetic",
        R,
        "a list of the values that are meant",
        "r.obj.id + 1 == 2",
        code="not-allowed",
    ),
    Feature("methods", R, "`glob`", f"{_IMAGE}.startswith('a')", code="unknown-function"),
    Feature("indices", R, "`in`", "r.obj.orgs[0] == 1", code="not-allowed"),
    Feature(
        "chains of comparisons",
        R,
        "two comparisons with `&&`",
        "1 < r.sub.org < 3",
        code="chained-comparison",
    ),
    Feature(
        "signs of Casbin in texts",
        R,
        "another text: stock Casbin rewrites `!`, `&&`, `||`, `r.` and `p.` there",
        f"{_IMAGE} == 'a&&b'",
        code="rewritten-text",
    ),
)
LINES = (
    Feature(
        "names of people",
        R,
        "`user:5`, `role:viewer`: ids do not change, and cannot be made up",
        line="g, alice, role:viewer",
        code="not-a-subject",
    ),
    Feature(
        "patterns in `g` lines",
        R,
        "a line for `kind:user` or `org:3`",
        line="g, user:*, role:viewer",
        code="not-a-subject",
    ),
    Feature(
        "inheritance of roles",
        S,
        "circles are refused",
        line="g, role:viewer, role:monitor\np, role:monitor, port, global, view, True, allow",
    ),
    Feature(
        "a circle of roles",
        R,
        "one direction",
        line="g, role:viewer, role:researcher",
        code="inheritance-cycle",
    ),
    Feature(
        "`p2` lines",
        R,
        "a `p` line with a condition",
        line="p2, role:viewer, view",
        code="unknown-line-type",
    ),
    Feature(
        "a comment at the end of a line",
        R,
        "a comment has a line of its own: Casbin makes it part of the effect",
        line="p, role:viewer, port, global, view, True, deny # no",
        code="trailing-comment",
    ),
    Feature(
        "another effect than `allow` and `deny`",
        R,
        "one of the two: Casbin passes over others",
        line="p, role:viewer, port, global, view, True, Deny",
        code="unknown-effect",
    ),
    Feature(
        "quotes around fields",
        R,
        "fields as they are: Casbin takes the quotes for a part of the word",
        line='p, "role:viewer", port, global, view, True, deny',
        code="not-a-subject",
    ),
)
MODELS = (
    Feature(
        "allow-override",
        S,
        "lint says that denials have no effect",
        model=((_EFFECT, "some(where (p.eft == allow))"),),
    ),
    Feature("allow-and-deny", S, "the default"),
    Feature(
        "deny-override",
        R,
        "allow-and-deny: it would allow what nobody has thought of",
        model=((_EFFECT, "!some(where (p.eft == deny))"),),
        code="unsupported-effect",
    ),
    Feature(
        "priority",
        R,
        "allow-and-deny with conditions: an order of lines has no form for lists",
        model=((_EFFECT, "priority(p.eft) || deny"),),
        code="unsupported-effect",
    ),
    Feature(
        "subject priority",
        R,
        "as above",
        model=((_EFFECT, "subjectPriority(p.eft) || deny"),),
        code="unsupported-effect",
    ),
    Feature(
        "domains",
        R,
        "scopes: `organization` and `collaboration` follow the row",
        model=(("g = _, _\n", "g = _, _, _\n"),),
        code="model-syntax",
    ),
    Feature(
        "a request of four parts",
        R,
        "facts of `r.sub` and `r.obj`",
        model=(("r = sub, obj, act", "r = sub, dom, obj, act"),),
        code="missing-definition",
    ),
    Feature(
        "conditional roles",
        R,
        "lines with `valid_from=` and `valid_until=`",
        model=(("g = _, _\n", "g = _, _, (_, _)\n"),),
        code="model-syntax",
    ),
    Feature(
        "`g2`, `g3`",
        S,
        "lint says of one that no matcher uses it",
        model=(("g2 = _, _", "g2 = _, _\ng3 = _, _"),),
    ),
    Feature(
        "`p2`, `e2`, `m3`",
        D,
        "nothing asks them, and lint says so",
        model=((_P, f"{_P}\np2 = sub, act"),),
        code="unused-definition",
    ),
    Feature(
        "a superuser in the matcher",
        R,
        "a line: `g, user:1, role:root`",
        model=(("    eval(p.cond)\n", "    eval(p.cond) || r.sub.id == 'user:1'\n"),),
        code="unbound-field",
    ),
)
STOCK = '''\
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import casbin
from casbin.core_enforcer import EnforceContext


def meets(left, right):
    return not frozenset(left).isdisjoint(right)


def within(members, allowed):
    return frozenset(members).issubset(allowed)


def glob(text, pattern):
    return text is not None and fnmatchcase(text, pattern)


def time_match(start, end):
    def moment(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    now = datetime.now(UTC)
    return (start == "_" or moment(start) <= now) and (end == "_" or now < moment(end))


def enforcer(folder, roles):
    """The exported policy, and who has which roles: `{"user:5": ["role:viewer"]}`."""
    made = casbin.Enforcer(f"{folder}/model.conf", f"{folder}/policy.csv")
    functions = {"meets": meets, "within": within, "glob": glob, "timeMatch": time_match}
    for name, function in functions.items():
        made.add_function(name, function)
    for member, names in roles.items():
        for name in names:
            made.add_role_for_user(member, name)
    return made


def lacks(made, subject, rules):
    """The fact `r.sub.lacks`: of all rules (`res`, `scope`, `act`) those that it may not hand out."""
    handing_out = EnforceContext("r2", "p", "e", "m2")
    unheld = (rule for rule in rules if not made.enforce(handing_out, subject, rule))
    return frozenset(f"{rule.res}:{rule.scope}:{rule.act}" for rule in unheld)
'''
"""What stock Casbin needs to decide an exported policy the same way."""

SECTIONS = {
    "Functions": FUNCTIONS,
    "Expressions": EXPRESSIONS,
    "Lines": LINES,
    "Models": MODELS,
}

API = """## The API

A version of the policy is a `casbin.Enforcer` ([ADR 12](../adr/0012-casbins-own-enforcer.md)). What reads is the same, `enforce` and
`enforce_ex` included; what writes is refused. Different: the roles of users, nodes and containers come with the request, so
`get_roles_for_user("user:5")` knows only what lines say; and where the model has no denials, `enforce_ex` names none."""

EXPORT = f"""## To stock Casbin

`v6srv policy export --format casbin DIR` writes `model.conf` and `policy.csv`. With these functions, and the facts of the reference as
attributes of `r.sub` and `r.obj`, stock Casbin decides the same:

```python fragment
{STOCK}```"""


def text() -> str:
    """The page."""
    parts = [
        "# Casbin, and what is different",
        "Policies are Casbin's model and Casbin's lines. This page goes through what Casbin can do. *Same*: as stock Casbin decides."
        " *Refused*: such a policy does not go live, and lint says why. *Different*: it means something else, and lint says so."
        " The tests try every row.",
    ]
    for title, features in SECTIONS.items():
        rows = [
            f"| {f.name} | {f.verdict} | {f.instead} | {f'`{f.code}`' if f.code else ''} |"
            for f in features
        ]
        parts.append(
            "\n".join(
                [
                    f"## {title}",
                    "",
                    "| feature | here | instead, or what to know | lint |",
                    "|---|---|---|---|",
                    *rows,
                ]
            )
        )
    parts += [API, EXPORT]
    return "\n\n".join(parts) + "\n"
