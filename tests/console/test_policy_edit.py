"""The policy files in a browser: checked, compared, published, taken back.

Here they have no tests beside them: to run those takes most of the time.
"""

import html
import json
import re
from pathlib import Path

import pyotp
import pytest

from tests.support import counting, open_app
from tests.world import PASSWORD
from v6srv import db
from v6srv.authz.source.folder import shipped_texts, write_files
from v6srv.identity import totp
from v6srv.model import PolicyVersion, User
from v6srv.policy.publish import apart
from v6srv.policy.publish.apart import Order

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

FILE = "file:default_roles.csv"
GAIN = "p, role:viewer, task, organization, delete, True, allow\n"
LOSS = "p, role:viewer, task, global, view, True, deny\n"


class Here:
    """Does the job in this process: what it computes is the same, and nothing has to start."""

    def __init__(self, module, argument, within_s):
        assert module == apart.__name__
        self.answer = json.loads(json.dumps(apart.done(apart.read(Path(argument)))))

    def result(self):
        return self.answer


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(apart, "Child", Here)


@pytest.fixture
def settings(request):
    return {"console_publishing": True, **getattr(request, "param", {})}


@pytest.fixture
def policies(tmp_path):
    folder, texts = tmp_path / "policies", shipped_texts()
    write_files(folder, {name: text for name, text in texts.items() if "/" not in name})
    return folder


@pytest.fixture
def _opened(databases, policies, settings, backend):
    with open_app(databases, backend, True, policies=policies, **settings) as opened:
        yield opened


def edited(page, more=""):
    """The fields of the editor, as a browser sends them, with a line more."""
    texts = re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', page, re.S)
    form = {name: html.unescape(text).replace("\n", "\r\n") for name, text in texts}
    form[FILE] += more.replace("\n", "\r\n")
    approved = re.search(r'name="approved" value="(\w+)"', page)
    return form | ({"approved": approved[1]} if approved else {})


def published(visit, more, **fields):
    """Check it and publish it, as root."""
    root = visit("root")
    checked = root.sent("/policy/edit", edited(root.get("/policy/edit"), more))
    form = {**edited(checked), "message": "why not", "password": PASSWORD, **fields}
    return root, root.post("/policy/publish", form, follow_redirects=True)


def versions(app):
    with app.app_context():
        return [(one.author, one.message) for one in db.session.query(PolicyVersion).all()]


def test_what_is_wrong_stands_at_its_line_and_nothing_changes(visit, world, app, here, policies):
    root, before = visit("root"), (policies / "default_roles.csv").read_text()
    page = root.get("/policy/edit")
    assert edited(page)[FILE] == before.replace("\n", "\r\n")
    number = before.count("\n") + 1
    page = root.sent("/policy/edit", edited(page, LOSS.replace("task", "<b>")))
    assert f"default_roles.csv:{number}:" in page
    assert f"● {number}\n" in page
    assert "unknown resource" in page
    assert "<b>" not in page.replace("</b>", "")
    assert "It cannot go live" in page
    assert 'name="password"' not in page
    assert (policies / "default_roles.csv").read_text() == before


def test_who_gains_and_who_loses_is_told_as_by_the_command(visit, world, app, here):
    root = visit("root")
    page = html.unescape(root.sent("/policy/edit", edited(root.get("/policy/edit"), GAIN + LOSS)))
    assert re.search(
        r"<code>\+ .* may now delete task .*because default_roles.csv:\d+</code>", page
    )
    assert re.search(r"<code>- .* may no longer view task .*default_roles.csv:\d+", page)
    assert "once its gains are approved" in page
    assert "It has no tests" in page


def test_a_change_is_published_and_taken_back(visit, world, app, here, policies):
    before = (policies / "default_roles.csv").read_text()
    root, answer = published(visit, LOSS)
    assert answer.status_code == 200, answer.text
    assert "Version 3 is published" in answer.text
    assert "why not" in answer.text
    assert (policies / "default_roles.csv").read_text() == before + LOSS
    assert (policies / "model.conf").exists()
    page = root.get("/policy/edit", version=2)
    assert "The files of version 2" in page
    page = root.sent("/policy/edit", {**edited(page), "version": "2"})
    assert "rollback to 2" in page
    form = {**edited(page), "message": "rollback to 2", "password": PASSWORD}
    answer = root.post("/policy/publish", form, follow_redirects=True)
    assert "Version 4 is published" in answer.text, answer.text
    assert (policies / "default_roles.csv").read_text() == before
    assert [*versions(app)][-2:] == [("user:1", "why not"), ("user:1", "rollback to 2")]


def test_gains_are_approved_as_they_were_shown(visit, world, app, here, policies):
    root, before = visit("root"), (policies / "default_roles.csv").read_text()
    checked = root.sent("/policy/edit", edited(root.get("/policy/edit"), GAIN))
    form = {**edited(checked), "message": "more", "password": PASSWORD}
    for wrong in ("", "0" * 32):
        answer = root.post("/policy/publish", {**form, "approved": wrong})
        assert (answer.status_code, "not approved" in answer.text) == (409, True)
        assert (policies / "default_roles.csv").read_text() == before
    assert root.post("/policy/publish", form).status_code == 303
    assert (policies / "default_roles.csv").read_text() == before + GAIN


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"password": "wrong"}, 400, "current password is not correct"),
        ({"password": ""}, 400, "current password is not correct"),
        ({"message": " "}, 400, "Say why"),
        ({FILE: " ", "file:model.conf": ""}, 400, "no file"),
        ({"file:../x.csv": "p, x"}, 400, "is no name of a policy file"),
        ({"new_name": "more.txt", "new_text": "x"}, 400, "is no name of a policy file"),
    ],
)
def test_what_lacks_something_is_refused(visit, world, app, here, policies, fields, status, says):
    before = {path.name: path.read_text() for path in policies.iterdir()}
    root = visit("root")
    form = {**edited(root.get("/policy/edit"), LOSS), "message": "x", "password": PASSWORD}
    answer = root.post("/policy/publish", form | fields)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert {path.name: path.read_text() for path in policies.iterdir()} == before
    assert len(versions(app)) == 1


@pytest.mark.parametrize("settings", [{"console_publishing": False}], indirect=True)
def test_it_is_off_unless_a_setting_allows_it(visit, world, app, monkeypatch):
    monkeypatch.setattr(apart, "publish", lambda *_: pytest.fail("it is published"))
    monkeypatch.setattr(apart, "check", lambda *_: apart.Checked(sound=True, compared=True))
    root = visit("root")
    page = root.sent("/policy/edit", edited(root.get("/policy/edit"), LOSS))
    assert "Publishing from a browser is off" in page
    assert 'name="password"' not in page
    form = {**edited(page), "message": "x", "password": PASSWORD}
    assert root.post("/policy/publish", form).status_code == 501


@pytest.mark.parametrize("settings", [{"two_factor_auth": True}], indirect=True)
def test_who_logs_in_with_a_second_factor_is_asked_for_it_again(visit, world, app, monkeypatch):
    with app.app_context():
        user = db.session.get(User, 1)
        app_of_user = pyotp.TOTP(totp.start_enrolment(user))
        user.otp_confirmed = True
        db.session.commit()
        db.session.remove()
    monkeypatch.setattr(apart, "publish", lambda *_: 7)
    form = {FILE: LOSS, "message": "x", "password": PASSWORD}
    root = visit("root")
    assert "two-factor authentication code" in root.post("/policy/publish", form).text
    answer = root.post("/policy/publish", {**form, "mfa_code": "000000"})
    assert (answer.status_code, "incorrect" in answer.text) == (400, True)
    code = app_of_user.now()
    assert root.post("/policy/publish", {**form, "mfa_code": code}).status_code == 303
    answer = root.post("/policy/publish", {**form, "mfa_code": code})
    assert (answer.status_code, "already used" in answer.text) == (400, True)


def test_wrong_passwords_here_lock_the_account_as_at_a_login(visit, world, app, monkeypatch):
    monkeypatch.setattr(apart, "publish", lambda *_: pytest.fail("it is published"))
    root = visit("root")
    form = {FILE: LOSS, "message": "x", "password": "wrong"}
    for _ in range(6):
        assert root.post("/policy/publish", form).status_code in (400, 429)
    right = root.post("/policy/publish", form | {"password": PASSWORD})
    assert right.status_code in (400, 429)


def test_who_may_change_lines_only_in_part_does_not_publish(visit, world, app, call, monkeypatch):
    monkeypatch.setattr(apart, "publish", lambda *_: pytest.fail("it is published"))
    form = {FILE: LOSS, "message": "x", "password": PASSWORD}
    viewer, line = visit("viewer"), {"subject": f"user:{world.user.viewer}", "resource": "policy"}
    assert viewer.post("/policy/publish", form).status_code == 403
    for operation in ("view", "edit", "create"):
        more = {"scope": "global", "operation": operation, "effect": "allow"}
        assert call("root", "POST", "/policy/line", json=line | more).status_code == 201
    page = viewer.get("/policy/edit")
    assert viewer.post("/policy/publish", form).status_code == 403
    assert "Edit the policy" in page


def test_a_process_of_its_own_does_it(visit, world, app, policies):
    before, root = (policies / "default_roles.csv").read_text(), visit("root")
    form = {**edited(root.get("/policy/edit"), LOSS), "message": "far away", "password": PASSWORD}
    assert root.post("/policy/publish", form).status_code == 303
    assert (policies / "default_roles.csv").read_text() == before + LOSS
    assert versions(app)[-1] == ("user:1", "far away")


def test_one_is_checked_at_a_time(visit, world, app):
    root = visit("root")
    assert apart._one_at_a_time.acquire(blocking=False)
    try:
        answer = root.post("/policy/edit", {"live": "1"})
        assert (answer.status_code, "try again" in answer.text) == (503, True)
    finally:
        apart._one_at_a_time.release()


def test_a_process_that_breaks_is_told(visit, world, app, monkeypatch):
    monkeypatch.setattr(apart, "asdict", lambda _: {"what": "nobody knows"})
    answer = visit("root").post("/policy/edit", {"live": "1"})
    assert answer.status_code == 503
    assert "could not be checked" in answer.text
    assert not apart._one_at_a_time.locked()


def test_what_names_the_database_is_in_no_message(world):
    job = apart.Job("postgresql://u:secret@h/d", "/x", {}, Order("a", "b"))
    assert "secret" not in repr(job)


def test_the_history_costs_as_many_statements_as_that_of_the_api(visit, world, app, call):
    root = visit("root")
    root.get("/policy/version")
    with counting() as pages:
        page = root.get("/policy/version")
    with counting() as api:
        found = call("root", "GET", "/policy/version", query={"page": 1}).json
    assert all(one["digest"][:12] in page and one["message"] in page for one in found)
    assert len(pages) <= len(api)
