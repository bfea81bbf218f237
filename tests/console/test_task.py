"""Pages of tasks and runs."""

import pytest

from tests.support import counting
from v6srv.console.task import SHOWN_OF_A_LOG
from v6srv.db import transaction
from v6srv.model import Result, Task

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_the_list_is_that_of_the_api(visit, world, call):
    for who in ("viewer", "researcher", "root"):
        page = visit(who).get("/task")
        for task in call(who, "GET", "/task", query={"per_page": 25, "page": 1}).json:
            assert (f'/console/task/{task["id"]}"' in page) == (task["parent"] is None)


def test_a_task_is_shown_with_its_runs_and_its_subtasks(visit, world):
    page = visit("researcher").get(f"/task/{world.task.running}")
    assert "0 of 2 ended" in page
    assert f'href="/console/task/{world.task.subtask}"' in page
    assert "south_registry is not online" in visit("root").get(f"/task/{world.task.running}")
    assert page.count('class="state') >= 3
    page = visit("researcher").get(f"/task/{world.task.finished}")
    assert "is not online" not in page
    assert "hx-trigger" not in page  # nothing comes any more
    visit("researcher").get(f"/task/{world.task.waiting}", status=403)


@SQLITE
@pytest.mark.parametrize("kind", ["task", "node"])
def test_a_number_that_no_row_has_lists_nothing_as_in_the_api(visit, world, call, kind):
    root = visit("root")
    for number in (0, -1, 2**31):
        page = root.get(f"/{kind}", collaboration_id=number)
        assert "Nothing here" in page
        asked = {"collaboration_id": number, "page": 1}
        assert call("root", "GET", f"/{kind}", query=asked).json == []
    assert "Nothing here" not in root.get(f"/{kind}?collaboration_id=")  # not filled in


@SQLITE
def test_what_may_not_be_done_is_not_offered_and_refused(visit, world, app):
    viewer, id = visit("viewer"), world.task.running
    page = viewer.get(f"/task/{id}")
    for what in ("kill", "delete", "repeat"):
        assert f"/{id}/{what}" not in page
        assert viewer.post(f"/task/{id}/{what}").status_code == 403
    with app.app_context(), transaction() as session:
        assert session.get(Task, id) is not None


def test_a_task_is_killed_and_removed(visit, world):
    root, id = visit("root"), world.task.running
    assert "2 runs" in root.get(f"/task/{id}/kill")
    page = root.sent(f"/task/{id}/kill")
    assert "have been told to stop" in page
    assert "killed by user" in page
    assert "already finished" in root.sent(f"/task/{id}/kill", status=400)
    assert "1 subtask" in root.get(f"/task/{id}/delete")
    assert f"Task {id} has been removed." in root.sent(f"/task/{id}/delete")
    root.get(f"/task/{id}", status=404)


def test_a_task_is_repeated_with_all_that_it_sent(visit, world, app):
    with app.app_context(), transaction() as session:
        old = session.get(Task, world.task.finished)
        for result in old.results:
            result.input = f"input of {result.organization_id}"
    researcher = visit("researcher")
    assert "2 organizations" in researcher.get(f"/task/{world.task.finished}/repeat")
    answer = researcher.post(f"/task/{world.task.finished}/repeat")
    id = int(answer.location.rpartition("/")[2])
    with app.app_context(), transaction() as session:
        old, new = session.get(Task, world.task.finished), session.get(Task, id)
        for name in ("name", "image", "collaboration_id", "database", "dialect", "keep_days"):
            assert getattr(new, name) == getattr(old, name)
        assert new.init_user_id == world.user.researcher
        inputs = [{r.organization_id: r.input for r in task.results} for task in (old, new)]
        assert inputs[0] == inputs[1]
        assert new.run_id != old.run_id


@SQLITE
def test_what_was_deleted_or_may_not_be_seen_is_not_repeated(visit, world, app):
    with app.app_context(), transaction() as session:
        session.get(Task, world.task.finished).cleanup_at = session.get(
            Task, world.task.finished
        ).created_at
    page = visit("researcher").sent(f"/task/{world.task.finished}/repeat", status=409)
    assert "has been deleted" in page
    page = visit("extra").get(f"/task/{world.task.waiting}/repeat", status=409)
    assert "may not view all" in page


@SQLITE
def test_files_of_a_run_are_what_was_sent(visit, world, app):
    id = world.result["finished", "north"]
    with app.app_context(), transaction() as session:
        row = session.get(Result, id)
        row.result, row.log = "<script>alert(1)</script>", "<b>first</b>\n" + "x" * SHOWN_OF_A_LOG
    viewer = visit("viewer")
    answer = viewer.client.get(f"/console/result/{id}/result")
    assert answer.text == "<script>alert(1)</script>"
    assert answer.mimetype == "text/plain"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="result-{id}.txt"'
    page = viewer.get(f"/result/{id}")
    assert "<b>first" not in page
    assert "13 characters before this are left out" in page
    assert viewer.get(f"/result/{id}/log").startswith("<b>first</b>")
    viewer.get(f"/result/{world.result['waiting', 'west']}", status=403)
    viewer.get(f"/result/{id}/password", status=404)


@SQLITE
def test_names_are_shown_as_text(visit, world, app):
    with app.app_context(), transaction() as session:
        task = session.get(Task, world.task.running)
        task.name = task.description = task.image = '"><img src=x onerror=alert(1)>'
    for path in (f"/task/{world.task.running}", "/task", f"/task/{world.task.running}/repeat"):
        page = visit("researcher").get(path)
        assert "<img" not in page
        assert "&lt;img" in page


def test_the_list_asks_as_much_as_that_of_the_api(visit, world, call):
    viewer = visit("viewer")
    viewer.get("/task"), call("viewer", "GET", "/task", query={"page": 1})
    with counting() as page:
        viewer.get("/task")
    with counting() as json:
        call("viewer", "GET", "/task", query={"page": 1})
    assert len(page) <= len(json) + 2  # the names of collaborations and organizations
