"""/password/change: change one's own password."""

from typing import Any

from flask import request
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.identity import current, login
from v6srv.vocabulary import Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.recover import PasswordChange

blp = Blueprint("password", __name__, description="One's own password")


def _checked() -> dict[str, Any]:
    """The new password, where the body has all that is needed; else that is said later."""
    body = request.get_json(silent=True)
    names = ("current_password", "new_password")
    given = [body.get(name) for name in names] if isinstance(body, dict) else []
    if not given or not all(isinstance(text, str) and text for text in given):
        return {"checked": None}
    source = request.remote_addr or ""
    return {"checked": login.check_new_password(current.claims().account_id, *given, source)}


@blp.route("/password/change")
class OwnPassword(MethodView):
    @guard.own(Resource.USER, changes=frozenset({"password"}), beforehand=_checked)
    @blp.arguments(PasswordChange)
    @blp.response(200, MessageOut)
    def patch(self, _body, who, checked):
        """Change your password. Your other sessions end. A wrong one counts as at a login."""
        login.change_password(who, checked)
        return {"msg": "The password has been changed successfully!"}
