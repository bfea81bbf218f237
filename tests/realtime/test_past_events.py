"""Who was away gets what its socket would have heard, by the same lines, and knows what is gone."""

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear, Heard
from tests.support import Caller, counting
from tests.world import COLLABORATIONS, IMAGE, World
from v6srv.db import database_now, session, transaction
from v6srv.model import Collaboration, Outbox
from v6srv.policy import ask
from v6srv.policy.explain.explanation import explain
from v6srv.service import events, past_events
from v6srv.service.events import collaboration_room, organization_room
from v6srv.settings import KeptEvents
from v6srv.vocabulary import Operation, PrincipalKind

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)

PRESENCE = ("connect", "sync", "message", "node-online", "node-offline")
"""What is not in the outbox: who is there is read from `/node`."""

Told = list[tuple[str, Any]]


def put(
    *names: str, room: str = "collaboration_1", sent: bool = True, payload: Any = None
) -> list[int]:
    """Events that were committed, and sent; they tell their names, if nothing else."""
    with transaction() as sess:
        rows = [Outbox(process="p", event=n, payload=payload or n, rooms=[room]) for n in names]
        sess.add_all(rows)
    ids = [row.id for row in rows]
    if sent:
        events.note_sent(ids)
    session.remove()
    return ids


def sent_ago(seconds: float, *ids: int) -> None:
    """They were sent so long ago."""
    with transaction() as sess:
        sent_at = database_now(ago_s=seconds)
        sess.execute(update(Outbox).where(Outbox.id.in_(ids)).values(sent_at=sent_at))


def names(answer: Any) -> list[str]:
    """Of the events in an answer."""
    return [event["name"] for event in answer["data"]]


@pytest.fixture
def read(app: Flask, world: World) -> Callable[..., Any]:
    """`read("viewer", since=3)`: the answer."""
    call = Caller(app)

    def get(who: str = "root", **query: Any) -> Any:
        answer = call(who, "GET", "/event", query=query)
        assert answer.status_code == 200, answer.text
        return answer.json

    return get


# --- as sockets hear it

LISTENERS = (
    *("root", "collab_admin", "org_admin", "viewer", "south_viewer", "west_researcher"),
    *("nobody", "north_registry", "south_registry", "south_trial", "west_trial"),
    *("root in 4", "viewer in 4", "north_registry in 4", "west_trial in 4"),
)


class Study:
    """People and nodes that do this and that."""

    def __init__(self, call: Caller, world: World, nodes: dict[str, Ear], seed: int) -> None:
        self.call, self.world, self.nodes = call, world, nodes
        self.chance = random.Random(seed)

    def go_on(self) -> None:
        """Something happens, whether or not it is allowed."""
        chance, world = self.chance, self.world
        collaboration = chance.choice(("registry", "trial"))
        member = chance.choice(COLLABORATIONS[collaboration])
        node = f"{member}_{collaboration}"
        task, organization = chance.choice(list(world.result))
        result = world.result[task, organization]
        match chance.choice(("task", "task", "status", "report", "kill", "kill node")):
            case "task":
                body = {
                    "name": "one of many",
                    "image": IMAGE,
                    "collaboration_id": vars(world.collab)[collaboration],
                    "organizations": [{"id": vars(world.org)[member], "input": "e30="}],
                }
                who = chance.choice(("researcher", "south_researcher", "west_researcher"))
                self.call(who, "POST", "/task", json=body)
            case "status":
                body = {"status": chance.choice(("active", "crashed", "completed"))}
                self.call(node, "PATCH", f"/result/{result}", json=body)
            case "report":
                report = {"result_id": result, "status": "active"}
                self.nodes[node].say("algorithm_status_change", report)
            case "kill":
                id = vars(world.task)[task]
                self.call("collab_admin", "POST", "/kill/task", json={"id": id})
            case "kill node":
                id = vars(world.node)[node]
                self.call("root", "POST", "/kill/node/tasks", json={"id": id})


def all_are_sent() -> bool:
    try:
        found = session.scalar(select(func.count()).where(Outbox.sent_at.is_(None)))
        return found == 0
    finally:
        session.remove()


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_read_later_is_what_sockets_heard(
    listen: Audience, call: Caller, world: World, seed: int
) -> None:
    """The same names, payloads and order; of several pages, too."""
    ears = {who: listen(who) for who in LISTENERS}
    study = Study(call, world, ears, seed)
    for _ in range(25):
        study.go_on()
    ears["north_registry"].say(
        "algorithm_status_change",
        {"result_id": world.result["running", "north"], "status": "failed"},
    )
    ears["root"].wait_for(is_last, "the last")
    eventually(all_are_sent, True)
    assert call("nobody", "GET", "/event").status_code == 403
    ears.pop("nobody")
    told = {who: everything(call, who) for who in ears}
    assert len(told["root"]) > 10
    assert 0 < len(told["south_viewer"]) <= len(told["root"])
    assert told["root in 4"] != told["root"]
    for who, ear in ears.items():
        eventually(partial(heard, ear), told[who])
    ears["root"].quiet()
    for who, ear in ears.items():
        assert heard(ear) == told[who], who


def is_last(one: Heard) -> bool:
    return one[0] == "algorithm_status_change" and one[1]["status"] == "failed"


def heard(ear: Ear) -> Told:
    return [(one[0], one[1]) for one in ear.heard if one[0] not in PRESENCE]


def everything(call: Caller, who: str) -> Told:
    """All pages."""
    found: Told = []
    answer: Any = {"next": 0, "more": True}
    while answer["more"]:
        answer = call(who, "GET", "/event", query={"since": answer["next"]}).json
        assert answer["complete"]
        found += [(event["name"], event["payload"]) for event in answer["data"]]
    return found


# --- by the same lines

ASKERS = ("root", "collab_admin", "org_admin", "viewer", "south_viewer", "west_trial", "container")


@SQLITE
@pytest.mark.parametrize(
    "lines",
    [
        "",
        "p, kind:node, event, global, view, r.obj.org == r.sub.org, deny\n",
        "p, kind:container, event, collaboration, view, True, allow\n",
        "p, role:viewer, event, collaboration, view, True, allow\n"
        "p, role:root, event, global, view, r.obj.org == 1, deny\n",
    ],
)
def test_an_event_is_for_who_may_be_in_its_room(
    app: Flask, world: World, more_lines: Callable[[str], None], lines: str
) -> None:
    """What explain says of the room."""
    call = Caller(app)
    for collaboration, members in COLLABORATIONS.items():
        id = vars(world.collab)[collaboration]
        put(collaboration_room(id), room=collaboration_room(id))
        for member in members:
            room = organization_room(id, vars(world.org)[member])
            put(room, room=room)
    if lines:
        more_lines(lines)
    session.remove()
    for who in ASKERS:
        answer = call(who, "GET", "/event")
        rooms = allowed(app, world, who)
        if answer.status_code == 403:
            assert rooms == set()
        else:
            assert set(names(answer.json)) == rooms, who


def allowed(app: Flask, world: World, who: str) -> set[str]:
    """The rooms of somebody by what explain says of each.

    A user is in the widest one, a node in all, of its own collaborations.
    """
    ids = {name: f"user:{id}" for name, id in vars(world.user).items()}
    ids |= {name: f"node:{id}" for name, id in vars(world.node).items()}
    ids["container"] = f"container:{world.task.running}"
    policy = app.extensions["authz"].policy
    with app.app_context():
        asker = ask.principal(ids[who])
        found: set[str] = set()
        for id in session.scalars(select(Collaboration.id)).all():
            own = id in asker.collaboration_ids
            wide, narrow = collaboration_room(id), organization_room(id, asker.organization_id or 0)
            may = {
                room: explain(policy, asker, Operation.VIEW, ask.room(room), frozenset()).allowed
                for room in (wide, narrow)
            }
            if asker.kind is PrincipalKind.NODE:
                found |= {room for room in may if may[room] and own}
            elif may[wide]:
                found.add(wide)
            elif may[narrow] and own:
                found.add(narrow)
        return found


@SQLITE
def test_a_right_that_is_taken_away_is_gone(
    app: Flask, world: World, read: Any, more_lines: Callable[[str], None]
) -> None:
    put("before", room=collaboration_room(world.collab.registry))
    assert names(read("north_registry")) == ["before"]
    more_lines("p, kind:node, event, global, view, True, deny\n")
    assert Caller(app)("north_registry", "GET", "/event").status_code == 403


@SQLITE
def test_a_page_takes_as_many_statements_however_much_there_is(
    app: Flask, world: World, read: Any
) -> None:
    def statements() -> int:
        with counting() as found:
            read("root", since=0)
        return len(found)

    read("root")
    put("one")
    few = statements()
    put(*(f"e{n}" for n in range(300)))
    assert statements() == few


# --- cursors


def test_pages_follow_each_other_and_miss_nothing(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a whole page is for others."""
    monkeypatch.setattr(past_events, "LOOKED_AT", 2)
    put("a", "b")
    put("others", "of others", room="collaboration_99")
    put("c")
    first = read()
    assert (names(first), first["more"], first["complete"]) == (["a", "b"], True, True)
    second = read(since=first["next"])
    assert (names(second), second["more"]) == ([], True)
    third = read(since=second["next"])
    assert (names(third), third["more"], third["complete"]) == (["c"], False, True)
    put("d")
    fourth = read(since=third["next"])
    assert names(fourth) == ["d"]
    last = read(since=fourth["next"])
    assert (last["data"], last["next"]) == ([], fourth["next"])


def test_what_is_committed_and_not_noted_yet_is_told_and_told_again(read: Any) -> None:
    put("sent")
    ids = put("coming", sent=False)
    first = read()
    assert names(first) == ["sent", "coming"]
    events.note_sent(ids)
    again = read(since=first["next"])
    assert [event["id"] for event in again["data"]] == ids
    assert read(since=again["next"])["data"] == []


def test_more_than_a_page_that_cannot_be_sent_is_said(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_events, "LOOKED_AT", 3)
    put(*"abc", sent=False)
    assert read()["complete"]
    put("d", sent=False)
    found = read()
    assert (names(found), found["more"], found["complete"]) == (["a", "b", "c"], False, False)


def test_a_time_is_a_cursor(read: Any) -> None:
    ids = put("long ago", "lately", "now")
    sent_ago(7200, ids[0])
    sent_ago(600, ids[1])
    now = datetime.fromisoformat(read()["data"][-1]["time"])
    hour_ago = now - timedelta(hours=1)
    for text in (hour_ago.isoformat(), hour_ago.replace(tzinfo=None).isoformat()):
        found = read(since=text)
        assert (names(found), found["complete"]) == (["lately", "now"], True)
    assert names(read(since=now + timedelta(hours=1))) == []
    before_all = read(since="2020-01-01")
    assert (names(before_all), before_all["complete"]) == (["long ago", "lately", "now"], True)


@SQLITE
@pytest.mark.parametrize("since", ["", "yesterday", "-1", "1.5", "\u0661", "2026-13-01", "\x00"])
def test_what_is_no_cursor_is_refused(app: Flask, world: World, since: str) -> None:
    answer = Caller(app)("root", "GET", "/event", query={"since": since})
    assert answer.status_code == 400
    assert "since" in answer.json["msg"]


@SQLITE
def test_a_cursor_beyond_all_is_of_another_database(read: Any) -> None:
    put("only")
    found = read(since="9" * 40)
    assert (names(found), found["complete"]) == (["only"], False)
    assert read(since=found["next"])["complete"]


# --- what is committed late


@POSTGRESQL
def test_an_event_that_is_committed_behind_younger_ones_is_not_missed(read: Any) -> None:
    """Two transactions: the first takes its ids first and ends last."""
    put("before")
    make = session.session_factory
    with make() as slow:
        late = Outbox(process="p", event="late", payload=1, rooms=["collaboration_1"])
        slow.add(late)
        slow.flush()
        [early] = put("early")
        assert late.id < early
        first = read()
        assert (names(first), first["complete"]) == (["before", "early"], True)
        slow.commit()
    assert names(read(since=first["next"])) == ["late"]  # nobody has noted it yet
    events.note_sent([late.id])
    second = read(since=first["next"])
    assert (names(second), second["complete"]) == (["late"], True)
    assert read(since=second["next"])["data"] == []


@POSTGRESQL
def test_who_notes_later_gives_the_later_places(read: Any) -> None:
    """A process that has given places and is not done yet keeps others from giving theirs."""
    first, second = put("first", "second", sent=False)
    make = session.session_factory
    done = threading.Event()

    def note_second() -> None:
        events.note_sent([second])
        done.set()

    other = threading.Thread(target=note_second)
    with make() as slow:
        events._give_places(slow, [first])
        other.start()
        assert not done.wait(0.5)
        assert names(read()) == ["first", "second"]  # both are coming
        slow.commit()
    other.join()
    found = read()
    assert names(found) == ["first", "second"]
    assert read(since=found["next"] - 1)["data"][0]["name"] == "second"


def test_an_event_keeps_its_place_however_often_it_is_noted(read: Any) -> None:
    """Two processes send it when one was only slow."""
    [id] = put("once")
    found = read()
    events.note_sent([id])
    assert read(since=found["next"])["data"] == []


# --- what is gone


def kept(hours: float = 24, at_most: int = 100) -> None:
    past_events.drop(KeptEvents(keep_hours=hours, keep_at_most=at_most))


def test_what_is_older_than_the_setting_goes_and_that_is_said(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_events, "DELETED_AT_ONCE", 2)
    ids = put(*(f"e{n}" for n in range(8)))
    end = read()["next"]
    sent_ago(25 * 3600, *ids[:6])
    kept()
    everything = read()
    assert (names(everything), everything["complete"]) == (["e5", "e6", "e7"], False)
    first = everything["data"][0]["id"]
    assert first == ids[5]
    assert read(since=end - 3)["complete"]  # the last that is gone was seen
    assert not read(since=end - 4)["complete"]
    a_day_ago = datetime.fromisoformat(everything["data"][-1]["time"]) - timedelta(hours=24)
    since_then = read(since=a_day_ago.isoformat())
    assert (names(since_then), since_then["complete"]) == (["e6", "e7"], True)
    long_ago = a_day_ago - timedelta(hours=24)
    assert not read(since=long_ago.isoformat())["complete"]


def test_lines_of_logs_are_kept_for_a_day_at_most(read: Any, world: World) -> None:
    """Or they would outlive the log that retention deletes."""
    put_line = partial(
        put, "algorithm_log", payload={"result_id": world.result["running", "north"]}
    )
    ids = [*put("a"), *put_line(), *put("b"), *put_line()]
    sent_ago(25 * 3600, *ids)
    young = put_line()
    kept(hours=100)
    read_in_4 = partial(read, "root in 4")
    assert names(read_in_4()) == ["a", "b", "algorithm_log"]
    sent_ago(25 * 3600, *young)
    kept(hours=100)  # the newest stays, as below
    assert names(read_in_4()) == ["a", "b", "algorithm_log"]
    put("c")
    kept(hours=100)
    assert names(read_in_4()) == ["a", "b", "c"]


def test_no_more_are_kept_than_the_setting_says_but_for_the_youngest(read: Any) -> None:
    ids = put(*(f"e{n}" for n in range(10)))
    kept(at_most=3)
    assert len(read()["data"]) == 10  # processes that could not hear may need them
    sent_ago(1800, *ids)
    kept(at_most=3)
    found = read()
    assert (names(found), found["complete"]) == (["e6", "e7", "e8", "e9"], False)


def test_places_go_on_when_all_is_old(read: Any) -> None:
    """The newest stays: no cursor is ever given twice."""
    ids = put("a", "b")
    end = read()["next"]
    sent_ago(48 * 3600, *ids)
    kept()
    assert names(read()) == ["b"]
    put("c")
    found = read(since=end)
    assert (names(found), found["complete"], found["next"]) == (["c"], True, end + 1)
