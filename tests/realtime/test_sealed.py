"""Who can write to the message queue cannot speak for a process."""

import json

import pytest

from v6srv import problems
from v6srv.realtime import managers
from v6srv.realtime.sealed import Sealed

OURS, OTHER = Sealed("k" * 32), Sealed("o" * 32)
MESSAGE = {"method": "emit", "event": "kill_containers", "data": [{"kill_list": []}], "room": None}
PROBLEM = "somebody else writes to the message queue"


@pytest.fixture(autouse=True)
def _no_problem():
    yield
    problems.end("forged messages")


@pytest.mark.parametrize("encode", [str, str.encode])
def test_a_message_of_ours_is_read(encode):
    assert OURS.loads(encode(OURS.dumps({**MESSAGE, "näme": "Zoë"}))) == {**MESSAGE, "näme": "Zoë"}
    assert PROBLEM not in problems.standing()


@pytest.mark.parametrize(
    "forged",
    [
        json.dumps(MESSAGE),
        OTHER.dumps(MESSAGE),
        OURS.dumps(MESSAGE).replace("kill_list", "kill_lost"),
        OURS.dumps(MESSAGE)[:64],
        OURS.dumps(MESSAGE)[1:],
        "",
        "ä" * 100,
        b"\xff" * 100,
    ],
)
def test_what_is_not_ours_is_not_read_and_told(forged):
    with pytest.raises(ValueError, match="no message of ours"):
        OURS.loads(forged)
    assert PROBLEM in problems.standing()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_both_kinds_of_queues_are_sealed(url):
    manager = managers.make(url, "k" * 32)
    assert manager.json.loads(OURS.dumps(MESSAGE)) == MESSAGE
    # A broker may decode what says that it is JSON: that has no seal.
    manager._hear = lambda: iter([MESSAGE, OURS.dumps(MESSAGE)])
    assert next(manager._listen()) == OURS.dumps(MESSAGE)
