"""What model.conf says, read by Casbin and checked to be something this server can be sure of."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casbin.model import Model

from v6srv.authz import codes
from v6srv.authz.conf import ALLOW_ONLY, ModelText, check_model
from v6srv.authz.source import PolicyError, Problem, read_text, unreadable

# Casbin describes the whole policy in its log at every load.
logging.getLogger("casbin").setLevel(logging.ERROR)


MODEL = "model.conf"


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


def read_definition(path: Path) -> Definition:
    """The model of a file, as `define`."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(unreadable(path.name, error)) from error
    return define(text, path.name)


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
