"""What an algorithm prints is heard by who may view its run, and by nobody else in its rooms."""

from collections.abc import Callable, Collection
from typing import Any

import pytest

from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear
from tests.realtime.test_log_lines import LOG, heard, say
from tests.support import Caller
from tests.world import World
from v6srv.authz.principal import Principal
from v6srv.service import run_logs

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def run(world: World) -> int:
    """A run of the node `south_registry`."""
    return world.result["running", "south"]


@pytest.fixture
def node(listen: Audience) -> Ear:
    return listen("south_registry in 4")


@pytest.fixture
def grant(call: Caller, world: World) -> Callable[..., None]:
    """Let the user `nobody` hear all rooms, and what is given besides."""

    def grant(*rules: tuple[str, str, str]) -> None:
        ids = [world.rule[rule] for rule in (("event", "GLOBAL", "VIEW"), *rules)]
        path = f"/user/{world.user.nobody}"
        assert call("root", "PATCH", path, json={"rules": ids}).status_code == 200

    return grant


RESULTS = "result", "GLOBAL", "VIEW"


def told(node: Ear, run: int, text: str, *ears: Ear) -> list[str]:
    """What each ear has heard of logs once a line was sent, and after it what all of them hear."""
    before = [len(ear.named("algorithm_status_change")) for ear in ears]
    say(node, run, text)
    node.say("algorithm_status_change", {"run_id": run, "status": "active"})
    for ear, count in zip(ears, before, strict=True):
        eventually(lambda ear=ear: len(ear.named("algorithm_status_change")), count + 1)
    return [heard(ear) for ear in ears]


def test_a_line_on_the_run_decides_for_each_socket(
    listen: Audience,
    world: World,
    call4: Caller,
    node: Ear,
    run: int,
    more_lines: Callable[[str], None],
) -> None:
    more_lines(
        f"p, role:collab_admin, result, global, view, r.obj.id == {run}, deny\n"
        f"p, kind:node, result, global, view, r.obj.id == {run} && r.sub.org != r.obj.org, deny\n"
    )
    names = ("root in 4", "collab_admin in 4", "north_registry in 4")
    ears = [listen(who) for who in names]
    assert told(node, run, "secret\n", *ears, node) == ["secret\n", "", "", "secret\n"]
    codes = [call4(who, "GET", f"/run/{run}").status_code for who in names]
    assert codes == [200, 403, 403]
    other = world.result["subtask", "south"]
    assert told(node, other, "open\n", *ears) == ["secret\nopen\n", "open\n", "open\n"]


def test_what_was_missed_is_read_by_those_who_may_view_the_run(
    listen: Audience,
    world: World,
    call4: Caller,
    node: Ear,
    run: int,
    more_lines: Callable[[str], None],
) -> None:
    more_lines(f"p, role:collab_admin, result, global, view, r.obj.id == {run}, deny\n")
    other = world.result["subtask", "south"]
    ear = listen("root in 4")
    told(node, run, "secret\n", ear)
    told(node, other, "open\n", ear)

    def read(who: str) -> tuple[list[Any], int]:
        data = call4(who, "GET", "/event").json["data"]
        lines = [one["payload"]["log"] for one in data if one["name"] == LOG]
        return lines, len([one for one in data if one["name"] == "algorithm_status_change"])

    assert read("root in 4") == (["secret\n", "open\n"], 2)
    assert read("collab_admin in 4") == (["open\n"], 2)


def test_a_right_that_is_taken_away_or_given_counts_at_once(
    listen: Audience, node: Ear, run: int, grant: Callable[..., None]
) -> None:
    grant(RESULTS)
    user, root = listen("nobody in 4"), listen("root in 4")
    assert told(node, run, "one\n", user, root) == ["one\n", "one\n"]
    grant()
    assert told(node, run, "two\n", user, root) == ["one\n", "one\ntwo\n"]
    grant(RESULTS)
    assert told(node, run, "three\n", user, root) == ["one\nthree\n", "one\ntwo\nthree\n"]


def test_a_line_of_a_file_counts_soon(
    listen: Audience, node: Ear, run: int, more_lines: Callable[[str], None]
) -> None:
    user, root = listen("collab_admin in 4"), listen("root in 4")
    assert told(node, run, "one\n", user, root) == ["one\n", "one\n"]
    more_lines("p, role:collab_admin, result, global, view, True, deny\n")
    eventually(lambda: told(node, run, "x", user, root)[0].count("x") in (0, 1), True)

    def hears_more() -> bool:
        before = heard(user)
        return told(node, run, "more\n", user, root)[0] != before

    eventually(hears_more, False)
    assert heard(root).endswith("more\n")


def test_a_condition_on_the_state_of_the_run_is_asked_again_when_that_changes(
    listen: Audience,
    call: Caller,
    node: Ear,
    run: int,
    more_lines: Callable[[str], None],
) -> None:
    more_lines("p, role:collab_admin, result, global, view, r.obj.status == 'active', deny\n")
    user, root = listen("collab_admin in 4"), listen("root in 4")
    say(node, run, "pending\n")
    for ear in (user, root):
        eventually(lambda ear=ear: heard(ear), "pending\n")
    path = f"/result/{run}"
    assert call("south_registry", "PATCH", path, json={"status": "active"}).status_code == 200
    assert told(node, run, "active\n", user, root) == ["pending\n", "pending\nactive\n"]


def test_a_long_log_takes_one_decision_for_each_socket(
    listen: Audience, node: Ear, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears = [listen(who) for who in ("root in 4", "root in 4", "collab_admin in 4")]
    decided: list[int] = []
    readable = run_logs.readable

    def counted(authz: Any, who: Principal, run_ids: Collection[int]) -> frozenset[int]:
        decided.append(who.id)
        return readable(authz, who, run_ids)

    monkeypatch.setattr(run_logs, "readable", counted)
    for number in range(4):
        say(node, run, *(f"{number}\n" for _ in range(100)))
        for ear in ears:
            eventually(lambda ear=ear, end=f"{number}\n": heard(ear).endswith(end * 100), True)
    assert len(ears[0].named(LOG)) >= 4
    assert len(decided) == len([*ears, node])
