"""Messages of the queue: who can write there cannot speak for a process."""

import hmac
import json
from typing import Any

from v6srv import problems

_DIGITS = 64
_PROBLEM = "forged messages"


class Sealed:
    """Writes JSON with a seal, and reads only what has one of the same key.

    In the place of the module `json` in the library, which takes no notice of what cannot be read.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.new(secret.encode(), b"messages", "sha256").digest()

    def dumps(self, data: Any) -> str:
        """As `json.dumps`, sealed."""
        text = json.dumps(data)
        return f"{self._seal(text)}{text}"

    def loads(self, message: str | bytes) -> Any:
        """As `json.loads`. Raises ValueError, and begins a problem, for what has no good seal."""
        told = message.decode(errors="replace") if isinstance(message, bytes) else message
        seal, text = told[:_DIGITS], told[_DIGITS:]
        if not hmac.compare_digest(seal.encode(), self._seal(text).encode()):
            problems.begin(_PROBLEM, "somebody else writes to the message queue")
            raise ValueError("no message of ours")
        return json.loads(text)

    def _seal(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()
