"""What the tests of endpoints share."""

from collections.abc import Iterator

import pytest

from v6srv.service import events
from v6srv.service.events import Event


@pytest.fixture
def sent() -> Iterator[list[Event]]:
    """The events of every transaction that was committed, in their order."""
    heard: list[Event] = []
    listeners = heard.extend, lambda: None
    events.subscribe(*listeners)
    yield heard
    events.unsubscribe(*listeners)
