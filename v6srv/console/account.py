"""/console/account: of whoever looks, what it may do, its password and second factor."""

from typing import Any

from flask import current_app, request
from flask.views import MethodView
from marshmallow import validates_schema

from v6srv.api import guard
from v6srv.authz.rules import DECLARED
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.errors import Invalid, Unauthenticated
from v6srv.identity import current, login
from v6srv.policy.who.abilities import what_can
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.credentials import Credential
from v6srv.wire.recover import PasswordChange

USER = Resource.USER
_PERSON = ("username", "firstname", "lastname", "email")
_IN_WORDS = {
    rule.key: rule.description.replace("the caller's", "your").replace("the caller", "you")
    for rule in DECLARED
}


@blp.route("/account")
class Account(MethodView):
    @guard.own(USER, Operation.VIEW)
    @page("account.html")
    def get(self, row, who, authz, may):
        """One's own account."""
        changes = may.fields(row, *_PERSON, "password", "sessions", "notifications")
        return {
            "row": row,
            "edits": not changes.isdisjoint(_PERSON),
            "changes": changes,
            "organizations": may.names(Resource.ORGANIZATION, [row.organization_id]),
            "roles": may.names(Resource.ROLE, row.role_ids or ()),
            "second_factor": current_app.config["SETTINGS"].two_factor_auth,
            "abilities": [one.reach for one in what_can(authz.policy, who).abilities],
            "in_words": _IN_WORDS,
        }


class NewPassword(PasswordChange):
    """Typed twice."""

    again = Credential(load_default="")

    @validates_schema
    def _same(self, form: dict[str, Any], **_: Any) -> None:
        if form["new_password"] and form["again"] != form["new_password"]:
            text = "The new password was not typed the same way twice"
            raise Invalid(text, {"again": [text]})


def _checked() -> dict[str, Any]:
    """The new password, where the form has all that is needed; else that is said later."""
    given = [request.form.get(name, "") for name in ("current_password", "new_password", "again")]
    if not all(given) or given[1] != given[2]:
        return {"checked": None}
    account_id, source = current.claims().account_id, request.remote_addr or ""
    try:
        return {"checked": login.check_new_password(account_id, *given[:2], source)}
    except Unauthenticated as error:  # of the password: whoever asks is still logged in
        raise Invalid(str(error), {"current_password": [str(error)]}) from error


@blp.route("/account/password")
class AccountPassword(MethodView):
    @guard.own(USER, changes=frozenset({"password"}), beforehand=_checked)
    @arguments(NewPassword)
    @page()
    def post(self, _form, who, checked):
        """Change it. All other sessions end."""
        login.change_password(who, checked)
        return done("Your password has been changed; your other sessions have ended.", "account")
