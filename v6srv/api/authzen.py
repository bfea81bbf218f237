"""/access/v1 and /.well-known: the OpenID AuthZEN Authorization API 1.0, at the server's root."""

from flask import request
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.policy.who import authzen
from v6srv.request_id import HEADER
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.authzen import (
    ActionSearchIn,
    AnswerOut,
    AnswersOut,
    ConfigurationOut,
    EvaluationIn,
    EvaluationsIn,
    FoundOut,
    ResourceSearchIn,
    SubjectSearchIn,
    configuration,
)

blp = Blueprint("authzen", __name__, description="OpenID AuthZEN Authorization API 1.0")
POLICY, VIEW = Resource.POLICY, Operation.VIEW
PREFIXES = ("/access/", "/.well-known/")
"""How all paths of this module begin."""


@blp.after_request
def _echo(response):
    """An id that the caller sent comes back as it is, whatever it is: the standard wants it."""
    if HEADER in request.headers:
        response.headers[HEADER] = request.headers[HEADER]
    return response


@blp.route("/access/v1/evaluation")
class Evaluation(MethodView):
    @guard.whole(POLICY, VIEW, reads=True)
    @blp.arguments(EvaluationIn)
    @blp.response(200, AnswerOut)
    def post(self, asked, authz):
        """Whether a subject may do something with a resource, and why.

        What is not known is denied, with the reason.
        """
        return authzen.evaluate(authz.policy, asked)


@blp.route("/access/v1/evaluations")
class Evaluations(MethodView):
    @guard.whole(POLICY, VIEW, reads=True)
    @blp.arguments(EvaluationsIn)
    @blp.response(200, AnswersOut)
    def post(self, asked, authz):
        """Several questions at once.

        Up to the first denial or allowance, if `options.evaluations_semantic` says so. A question
        that cannot be read is denied.
        """
        answers = authzen.evaluations(authz.policy, asked["questions"], asked["semantic"])
        return {"evaluations": answers} if asked["several"] else answers[0]


@blp.route("/access/v1/search/subject")
class SubjectSearch(MethodView):
    @guard.whole(POLICY, VIEW, reads=True)
    @blp.arguments(SubjectSearchIn)
    @blp.response(200, FoundOut)
    def post(self, asked, authz):
        """All subjects of a type that may do something with a resource, by id."""
        return authzen.search_subjects(authz.policy, asked)


@blp.route("/access/v1/search/resource")
class ResourceSearch(MethodView):
    @guard.whole(POLICY, VIEW, reads=True)
    @blp.arguments(ResourceSearchIn)
    @blp.response(200, FoundOut)
    def post(self, asked, authz):
        """All rows of a type that a subject may do something with, by id."""
        return authzen.search_resources(authz.policy, asked)


@blp.route("/access/v1/search/action")
class ActionSearch(MethodView):
    @guard.whole(POLICY, VIEW, reads=True)
    @blp.arguments(ActionSearchIn)
    @blp.response(200, FoundOut)
    def post(self, asked, authz):
        """All that a subject may do with a resource."""
        return authzen.search_actions(authz.policy, asked)


@blp.route("/.well-known/authzen-configuration")
class Configuration(MethodView):
    @guard.anyone("callers find the endpoints before they have a token")
    @blp.response(200, ConfigurationOut)
    def get(self):
        """Where these endpoints are."""
        return configuration(request.url_root.rstrip("/"))
