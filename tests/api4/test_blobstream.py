"""/blobstream (rest.md 3.11 of the 4.x contract): there is none."""

import pytest

from tests.api.shared import opened_once

_opened = opened_once


@pytest.mark.parametrize("who", ["viewer", "north_registry", "container", None])
def test_programs_are_told_that_there_is_no_blob_store(call4, who):
    answer = call4(who, "GET", "/blobstream/status")
    assert (answer.status_code, answer.json) == (200, {"blob_store_enabled": False})


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/blobstream"), ("GET", "/blobstream/0-1-2-3")]
)
def test_nothing_can_be_kept_there(call4, method, path):
    answer = call4("viewer", method, path, data=b"x" if method == "POST" else None)
    assert answer.status_code == 501
    assert isinstance(answer.json["msg"], str)
