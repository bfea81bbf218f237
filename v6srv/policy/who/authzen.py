"""The questions of the OpenID AuthZEN Authorization API 1.0, answered from the live policy.

A subject is a `user`, `node` or `container` (by its task) with its id; a resource one of ours with
the id of its row, an action one of our operations. What the database knows of subject and row is
what counts: properties that a caller sends with them are not believed. An empty id means no single
row: with properties a row that does not exist and has these facts, without them the resource as a
whole. `changes` of the action are the fields that an edit changes (`r.sub.changes`).

Nothing here raises for a question that has an answer: what is not known is denied, with the reason.
"""

import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

import orjson

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.principal import Principal
from v6srv.authz.row_facts import row_facts
from v6srv.db import LARGEST_ID
from v6srv.errors import Invalid, NotFound, V6srvError
from v6srv.identity import principals
from v6srv.policy import ask
from v6srv.policy.ask import Thing
from v6srv.policy.who import abilities
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource

LARGEST_PAGE = 1000
"""Results in one answer of a search."""

Entity = Mapping[str, Any]
"""A subject, resource or action as it was sent."""


class Semantic(StrEnum):
    """When to stop answering several questions."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


_STOPS_AT: Mapping[Semantic, bool] = {
    Semantic.DENY_ON_FIRST_DENY: False,
    Semantic.PERMIT_ON_FIRST_PERMIT: True,
}


Asked = Mapping[str, Entity]
"""One question: `subject`, `action` and `resource`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One decision and its reason."""

    decision: bool
    reason: str
    policy: str
    """Version of the policy."""
    lines: tuple[str, ...] = ()
    """Origins of the lines that decided."""
    error: V6srvError | None = None
    """Why there was nothing to decide; it is denied then."""


def evaluate(enforcer: Enforcer, asked: Asked) -> Answer:
    """The decision on one question."""
    [answer] = evaluations(enforcer, [asked])
    return answer


def evaluations(
    enforcer: Enforcer,
    asked: Sequence[Asked | Invalid],
    semantic: str = Semantic.EXECUTE_ALL,
) -> list[Answer]:
    """The decisions on several questions, in their order, up to the one that stops.

    A question that could not be read is given as what is wrong with it. What the database knows is
    read at once for all.
    """
    readable = [question for question in asked if not isinstance(question, Invalid)]
    known = _Known([one["subject"] for one in readable], [one["resource"] for one in readable])
    stops_at = _STOPS_AT.get(Semantic(semantic))
    answers = []
    for question in asked:
        answers.append(_answer(enforcer, known, question))
        if answers[-1].decision is stops_at:
            break
    return answers


def _answer(enforcer: Enforcer, known: "_Known", asked: Asked | Invalid) -> Answer:
    try:
        if isinstance(asked, Invalid):
            raise asked
        subject, thing = known.principal(asked["subject"]), known.thing(asked["resource"])
        operation, changes = ask.operation(asked["action"]["name"]), _changes(asked["action"])
    except (Invalid, NotFound) as error:
        return Answer(False, str(error), enforcer.version, error=error)
    question = abilities.Poll(enforcer, operation, thing, changes)
    allowed = question.allows(subject)
    effect = Effect.ALLOW if allowed else Effect.DENY
    rests = question.matching(subject, effect)
    lines = tuple(dict.fromkeys(rest.line.origin for rest in rests))
    return Answer(allowed, _reason(question, subject, allowed, lines), enforcer.version, lines)


def _changes(action: Entity) -> frozenset[str]:
    names = (action.get("properties") or {}).get("changes", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Invalid("changes must be a list of names of fields")
    return frozenset(names)


def _reason(
    question: abilities.Poll, subject: Principal, allowed: bool, lines: tuple[str, ...]
) -> str:
    if lines:
        return f"{'allowed' if allowed else 'forbidden'} by {', '.join(lines)}"
    if question.granted_at_all(subject):
        return f"what is granted to {subject.subject} does not reach {question.thing.name}"
    return f"nothing grants {subject.subject} to {question.operation} {question.thing.resource}"


# --- what the database knows


class _Known:
    """The principals and rows that questions name, read in few queries."""

    def __init__(self, subjects: Iterable[Entity], resources: Iterable[Entity]) -> None:
        accounts: set[int] = set()
        tasks: set[int] = set()
        rows: dict[Resource, set[int]] = {}
        for subject in subjects:
            of_task = subject["type"] == PrincipalKind.CONTAINER
            (tasks if of_task else accounts).update(_some(_number(subject["id"])))
        for resource in resources:
            if resource["type"] in tuple(MODELS):
                ids = rows.setdefault(Resource(resource["type"]), set())
                ids.update(_some(_number(resource["id"])))
        found = chain(
            principals.everyone(accounts) if accounts else (),
            principals.containers(tasks) if tasks else (),
        )
        self._principals = {known.principal.id: known.principal for known in found}
        self._facts = {
            (resource, id): facts
            for resource, ids in rows.items()
            if ids
            for id, facts in row_facts(MODELS[resource], ids, resource).items()
        }

    def principal(self, subject: Entity) -> Principal:
        """The principal that a subject is. Raises Invalid and NotFound."""
        kind = _kind(subject["type"])
        found = self._principals.get(f"{kind}:{_number(subject['id'])}")
        if found is None:
            raise NotFound(f"There is no {kind} {subject['id']!r}")
        return found

    def thing(self, resource: Entity) -> Thing:
        """What a resource is. Raises Invalid and NotFound."""
        of = _type(resource)
        properties = resource.get("properties")
        if resource["id"] == "":
            return ask.made_up_row(of, properties) if properties else ask.whole(of)
        id = _number(resource["id"])
        facts = None if id is None else self._facts.get((of, id))
        if facts is None:
            raise NotFound(f"There is no {of} {resource['id']!r}")
        return Thing(of, f"{of}:{id}", facts, TABLES[MODELS[of]], id)


def _type(resource: Entity) -> Resource:
    return ask.resource(resource["type"])


def _kind(word: str) -> PrincipalKind:
    if word not in tuple(PrincipalKind):
        raise Invalid(f"unknown type of subject {word!r}: {', '.join(PrincipalKind)}")
    return PrincipalKind(word)


def _number(text: str) -> int | None:
    """The id that a text is; None for one that no row can have."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_ID))):
        return None
    number = int(text)
    return number if 0 < number <= LARGEST_ID and str(number) == text else None


def _some(number: int | None) -> tuple[int, ...]:
    return () if number is None else (number,)


# --- searches


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the results this is."""

    next_token: str
    """What asks for the rest; empty when there is none."""
    count: int
    total: int
    """Of all parts."""


@dataclass(frozen=True, slots=True)
class Found:
    """A part of the results of a search."""

    page: Part
    results: tuple[Mapping[str, str], ...]


def search_subjects(enforcer: Enforcer, asked: Mapping[str, Any]) -> Found:
    """The principals of a type that may do this with that, by id.

    Raises Invalid for a `page` that is not of this search.
    """
    page = _Page(asked, "subject")
    action, resource = asked["action"], asked["resource"]
    try:
        kind, operation = _kind(asked["subject"]["type"]), ask.operation(action["name"])
        thing, changes = _Known((), [resource]).thing(resource), _changes(action)
    except (Invalid, NotFound):
        return page.cut(())
    question = abilities.Poll(enforcer, operation, thing, changes)
    ids = (_id_of(one) for one in _candidates(kind) if question.allows(one))
    return page.cut([(id, {"type": kind.value, "id": str(id)}) for id in ids])


def _candidates(kind: PrincipalKind) -> Iterator[Principal]:
    of_tasks = kind is PrincipalKind.CONTAINER
    found = principals.containers() if of_tasks else principals.everyone()
    return (known.principal for known in found if known.principal.kind is kind)


def _id_of(one: Principal) -> int:
    return int(one.id.partition(":")[2])


def search_resources(enforcer: Enforcer, asked: Mapping[str, Any]) -> Found:
    """The rows of a resource that somebody may do this with, by id. Raises as the others."""
    page = _Page(asked, "resource")
    subject, action = asked["subject"], asked["action"]
    try:
        one, of = _Known([subject], ()).principal(subject), _type(asked["resource"])
        operation, changes = ask.operation(action["name"]), _changes(action)
    except (Invalid, NotFound):
        return page.cut(())
    rows = abilities.allowed_rows(
        enforcer, one, of, operation, limit=page.limit + 1, after=page.after, changes=changes
    )
    results = [(id, {"type": of.value, "id": str(id)}) for id in rows.ids]
    return page.take(results, rows.total)


def search_actions(enforcer: Enforcer, asked: Mapping[str, Any]) -> Found:
    """What somebody may do with this. Raises as the others."""
    page = _Page(asked, "action")
    names = [operation.value for operation in Operation]
    answers = evaluations(enforcer, [{**asked, "action": {"name": name}} for name in names])
    may = [name for name, answer in zip(names, answers, strict=True) if answer.decision]
    return page.cut([(number, {"name": name}) for number, name in enumerate(may, 1)])


Numbered = tuple[int, Mapping[str, str]]
"""A result with the number that results are ordered by."""


class _Page:
    """Which results are wanted: after the page that a token is of, and at most so many.

    A token is good for the search it came from and no other.
    """

    def __init__(self, asked: Mapping[str, Any], kind: str) -> None:
        wanted = asked.get("page", {})
        try:
            parts = [asked.get(part) for part in ("subject", "action", "resource")]
            text = orjson.dumps([kind, parts], option=orjson.OPT_SORT_KEYS)
        except TypeError as error:  # JSON can be read deeper than it can be written
            raise Invalid("this is nested too deeply") from error
        self._search = hashlib.sha256(text).hexdigest()[:16]
        self.after, limit = 0, wanted.get("limit")
        if wanted.get("token"):
            self.after, before = self._read(wanted["token"])
            if limit not in (None, before):
                raise Invalid("page.limit must stay as it was in the first request")
            limit = before
        self._asked = limit
        self.limit = LARGEST_PAGE if limit is None else min(limit, LARGEST_PAGE)

    def cut(self, results: Collection[Numbered]) -> Found:
        """This page of all results."""
        return self.take([one for one in results if one[0] > self.after], len(results))

    def take(self, results: Sequence[Numbered], total: int) -> Found:
        """This page of results that begin with it; there is more when there are too many."""
        kept = results[: self.limit]
        last = kept[-1][0] if kept else self.after
        token = self._write(last) if len(results) > len(kept) else ""
        return Found(Part(token, len(kept), total), tuple(result for _, result in kept))

    def _write(self, after: int) -> str:
        text = orjson.dumps([self._search, after, self._asked])
        return base64.urlsafe_b64encode(text).decode()

    def _read(self, token: str) -> tuple[int, int | None]:
        try:
            search, after, limit = orjson.loads(base64.urlsafe_b64decode(token.encode()))
        except (ValueError, TypeError) as error:
            raise Invalid("page.token is none that this server gave") from error
        if search != self._search:
            raise Invalid("page.token belongs to another search")
        if not _is_number(after) or not (limit is None or _is_number(limit)):
            raise Invalid("page.token is none that this server gave")
        return after, limit


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID
