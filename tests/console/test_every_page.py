"""What holds of every page, also of those that are yet to come."""

import pytest
from sqlalchemy import inspect, update

from tests.console.conftest import OWN
from tests.console.places import of_world, places
from v6srv.db import session, transaction
from v6srv.model import (
    AlgorithmStore,
    Collaboration,
    Node,
    Organization,
    Role,
    Study,
    Task,
    User,
)

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

FOR_ALL = {
    "console.account",
    "console.overview",
    "console.recovery",
    "console.recovery_new_factor",
    "console.recovery_password",
    "console.recovery_second_factor",
    "console.log_in",
    "console.log_in_elsewhere",
    "console.now",
    "console.roles",  # one's own are always among them
    "console.runs",
    "console.users",
}
"""Pages for everybody who has logged in, whatever the policy says, or for those who have not."""
MISSING = {"console.log_in_elsewhere"}
"""Of what this server is not set up for."""
HOSTILE = """"><img src=x onerror=alert(1)>{{7*7}}<!--"""


@pytest.fixture
def ids(world, call):
    return of_world(world, call)


def test_a_stranger_is_led_to_log_in(app, ids):
    tried = [*places(app, ids), *places(app, ids, "POST")]
    assert len(tried) > 15
    for place in tried:
        if place.callers:
            answer = app.test_client().open(
                f"/console{place.path}", method=place.method, headers=OWN
            )
            assert answer.status_code == 303, place
            assert answer.location.startswith("/console/login"), place


def test_who_has_no_rights_sees_nothing_and_changes_nothing(app, ids, visit):
    nobody = visit("nobody")
    for place in places(app, ids):
        answer = nobody.client.get(f"/console{place.path}")
        good = (200, 303) if place.endpoint in FOR_ALL else (403,)
        assert answer.status_code in good or place.endpoint in MISSING, (place, answer.text)
    for place in places(app, ids, "POST"):
        if place.callers:
            answer = nobody.post(place.path)
            assert answer.status_code in (400, 403), (place, answer.text)


def test_root_sees_every_page_and_names_are_text(app, ids, visit):
    _rename_everything(app)
    root, hostile = visit("root"), 0
    for place in places(app, ids):
        if place.endpoint not in MISSING:
            answer = root.client.get(f"/console{place.path}")
            assert answer.status_code == 200, (place, answer.text)
            if answer.mimetype == "text/html":
                hostile += "&lt;img" in answer.text
                assert "<img" not in answer.text, place
                assert 'class="wide">' not in answer.text, f"{place}: no keyboard scrolls this"
                assert "49<!--" not in answer.text, place
                assert answer.headers["Cache-Control"] == "no-store", place
                assert "unsafe" not in answer.headers["Content-Security-Policy"], place
    assert hostile > 5  # or nothing was renamed


def test_what_makes_no_sense_is_a_page_that_says_so(app, ids, visit):
    root = visit("root")
    for place in places(app, dict.fromkeys(ids, 2**40)):
        for query in ("", "?page=x", "?page=999999999", "?name=%00", "?status=%ff", "?since=x"):
            answer = root.client.get(f"/console{place.path}{query}")
            known = answer.status_code < 500 or place.endpoint in MISSING
            assert known, (place, query, answer.text)
    for place in places(app, dict.fromkeys(ids, 2**31 - 1), "POST"):
        if place.callers:
            for form in ({}, {"name": "\0"}, {"id": "x", "rules": "x", "organization_id": "x"}):
                answer = root.post(place.path, form)
                assert answer.status_code < 500, (place, form, answer.text)


def _rename_everything(app):
    """And what the world has none of is added, with such a name."""
    with app.app_context(), transaction() as sess:
        sess.add(Study(name=HOSTILE, collaboration_id=1))
        sess.add(AlgorithmStore(name=HOSTILE, url="https://store.example"))
    with app.app_context():
        for model in (Organization, Collaboration, Node, Role, Task, User):
            table = inspect(model).local_table
            own = (
                Role.slug.is_(None)
                if model is Role
                else User.username != "root"
                if model is User
                else True
            )
            for name in (
                "name",
                "description",
                "image",
                "firstname",
                "lastname",
                "domain",
                "address1",
                "country",
            ):
                if name in table.c:
                    text = (
                        table.c.id.cast(table.c[name].type) + HOSTILE if name == "name" else HOSTILE
                    )
                    session.connection().execute(update(table).where(own).values({name: text}))
        session.connection().commit()
