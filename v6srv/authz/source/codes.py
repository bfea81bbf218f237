"""What can be wrong with a policy: one code for each fault, as checks report it.

An error keeps a policy from going live. A warning goes live, and means hardly ever what it says. A
note is something to know. The reference of the documentation is generated from `CODES`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a policy with this fault may go live."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of fault."""

    slug: str
    """Its stable name, such as `unknown-resource`."""
    severity: Severity
    title: str
    """What it is, in one line."""
    why: str
    """Why it matters."""
    mend: str
    """What to do about it."""

    def __str__(self) -> str:
        return self.slug


CODES: dict[str, Code] = {}
"""Every code by its slug, in the order of the reference."""


def _code(slug: str, severity: Severity, title: str, why: str, mend: str) -> Code:
    assert slug not in CODES
    CODES[slug] = Code(slug, severity, title, why, mend)
    return CODES[slug]


def _error(slug: str, title: str, why: str, mend: str) -> Code:
    return _code(slug, Severity.ERROR, title, why, mend)


def _warning(slug: str, title: str, why: str, mend: str) -> Code:
    return _code(slug, Severity.WARNING, title, why, mend)


# --- files and fields

INVALID = _error(
    "invalid",
    "A policy that is not valid for a reason of its own",
    "What cannot be understood completely must not decide anything.",
    "See the message.",
)
UNREADABLE_FILE = _error(
    "unreadable-file",
    "A file that cannot be read",
    "Its lines would be missing, denials too.",
    "Check that the file exists, that the server may read it, and that it is UTF-8 text.",
)
INVISIBLE_CHARACTER = _error(
    "invisible-character",
    "A character that cannot be seen",
    "A word with a byte order mark or a zero-width space in it is another word than it looks.",
    "Remove the character, or save the file as UTF-8 without a byte order mark.",
)
TYPOGRAPHIC_QUOTE = _error(
    "typographic-quote",
    "A curly quote where a straight one is meant",
    "Curly quotes do not begin or end a text.",
    "Write ' or \".",
)
UNBALANCED = _error(
    "unbalanced",
    "A bracket or quote without its partner",
    "Casbin would guess where the fields of the line end.",
    "Close every bracket and quote within its field.",
)
UNKNOWN_LINE_TYPE = _error(
    "unknown-line-type",
    "A line that begins with an unknown word",
    "Casbin passes over such lines in silence; a denial written as P denies nothing.",
    "Begin lines with p, or with a role definition of the model such as g.",
)
FIELD_COUNT = _error(
    "field-count",
    "A line with too few or too many fields",
    "In stock Casbin one short line makes every decision fail.",
    "Give every field that the model defines, once.",
)
DUPLICATE_LINE = _error(
    "duplicate-line",
    "The same line twice",
    "Whoever removes one of them believes that the right is gone.",
    "Remove one of the two.",
)
NOT_A_SUBJECT = _error(
    "not-a-subject",
    "A word that is no subject",
    "No principal is ever called so: the line would match nobody.",
    "Write role:<name>, user:<id>, node:<id>, org:<id> or kind:<user|node|container>.",
)
UNKNOWN_RESOURCE = _error(
    "unknown-resource",
    "A word that is no resource",
    "The line would match nothing.",
    "Use a resource of the reference, or * for all.",
)
UNKNOWN_SCOPE = _error(
    "unknown-scope",
    "A word that is no scope",
    "The line would match nothing.",
    "Write own, organization, collaboration or global.",
)
UNKNOWN_OPERATION = _error(
    "unknown-operation",
    "A word that is no operation",
    "The line would match nothing.",
    "Write view, create, edit, delete, or * for all.",
)
UNKNOWN_EFFECT = _error(
    "unknown-effect",
    "A word that is no effect",
    "Casbin compares exactly: a line with the effect Deny denies nothing.",
    "Write allow or deny.",
)
TRAILING_COMMENT = _error(
    "trailing-comment",
    "A comment at the end of a line",
    "It is part of the last field, so the effect is none that Casbin knows.",
    "Put the comment on a line of its own.",
)

# --- time limits

BAD_TIME = _error(
    "bad-time",
    "A time that cannot be read",
    "A condition that fails never matches: the line would be without effect.",
    "Write a date or ISO 8601, such as 2026-01-31 or 2026-01-31 12:00:00; it is UTC.",
)
EMPTY_WINDOW = _error(
    "empty-window",
    "A time window that ends before it begins",
    "The line would never match.",
    "Let the end be after the beginning.",
)
MISPLACED_LIMIT = _error(
    "misplaced-limit",
    "A time limit on a line that cannot have one",
    "Inheritance has no condition, so the limit would be without effect.",
    "Limit the lines of the role instead.",
)

# --- conditions and matchers

SYNTAX = _error(
    "syntax",
    "A condition or matcher that cannot be read",
    "What cannot be read cannot be decided.",
    "Write comparisons joined by &&, || and !, with == for equality.",
)
REWRITTEN_TEXT = _error(
    "rewritten-text",
    "A quoted text that Casbin would rewrite",
    "Casbin replaces !, &&, ||, r. and p. within quotes too: the text would be another one.",
    "Use a pattern with ? or * in that place, or another text.",
)
NOT_ALLOWED = _error(
    "not-allowed",
    "An expression that policies may not use",
    "Arithmetic and the like can take for ever, or reach what is no business of a policy.",
    "Use comparisons of facts, and the functions of the reference.",
)
UNKNOWN_FUNCTION = _error(
    "unknown-function",
    "A function that does not exist",
    "Every decision on this line would fail.",
    "Use a function of the reference; glob does what regular expressions are mostly used for.",
)
UNKNOWN_NAME = _error(
    "unknown-name",
    "A word that is neither a fact nor a text",
    "Every decision on this line would fail.",
    "Put texts in quotes; facts begin with r.sub or r.obj.",
)
UNKNOWN_FACT = _error(
    "unknown-fact",
    "A fact that the caller or the row does not have",
    "Every decision on this line would fail, and a failing condition never matches.",
    "Use a fact of the reference; rows of different resources have different facts.",
)
NOT_BOOLEAN = _error(
    "not-boolean",
    "A condition that is neither true nor false",
    "A number or a text is no answer to a yes-or-no question.",
    "Compare it with something, as in r.obj.encrypted == True.",
)
CHAINED_COMPARISON = _error(
    "chained-comparison",
    "Two comparisons in one",
    "It has no form for lists.",
    "Write a < b && b < c.",
)
WRONG_ARGUMENTS = _error(
    "wrong-arguments",
    "A function with the wrong arguments",
    "The call would fail, and a failing condition never matches: a denial would be without effect.",
    "Give what the reference of the function asks for.",
)
WRONG_TYPE = _error(
    "wrong-type",
    "Values of different types compared",
    "A number never equals a text; databases even refuse to compare them.",
    "Compare numbers with numbers, texts with quoted texts, and use in or meets for sets.",
)
TEXT_FOR_LIST = _error(
    "text-for-list",
    "A text where a list is meant",
    "('a') is the text a, not a list of one: its letters would be compared.",
    "Write a list of one with a comma: ('a',).",
)
PATTERN_FOR_TEXT = _error(
    "pattern-for-text",
    "A text with a * compared with ==, != or in",
    "Letters are compared one by one, and no name holds a *: a denial denies nothing.",
    "Write glob(r.obj.image, 'registry.example/*').",
)
GLOB_PATTERN = _error(
    "glob-pattern",
    "A pattern that glob does not know",
    "Patterns have * and ? only: [ has no form for lists; ^, $ and | are of regular expressions.",
    "Use * and ?, or several patterns joined by ||.",
)
UNKNOWN_STATUS = _error(
    "unknown-status",
    "A status that no row has",
    "The comparison is never true: a denial with it denies nothing.",
    "Use one of the words of the message.",
)
NO_LIST_FORM = _error(
    "no-list-form",
    "A condition that cannot select rows",
    "Lists are made by the database; what it cannot compute cannot be part of a policy.",
    "Compare facts of rows with ==, !=, in, meets and glob.",
)

# --- roles

ROLE_WITHOUT_LINES = _error(
    "role-without-lines",
    "A role that grants nothing is given",
    "Mostly its name is misspelt, and the member lacks what it should have.",
    "Correct the name, or add lines for the role.",
)
INHERITANCE_CYCLE = _error(
    "inheritance-cycle",
    "Something inherits from itself",
    "All roles of the circle would be one and the same.",
    "Remove one of the lines of the circle.",
)
LONG_CHAIN = _error(
    "long-chain",
    "Inheritance over too many steps",
    "Stock Casbin stops after ten steps in silence.",
    "Let the member inherit from a role further up directly.",
)

# --- the model

MODEL_SYNTAX = _error(
    "model-syntax",
    "A line of model.conf that cannot be read",
    "Casbin would pass over it or read another model.",
    "Write [section] lines, and name = value.",
)
BROKEN_CONTINUATION = _error(
    "broken-continuation",
    "A definition of several lines that ends too early",
    "What follows is not part of it: conditions written there would be without effect.",
    "End every line but the last with \\, nothing after it, and no comment or blank line between.",
)
HIDDEN_BY_COMMENT = _error(
    "hidden-by-comment",
    "A comment that swallows part of a definition",
    "Everything after # is dropped, the continued lines too.",
    "Put the comment on a line of its own before the definition.",
)
UNKNOWN_SECTION = _error(
    "unknown-section",
    "A section that Casbin does not know",
    "It is passed over with all that it holds.",
    "Use request_definition, policy_definition, role_definition, policy_effect or matchers.",
)
UNKNOWN_DEFINITION = _error(
    "unknown-definition",
    "A definition that Casbin does not read in this section",
    "It is passed over in silence.",
    "Names are the letter of the section, alone or followed by 2, 3 and so on.",
)
REPEATED_DEFINITION = _error(
    "repeated-definition",
    "A definition that is given twice",
    "The later one counts, the other is dropped in silence.",
    "Keep one of them.",
)
MISSING_DEFINITION = _error(
    "missing-definition",
    "A definition or field that the server needs is missing",
    "Without it no question can be put to the policy.",
    "Compare with the model that was installed.",
)
UNBOUND_FIELD = _error(
    "unbound-field",
    "A matcher that can be true without asking for a field of the line",
    "Lines would count for others than they name: a lost pair of brackets lets everybody in.",
    "Join every way to be true, with &&, to terms for sub, res, act, scope and eval(p.cond).",
)
NAMED_FIELD = _error(
    "named-field",
    "A field of policy lines under another name, or in another place, than this server knows",
    "Conditions under another name are not watched: time limits would pass unnoticed.",
    "Call the fields sub, res, scope, act, cond and eft, with eft as the last one.",
)
UNSUPPORTED_EFFECT = _error(
    "unsupported-effect",
    "A policy effect that this server does not support",
    "Whatever is merely not denied would be allowed, or lists could not be made.",
    "Use some(where (p.eft == allow)), with or without && !some(where (p.eft == deny)).",
)

# --- the policy as a whole

ROOT_LOCKED_OUT = _error(
    "root-locked-out",
    "Root may not do something",
    "Nobody could repair the server any more.",
    "Take root out of the denial, or keep the line p, role:root, *, global, *, True, allow.",
)
STRANGERS_LET_IN = _error(
    "strangers-let-in",
    "Every user, node or container may do something to rows that are not theirs",
    "Whoever has an account, or starts an algorithm, would hold the server.",
    "Give the right to a role, narrow it to what is theirs, or say that it is meant:"
    " p, role:any_user (any_node, any_container), and g, kind:user, role:any_user.",
)
STRANGERS_FOR_A_TIME = _error(
    "strangers-for-a-time",
    "As strangers-let-in, only until or from some moment",
    "Whoever has an account, or starts an algorithm, holds the server while it lasts.",
    "As for strangers-let-in.",
)

SLOW_CHECK = _error(
    "slow-check",
    "A policy whose check takes too long",
    "Every change of roles and rules makes requests wait for such a check.",
    "Let the matcher tie each field of a line to the request; let one line do what many do.",
)
TESTS_FAIL = _error(
    "tests-fail",
    "With `policy_tests: refuse`, an edit whose tests do not pass",
    "The policy would decide otherwise than was agreed. Only a server says this, not lint.",
    "See `v6srv policy test`; correct the policy or its tests, the server tries either again.",
)
DENIES_NOTHING = _error(
    "denies-nothing",
    "A denial that can never deny anything",
    "Whom it should keep out is let in, and nobody notices.",
    "Correct what the message names, or remove the line.",
)

# --- warnings

SHADOWED_LINE = _warning(
    "shadowed-line",
    "A line that another line makes superfluous",
    "It changes no decision; whoever removes the wider line may be surprised by what is left.",
    "Remove it, unless its holders are to hand on exactly this rule.",
)
DENIED_LINE = _warning(
    "denied-line",
    "An allowance that is always denied",
    "A denial beats every allowance, wherever it stands.",
    "Remove the line, or narrow the denial.",
)
DENIAL_WITHOUT_EFFECT = _warning(
    "denial-without-effect",
    "A denial in a policy without denials",
    "The policy effect of the model allows what any line allows: denials are passed over.",
    "Add && !some(where (p.eft == deny)) to the policy effect, or remove the line.",
)
NEVER_MATCHES = _warning(
    "never-matches",
    "A condition that can never be true",
    "The line grants or denies nothing.",
    "Correct the condition, or remove the line.",
)
ALWAYS_TRUE = _warning(
    "always-true",
    "A condition that is always true",
    "It looks like a limit: the line grants or denies as if there were none.",
    "Compare with something else, or write True.",
)
EMPTY_SCOPE = _warning(
    "empty-scope",
    "A scope that holds no row for those the line is about",
    "The line grants or denies nothing.",
    "Choose a scope that rows of the resource can be in.",
)
SCOPE_NOT_IN_MODEL = _warning(
    "scope-not-in-model",
    "A scope of rules that the matcher does not know",
    "Rules of this scope grant nothing, whoever has them: model.conf is that of an older release.",
    "Add the line of the model that comes with this release.",
)
FACT_NEVER_SET = _warning(
    "fact-never-set",
    "A condition on a fact that these principals never have",
    "Only containers have a task, a run and an image; only edits have changes.",
    "Let the line be about those who have the fact, or ask for another one.",
)
TIME_OVER = _warning(
    "time-over",
    "A line whose time is over",
    "It grants or denies nothing any more.",
    "Remove it, or give it another time.",
)
ROLE_WITHOUT_MEMBERS = _warning(
    "role-without-members",
    "A role that nobody can have",
    "It is no default role, has no id of the database, and no line gives it to anybody.",
    "Give it to somebody (g, user:5, role:monitor), or correct its name.",
)
UNKNOWN_SUBJECT = _warning(
    "unknown-subject",
    "A user, node, organization, role or rule that does not exist",
    "The line is about nobody now, and about whoever gets that id later.",
    "Correct the id, or remove the line. Default roles go by name, as role:viewer.",
)
INHERITS_FROM_PERSON = _warning(
    "inherits-from-person",
    "Something inherits from a user, a node, an organization or a kind",
    "All members get what lines say of that one; mostly the two are the wrong way round.",
    "Write the member first, then the role: g, user:5, role:monitor.",
)
UNKNOWN_FIELD = _warning(
    "unknown-field",
    "A change of a field that the resource does not have",
    "r.sub.changes never holds this name: the condition never sees such a change.",
    "Use the name of a field as requests write it.",
)
UNUSED_DEFINITION = _warning(
    "unused-definition",
    "A definition that nothing uses",
    "It looks as if it decided something.",
    "Remove it. Decisions are made by r, p, e and m; r2 and m2 say who may hand on rules.",
)
UNREAD_FILE = _warning(
    "unread-file",
    "A file that looks like policy and is not read",
    "What it says has no effect; a denial in it denies nothing.",
    "Lines are in *.csv beside model.conf, in small letters and not in folders.",
)
UNUSED_FIELD = _warning(
    "unused-field",
    "A field of policy lines that the matcher does not use",
    "What lines say there is without effect: conditions and time limits too.",
    "Use the field in matcher m, as in eval(p.cond), or remove it from the definition.",
)
ROOT_LOCKED_OUT_FOR_A_TIME = _warning(
    "root-locked-out-for-a-time",
    "Root may not do something for some time",
    "Nobody could repair the server while it lasts.",
    "Take root out of the denial.",
)
NEEDLESS_DECLARATION = _warning(
    "needless-declaration",
    "A line that says that strangers are meant, and lets none in",
    "Nothing would be said on the day when somebody widens it.",
    "Give it to kind:user, kind:node or kind:container.",
)

# --- notes

OTHER_THAN_CASBIN = _code(
    "other-than-casbin",
    Severity.NOTE,
    "A function that stock Casbin understands in another way",
    "Whoever knows it from there, or takes the policy there, may be surprised.",
    "Nothing, if it is meant as the reference says it.",
)
