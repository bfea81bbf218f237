"""Time as policies read and write it."""

from datetime import UTC, datetime, timedelta

import pytest

from v6srv.authz import clock


def test_moments_are_utc_unless_they_say_otherwise() -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    for text in ("2026-06-01 12:00:00", "2026-06-01T12:00:00Z", "2026-06-01T14:00+02:00"):
        assert clock.read(text) == noon
    assert clock.write(noon) == "2026-06-01 12:00:00"
    assert clock.read(clock.write(noon)) == noon
    assert clock.write(None) == clock.OPEN_END


def test_a_day_is_meant_as_a_whole() -> None:
    start, end = clock.read("2026-06-30"), clock.read("2026-06-30", end=True)
    assert end - start == timedelta(days=1)
    assert clock.read("2026-06-30 08:00", end=True) - start == timedelta(hours=8)


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "0001-01-01T00:00+23:00", "9999-12-31T23:00-05:00", "_"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.read(text)


def test_the_last_day_has_no_end() -> None:
    with pytest.raises(ValueError, match="after the last"):
        clock.read("9999-12-31", end=True)


def test_the_start_counts_and_the_end_does_not() -> None:
    window = ("2026-06-01 12:00:00", "2026-06-01 13:00:00")
    for text, inside in (
        ("2026-06-01T11:59:59.999Z", False),
        ("2026-06-01T12:00:00Z", True),
        ("2026-06-01T12:59:59.999Z", True),
        ("2026-06-01T13:00:00Z", False),
    ):
        with clock.stopped(clock.read(text)):
            assert clock.within(*window) is inside
            assert clock.within(window[0], clock.OPEN_END) is (text >= "2026-06-01T12")
    assert clock.within(clock.OPEN_END, clock.OPEN_END)
