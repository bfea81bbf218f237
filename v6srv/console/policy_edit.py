"""/console/policy/edit and publish: another text of the policy files, compared and made live."""

from flask import current_app, request
from flask.views import MethodView

from v6srv.api import guard
from v6srv.authz.source.live import store_of
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.policy import marks
from v6srv.errors import Invalid, NotSupported, Unauthenticated
from v6srv.identity import login
from v6srv.identity.current import claims
from v6srv.policy.publish import apart
from v6srv.policy.publish.apart import Order
from v6srv.service import policy_versions
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Input, id_field

POLICY = Resource.POLICY
ALL_OF_IT = (Operation.CREATE, Operation.EDIT, Operation.DELETE)
"""What publishing does to lines."""
FILE = "file:"
"""How the names of fields begin that hold files."""


class EditQuery(Input):
    """Whose files to begin with; the live ones, unless told."""

    version = id_field()


@blp.route("/policy/edit")
class PolicyEdit(MethodView):
    @guard.whole(POLICY)
    @arguments(EditQuery, location="query")
    @page("policy_edit.html")
    def get(self, query, authz, may):
        """The files, to be edited."""
        id = query.get("version")
        files = policy_versions.version(id).files if id else store_of(authz).texts
        message = f"rollback to {id}" if id else ""
        return _shown(may, files, start=id, message=message)

    @guard.whole(POLICY, reads=True)
    @page("policy_edit.html")
    def post(self, authz, may):
        """What is wrong with them as they were edited (or `live`), and what they would change."""
        version = request.form.get("version", "")
        files = store_of(authz).texts if "live" in request.form else _sent()
        found = apart.check(current_app.config["SETTINGS"], files)
        message = request.form.get("message") or (f"rollback to {version}" if version else "")
        return _shown(may, files, found=found, start=version, message=message)


def _confirmed():
    """Before anything is done: whether that is allowed here, and who asks."""
    form = request.form
    _sent()
    if not form.get("message", "").strip():
        raise Invalid("Say why: the history shows it", {"message": ["Missing."]})
    if not current_app.config["SETTINGS"].console_publishing:
        raise NotSupported("Publishing from a browser is off here (console_publishing)")
    code = form.get("mfa_code", "").strip() or None
    try:
        login.confirm(
            claims().account_id, form.get("password", ""), code, request.remote_addr or ""
        )
    except Unauthenticated as error:  # the session is still good
        raise Invalid(str(error)) from error
    return {}


@blp.route("/policy/publish")
class PolicyPublication(MethodView):
    @guard.whole(POLICY, Operation.EDIT, reads=True, beforehand=_confirmed)
    @page()
    def post(self, who, authz):
        """Make the edited files live, with the gains that were approved."""
        for operation in ALL_OF_IT:
            authz.require_whole(who, POLICY, operation)
        form = request.form
        order = Order(who.subject, form["message"].strip(), form.get("approved") or None)
        number = apart.publish(current_app.config["SETTINGS"], _sent(), order)
        text = f"Version {number} is published. Every process follows within a second."
        return done(text, "policy_versions")


def _shown(may, files, found=None, **more):
    allowed = current_app.config["SETTINGS"].console_publishing
    entitled = all(may.whole(POLICY, operation) for operation in ALL_OF_IT)
    return {
        "files": files,
        "found": found,
        "marks": marks(found.problems if found else ()),
        "publishing": allowed and entitled,
        "why_not": "You may not publish." if allowed else "Publishing from a browser is off.",
        **more,
    }


def _sent():
    """The files that the form holds. Raises Invalid without any."""
    form = request.form
    files = {name.removeprefix(FILE): text for name, text in form.items() if name.startswith(FILE)}
    if new := form.get("new_name", "").strip():
        files[new] = form.get("new_text", "")
    found = {name: text.replace("\r\n", "\n") for name, text in files.items() if text.strip()}
    if not found:
        raise Invalid("There is no file in it")
    return found
