"""Users are told that their tasks have ended: what they ask for, and what is sent to whom."""

import hmac
import json
import re

import pytest
from sqlalchemy import select, update

from tests.programs import allow, listening
from v6srv import db
from v6srv.db import transaction
from v6srv.identity import notifications
from v6srv.model import Mail, Notification, Task
from v6srv.settings.groups import WebHooks

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
DONE = {"status": "completed", "result": "e30=", "finished_at": "2026-11-24T10:00:00"}


@pytest.fixture
def program():
    with listening() as made:
        yield made


@pytest.fixture
def hooked(app):
    allow(app)
    return app


@pytest.fixture
def waiting(app):
    """What waits to be sent: kind and task."""

    def read():
        with app.app_context():
            rows = list(db.session.scalars(select(Mail).order_by(Mail.id)))
            return [(row.kind, row.details.get("task"), row.user_id) for row in rows]

    return read


def end(call, world, task="running", *names, **how):
    for name in names or ("north", "south"):
        id = world.result[task, name]
        answer = call(f"{name}_registry", "PATCH", f"/result/{id}", json=DONE | how)
        assert answer.status_code == 200, answer.text


def send(app):
    with app.app_context():
        notifications.send_due()


def later(app):
    with app.app_context(), db.writing():
        db.session.execute(update(Mail).values(due_at=db.database_now()))
        db.session.commit()


def secret_on(page):
    return re.search('<code id="secret" class="secret">([0-9a-f]{64})</code>', page)[1]


def test_a_mail_waits_once_the_last_run_has_ended(visit, world, call, waiting):
    page = visit("researcher").sent("/account/notification/mail", {"wanted": "true"})
    assert "You are told by mail." in page
    assert "checked" in page
    end(call, world, "running", "north")
    assert waiting() == []
    end(call, world, "running", "south")
    assert waiting() == [("task_ended", world.task.running, world.user.researcher)]
    end(call, world, "subtask", "south")
    assert len(waiting()) == 1  # a subtask is waited for by its task
    page = visit("researcher").sent("/account/notification/mail", {})
    assert "not told by mail any more" in page
    assert "checked" not in page


@SQLITE
def test_a_task_that_is_killed_has_ended_once(visit, world, call, waiting):
    visit("researcher").sent("/account/notification/mail", {"wanted": "true"})
    assert call("root", "POST", "/kill/task", json={"id": world.task.running}).status_code == 200
    killed = {"status": "killed by user", "log": "stopped"}
    id = world.result["running", "north"]
    assert call("north_registry", "PATCH", f"/result/{id}", json=killed).status_code == 200
    assert waiting() == [("task_ended", world.task.running, world.user.researcher)]


def test_a_program_is_told_and_knows_who_tells_it(visit, world, call, hooked, program, waiting):
    page = visit("researcher").sent("/account/notification/program", {"url": program.url})
    secret = secret_on(page)
    assert secret not in visit("researcher").get("/account/notification")
    with hooked.app_context():
        assert secret not in db.session.scalars(select(Notification)).one().secret
    end(call, world)
    send(hooked)
    [(headers, body)] = program.got
    told = json.loads(body)
    assert (told["event"], told["task"], told["runs"]) == ("task_ended", world.task.running, 2)
    assert (told["status"], told["completed"]) == ("completed", 2)
    assert "e30=" not in body
    time, sign = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["V6srv-Signature"]).groups()
    assert sign == hmac.new(secret.encode(), f"{time}.{body}".encode(), "sha256").hexdigest()
    assert waiting() == []


@SQLITE
@pytest.mark.parametrize("status", [500, 302, 404])
def test_a_program_that_does_not_take_it_is_told_again(
    visit, world, call, hooked, program, waiting, status
):
    visit("researcher").sent("/account/notification/program", {"url": program.url})
    end(call, world)
    program.status = status
    send(hooked)
    send(hooked)
    assert len(program.got) == 1  # the next time is later
    assert "1 not delivered yet" in visit("researcher").get("/account/notification")
    program.status = 200
    later(hooked)
    send(hooked)
    first, second = (json.loads(body) for _, body in program.got)
    assert first["id"] == second["id"]
    assert waiting() == []


@SQLITE
def test_who_may_not_view_the_task_any_more_is_told_nothing(
    visit, world, call, hooked, program, waiting
):
    visit("researcher").sent("/account/notification/program", {"url": program.url})
    visit("researcher").sent("/account/notification/mail", {"wanted": "true"})
    end(call, world)
    taken = {"roles": []}
    answer = call("root", "PATCH", f"/user/{world.user.researcher}", json=taken)
    assert answer.status_code == 200
    send(hooked)
    assert program.got == []
    assert [kind for kind, *_ in waiting()] == ["task_ended"]


@SQLITE
@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/x",
        "https://10.0.0.1/x",
        "https://127.0.0.1.elsewhere.example/",
        "https://127.0.0.1@elsewhere.example/",
        "file:///etc/passwd",
        "127.0.0.1",
        "https://[",
        "",
        "x" * 20_000,
    ],
)
def test_no_other_host_is_called(visit, world, hooked, url):
    page = visit("researcher").sent("/account/notification/program", {"url": url}, status=400)
    assert "Remove" not in page
    with hooked.app_context():
        assert list(db.session.scalars(select(Notification))) == []


@SQLITE
def test_a_host_that_is_allowed_no_more_is_called_no_more(visit, world, call, hooked, program):
    visit("researcher").sent("/account/notification/program", {"url": program.url})
    end(call, world)
    closed = {"web_hooks": WebHooks()}
    hooked.config["SETTINGS"] = hooked.config["SETTINGS"].model_copy(update=closed)
    send(hooked)
    assert program.got == []
    assert "This server calls no programs." in visit("researcher").get("/account/notification")


@SQLITE
def test_programs_are_few_and_ones_own(visit, world, hooked, program):
    mine = visit("researcher")
    for number in range(notifications.MOST):
        mine.sent("/account/notification/program", {"url": f"{program.url}/{number}"})
    page = mine.sent("/account/notification/program", {"url": program.url}, status=409)
    assert "remove one first" in page
    with hooked.app_context():
        id = db.session.scalars(select(Notification)).first().id
    visit("second_root").sent(f"/account/notification/{id}/delete", status=404)
    assert "not told any more" in mine.sent(f"/account/notification/{id}/delete")


@SQLITE
def test_who_may_not_edit_the_own_account_asks_for_nothing(visit, world, app):
    visit("nobody").get("/account/notification", status=403)
    visit("nobody").sent("/account/notification/mail", {"wanted": "true"}, status=403)
    assert "Tell me" not in visit("nobody").get("/account")
    assert "Tell me" in visit("researcher").get("/account")
    with app.app_context():
        assert list(db.session.scalars(select(Notification))) == []


@SQLITE
def test_they_go_with_the_user(visit, world, call, app):
    visit("viewer").sent("/account/notification/mail", {"wanted": "true"})
    assert call("root", "DELETE", f"/user/{world.user.viewer}").status_code == 200
    with app.app_context(), transaction() as session:
        assert list(session.scalars(select(Notification))) == []
        assert session.get(Task, world.task.running) is not None
