"""What model.conf says, once it has been read and checked (`source/model_conf.py`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WORDS: Mapping[str, str] = {
    "sub": "subject",
    "res": "resource",
    "act": "operation",
    "cond": "condition",
    "eft": "effect",
}
"""Fields of policy lines that bodies, and `r.sub.changes`, call by another name."""
POLICY_WORDS = ("subject", "resource", "scope", "operation", "condition", "effect")
EDGE_WORDS = ("member", "role")


@dataclass(frozen=True, slots=True)
class Definition:
    """What model.conf says, taken from Casbin's own reading of it."""

    request: Mapping[str, Sequence[str]]
    policy: Sequence[str]
    matchers: Mapping[str, str]
    graphs: tuple[str, ...]
    allow_only: bool
    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of policy lines: `sub`, `res` and so on."""
        return tuple(token.partition("_")[2] for token in self.policy)

    @property
    def condition_at(self) -> int | None:
        """Which field of a line is its condition; None in a model without."""
        return self.fields.index("cond") if "cond" in self.fields else None

    def words(self, ptype: str | None) -> Sequence[str]:
        """What the fields of a line of this type are called in words, in their order."""
        return [WORDS.get(field, field) for field in self.fields] if ptype == "p" else EDGE_WORDS
