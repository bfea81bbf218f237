"""/user/<id>/notification: where somebody is told that his or her tasks have ended."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.authz.unit_of_work import settle
from v6srv.identity import notifications
from v6srv.service import mail_queue
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.notification import NewNotificationOut, NotificationIn, NotificationOut

blp = Blueprint(
    "notification", __name__, description="Where somebody is told that tasks have ended"
)
USER, EDIT = Resource.USER, Operation.EDIT
NOTIFICATIONS = frozenset({"notifications"})


def _shown(rows):
    failed = mail_queue.waiting_for(rows[0].user_id) if rows else {}
    return [_fields(row, undelivered=failed.get(row.id, 0)) for row in rows]


def _fields(row, **more):
    return {"id": row.id, "url": row.url, "created_at": row.created_at, **more}


@blp.route("/user/<int:id>/notification")
class Notifications(MethodView):
    @guard.one(USER, EDIT, changes=NOTIFICATIONS)
    @paged(NotificationOut, show=_shown)
    def get(self, row):
        """Where a user is told, the oldest first. For who could change it."""
        return notifications.rows_of(row)

    @guard.one(USER, EDIT, changes=NOTIFICATIONS)
    @blp.arguments(NotificationIn)
    @blp.response(201, NewNotificationOut)
    def post(self, body, row):
        """Tell a user by mail, or by a signed request to a program."""
        url = body.get("url")
        if url is None:
            made = notifications.add_mail(row)
            settle()
            return _fields(made, undelivered=0)
        made, secret = notifications.add_program(row, url)
        settle()
        return _fields(made, undelivered=0, secret=secret)


@blp.route("/user/<int:id>/notification/<int:number>")
class Notification(MethodView):
    @guard.one(USER, EDIT, changes=NOTIFICATIONS)
    @blp.response(200, MessageOut)
    def delete(self, number, row):
        """Tell a user there no more."""
        notifications.remove(row, number)
        return {"msg": f"notification id={number} has been removed"}
