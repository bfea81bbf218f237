"""Whether the inputs of a task fit the collaboration, as far as can be told of opaque text."""

import base64
import binascii
import codecs
from collections.abc import Sequence

from v6srv.errors import Invalid

_LOOKED_AT = 4096
"""Characters: what is encrypted is no text from its beginning on. A multiple of four."""


def problem_of(inputs: Sequence[str], *, encrypted: bool) -> Invalid | None:
    """Why they cannot be: readable where all is encrypted, or no text where nothing is.

    For programs that encode text: others send what they like. An empty input is neither.
    """
    written = [text for text in inputs if text]
    if encrypted and any(_is_readable(text) for text in written):
        return Invalid("The collaboration is encrypted, but an input of the task is not")
    if not encrypted and not all(_is_encoded(text) for text in written):
        return Invalid("An input of the task is not base64 of UTF-8 text")
    return None


def _is_readable(text: str) -> bool:
    """What is encrypted has three parts, or is at least base64 of what is no text."""
    return text.count("$") != 2 and (_is_encoded(text) or _decoded(text) is None)


def _is_encoded(text: str) -> bool:
    decoded = _decoded(text)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(
            decoded or b"", final=len(text) <= _LOOKED_AT
        )
    except UnicodeDecodeError:
        return False
    return decoded is not None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text[:_LOOKED_AT], validate=True)
    except (binascii.Error, ValueError):
        return None
