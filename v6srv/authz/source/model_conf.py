"""model.conf as Casbin reads it, with the place of every character, and what Casbin drops."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from casbin.model import Model

from v6srv.authz.definition import Definition
from v6srv.authz.expression import ExpressionError, names_in, parse, tokens_to_names
from v6srv.authz.fact_types import Fact
from v6srv.authz.principal import SUBJECT_FACTS
from v6srv.authz.source import codes
from v6srv.authz.source.check_expression import faults, unbound_faults
from v6srv.authz.source.codes import Code
from v6srv.authz.source.language import Language, object_facts
from v6srv.authz.source.lines import odd_characters
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.suggestions import nearest

# Casbin describes the whole policy in its log at every load.
logging.getLogger("casbin").setLevel(logging.ERROR)

MODEL = "model.conf"

SECTIONS: Mapping[str, str] = {
    "request_definition": "r",
    "policy_definition": "p",
    "role_definition": "g",
    "policy_effect": "e",
    "matchers": "m",
}
"""The sections of a model and the letter of their definitions."""

FIELDS = ("sub", "res", "scope", "act", "cond", "eft")
"""The fields of policy lines that this server knows."""

ALLOW_AND_DENY = "some(where (p_eft == allow)) && !some(where (p_eft == deny))"
ALLOW_ONLY = "some(where (p_eft == allow))"

_NEEDED_FIELDS = ("sub", "res", "act")
_RULE_FACTS = dict.fromkeys(("res", "scope", "act"), Fact(of=str))


@dataclass(frozen=True, slots=True)
class Entry:
    """One definition: its name, its text, and where each character of the text is."""

    section: str
    name: str
    text: str
    places: tuple[tuple[int, int], ...]
    """Line and column of each character, and of the end."""
    at: tuple[int, int]
    """Where the name is."""


@dataclass(slots=True)
class _Open:
    """A definition that is being read."""

    text: str = ""
    places: list[tuple[int, int]] = field(default_factory=list)
    continued: bool = False

    def add(self, text: str, line: int, column: int) -> None:
        self.text += text
        self.places += [(line, column + index) for index in range(len(text))]


class ModelText:
    """What a model.conf says, in Casbin's understanding; `problems` is what it would drop."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.entries: dict[tuple[str, str], Entry] = {}
        """By letter of the section and name of the definition."""
        self.sections: dict[str, int] = {}
        """Line of each section by its letter."""
        self.problems: list[Problem] = []
        self.unclear: set[str] = set()
        """Definitions of which it is not known what was meant."""
        self._section = ""
        self._open = _Open()
        for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
            self._line(number, raw)
        self._end_of("the file", number)
        self._check_names()

    def problem(self, at: tuple[int, int], code: Code, message: str, meant: str = "") -> None:
        """Note what is wrong, at a line and a column (0: the whole line)."""
        line, column = at
        place = ":".join(str(part) for part in (self.name, line, column) if part)
        hint = f", did you mean {meant}?" if meant else ""
        self.problems.append(Problem(place, message + hint, code, meant))

    # --- reading

    def _line(self, number: int, raw: str) -> None:
        line = raw.strip()
        indent = len(raw) - len(raw.lstrip()) + 1
        if not line or line[0] in "#;":
            if self._open.continued:
                kind = "a comment" if line else "a blank line"
                message = f"{kind} ends the definition that is continued here"
                self.problem((number, indent), codes.BROKEN_CONTINUATION, message)
                return  # to say no more than that, go on as it was meant
            self._write()
        elif line[0] == "[" and line[-1] == "]":
            self._end_of("the section", number)
            self._begin(line[1:-1], number, indent)
        elif line[0] == "[" and not self._open.continued:
            self.problem((number, indent + len(line)), codes.MODEL_SYNTAX, "']' is missing")
            self._begin(line[1:], number, indent, report=False)
        else:
            self._read(number, raw, line, indent)

    def _begin(self, section: str, number: int, column: int, report: bool = True) -> None:
        self._section = SECTIONS.get(section, "")
        if self._section:
            self.sections.setdefault(self._section, number)
        elif report:
            near = nearest(section, SECTIONS)
            message = f"unknown section {section!r}"
            self.problem((number, column + 1), codes.UNKNOWN_SECTION, message, near)

    def _read(self, number: int, raw: str, line: str, indent: int) -> None:
        for index, code, message, meant in odd_characters(raw):
            self.problem((number, index + 1), code, message, meant)
        if line.endswith("\\"):
            if raw.rstrip("\n") != raw.rstrip():
                message = "a blank after \\ ends the line here"
                self.problem((number, len(raw.rstrip())), codes.BROKEN_CONTINUATION, message)
            self._open.add(line[:-1].strip() + " ", number, indent)
            self._open.continued = True
        else:
            self._open.add(line, number, indent)
            self._open.continued = False
            self._write()

    def _end_of(self, what: str, number: int) -> None:
        if self._open.continued:
            at = self._open.places[-1] if self._open.places else (number, 0)
            message = f"{what} ends where the definition is continued"
            self.problem(at, codes.BROKEN_CONTINUATION, message)
        self._write()

    def _write(self) -> None:
        made, self._open = self._open, _Open()
        if not made.text:
            return
        name, equals, value = made.text.partition("=")
        start = made.places[0]
        if not equals:
            message = f"{made.text.strip()!r} is no definition: name = value"
            self.problem(start, codes.MODEL_SYNTAX, message)
            return
        begin = len(name) + 1 + len(value) - len(value.lstrip())
        text = value.strip()
        last_line, last_column = made.places[-1]
        places = (*made.places, (last_line, last_column + 1))[begin:][: len(text) + 1]
        entry = Entry(self._section, name.strip(), text, tuple(places), start)
        if self._section:
            self._keep(entry)
        elif not self.sections and not self.problems:
            message = "a definition outside of every section"
            self.problem(start, codes.MODEL_SYNTAX, message)

    def _keep(self, entry: Entry) -> None:
        key = (entry.section, entry.name)
        if not re.fullmatch(rf"{entry.section}([2-9]|[1-9]\d+)?", entry.name):
            near = entry.section if (entry.section, entry.section) not in self.entries else ""
            message = f"unknown definition {entry.name!r} in this section"
            self.problem(entry.at, codes.UNKNOWN_DEFINITION, message, near)
        elif key in self.entries:
            line = self.entries[key].at[0]
            message = f"{entry.name} is given in line {line} already"
            self.problem(entry.at, codes.REPEATED_DEFINITION, message)
        else:
            self._check_comment(entry)
            self.entries[key] = entry

    def _check_comment(self, entry: Entry) -> None:
        """Casbin drops all after # of matchers and effects, and takes it for a word elsewhere."""
        for part in re.finditer(r"""'[^']*'|"[^"]*"|#""", entry.text):
            sign = part.group().find("#")
            at = entry.places[part.start() + max(sign, 0)]
            harmless = (
                entry.section in "em" and part.group() == "#" and at[0] == entry.places[-1][0]
            )
            if sign >= 0 and not harmless:
                message = "everything after # is dropped: a comment has a line of its own"
                self.problem(at, codes.HIDDEN_BY_COMMENT, message)
                self.unclear.add(entry.name)
                return

    # --- what is there

    def _check_names(self) -> None:
        missing = [letter for letter in "rpem" if (letter, letter) not in self.entries]
        if missing:
            lines = [self.sections[letter] for letter in missing if letter in self.sections]
            message = f"section for {', '.join(missing)} is missing or empty"
            self.problem((min(lines, default=0), 0), codes.MISSING_DEFINITION, message)

    def tokens(self, letter: str, name: str) -> tuple[str, ...]:
        """The names of a request or policy definition, as `r_sub`; empty without the definition."""
        entry = self.entries.get((letter, name))
        if entry is None:
            return ()
        words = entry.text.partition("#")[0].split(",")
        return tuple(f"{name}_{word.strip()}" for word in words)

    @property
    def graphs(self) -> tuple[str, ...]:
        """The role definitions that Casbin reads: g, g2 and so on, without a gap."""
        return self.names("g")

    def names(self, letter: str) -> tuple[str, ...]:
        """The definitions of a section that Casbin reads: it stops at the first gap."""
        found = []
        for number in range(1, 100):
            name = letter if number == 1 else f"{letter}{number}"
            if (letter, name) not in self.entries:
                break
            found.append(name)
        return tuple(found)

    def texts(self, letter: str) -> dict[str, str]:
        """What Casbin must have read in a section, by name."""
        entries = {name: self.entries[letter, name].text for name in self.names(letter)}
        if letter not in "em":
            return entries
        return {
            name: tokens_to_names(text).partition("#")[0].strip() for name, text in entries.items()
        }


def check_model(model: ModelText) -> list[Problem]:
    """All that keeps a model from being used."""
    before = len(model.problems)
    _check_request(model)
    _check_policy(model)
    _check_graphs(model)
    _check_effect(model)
    for matcher, request in (("m", "r"), ("m2", "r2")):
        needed = {("m", matcher), ("r", request)}
        if needed <= model.entries.keys() and matcher not in model.unclear:
            _check_matcher(model, matcher, request)
    added = sorted(model.problems[before:], key=lambda p: (p.line, p.column))
    model.problems[before:] = added
    return model.problems


def _check_request(model: ModelText) -> None:
    entry = model.entries.get(("r", "r"))
    if entry and len(model.tokens("r", "r")) != 3:
        model.unclear.add("r")
        message = "a request has three parts: who, what and the operation"
        model.problem(entry.places[0], codes.MISSING_DEFINITION, message)
    matcher, second = model.entries.get(("m", "m2")), model.entries.get(("r", "r2"))
    if matcher and not second:
        message = "m2 needs the request definition r2"
        model.problem(matcher.at, codes.MISSING_DEFINITION, message)
    if second and len(model.tokens("r", "r2")) != 2:
        message = "r2 has two parts: who, and the rule to hand on"
        model.problem(second.places[0], codes.MISSING_DEFINITION, message)


def _check_policy(model: ModelText) -> None:
    entry = model.entries.get(("p", "p"))
    if entry is None:
        return
    words = [token.partition("_")[2] for token in model.tokens("p", "p")]
    for word in sorted({word for word in words if words.count(word) > 1}):
        model.unclear.add("p")
        message = f"the field {word} is given twice"
        model.problem(entry.places[0], codes.REPEATED_DEFINITION, message)
    for word in _NEEDED_FIELDS:
        if word not in words:
            model.unclear.add("p")
            unknown = [given for given in words if given not in FIELDS]
            near = nearest(word, unknown)
            instead = f" (there is {near})" if near else ""
            message = f"the policy definition needs the field {word}{instead}"
            model.problem(entry.places[0], codes.MISSING_DEFINITION, message)
    _check_places(model, entry, words)
    effect = model.entries.get(("e", "e"))
    if effect and "eft" not in words and "deny" in effect.text:
        message = "denials need eft in the policy definition"
        model.problem(entry.places[0], codes.MISSING_DEFINITION, message)


def _check_places(model: ModelText, entry: Entry, words: Sequence[str]) -> None:
    """The condition goes by its name, and Casbin takes the last field for the effect."""
    matcher = model.entries.get(("m", "m"))
    evaluated = re.findall(r"\beval\(\s*p\.(\w+)\s*\)", matcher.text if matcher else "")
    for word in (word for word in evaluated if word != "cond" and word in words):
        message = f"the field {word} holds conditions, did you mean cond?"
        model.problem(entry.places[0], codes.NAMED_FIELD, message)
    if "eft" in words[:-1]:
        message = "eft is the last field: stock Casbin would take another one for the effect"
        model.problem(entry.places[0], codes.NAMED_FIELD, message)


def _check_graphs(model: ModelText) -> None:
    for name in model.graphs:
        entry = model.entries["g", name]
        if [part.strip() for part in entry.text.split(",")] != ["_", "_"]:
            message = f"{name} has two parts: {name} = _, _"
            model.problem(entry.places[0], codes.MODEL_SYNTAX, message)


def _check_effect(model: ModelText) -> None:
    entry = model.entries.get(("e", "e"))
    if entry is None:
        return
    effect = tokens_to_names(entry.text).partition("#")[0].strip()
    if effect not in (ALLOW_AND_DENY, ALLOW_ONLY):
        message = (
            f"policy_effect {effect!r} is not supported: allow what a line allows, with or"
            " without denials, never what is merely not denied"
        )
        model.problem(entry.places[0], codes.UNSUPPORTED_EFFECT, message)


def _check_matcher(model: ModelText, matcher: str, request: str) -> None:
    entry = model.entries["m", matcher]
    text = entry.text
    for part in re.finditer(r"""'[^']*'|"[^"]*"|#""", text):
        if part.group() == "#":
            text = text[: part.start()].rstrip()
            break
    tokens = model.tokens("r", request)
    if "r" in model.unclear and request == "r":
        tokens = ("r_sub", "r_obj", "r_act")
    facts = dict(zip(tokens, (_subject_facts(matcher), _object_facts(matcher)), strict=False))
    fields = model.tokens("p", "p")
    if "p" in model.unclear:
        fields = tuple(dict.fromkeys((*fields, *(f"p_{name}" for name in FIELDS))))
    language = Language(tokens, facts, fields, model.graphs, evaluates=True)
    found = faults(text, language)
    if not found and "p" not in model.unclear:
        found = unbound_faults(text, language)
    for fault in found:
        at = entry.places[min(fault.at, len(entry.places) - 1)]
        place = f"{model.name}:{at[0]}:{at[1]}"
        model.problems.append(Problem(place, fault.message, fault.code, fault.suggestion))


def _subject_facts(matcher: str) -> Mapping[str, Fact]:
    """What `m2` grants is what nobody lacks: it cannot ask for that."""
    return {
        name: fact for name, fact in SUBJECT_FACTS.items() if (matcher, name) != ("m2", "lacks")
    }


def _object_facts(matcher: str) -> Mapping[str, Fact]:
    return _RULE_FACTS if matcher == "m2" else object_facts("")


def unused(model: ModelText) -> Iterator[Problem]:
    """Definitions and fields that decide nothing."""
    used = {"r", "p", "e", "m"} | ({"r2", "m2"} if ("m", "m2") in model.entries else set())
    asked = _asked(model, ("m", "m2"))
    for (letter, name), entry in model.entries.items():
        if name not in used and not (letter == "g" and name in asked and name in model.graphs):
            place = f"{model.name}:{entry.at[0]}:{entry.at[1]}"
            yield Problem(place, f"nothing uses {name}", codes.UNUSED_DEFINITION)
    fields = model.entries.get(("p", "p"))
    if fields is None or ("m", "m") not in model.entries or "p" in model.unclear:
        return
    asked, start = _asked(model, ("m",)), 0
    told = any(problem.code is codes.UNBOUND_FIELD for problem in model.problems)
    for part in fields.text.split(","):
        word = part.strip()
        if word != "eft" and f"p_{word}" not in asked and not told:
            line, column = fields.places[start + len(part) - len(part.lstrip())]
            message = f"the matcher m does not use {word}: what lines say there has no effect"
            yield Problem(f"{model.name}:{line}:{column}", message, codes.UNUSED_FIELD)
        start += len(part) + 1


def _asked(model: ModelText, matchers: Sequence[str]) -> set[str]:
    """Every name that a matcher uses."""
    names: set[str] = set()
    for matcher in matchers:
        entry = model.entries.get(("m", matcher))
        if entry:
            try:
                names |= names_in(parse(tokens_to_names(entry.text)))
            except ExpressionError:
                return {*(f"p_{word}" for word in FIELDS), *model.graphs}
    return names


# --- as Casbin reads it


def define(text: str, name: str = MODEL) -> Definition:
    """Read a model with Casbin and check that it is one this server can be sure of.

    Raises PolicyError, at places in the file of this name.
    """
    read = ModelText(name, text)
    problems = check_model(read)
    if problems:
        raise PolicyError(problems)
    model = Model()
    try:
        model.load_model_from_text(text)
    except Exception as error:  # Casbin raises bare exceptions of many kinds
        raise PolicyError([Problem(name, str(error), codes.MODEL_SYNTAX)]) from error
    if any(read.texts(letter) != _texts(model, letter) for letter in "rpgem"):
        message = "Casbin reads this model in another way than it was checked"
        raise PolicyError([Problem(name, message, codes.MODEL_SYNTAX)])
    policy = tuple(model["p"]["p"].tokens)
    return Definition(
        request={name: tuple(a.tokens) for name, a in model["r"].items()},
        policy=policy,
        matchers={name: a.value for name, a in model["m"].items()},
        graphs=tuple(model["g"]) if model.model.get("g") else (),
        allow_only=model["e"]["e"].value == ALLOW_ONLY and "p_eft" in policy,
        text=text,
    )


def _texts(model: Model, letter: str) -> dict[str, str]:
    """What Casbin has read in a section, by name."""
    return {name: found.value for name, found in (model.model.get(letter) or {}).items()}
