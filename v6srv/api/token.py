"""/token: log in, refresh, and tokens for algorithm containers."""

from flask import request
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.dialect import asked
from v6srv.identity import current, login, node_login
from v6srv.identity.login import Tokens
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.token import (
    ContainerTokenOut,
    ContainerTokenRequest,
    LoginOut,
    NodeLogin,
    TokensOut,
    UserLogin,
)

blp = Blueprint("token", __name__, description="Logging in")


@blp.route("/token/user")
class UserToken(MethodView):
    @guard.anyone("logging in is how a user gets a token")
    @blp.arguments(UserLogin)
    @blp.response(200, LoginOut)
    def post(self, body):
        """Log in as a user. Answers without tokens while the second factor is missing."""
        answer = login.log_in(
            body["username"],
            body["password"],
            body["mfa_code"],
            request.remote_addr or "",
            asked.current().dialect,
        )
        headers = {"jwt-token": answer.access_token} if isinstance(answer, Tokens) else {}
        return answer, headers


@blp.route("/token/node")
class NodeToken(MethodView):
    @guard.anyone("logging in is how a node gets a token")
    @blp.arguments(NodeLogin)
    @blp.response(200, TokensOut)
    def post(self, body):
        """Log in as a node. 401 means that the key is wrong, and nothing else."""
        dialect = asked.current().dialect
        answer = node_login.log_in_node(body["api_key"], request.remote_addr or "", dialect)
        return answer, {"jwt-token": answer.access_token}


@blp.route("/token/container")
class ContainerToken(MethodView):
    @guard.some(Resource.RESULT, Operation.EDIT)
    @blp.arguments(ContainerTokenRequest)
    @blp.response(200, ContainerTokenOut)
    def post(self, body, who, authz):
        """A token for the algorithm that the calling node is about to start.

        Who may write the result of a run may have one: the node of the organization that computes.
        """
        token = login.container_token(who, authz, body["task_id"], body["image"], current.dialect())
        return {"container_token": token}


@blp.route("/token/refresh")
class RefreshedToken(MethodView):
    @guard.anyone("the refresh token in the Authorization header says who asks")
    @blp.response(200, TokensOut)
    def post(self):
        """A new pair of tokens for a refresh token."""
        authorization = request.headers.get("Authorization")
        return login.refresh(authorization, asked.current().dialect)


@blp.route("/token/logout")
class EndedSession(MethodView):
    @guard.anyone("the token in the Authorization header says whose session ends")
    @blp.response(200, MessageOut)
    def post(self):
        """End your session: its access and refresh tokens, and its sockets.

        With an access or a refresh token of it. Your other sessions go on.
        """
        login.log_out(request.headers.get("Authorization"))
        return {"msg": "You are logged out"}
