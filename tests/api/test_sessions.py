"""Sessions: refreshing, copies of refresh tokens, and logging out (issue 13, ADR 33)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.api.test_policy_line_rest import add, line
from tests.api.test_token import LOGIN, claims, refresh
from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import PASSWORD, World, api_key
from v6srv import db
from v6srv.authz.decision_log import Series
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import transaction, utcnow
from v6srv.identity import sessions
from v6srv.meters import REGISTRY
from v6srv.model import LoginSession
from v6srv.policy.audit import trail
from v6srv.policy.audit.trail import Wanted

pytestmark = pytest.mark.usefixtures("world")
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

Pair = dict[str, str]
LONG_S = 3600
"""Longer than what counts as one moment."""


def log_in(call: Caller, who: str = "viewer") -> Pair:
    body = {"username": who, "password": PASSWORD}
    answer = call(None, "POST", "/token/user", json=body)
    assert answer.status_code == 200
    return answer.json


@pytest.fixture
def aged(app: Flask) -> Callable[[str], str]:
    """A token as if it had been issued long ago."""

    def make(token: str) -> str:
        said = claims(token)
        said |= {name: said[name] - LONG_S for name in ("iat", "nbf")}
        return jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256")

    return make


@pytest.fixture
def renewed(call: Caller, aged: Callable[[str], str]) -> Callable[[str], Pair]:
    """The pair that a program gets that comes back after hours."""

    def make(token: str) -> Pair:
        answer = refresh(call, aged(token))
        assert answer.status_code == 200, answer.json
        return answer.json

    return make


@pytest.fixture
def later(app: Flask) -> Callable[[], None]:
    """Time passes: what is known of sessions was noted long ago."""

    def pass_() -> None:
        with app.app_context(), as_server(ServerWrite.COMMAND), transaction() as sess:
            for row in sess.scalars(select(LoginSession)):
                row.changed_at -= timedelta(seconds=LONG_S)
                if row.refreshed_at:
                    row.refreshed_at -= timedelta(seconds=LONG_S)

    return pass_


def status(call: Caller, pair: Pair) -> int:
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    return call(None, "GET", "/organization", headers=headers).status_code


def log_out(call: Caller, token: str) -> Any:
    return call(None, "POST", "/token/logout", headers={"Authorization": f"Bearer {token}"})


# --- refreshing


def reused(kind: str) -> float:
    """The metric."""
    found = REGISTRY.get_sample_value("refresh_tokens_reused_total", {"kind": kind})
    assert found is not None
    return found


@pytest.mark.parametrize("who", ["user", "node"])
def test_a_copy_of_a_replaced_refresh_token_ends_the_session(
    call: Caller,
    renewed: Callable[[str], Pair],
    aged: Callable[[str], str],
    later: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    who: str,
) -> None:
    def begin() -> Pair:
        if who == "user":
            return log_in(call)
        return call(None, "POST", "/token/node", json={"api_key": api_key("west_trial")}).json

    before = reused(who)
    other, first = begin(), begin()
    second = renewed(first["refresh_token"])
    third = renewed(second["refresh_token"])
    later()
    answer = refresh(call, aged(first["refresh_token"]))
    assert (answer.status_code, answer.json["msg"]) == (401, "Token has been revoked")
    assert "a refresh token that was replaced at" in caplog.text
    assert first["refresh_token"] not in caplog.text
    files = Series.of(call.app.config["SETTINGS"]).files()
    told = next(trail.query(files, Wanted(effect="deny")))
    asked = {name: told[name] for name in ("question", "resource", "operation", "changes")}
    what = {"question": "session", "operation": "edit", "changes": ["sessions"]}
    assert asked == {**what, "resource": who}
    assert "somebody has a copy" in told["reason"]
    assert reused(who) == before + 1
    for pair in (first, second, third):
        assert status(call, pair) == 401
        assert refresh(call, pair["refresh_token"]).status_code == 401
    assert status(call, other) == 200
    assert refresh(call, other["refresh_token"]).status_code == 200
    assert refresh(call, begin()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("thief_first", [True, False])
@SQLITE
def test_a_thief_and_the_owner_do_not_both_go_on(
    call: Caller,
    renewed: Callable[[str], Pair],
    aged: Callable[[str], str],
    later: Callable[[], None],
    thief_first: bool,
) -> None:
    """Whoever has copied the refresh token: after two rounds of both the session is over."""
    stolen = log_in(call)["refresh_token"]
    owner = thief = stolen
    statuses = []
    for _round in range(3):
        for thiefs_turn in (thief_first, not thief_first):
            later()
            answer = refresh(call, aged(thief if thiefs_turn else owner))
            statuses.append(answer.status_code)
            new = (answer.json or {}).get("refresh_token", stolen)
            owner, thief = (owner, new) if thiefs_turn else (new, thief)
    assert statuses == [200, 200, 200, 401, 401, 401]


@SQLITE
def test_a_program_that_takes_over_no_new_token_goes_on_with_the_old_one(
    call: Caller, renewed: Callable[[str], Pair], later: Callable[[], None]
) -> None:
    """And so does one that did not hear the answer."""
    old = log_in(call)["refresh_token"]
    for _time in range(3):
        renewed(old)
        later()
    taken_over = renewed(old)["refresh_token"]
    for _time in range(3):
        renewed(taken_over)
        later()
    assert status(call, renewed(taken_over)) == 200


@SQLITE
def test_what_threads_do_at_the_same_time_replaces_nothing_for_each_other(
    call: Caller,
    renewed: Callable[[str], Pair],
    aged: Callable[[str], str],
    later: Callable[[], None],
) -> None:
    """Whichever answer a program keeps: each token of one moment is good for the next."""
    first = log_in(call)["refresh_token"]
    second = renewed(first)["refresh_token"]
    at_once = [renewed(second)["refresh_token"]]  # takes `second` over
    at_once += [refresh(call, token).json["refresh_token"] for token in (first, second, *at_once)]
    at_once += [refresh(call, token).json["refresh_token"] for token in at_once[-2:]]
    assert len(set(at_once)) == 6
    later()
    for token in at_once[:-1]:
        assert refresh(call, token).status_code == 200  # young ones replace nothing
    third = renewed(at_once[-1])["refresh_token"]
    for token in at_once:
        assert refresh(call, aged(token)).status_code == 200  # a thread was slow
    later()
    assert refresh(call, aged(third)).status_code == 200
    later()
    assert refresh(call, aged(at_once[0])).status_code == 401


@SQLITE
def test_a_refresh_writes_only_when_a_token_was_taken_over(
    call: Caller, aged: Callable[[str], str], count_queries: Any
) -> None:
    """Programs refresh after each answer that is an error (G5): it must be cheap."""
    tokens = [log_in(call)["refresh_token"]]
    written = []
    for age in (str, str, aged, aged, str):
        with count_queries() as statements:
            tokens.append(refresh(call, age(tokens[-1])).json["refresh_token"])
        changing = [text for text in statements if text.startswith(("INSERT", "UPDATE"))]
        written.append(len([text for text in changing if "login_session" in text]))
    assert written == [0, 0, 1, 1, 0]


@SQLITE
def test_a_token_of_a_3x_server_begins_a_session_when_it_is_refreshed(
    call: Caller, app: Flask
) -> None:
    said = claims(log_in(call)["refresh_token"])
    for name in ("sid", "ver"):
        del said[name]
    token = jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256")
    pair = refresh(call, token).json
    assert claims(pair["access_token"])["sid"]
    assert refresh(call, pair["refresh_token"]).status_code == 200
    assert log_out(call, token).status_code == 400  # it belongs to none
    assert log_out(call, pair["access_token"]).status_code == 200
    assert status(call, pair) == 401


@SQLITE
def test_sessions_are_forgotten_with_their_last_token(
    call: Caller, app: Flask, renewed: Callable[[str], Pair]
) -> None:
    pair = log_in(call)
    renewed(renewed(pair["refresh_token"])["refresh_token"])
    log_out(call, log_in(call)["access_token"])
    settings = app.config["SETTINGS"]

    def known(age_s: float) -> int:
        with app.app_context(), as_server(ServerWrite.COMMAND):
            with transaction() as sess:
                for row in sess.scalars(select(LoginSession)):
                    row.changed_at = row.refreshed_at = utcnow() - timedelta(seconds=age_s)
            sessions.forget(settings)
            found = db.session.scalar(select(func.count()).select_from(LoginSession))
            db.session.remove()
            return found or 0

    assert known(settings.refresh_token_expires_s) == 2
    assert known(settings.refresh_token_expires_s + LONG_S) == 0


# --- logging out


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_who_logs_out_is_out_with_all_tokens_of_the_session_and_with_no_other(
    call: Caller, renewed: Callable[[str], Pair], kind: str
) -> None:
    other, mine = log_in(call), log_in(call)
    new = renewed(mine["refresh_token"])
    answer = log_out(call, new[kind])
    assert (answer.status_code, answer.json) == (200, {"msg": "You are logged out"})
    for pair in (mine, new):
        assert status(call, pair) == 401
        assert refresh(call, pair["refresh_token"]).status_code == 401
    assert log_out(call, mine["access_token"]).status_code == 401
    assert status(call, other) == 200
    assert status(call, log_in(call)) == 200


@SQLITE
def test_a_session_that_has_ended_stays_so_when_another_keeps_its_tokens(call: Caller) -> None:
    """The session that changes a password is kept, until it is ended itself."""
    pair = log_in(call)
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    body = {"current_password": PASSWORD, "new_password": "N3w-Password!"}
    assert call(None, "PATCH", "/password/change", json=body, headers=headers).status_code == 200
    assert status(call, pair) == 200
    assert log_out(call, pair["access_token"]).status_code == 200
    assert status(call, pair) == 401


@SQLITE
def test_what_has_no_session_does_not_log_out(call: Caller, world: World) -> None:
    assert log_out(call, call.token("container")).status_code == 400
    assert log_out(call, "nonsense").status_code == 422
    assert call(None, "POST", "/token/logout").status_code == 401
    assert call("container", "GET", f"/task/{world.task.running}").status_code == 200


@SQLITE
def test_a_request_asks_no_more_for_the_session(call: Caller, count_queries: Any) -> None:
    with count_queries() as statements:
        call("viewer", "GET", "/version")
        call("viewer", "GET", "/user/999999")
    about = [text for text in statements if "login_session" in text]
    assert len(about) == 1  # that which reads who asks
    assert "token_version" in about[0]


# --- by others


@pytest.mark.parametrize(
    ("who", "whose", "answer"),
    [
        ("root", "viewer", 200),
        ("org_admin", "viewer", 200),
        ("viewer", "viewer", 200),
        ("nobody", "nobody", 200),  # everybody, also without any rule
        ("viewer", "researcher", 403),
        ("org_admin", "second_root", 403),  # has rules that one may not hand out
        ("org_admin", "south_viewer", 403),
        ("north_registry", "viewer", 403),
        ("container", "viewer", 403),
        (None, "viewer", 401),
    ],
)
@SQLITE
def test_sessions_of_a_user_are_ended_by_who_may_do_that(
    call: Caller, world: World, who: str | None, whose: str, answer: int
) -> None:
    pair = log_in(call, whose)
    path = f"/user/{getattr(world.user, whose)}/session"
    assert call(who, "DELETE", path).status_code == answer
    ended = 401 if answer == 200 else 200
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    own = f"/user/{getattr(world.user, whose)}"
    assert call(None, "GET", own, headers=headers).status_code == ended
    assert refresh(call, pair["refresh_token"]).status_code == ended
    assert call(None, "POST", "/token/user", json={**LOGIN, "username": whose}).status_code == 200


@SQLITE
def test_a_line_says_who_ends_sessions(call: Caller, world: World) -> None:
    condition = "meets(r.sub.changes, ('sessions',))"
    help_desk = f"user:{world.user.researcher}"
    add(call, line(help_desk, "user", "edit", condition, effect="allow"))
    path = f"/user/{world.user.viewer}"
    assert call("researcher", "DELETE", f"{path}/session").status_code == 200
    assert call("researcher", "PATCH", path, json={"firstname": "x"}).status_code == 403


# --- listed, and ended one by one


@pytest.fixture
def listed(call: Caller, world: World) -> Callable[..., Any]:
    """The answer to who asks where somebody is logged in."""

    def ask(who: str | None = "viewer", whose: str = "viewer", token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        path = f"/user/{getattr(world.user, whose)}/session"
        return call(None if token else who, "GET", path, headers=headers)

    return ask


def sid(pair: Pair) -> str:
    return claims(pair["access_token"])["sid"]


def test_sessions_are_listed(
    call: Caller, listed: Callable[..., Any], renewed: Callable[[str], Pair]
) -> None:
    """The last login first; those that have ended are not there, whatever ended them."""
    assert listed().json == []
    pairs = [log_in(call) for _ in range(4)]
    log_out(call, pairs[1]["access_token"])
    found = listed(token=pairs[2]["access_token"]).json
    assert [one["id"] for one in found] == [sid(pairs[at]) for at in (3, 2, 0)]
    assert [one["current"] for one in found] == [False, True, False]
    assert {one["dialect"] for one in found} == {3}
    assert all(one["begun_at"] == one["refreshed_at"] for one in found)
    assert found[0].keys() == {"id", "begun_at", "refreshed_at", "dialect", "current"}
    body = {"current_password": PASSWORD, "new_password": "N3w-Password!"}
    headers = {"Authorization": f"Bearer {pairs[0]['access_token']}"}
    assert call(None, "PATCH", "/password/change", json=body, headers=headers).status_code == 200
    found = listed(token=pairs[0]["access_token"]).json
    assert [one["id"] for one in found] == [sid(pairs[0])]


@SQLITE
def test_sessions_are_listed_in_pages_and_to_programs_of_4x(call: Caller, call4: Caller) -> None:
    for _ in range(3):
        log_in(call)
    told = call4(None, "POST", "/token/user", json={"username": "viewer", "password": PASSWORD})
    path = claims(told.json["access_token"])["sub"]
    headers = {"Authorization": f"Bearer {told.json['access_token']}"}
    query = {"page": 2, "per_page": 3, "include": "metadata"}
    answer = call4(None, "GET", f"/user/{path}/session", headers=headers, query=query)
    assert (answer.headers["total-count"], len(answer.json["data"])) == ("4", 1)
    answer = call4(None, "GET", f"/user/{path}/session", headers=headers)
    assert [one["dialect"] for one in answer.json] == [4, 3, 3, 3]


@SQLITE
def test_a_refresh_is_noted(
    call: Caller,
    app: Flask,
    listed: Callable[..., Any],
    renewed: Callable[[str], Pair],
    later: Callable[[], None],
    count_queries: Any,
) -> None:
    """Also of a program that takes over no new token, and at most once in a moment."""
    pair = log_in(call)
    later()
    renewed(pair["refresh_token"])
    [one] = listed().json
    assert one["refreshed_at"] > one["begun_at"]
    with count_queries() as statements:
        refresh(call, pair["refresh_token"])
    assert not [text for text in statements if text.startswith("UPDATE login_session")]
    # From before sessions were listed: there as soon as it was refreshed.
    old = log_in(call)
    with app.app_context(), as_server(ServerWrite.COMMAND), transaction() as sess:
        sess.delete(sess.get_one(LoginSession, sid(old)))
    assert len(listed().json) == 1
    refresh(call, old["refresh_token"])
    assert {one["id"] for one in listed().json} == {sid(pair), sid(old)}


@SQLITE
def test_what_has_expired_is_not_listed(
    call: Caller, app: Flask, listed: Callable[..., Any], later: Callable[[], None]
) -> None:
    log_in(call)
    hours = app.config["SETTINGS"].refresh_token_expires_s // LONG_S
    for _hour in range(hours):
        later()
    assert len(listed().json) == 1
    later()
    assert listed().json == []


@pytest.mark.parametrize(
    ("who", "whose", "answer"),
    [
        ("root", "viewer", 200),
        ("org_admin", "viewer", 200),
        ("nobody", "nobody", 200),
        ("researcher", "viewer", 403),  # to view a user is not enough
        ("org_admin", "second_root", 403),
        ("north_registry", "viewer", 403),
        ("container", "viewer", 403),
        (None, "viewer", 401),
    ],
)
@SQLITE
def test_one_session_is_seen_and_ended_by_who_may_end_all(
    call: Caller,
    world: World,
    listed: Callable[..., Any],
    who: str | None,
    whose: str,
    answer: int,
) -> None:
    pair, other = log_in(call, whose), log_in(call, whose)
    assert listed(who, whose).status_code == answer
    path = f"/user/{getattr(world.user, whose)}/session"
    assert call(who, "DELETE", f"{path}/{sid(pair)}").status_code == answer
    own = f"/user/{getattr(world.user, whose)}"
    for one, expected in ((pair, 401 if answer == 200 else 200), (other, 200)):
        headers = {"Authorization": f"Bearer {one['access_token']}"}
        assert call(None, "GET", own, headers=headers).status_code == expected
        assert refresh(call, one["refresh_token"]).status_code == expected


@SQLITE
def test_a_session_of_somebody_else_is_none(call: Caller, world: World) -> None:
    """Whoever it is of, and whatever it is called: the answer is the same."""
    mine, gone = log_in(call), log_in(call)
    log_out(call, gone["access_token"])
    path = f"/user/{world.user.researcher}/session"
    names = (sid(mine), sid(gone), "x", "0" * 36, "%00")
    answers = [call("root", "DELETE", f"{path}/{name}") for name in names]
    answers.append(call("root", "DELETE", f"/user/{world.user.viewer}/session/{sid(gone)}"))
    assert {(one.status_code, one.json["msg"]) for one in answers} == {
        (404, "The user has no such session")
    }
    assert status(call, mine) == 200


# --- they end by themselves


@pytest.fixture
def began(app: Flask) -> Callable[[str, float], str]:
    """A token of a session that began so many days ago."""

    def make(token: str, days: float) -> str:
        said = claims(token)
        said["auth_time"] -= int(days * 86_400)
        return jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256")

    return make


@SQLITE
def test_a_user_logs_in_again_after_a_month(
    call: Caller, began: Callable[[str, float], str]
) -> None:
    """However often a program refreshes: no token outlives the session."""
    pair = log_in(call)
    first = claims(pair["access_token"])
    new = refresh(call, began(pair["refresh_token"], 29.9)).json
    for token in new["access_token"], new["refresh_token"]:
        said = claims(token)
        assert first["auth_time"] - said["auth_time"] == int(29.9 * 86_400)
        assert 0 <= said["auth_time"] + 30 * 86_400 - said["exp"] <= 1
    answer = refresh(call, began(pair["refresh_token"], 30))
    assert (answer.status_code, answer.json["msg"]) == (
        401,
        "Your session is over: log in again",
    )
    said = claims(pair["refresh_token"])
    del said["auth_time"]  # of an older release: it began with this token
    old = jwt.encode(said, call.app.config["JWT_SECRET_KEY"], "HS256")
    assert claims(refresh(call, old).json["access_token"])["auth_time"] == said["iat"]


@SQLITE
def test_nodes_refresh_for_ever(call: Caller, app: Flask, aged: Callable[[str], str]) -> None:
    body = {"api_key": api_key("west_trial")}
    token = call(None, "POST", "/token/node", json=body).json["refresh_token"]
    assert "auth_time" not in claims(token)
    said = claims(token)
    said |= {name: said[name] - 400 * 86_400 for name in ("iat", "nbf")}
    answer = refresh(call, jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256"))
    assert answer.status_code == 200
    full = claims(answer.json["refresh_token"])
    assert full["exp"] - full["iat"] == app.config["SETTINGS"].refresh_token_expires_s


@SQLITE
def test_a_setting_lets_users_stay(databases: Databases, backend: str) -> None:
    with open_app(databases, backend, True, longest_session_days=0) as (app, _world):
        call = Caller(app)
        said = claims(log_in(call)["refresh_token"])
        said["auth_time"] -= 4000 * 86_400
        token = jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256")
        pair = refresh(call, token).json
        life_s = app.config["SETTINGS"].refresh_token_expires_s
        new = claims(pair["refresh_token"])
        assert new["exp"] - new["iat"] == life_s


@pytest.mark.parametrize("began_at", ["x", -1, 1.5, True, 2**70])
@SQLITE
def test_a_strange_beginning_is_no_token(call: Caller, app: Flask, began_at: Any) -> None:
    said = claims(log_in(call)["refresh_token"]) | {"auth_time": began_at}
    token = jwt.encode(said, app.config["JWT_SECRET_KEY"], "HS256")
    assert refresh(call, token).status_code == 401
