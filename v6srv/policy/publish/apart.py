"""Checking and publishing a policy for a browser, in a process of its own.

Linting, tests and the comparison with the live policy compute for seconds: requests and sockets of
the server do not wait for them. What happens there is what `v6srv policy publish` does.
"""

import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from v6srv.authz.source.problems import Problem
from v6srv.db import let_go
from v6srv.errors import Conflict, Invalid, NotFound, Unavailable, V6srvError
from v6srv.policy.child import Child, NotRunError, begin
from v6srv.policy.publish.publication import Review
from v6srv.settings import Settings

log = logging.getLogger(__name__)

Files = Mapping[str, str]

_LOOK_EVERY_S = 0.05
_PUBLISHED_WITHIN_S = 300.0
"""Longer than a check: who is stopped while files are replaced leaves that half done."""
_one_at_a_time = threading.Lock()
_BUSY = "Somebody else has a policy checked at this moment: try again when that is done"
_ERRORS = {one.__name__: one for one in (Invalid, Conflict, NotFound)}


@dataclass(frozen=True, slots=True)
class Marked:
    """Something that is wrong with a policy."""

    origin: str
    severity: str
    message: str
    file: str = ""
    """Empty: of no file."""
    line: int = 0
    """From 1; 0: of no single line."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is to say of a candidate."""

    sound: bool
    """Whether it may go live once its gains are approved."""
    problems: Sequence[Marked] = ()
    failing: Sequence[str] = ()
    """Tests that fail, with what they say."""
    has_tests: bool = True
    remarks: Sequence[str] = ()
    """What is wrong with what is live now."""
    compared: bool = False
    """Whether it was compared with what is live: only what is valid is."""
    gained: Sequence[str] = ()
    lost: Sequence[str] = ()
    """Who may now do what, or no longer, and because of which lines."""
    incomparable: str = ""
    """Why it cannot be told what it would change."""
    approval: str | None = None
    """What approves the gains; None: there are none."""


@dataclass(frozen=True, slots=True)
class Order:
    """To publish what was checked."""

    author: str
    message: str
    approved: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What such a process is to do."""

    uri: str = field(repr=False)
    live: str
    files: Files
    order: Order | None = None


def check(settings: Settings, files: Files) -> Checked:
    """What is wrong with these files, and what they would change.

    Raises Invalid for what is no policy, and Unavailable while somebody else's are checked.
    """
    found = _done(Job(settings.uri, str(settings.policies), files))
    problems = [Marked(**one) for one in found.pop("problems")]
    return Checked(problems=problems, **found)


def publish(settings: Settings, files: Files, order: Order) -> int:
    """Make these files live, after the same checks; the number of the version.

    Raises as `check` does, and Conflict when it is not sound, when other gains were approved, and
    when somebody else has changed something meanwhile.
    """
    number: int = _done(Job(settings.uri, str(settings.policies), files, order))["version"]
    return number


def _done(job: Job) -> dict[str, Any]:
    let_go()
    if not _one_at_a_time.acquire(blocking=False):
        raise Unavailable(_BUSY, 5)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="v6srv-policy-", encoding="utf-8") as file:
            json.dump(asdict(job), file)
            file.flush()
            within_s = None if job.order is None else _PUBLISHED_WITHIN_S
            answer = _answer(Child(__name__, file.name, within_s))
    except (OSError, NotRunError) as error:
        log.error("a policy could not be checked: %s", error)
        raise Unavailable(f"The policy could not be checked: {error}") from error
    finally:
        _one_at_a_time.release()
    if "error" in answer:
        raise _ERRORS.get(answer["error"], Invalid)(answer["message"])
    return answer


def _answer(child: Child) -> dict[str, Any]:
    try:
        while True:
            found: dict[str, Any] | None = child.result()
            if found is not None:
                return found
            time.sleep(_LOOK_EVERY_S)
    except BaseException as error:
        if not isinstance(error, NotRunError):
            child.stop()  # nobody waits any more
        raise


# --- the process


def main() -> None:
    """Do the job of the file that is the argument."""
    job = read(Path(begin()))
    with _connected(job.uri):
        answer = done(job)
    json.dump(answer, sys.stdout)


def read(path: Path) -> Job:
    """The job in a file."""
    return Job(**json.loads(path.read_text(encoding="utf-8")))


def done(job: Job) -> dict[str, Any]:
    """Do it on the database of the session: the answer, or what it was refused for."""
    try:
        return _do(job)
    except V6srvError as error:
        return {"error": type(error).__name__, "message": str(error)}


def _do(job: Job) -> dict[str, Any]:
    from v6srv.policy.publish import publication

    live = Path(job.live)
    reviewed = publication.review(live, job.files)
    if job.order is None:
        return asdict(_checked(reviewed))
    order = Order(**job.order)  # type: ignore[arg-type]
    wrong = [*reviewed.errors, *reviewed.failing]
    if wrong:
        raise Conflict(f"It cannot go live: {wrong[0]}")
    done = publication.publish(live, reviewed, order.author, order.message, order.approved)
    return {"version": done.version.id}


def _checked(reviewed: Review) -> Checked:
    difference = reviewed.difference
    return Checked(
        sound=reviewed.sound,
        problems=[*map(_marked, reviewed.problems)],
        failing=reviewed.failing,
        has_tests=any(name.startswith("tests/") for name in reviewed.files),
        remarks=reviewed.standing.remarks,
        compared=difference is not None,
        gained=[*map(str, difference.gains)] if difference else [],
        lost=[*map(str, difference.losses)] if difference else [],
        incomparable=reviewed.incomparable,
        approval=reviewed.approval,
    )


def _marked(one: Problem) -> Marked:
    return Marked(one.origin, one.code.severity.value, one.message, one.file, one.line)


@contextmanager
def _connected(uri: str) -> Iterator[None]:
    from v6srv import db

    engine = db.connect(uri)
    try:
        yield
    finally:
        db.session.remove()
        engine.dispose()


if __name__ == "__main__":
    main()
