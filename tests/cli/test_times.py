"""The times of a command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gcron.cli.times import TimeError, read_near

NOW = int(datetime(2026, 11, 30, 20, 0, tzinfo=UTC).timestamp())
ZONE = timezone(timedelta(hours=5))  # where it is 01:00 of 2026-12-01


@pytest.mark.parametrize(
    ("text", "past", "future"),
    [
        ("21:00", "2026-11-30T16:00", "2026-12-01T16:00"),
        ("00:30", "2026-11-30T19:30", "2026-12-01T19:30"),
        ("01:00:00", "2026-11-30T20:00", "2026-12-01T20:00"),
        ("1h", "2026-11-30T19:00", "2026-11-30T21:00"),
        ("+1h", "2026-11-30T21:00", "2026-11-30T21:00"),
        ("2026-11-30T12:00Z", "2026-11-30T12:00", "2026-11-30T12:00"),
        ("2026-11-30", "2026-11-29T19:00", "2026-11-29T19:00"),
    ],
)
def test_a_time_of_day_and_a_duration_are_near(text: str, past: str, future: str) -> None:
    """`pause --until 21:00` and `history --since 1h` were refused."""
    found = [
        f"{datetime.fromtimestamp(read_near(text, NOW, ZONE, is_past=is_past), UTC):%Y-%m-%dT%H:%M}"
        for is_past in (True, False)
    ]
    assert found == [past, future]


@pytest.mark.parametrize("text", ["25:00", "1x", "soon", "", "12:", "T12:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError):
        read_near(text, NOW, ZONE, is_past=True)
