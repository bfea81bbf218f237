"""Telling users that a task of theirs has ended, in the transaction that ends it.

What is to be told waits in the queue of mails (`mail_queue`), also what goes to a program: it is
sent after the commit, again until it arrives, and may arrive twice.
"""

from collections.abc import Collection

from sqlalchemy import case, exists, func, select

from v6srv.db import session
from v6srv.model import Notification, Result, Task
from v6srv.service import mail_queue
from v6srv.service.mail import TASK_ENDED
from v6srv.service.mail_queue import WEB_HOOK
from v6srv.vocabulary import ResultStatus

_COMPLETED = ResultStatus.COMPLETED.value


def tasks_may_have_ended(ids: Collection[int]) -> None:
    """Of these tasks a run has just ended, in this transaction.

    Subtasks end with the task of the user who waits for them.
    """
    running = exists().where(Result.task_id == Task.id, Result.finished_at.is_(None))
    ended = (
        select(Notification.id, Notification.user_id, Notification.url, Task)
        .join(Task, Task.init_user_id == Notification.user_id)
        .where(Task.id.in_(ids), Task.parent_id.is_(None), ~running)
    )
    for id, user_id, url, task in session.execute(ended):
        runs, completed = session.execute(
            select(func.count(), func.sum(case((Result.status == _COMPLETED, 1), else_=0))).where(
                Result.task_id == task.id
            )
        ).one()
        told = {
            "task": task.id,
            "name": task.name,
            "collaboration": task.collaboration_id,
            "status": "completed" if runs == completed else "not all of it completed",
            "runs": runs,
            "completed": completed,
        }
        if url is None:
            mail_queue.put(TASK_ENDED, user_id, **told)
        else:
            mail_queue.put(WEB_HOOK, user_id, notification=id, **told)
