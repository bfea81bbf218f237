"""What conditions and matchers may speak of: facts and their types, functions, fixed words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.facts import COMMON, MODELS, TABLES
from v6srv.authz.path_patterns import PATH_PATTERNS
from v6srv.authz.principal import SUBJECT_FACTS, SUBJECT_SETS
from v6srv.authz.source import codes
from v6srv.authz.source.codes import Code
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope


@dataclass(frozen=True, slots=True)
class SetType:
    """The type of a set of values."""

    of: type

    @property
    def spoken(self) -> str:
        """As messages say it."""
        return "a set of numbers" if self.of is int else "a set of texts"


Type = type | SetType

SUBJECT_TYPES: Mapping[str, Type] = {
    name: SetType(SUBJECT_SETS[name]) if name in SUBJECT_SETS else kind
    for name, kind in SUBJECT_FACTS.items()
}
"""The facts of `r.sub` and their types."""

_COMMON_TYPES: Mapping[str, Type] = {
    "id": int,
    "org": int,
    "orgs": SetType(int),
    "collabs": SetType(int),
    "owners": SetType(str),
    "type": str,
}
assert set(_COMMON_TYPES) == COMMON | {"type"}


def object_types(word: str) -> Mapping[str, Type]:
    """The facts of `r.obj` for a resource and their types; for `*` those that all resources have.

    Those of every row for a word that is no resource.
    """
    if word not in set(Resource) or Resource(word) not in MODELS:
        return _COMMON_TYPES
    table = TABLES[MODELS[Resource(word)]]
    scalars: dict[str, Type] = {name: scalar.type for name, scalar in table.scalars.items()}
    sets: dict[str, Type] = {name: SetType(found.type) for name, found in table.sets.items()}
    return {**scalars, **sets, "type": str}


WORDS: Mapping[str, tuple[Code, str, tuple[str, ...]]] = {
    "res": (codes.UNKNOWN_RESOURCE, "resource", (*Resource, "*")),
    "act": (codes.UNKNOWN_OPERATION, "operation", (*Operation, "*")),
    "scope": (codes.UNKNOWN_SCOPE, "scope", tuple(Scope)),
    "eft": (codes.UNKNOWN_EFFECT, "effect", tuple(Effect)),
}
"""What the fields of policy lines may hold."""

_KINDS = tuple(f"kind:{kind}" for kind in PrincipalKind)


@dataclass(frozen=True)
class Language:
    """What may be spoken of: the tokens of a request and their facts, fields, and functions."""

    request: Sequence[str]
    """Such as `r_sub`, `r_obj`, `r_act`."""
    facts: Mapping[str, Mapping[str, Type]]
    """By token; a token without facts is a text itself."""
    fields: Sequence[str] = ()
    """Fields of policy lines (`p_sub`), in matchers only."""
    graphs: Sequence[str] = ()
    evaluates: bool = False
    statuses: tuple[str, ...] = ()
    """What `status` of a row can be; empty where rows have none, or of any kind."""

    @cached_property
    def functions(self) -> dict[str, int]:
        """What may be called, and with how many arguments."""
        own = dict.fromkeys((*FUNCTIONS, *PATH_PATTERNS, *self.graphs), 2)
        return own | {"eval": 1} if self.evaluates else own

    @cached_property
    def words(self) -> dict[str, tuple[Code, str, tuple[str, ...]]]:
        """Expressions that are one of a few words, by their text."""
        found = {f"{self.request[0]}.kind": (codes.NOT_A_SUBJECT, "kind of principal", _KINDS)}
        if len(self.request) > 1:
            found[f"{self.request[1]}.type"] = WORDS["res"]
            if self.statuses:
                found[f"{self.request[1]}.status"] = (
                    codes.UNKNOWN_STATUS,
                    "status",
                    self.statuses,
                )
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
