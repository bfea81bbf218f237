"""Telling users that a task of theirs has ended, in the transaction that ends it.

What is to be told waits in the queue of mails (`mail_queue`), also what goes to a program: it is
sent after the commit, again until it arrives, and may arrive twice.
"""

from collections.abc import Collection

from sqlalchemy import func, select

from v6srv.db import session
from v6srv.model import Notification, Result, Task
from v6srv.service import mail_queue
from v6srv.service.mail import TASK_ENDED
from v6srv.service.mail_queue import WEB_HOOK
from v6srv.vocabulary import ResultStatus


def tasks_may_have_ended(ids: Collection[int]) -> None:
    """Of these tasks a run has just ended, in this transaction.

    Subtasks end with the task of the user who waits for them.
    """
    of_task = select(func.count()).where(Result.task_id == Task.id).correlate(Task)
    running = of_task.where(Result.finished_at.is_(None)).scalar_subquery()
    completed = of_task.where(Result.status == ResultStatus.COMPLETED.value)
    ended = (
        select(
            *(Notification.id, Notification.user_id, Notification.url, Task),
            *(of_task.scalar_subquery(), completed.scalar_subquery()),
        )
        .join(Task, Task.init_user_id == Notification.user_id)
        .where(Task.id.in_(ids), Task.parent_id.is_(None), running == 0)
    )
    for id, user_id, url, task, runs, completed_runs in session.execute(ended):
        told = {
            "task": task.id,
            "name": task.name,
            "collaboration": task.collaboration_id,
            "status": "completed" if runs == completed_runs else "not all of it completed",
            "runs": runs,
            "completed": completed_runs,
        }
        if url is None:
            mail_queue.put(TASK_ENDED, user_id, **told)
        else:
            mail_queue.put(WEB_HOOK, user_id, notification=id, **told)
