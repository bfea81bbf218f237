"""Bodies and answers of the OpenID AuthZEN Authorization API 1.0.

Fields that are not known are ignored, as the standard asks; `context` of a request is one of them
in effect: the server's own clock and database decide.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, missing, post_load, validate

from v6srv.wire.base import Input, Output
from v6srv.wire.errors import STATUSES, invalid

MAX_EVALUATIONS = 1000
_PARTS = ("subject", "action", "resource")
_REQUIRED_KEYS = ("type", "id", "name")


def _said(description: str) -> dict[str, str]:
    return {"description": description}


def _word(**kwargs: Any) -> fields.String:
    return fields.String(required=True, **kwargs)


def _properties(description: str) -> fields.Dict:
    return fields.Dict(keys=fields.String(), metadata=_said(description))


_CONTEXT = {
    "type": "object",
    "description": "`reason`, `policy` (its version), `lines` (where those stand that decided), and"
    " `error` (`status`, `message`) when there was nothing to decide",
}

# --- one question


class TypedIn(Input):
    """What a search looks for."""

    type = _word()


class SubjectIn(TypedIn):
    """Who: a `user` or `node` by its id, a `container` by the id of its task."""

    id = _word()
    properties = _properties("Not believed: what the database knows of the subject counts")


class ActionIn(Input):
    """What is to be done."""

    name = _word(metadata=_said("view, create, edit or delete"))
    properties = _properties("`changes`: names of the fields that an edit changes")


class ResourceIn(TypedIn):
    """On what: a row by its id."""

    id = _word(
        metadata=_said(
            "Empty for no single row: one that does not exist, with the facts in `properties`, or"
            " the resource as a whole"
        )
    )
    properties = _properties("Facts of a row that does not exist; not believed of one that does")


class EvaluationIn(Input):
    """One question."""

    subject = fields.Nested(SubjectIn, required=True)
    action = fields.Nested(ActionIn, required=True)
    resource = fields.Nested(ResourceIn, required=True)
    context = _properties("Has no effect")


class AnswerOut(Output):
    """A decision; what cannot be decided is denied, and `context.error` says why."""

    decision = fields.Boolean(required=True)
    context = fields.Method("_context", metadata=_CONTEXT)

    def _context(self, answer: Any) -> Any:
        if isinstance(answer, dict):
            return missing  # several decisions, each with its own
        shown = {"reason": answer.reason, "policy": answer.policy, "lines": list(answer.lines)}
        if answer.error is not None:
            status = next(s for kind, (s, _) in STATUSES.items() if isinstance(answer.error, kind))
            shown["error"] = {"status": status.value, "message": answer.reason}
        return shown


# --- several questions


class OptionsIn(Input):
    """How to answer several questions."""

    evaluations_semantic = fields.String(
        validate=validate.OneOf(["execute_all", "deny_on_first_deny", "permit_on_first_permit"]),
        metadata=_said("Whether to stop at the first denial or at the first allowance"),
    )


class EvaluationsIn(Input):
    """Several questions; what they have in common stands beside them.

    Loaded as `questions` (each read, or the Invalid that says what is wrong with it), `semantic`
    and `several`: without `evaluations` the body is one question, and what is wrong with it is
    wrong with the body.
    """

    subject = fields.Dict(keys=fields.String())
    action = fields.Dict(keys=fields.String())
    resource = fields.Dict(keys=fields.String())
    context = _properties("Has no effect")
    options = fields.Nested(OptionsIn)
    evaluations = fields.List(
        fields.Dict(keys=fields.String()),
        validate=validate.Length(max=MAX_EVALUATIONS),
        metadata=_said("Each a question, but for what stands beside them"),
    )

    @post_load
    def _questions(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        several = data.get("evaluations") or []
        common = {part: data[part] for part in _PARTS if part in data}
        questions = [_read(_merged(common, given)) for given in several] or [_one.load(common)]
        semantic = data.get("options", {}).get("evaluations_semantic", "execute_all")
        return {"questions": questions, "semantic": semantic, "several": bool(several)}


_one = EvaluationIn()


def _read(question: Mapping[str, Any]) -> Any:
    try:
        return _one.load(question)
    except ValidationError as error:
        return invalid(error.messages)


def _merged(common: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A question with the parts it lacks, and with the required keys that its parts lack."""
    merged: dict[str, Any] = {**common, **given}
    for part in set(_PARTS) & set(common) & set(given):
        if isinstance(given[part], dict):
            missing = {key: common[part][key] for key in _REQUIRED_KEYS if key in common[part]}
            merged[part] = {**missing, **given[part]}
    return merged


class AnswersOut(AnswerOut):
    """The decisions in the order of the questions, up to the one that stopped.

    Or, of a body without `evaluations`, the decision alone.
    """

    decision = fields.Boolean()
    evaluations = fields.Nested(AnswerOut, many=True)


# --- searches


class PageIn(Input):
    """Which part of the results."""

    token = fields.String(metadata=_said("`next_token` of the page before"))
    limit = fields.Integer(
        strict=True, validate=validate.Range(0, 2**31 - 1), metadata=_said("Results in one answer")
    )


class SearchIn(Input):
    """What all searches can have."""

    context = _properties("Has no effect")
    page = fields.Nested(PageIn)


class SubjectSearchIn(SearchIn):
    """Who of this type may do this with that?"""

    subject = fields.Nested(TypedIn, required=True)
    action = fields.Nested(ActionIn, required=True)
    resource = fields.Nested(ResourceIn, required=True)


class ResourceSearchIn(SearchIn):
    """With which rows of this type may one do this?"""

    subject = fields.Nested(SubjectIn, required=True)
    action = fields.Nested(ActionIn, required=True)
    resource = fields.Nested(TypedIn, required=True)


class ActionSearchIn(SearchIn):
    """What may one do with this?"""

    subject = fields.Nested(SubjectIn, required=True)
    resource = fields.Nested(ResourceIn, required=True)


class PageOut(Output):
    """`next_token` is empty on the last page; `total` counts all pages."""

    next_token = fields.String(required=True)
    count = fields.Integer()
    total = fields.Integer()


class FoundOut(Output):
    """A part of what was found."""

    page = fields.Nested(PageOut)
    results = fields.List(fields.Dict(keys=fields.String(), values=fields.String()), required=True)


# --- where it is


class ConfigurationOut(Output):
    """The addresses of these endpoints."""

    policy_decision_point = fields.String(required=True)
    access_evaluation_endpoint = fields.String(required=True)
    access_evaluations_endpoint = fields.String(required=True)
    search_subject_endpoint = fields.String(required=True)
    search_resource_endpoint = fields.String(required=True)
    search_action_endpoint = fields.String(required=True)


def configuration(root: str) -> dict[str, str]:
    """The addresses at a server with this address, which ends without a slash."""
    return {
        "policy_decision_point": root,
        "access_evaluation_endpoint": f"{root}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{root}/access/v1/evaluations",
        "search_subject_endpoint": f"{root}/access/v1/search/subject",
        "search_resource_endpoint": f"{root}/access/v1/search/resource",
        "search_action_endpoint": f"{root}/access/v1/search/action",
    }
