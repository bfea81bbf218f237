"""What the Authorizer was asked, as the decision log keeps it and reads it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from v6srv import request_id
from v6srv.authz import clock
from v6srv.authz.decision_log import number_of, stamp
from v6srv.authz.facts import MODELS, TABLES, WHOLE
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.db import Base
from v6srv.errors import Invalid
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope


class Form(StrEnum):
    """How a question is put."""

    ROW = "row"
    """May I do this with this row?"""
    ROWS = "rows"
    """With which rows? Denied if nothing is granted."""
    ANY = "any"
    """With some row?"""
    WHOLE = "whole"
    """With the resource as a whole?"""
    THING = "thing"
    """With something that is no row, by its facts?"""
    HAND_OUT = "hand_out"
    """May I give these rules to somebody?"""
    CALLER = "caller"
    """Is this open to my kind at all? Of an endpoint; no line is asked."""
    SESSION = "session"
    """May a session go on with this refresh token? No line is asked; only refusals are told."""

    @property
    def asks_lines(self) -> bool:
        """Whether the policy has a say."""
        return self not in (Form.CALLER, Form.SESSION)


_TABLES: Mapping[str, type[Base]] = {model.__name__: model for model in TABLES}

RuleKey = tuple[str, str, str]
"""Resource, scope and operation of a rule."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, complete: with the rows as they were, the same policy answers the same."""

    form: Form
    who: Principal
    resource: Resource
    """Of `HAND_OUT`: that of the first rule, as is the operation."""
    operation: Operation
    table: type[Base] | None = None
    """Of the row."""
    row: int | None = None
    prospective: bool = False
    """Whether the row was asked about as it would stand, inside a transaction."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of a `THING`."""
    min_scope: Scope | None = None
    lenient: bool = False
    changes: frozenset[str] | None = frozenset()
    """Names of the fields that are changed. None: not known yet; what could be allowed is."""
    early: bool = False
    """Whether it is asked before the change: late facts (`Fact.late`) are not known yet."""
    covered: bool = False
    """Whether another decision is the allowance, and only denials are asked for."""
    rules: tuple[RuleKey, ...] = ()
    """Of `HAND_OUT`: the rules that were asked for."""
    callers: frozenset[PrincipalKind] = frozenset()
    """Of `CALLER`: the kinds that it is open to."""

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes whose allowances count; None for all."""
        if self.min_scope is None:
            return None
        ordered = list(Scope)
        return frozenset(scope.value for scope in ordered[ordered.index(self.min_scope) :])

    @property
    def subject(self) -> SubjectFacts:
        """`r.sub`: who asks, with what is to be changed."""
        return self.who.facts.changing(self.changes) if self.changes else self.who.facts

    @property
    def model(self) -> type[Base] | None:
        """The table of the rows that it is about; None when it is about none."""
        return MODELS[self.resource] if self.form is Form.ROWS else self.table

    @property
    def object(self) -> SimpleNamespace | int | Form:
        """`r.obj` of what is no row, the id of a row, or the form when no single row is meant."""
        if self.form is Form.ROW:
            return self.row or 0
        if self.form not in (Form.THING, Form.WHOLE):
            return self.form
        facts = WHOLE if self.form is Form.WHOLE else self.facts
        return SimpleNamespace(type=self.resource.value, **facts)

    @property
    def handed(self) -> list[SimpleNamespace]:
        """Of `HAND_OUT`: each rule in the words of the policy."""
        return [SimpleNamespace(res=res, scope=scope, act=act) for res, scope, act in self.rules]

    @property
    def about(self) -> str:
        """What it is about, in words: `task:12`, facts of a room, or the form of the question."""
        if self.table is not None:
            return f"{self.table.__name__.lower()}:{self.row}"
        if self.form is Form.THING:
            known = {name: value for name, value in self.facts.items() if value}
            return ", ".join(
                f"{name} {sorted(value) if isinstance(value, frozenset) else value}"
                for name, value in known.items()
            )
        if self.form is Form.HAND_OUT:
            return "hand out " + ", ".join(":".join(rule) for rule in self.rules)
        return self.form.value

    def record(self) -> dict[str, Any]:
        """The fields of a record; what says nothing is left out."""
        fields: dict[str, Any] = {
            "question": self.form.value,
            "principal": _principal(self.who),
            "resource": self.resource.value,
            "operation": self.operation.value,
        }
        if self.row is not None and self.table is not None:
            fields["table"], fields["row"] = self.table.__name__, number_of(self.row)
        if self.facts:
            fields["facts"] = {name: _plain(value) for name, value in self.facts.items()}
        if self.min_scope is not None:
            fields["min_scope"] = self.min_scope.value
        if self.changes is None:
            fields["unknown_changes"] = True
        elif self.changes:
            fields["changes"] = sorted(self.changes)
        if self.rules:
            fields["rules"] = [list(rule) for rule in self.rules]
        if self.callers:
            fields["callers"] = sorted(self.callers)
        for flag in ("prospective", "lenient", "early", "covered"):
            if getattr(self, flag):
                fields[flag] = True
        return fields

    def decided(self, id: str, effect: Effect, reason: str, **more: Any) -> dict[str, Any]:
        """The record of the answer, given now; `more` are fields of it."""
        request = request_id.current()
        return {
            "kind": "decision",
            "time": stamp(clock.now()),
            "id": id,
            **self.record(),
            "effect": effect.value,
            "reason": reason,
            **more,
            **({"request_id": request} if request else {}),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Question":
        """The question of a record. Raises Invalid for one that this release cannot ask."""
        try:
            row = record.get("row")
            found = cls(
                Form(record["question"]),
                _read_principal(record["principal"]),
                Resource(record["resource"]),
                Operation(record["operation"]),
                _TABLES[record["table"]] if "table" in record else None,
                None if row is None else int(row),
                record.get("prospective") is True,
                {name: _read_fact(value) for name, value in record.get("facts", {}).items()},
                Scope(record["min_scope"]) if "min_scope" in record else None,
                record.get("lenient") is True,
                None if record.get("unknown_changes") else frozenset(record.get("changes", ())),
                record.get("early") is True,
                record.get("covered") is True,
                tuple((res, scope, act) for res, scope, act in record.get("rules", ())),
                frozenset(PrincipalKind(kind) for kind in record.get("callers", ())),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise Invalid(f"record {record.get('seq')}: {error!r}") from error
        if not found._is_whole:
            raise Invalid(f"record {record.get('seq')}: {found.form} of what?")
        return found

    @property
    def _is_whole(self) -> bool:
        """Whether there is all that a question of this form is about."""
        if self.form is Form.ROW:
            return self.table is not None and self.row is not None
        if self.form is Form.ROWS:
            return self.resource in MODELS
        return self.form is not Form.HAND_OUT or bool(self.rules)


def _principal(who: Principal) -> dict[str, Any]:
    """All that policies see of it; not its name."""
    fields = {
        "id": who.id,
        "kind": who.kind.value,
        "account": who.account_id,
        "org": who.organization_id,
        "collabs": sorted(who.collaboration_ids),
        "roles": sorted(who.roles),
    }
    if who.kind is PrincipalKind.CONTAINER:
        fields |= {"task": who.task_id, "run": who.run_id, "image": who.image}
    return fields


def _read_principal(fields: Mapping[str, Any]) -> Principal:
    return Principal(
        PrincipalKind(fields["kind"]),
        fields["account"],
        fields["org"],
        frozenset(fields["collabs"]),
        tuple(fields["roles"]),
        task_id=fields.get("task"),
        run_id=fields.get("run"),
        image=fields.get("image"),
    )


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else value


def _read_fact(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value
