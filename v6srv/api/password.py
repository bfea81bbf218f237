"""/password/change: change one's own password."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.identity import login
from v6srv.vocabulary import Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.recover import PasswordChange

blp = Blueprint("password", __name__, description="One's own password")


@blp.route("/password/change")
class OwnPassword(MethodView):
    @guard.own(Resource.USER, changes=frozenset({"password"}))
    @blp.arguments(PasswordChange)
    @blp.response(200, MessageOut)
    def patch(self, body, who):
        """Change your password. Your other sessions end."""
        login.change_password(who, body["current_password"], body["new_password"])
        return {"msg": "The password has been changed successfully!"}
