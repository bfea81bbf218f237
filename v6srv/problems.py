"""What an admin should look at, for as long as it lasts.

A problem is one line of log when it begins and one when it ends; in between `/health` and the
metrics name it. So an outage of an hour is two lines, however many requests it refused.
"""

import logging
from threading import Lock

log = logging.getLogger(__name__)

_standing: dict[str, str] = {}
_lock = Lock()


def begin(key: str, text: str, cause: object = None) -> bool:
    """There is a problem; saying so again is free, and silent unless `text` has changed.

    True when it was not known before.

    `text` is shown to anybody who asks `/health`: no names, addresses or secrets. `cause`, an
    exception or a text, goes to the log only, in one line.
    """
    with _lock:
        before, _standing[key] = _standing.get(key), text
    if before != text:
        told = " ".join(str(cause).split()) if cause is not None else ""
        log.error("%s%s", text, f" ({told})" if told else "")
    return before != text


def end(key: str) -> None:
    """The problem is over; nothing happens when there was none."""
    with _lock:
        text = _standing.pop(key, None)
    if text is not None:
        log.warning("over: %s", text)


def standing() -> list[str]:
    """The problems of this process now, in the order in which they began."""
    with _lock:
        return list(_standing.values())
