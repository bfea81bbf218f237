"""What the loops of a server do about a database that is away."""

import logging

import pytest

from tests.support import counting, database_away
from v6srv.engine import outages
from v6srv.realtime.server import _KEY


def test_default_roles_follow_files_that_changed_while_the_database_was_away(app, monkeypatch):
    realtime = app.extensions[_KEY]
    looks = iter([True, False, False])
    monkeypatch.setattr(realtime._follower, "look", lambda: next(looks))
    attempt = realtime._background.attempt
    with database_away():
        assert not attempt(realtime._follow_policy_files)
    with counting() as statements:
        assert attempt(realtime._follow_policy_files)
    assert statements
    with counting() as statements:
        assert attempt(realtime._follow_policy_files)
    assert not statements


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_an_outage_is_one_line_for_all_loops(app, caplog):
    realtime = app.extensions[_KEY]
    caplog.set_level(logging.INFO)
    steps = (
        realtime.watchdog.look_for_silent_nodes,
        realtime.watchdog.heartbeat,
        realtime.announcer._sweep,
        realtime._send_mails,
    )
    with database_away():
        for step in steps * 3:
            assert not realtime._background.attempt(step)
        told = [record.getMessage() for record in caplog.records]
    assert told == [f"{outages.AWAY.text} (gone)"]
