"""/token/user/validate and /token/node/validate: whose token it is, for algorithm stores.

A store asks with the token that its own caller has sent.
"""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.v4.validate import NodeTokenOut, UserTokenOut

blp = Blueprint("validate", __name__, description="Whose token it is")


@blp.route("/token/user/validate")
class UserToken(MethodView):
    @guard.own(Resource.USER, Operation.VIEW, closed_to=guard.NODES | guard.CONTAINERS, visits=True)
    @blp.response(200, UserTokenOut)
    def post(self, row):
        """The user who asks."""
        return row


@blp.route("/token/node/validate")
class NodeToken(MethodView):
    @guard.own(Resource.NODE, Operation.VIEW, closed_to=guard.USERS | guard.CONTAINERS)
    @blp.response(200, NodeTokenOut)
    def post(self, row):
        """The node that asks."""
        return row
