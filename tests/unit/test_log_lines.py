"""A record is one line, whatever is in it."""

import json
import logging
import os
import sys

import pytest

from v6srv import request_id
from v6srv.cli.log_lines import Json, Text
from v6srv.settings.groups import Logging

PLAIN = "%(name)s - %(message)s"
EVIL = "a\nb\r\n2026-01-01 - root - forged\x1b[31m\x00\x85\u2028é"


def _record(message: str, *args: object, failed: bool = False) -> logging.LogRecord:
    info = None
    if failed:
        try:
            raise ValueError("x\n2026-01-01 - forged")
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord("here", logging.ERROR, "f.py", 1, message, args, info)


def test_text_has_the_id_at_its_end_or_where_the_format_wants_it() -> None:
    at_end, placed = Text(PLAIN, ""), Text("%(request_id)s: %(message)s", "")
    assert at_end.format(_record("%d tasks", 3)) == "here - 3 tasks"
    assert placed.format(_record("x")) == "-: x"
    with request_id.using("abc"):
        assert at_end.format(_record("x")) == "here - x request_id=abc"
        assert placed.format(_record("x")) == "abc: x"


def test_text_of_several_processes_says_which_at_its_end_or_where_the_format_wants_it() -> None:
    at_end, placed = Text(PLAIN, "", True), Text("%(process)d: %(message)s", "", True)
    assert placed.format(_record("x")) == f"{os.getpid()}: x"
    with request_id.using("abc"):
        assert at_end.format(_record("x")) == f"here - x process={os.getpid()} request_id=abc"


def test_the_settings_know_the_id_in_a_format() -> None:
    assert Logging(format="%(request_id)s").format
    with pytest.raises(ValueError, match="no format"):
        Logging(format="%(requestid)s")


def test_no_message_can_forge_a_line() -> None:
    assert Text(PLAIN, "").format(_record("said %s", EVIL)) == (
        "here - said a\\nb\\r\\n2026-01-01 - root - forged\\x1b[31m\\x00\\x85\\u2028é"
    )


def test_nor_can_the_text_of_an_error() -> None:
    first, *rest = Text(PLAIN, "").format(_record("x", failed=True)).splitlines()
    assert first == "here - x"
    assert rest[-1] == "    2026-01-01 - forged"
    assert all(line.startswith("    ") for line in rest)


def test_json_is_an_object_for_each_record() -> None:
    with request_id.using("abc"):
        line = Json().format(_record("said %s", EVIL, failed=True))
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("exception").endswith("ValueError: x\n2026-01-01 - forged")
    assert found.pop("time").endswith("Z")
    assert found.pop("process") == os.getpid()
    assert found == {
        "level": "ERROR",
        "logger": "here",
        "message": f"said {EVIL}",
        "request_id": "abc",
    }
    always = {"time", "level", "logger", "message", "process"}
    assert set(json.loads(Json().format(_record("x")))) == always


def test_json_bears_what_is_no_unicode() -> None:
    assert json.loads(Json().format(_record("%s", "\udcff")))["message"] == "\\udcff"
