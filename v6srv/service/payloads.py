"""Whether inputs and results fit their collaboration, as far as can be told of opaque text."""

import base64
import binascii
import codecs
import re
from collections.abc import Sequence

from sqlalchemy import select

from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import Collaboration, Result
from v6srv.vocabulary import V3

_LOOKED_AT = 4096
"""Characters: what is no text is none from its beginning on. A multiple of four."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_FORM = "`key$iv$message`, each base64, as programs send it that have set up encryption"


def problem_of_inputs(
    inputs: Sequence[str | None], collaboration_id: int, dialect: int
) -> Invalid | None:
    """Why a task cannot have them: not encrypted where all is, or no text where nothing is.

    An empty input is neither. Without encryption programs of 3.x send what they like.
    """
    written = [text for text in inputs if text]
    if not written:
        return None
    if _is_encrypted(collaboration_id):
        if not all(map(_is_sealed, written)):
            return Invalid(
                "The collaboration is encrypted, but an input of the task is not. Expected is"
                f" {_FORM}"
            )
    elif dialect != V3 and not all(map(_is_text, written)):
        return Invalid("An input of the task is not base64 of UTF-8 text")
    return None


def require_fit(result: Result, text: str | None) -> None:
    """Raise Invalid when this is not encrypted, but the collaboration of the run is.

    An empty result says nothing: it is what comes of a run that could not start.
    """
    id = result.collaboration_id
    if text and id is not None and _is_encrypted(id) and not _is_sealed(text):
        problem = f"The collaboration is encrypted, but the result is not. Expected is {_FORM}"
        raise Invalid(problem, {"result": [problem]})


def _is_encrypted(collaboration_id: int) -> bool:
    asked = select(Collaboration.encrypted).where(Collaboration.id == collaboration_id)
    return bool(session.scalar(asked))


def _is_sealed(text: str) -> bool:
    """Whether it looks encrypted. The message may be empty: nothing is not secret."""
    parts = text.split("$", 3)
    return len(parts) == 3 and all(parts[:2]) and all(map(_is_base64, parts))


def _is_base64(text: str) -> bool:
    return len(text) % 4 == 0 and _BASE64.fullmatch(text) is not None


def _is_text(text: str) -> bool:
    try:
        decoded = base64.b64decode(text[:_LOOKED_AT], validate=True)
        codecs.getincrementaldecoder("utf-8")().decode(decoded, final=len(text) <= _LOOKED_AT)
    except (binascii.Error, ValueError):  # also what is not ASCII, and what is not UTF-8
        return False
    return True
