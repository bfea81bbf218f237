"""What an encrypted collaboration takes (clients.md 8): inputs and results as `key$iv$message`."""

import pytest

from tests.support import database_digest
from tests.world import IMAGE

SEALED = "a2V5$aXY=$bWVzc2FnZQ=="
CRASHED = "a2V5$aXY=$"
"""The result of a run that crashed: no bytes, encrypted."""
FITS = (SEALED, CRASHED, "", None, "a2V5$aXY=$" + "QUJD" * 500_000)
READABLE = (
    "aW5wdXQ=",
    "gASVNg==",
    "plain text",
    "x" * 100_000,
    "a2V5$aXY=",
    "$$",
    "a2V5$$bWVzc2FnZQ==",
    "$aXY=$bWVzc2FnZQ==",
    "a2V5$aXY=$bWVzc2FnZQ==$",
    "a2V5$aXY=$bWVzc2FnZQ==\n",
    "a2V5$aXY=$bWVzc2FnZQ",
    "a2V5$aXY=$QUJ\N{SNOWMAN}",
    "a2V5$aXY=$" + "QUJD" * 5_000 + "te t",
)


@pytest.fixture(params=["3.x", "4.x"])
def speak(request, call, call4):
    """Send a request as a program of that generation."""
    return call if request.param == "3.x" else call4


def order(collaboration_id, *targets):
    return {
        "image": IMAGE,
        "collaboration_id": collaboration_id,
        "organizations": [{"id": id, "input": text} for id, text in targets],
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_inputs(speak, world):
    for text in FITS:
        body = order(world.collab.trial, (world.org.west, text), (world.org.south, SEALED))
        assert speak("west_researcher", "POST", "/task", json=body).status_code == 201
    before = database_digest()
    for text in (*READABLE, {"method": "partial"}):
        body = order(world.collab.trial, (world.org.west, SEALED), (world.org.south, text))
        answer = speak("west_researcher", "POST", "/task", json=body)
        assert answer.status_code == 400
        assert "is encrypted" in answer.json["msg"]
        assert "key$iv$message" in answer.json["msg"]
    assert database_digest() == before


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_inputs_of_subtasks(speak, world):
    container = world.container("waiting", "west_trial")
    body = order(world.collab.trial, (world.org.south, READABLE[0]))
    answer = speak(container, "POST", "/task", json=body)
    assert (answer.status_code, "is encrypted" in answer.json["msg"]) == (400, True)
    body = order(world.collab.trial, (world.org.south, SEALED))
    assert speak(container, "POST", "/task", json=body).status_code == 201


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_may_start_no_task_does_not_learn_it(speak, world):
    body = order(world.collab.trial, (world.org.south, READABLE[0]))
    answer = speak("researcher", "POST", "/task", json=body)
    assert (answer.status_code, "encrypted" in answer.json["msg"]) == (403, False)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("generation", "resource"), [("3.x", "result"), ("4.x", "run")])
def test_results(call, call4, world, generation, resource):
    speak = call if generation == "3.x" else call4
    path = f"/{resource}/{world.result['waiting', 'west']}"
    before = database_digest()
    for text in READABLE:
        body = {"result": text, "status": "completed", "finished_at": "2026-11-24T06:00:00"}
        answer = speak("west_trial", "PATCH", path, json=body)
        assert answer.status_code == 400
        assert "is encrypted" in answer.json["errors"]["result"][0]
    assert database_digest() == before
    for text in FITS:
        body = {"result": text, "log": "plain text", "status": "active"}
        assert speak("west_trial", "PATCH", path, json=body).status_code == 200
    body = {"status": "failed", "log": "no container", "finished_at": "2026-11-24T06:00:00"}
    assert speak("west_trial", "PATCH", path, json=body).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_nothing_is_asked_of_results_elsewhere(call, world):
    path = f"/result/{world.result['running', 'north']}"
    for text in (*FITS, *READABLE):
        assert call("north_registry", "PATCH", path, json={"result": text}).status_code == 200
