"""What conditions and matchers may speak of: facts and their types, functions, fixed words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.fact_types import Fact
from v6srv.authz.facts import COMMON, facts_of
from v6srv.authz.path_patterns import PATH_PATTERNS
from v6srv.authz.source import codes
from v6srv.authz.source.codes import Code
from v6srv.vocabulary import Effect, Operation, Resource, Scope


def object_facts(word: str) -> Mapping[str, Fact]:
    """The facts of `r.obj` for a resource; those of every row for any other word."""
    facts = facts_of(Resource(word)) if word in set(Resource) else COMMON
    return {**facts, "type": Fact(of=str, words=(*Resource, "*"))}


WORDS: Mapping[str, tuple[Code, str, tuple[str, ...]]] = {
    "res": (codes.UNKNOWN_RESOURCE, "resource", (*Resource, "*")),
    "act": (codes.UNKNOWN_OPERATION, "operation", (*Operation, "*")),
    "scope": (codes.UNKNOWN_SCOPE, "scope", tuple(Scope)),
    "eft": (codes.UNKNOWN_EFFECT, "effect", tuple(Effect)),
}
"""What the fields of policy lines may hold."""

_SPOKEN_OF: Mapping[str, tuple[Code, str]] = {
    "kind": (codes.NOT_A_SUBJECT, "kind of principal"),
    "type": (codes.UNKNOWN_RESOURCE, "resource"),
    "status": (codes.UNKNOWN_STATUS, "status"),
}
"""What is wrong with another word for a fact that is one of a few."""


@dataclass(frozen=True)
class Language:
    """What may be spoken of: the tokens of a request and their facts, fields, and functions."""

    request: Sequence[str]
    """Such as `r_sub`, `r_obj`, `r_act`."""
    facts: Mapping[str, Mapping[str, Fact]]
    """By token; a token without facts is a text itself."""
    fields: Sequence[str] = ()
    """Fields of policy lines (`p_sub`), in matchers only."""
    graphs: Sequence[str] = ()
    evaluates: bool = False

    @cached_property
    def functions(self) -> dict[str, int]:
        """What may be called, and with how many arguments."""
        own = dict.fromkeys((*FUNCTIONS, *PATH_PATTERNS, *self.graphs), 2)
        return own | {"eval": 1} if self.evaluates else own

    @cached_property
    def words(self) -> dict[str, tuple[Code, str, tuple[str, ...]]]:
        """Expressions that are one of a few words, by their text."""
        found = {
            f"{token}.{name}": (*_SPOKEN_OF[name], fact.words)
            for token, facts in self.facts.items()
            for name, fact in facts.items()
            if fact.words
        }
        if len(self.request) > 2:
            found[self.request[2]] = WORDS["act"]
        for token in self.fields:
            name = token.partition("_")[2]
            if name in WORDS:
                found[token] = WORDS[name]
        return found

    @property
    def tokens(self) -> tuple[str, ...]:
        """All names there are."""
        return (*self.request, *self.fields)


def spoken(text: str) -> str:
    """`r_sub.id` -> `r.sub.id`."""
    return re.sub(r"\b([rp]\d*)_", r"\1.", text)
