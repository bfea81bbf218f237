"""Which passwords are taken, and hashes whose cost is not that of new ones any more."""

from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from tests.api.test_hashing import NEW_USER
from tests.api.test_recover import mailed
from tests.api.test_token import LOGIN, WRONG, Outbox
from tests.support import Caller
from tests.world import PASSWORD
from v6srv import db, passwords
from v6srv.errors import Unavailable
from v6srv.model import User

EASY = "too easy to guess"


def refused(answer):
    return answer.status_code == 400 and EASY in answer.json["msg"]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("text", ["Password1!", "Viewer-2024!", "North-2024!"])
def test_a_password_that_is_easy_to_guess_is_taken_nowhere(call, call4, world, app, text):
    body = {**NEW_USER, "username": "viewer2", "firstname": "Viewer", "password": text}
    assert refused(call("root", "POST", "/user", json={**body, "organization_id": world.org.north}))
    answer = call4("root", "POST", "/user", json={**body, "organization_id": world.org.north})
    assert refused(answer)
    assert EASY in answer.json["errors"]["password"][0]
    change = {"current_password": PASSWORD, "new_password": text}
    assert refused(call("viewer", "PATCH", "/password/change", json=change))
    outbox = Outbox(app)
    call(None, "POST", "/recover/lost", json={"username": "viewer"})
    reset = {"reset_token": mailed(outbox, "password_reset"), "password": text}
    assert refused(call(None, "POST", "/recover/reset", json=reset))
    assert "access_token" in call(None, "POST", "/token/user", json=LOGIN).json


@pytest.fixture
def stored(app, world):
    """The hash of the password of `viewer`, or another one for it: `stored(rounds=5)`."""

    def access(rounds=None):
        with app.app_context(), db.writing():
            user = db.session.get(User, world.user.viewer)
            if rounds is not None:
                salt = bcrypt.gensalt(rounds, b"2a")  # as older programs have made them
                user.password = bcrypt.hashpw(PASSWORD.encode(), salt).decode()
                db.session.commit()
            return user.password

    return access


def log_in(call, body=LOGIN):
    return call(None, "POST", "/token/user", json=body)


def test_who_logs_in_gets_a_hash_of_the_cost_of_now_once(call, world, stored, count_queries):
    before = stored(rounds=5)
    first = log_in(call).json
    after = stored()
    assert (before[4:6], after[4:6]) == ("05", "04")
    assert passwords.check_password(PASSWORD, after)
    with count_queries() as statements:
        assert "access_token" in log_in(call).json
    assert stored() == after
    assert not [text for text in statements if "password=" in text]
    # Nobody is logged out by it.
    bearer = {"Authorization": f"Bearer {first['refresh_token']}"}
    assert call(None, "POST", "/token/refresh", headers=bearer).status_code == 200


def test_several_who_log_in_at_once_leave_one_good_hash(app, world, stored):
    stored(rounds=5)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: log_in(Caller(app)).status_code, range(4)))
    assert answers == [200] * 4
    assert stored()[4:6] == "04"
    assert passwords.check_password(PASSWORD, stored())


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_is_not_let_in_changes_no_hash(call, world, stored, monkeypatch):
    before = stored(rounds=5)
    for _ in range(5):
        log_in(call, WRONG)
    assert log_in(call).status_code == 401  # it is locked
    assert stored() == before


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_while_others_wait_for_their_turn_an_old_hash_does(call, world, stored, monkeypatch):
    def too_many(text, yielding=False):
        assert yielding
        raise Unavailable("too many")

    before = stored(rounds=5)
    monkeypatch.setattr(passwords, "hash_password", too_many)
    assert "access_token" in log_in(call).json
    assert stored() == before
