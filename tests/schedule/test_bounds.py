"""An answer takes a bounded number of steps, however rare the fire and however odd the zone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gcron.schedule import parse

# Rare, rarer, and around what zones do; the fifth Sunday of February comes every 28 or 40 years.
NASTY = [
    "0 0 29 2 *", "0 0 * 2 1#5", "*/7 * * 2 0#5", "0 0 29 2 1", "59 23 31 12 *", "* * * * *", "0 2 30 12 *",
    "30 2 * * 0", "59 23 L 2 *", "0 0 31W 12 *", "0,30 0-23/23 29 2 *",
]  # fmt: skip
ZONES = ["UTC", "Pacific/Apia", "Africa/Casablanca", "Australia/Lord_Howe", "Antarctica/Troll", "America/New_York"]
MOMENTS = [
    datetime(*moment, tzinfo=UTC)  # type: ignore[misc]
    for moment in [(1896, 3, 1), (1970, 1, 1), (2011, 12, 29, 23), (2026, 3, 8, 6, 59), (2072, 3, 1), (2100, 2, 28)]
]
MOST_CALLS = 400


def calls(function: Callable[[int], Any], instant: int) -> int:
    """How many Python functions were called for an answer, once the zone's years there are known."""
    function(instant)
    count = 0

    def tell(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(tell)
    try:
        function(instant)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("zone", ZONES)
def test_the_steps_to_an_answer_are_bounded(zone: str) -> None:
    for expression in NASTY:
        schedule = parse(expression, zone)
        for moment in MOMENTS:
            instant = int(moment.timestamp())
            assert calls(schedule.next_after, instant) <= MOST_CALLS, (expression, moment)
            assert calls(schedule.previous_before, instant) <= MOST_CALLS, (expression, moment)


def test_years_between_two_fires() -> None:
    def fires(expression: str, moment: datetime, count: int) -> list[datetime]:
        schedule, found = parse(expression), [int(moment.timestamp())]
        for _ in range(count):
            found.append(schedule.next_after(found[-1]) or 0)
        return [datetime.fromtimestamp(instant, UTC) for instant in found[1:]]

    def date(year: int, month: int, day: int) -> datetime:
        return datetime(year, month, day, tzinfo=UTC)

    # 2100 is no leap year; in between, Feb 29 is a Monday every 28 years, and only then February has five.
    assert fires("0 0 29 2 *", date(2092, 3, 1), 3) == [date(2096, 2, 29), date(2104, 2, 29), date(2108, 2, 29)]
    mondays = [date(2044, 2, 29), date(2072, 2, 29), date(2112, 2, 29), date(2140, 2, 29)]
    assert fires("0 0 * 2 1#5", date(2026, 1, 1), 4) == mondays
