"""/console/account/notification: where somebody is told that his or her tasks have ended."""

from flask.views import MethodView
from marshmallow import fields

from v6srv.api import guard
from v6srv.authz.unit_of_work import settle
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.identity import notifications
from v6srv.service import mail_queue
from v6srv.vocabulary import Resource
from v6srv.wire.base import Input, Text

_CHANGED = frozenset({"notifications"})


class Switch(Input):
    """On or off; a box that is not ticked is not sent."""

    wanted = fields.Boolean(load_default=False)


class Program(Input):
    """A program of one's own."""

    url = Text(required=True)


def _shown(row, secret=None):
    there = notifications.of_user(row)
    return {
        "row": row,
        "by_mail": any(one.url is None for one in there),
        "programs": [one for one in there if one.url is not None],
        "failed": mail_queue.waiting_for(row.id),
        "hosts": notifications.hosts(),
        "secret": secret,
        "signature": notifications.SIGNATURE,
    }


@blp.route("/account/notification")
class Notifications(MethodView):
    @guard.own(Resource.USER, changes=_CHANGED)
    @page("notifications.html")
    def get(self, row):
        """Where you are told."""
        return _shown(row)


@blp.route("/account/notification/mail")
class NotificationsByMail(MethodView):
    @guard.own(Resource.USER, changes=_CHANGED)
    @arguments(Switch)
    @page()
    def post(self, form, row):
        """By mail, or not."""
        if form["wanted"]:
            notifications.add_mail(row)
            return done("You are told by mail.", "notifications")
        notifications.remove_mail(row)
        return done("You are not told by mail any more.", "notifications")


@blp.route("/account/notification/program")
class NotificationProgram(MethodView):
    @guard.own(Resource.USER, changes=_CHANGED)
    @arguments(Program)
    @page("notifications.html")
    def post(self, form, row):
        """A program as well. The page shows its secret, once."""
        _, secret = notifications.add_program(row, form["url"].strip())
        settle()
        return _shown(row, secret)


@blp.route("/account/notification/<int:id>/delete")
class NotificationDeletion(MethodView):
    @guard.own(Resource.USER, changes=_CHANGED)
    @page()
    def post(self, id, row):
        """One program less."""
        notifications.remove(row, id)
        return done("That program is not told any more.", "notifications")
