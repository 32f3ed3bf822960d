"""Fields for seconds and years: every layout, against a clock that is looked at every second."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.schedule import LAYOUTS, CronSchedule, Occurrence, ScheduleError, check, occurrence, parse, split_schedule


def instant(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def fires(expression: str, start: str, end: str, zone: str = "UTC", fields: str | None = None) -> list[str]:
    """All fires with start <= instant <= end, as wall times."""
    schedule = parse(expression, zone, fields=fields)
    return [
        f"{fire:%Y-%m-%d %H:%M:%S}"
        for fire in schedule.fires(
            datetime.fromtimestamp(instant(start, zone) - 1, UTC), datetime.fromtimestamp(instant(end, zone), UTC)
        )
    ]


@pytest.mark.parametrize(
    ("fields", "expression", "expected"),
    [
        ("seconds-first", "30 0 2 * * 4", ["2026-01-01 02:00:30"]),
        ("seconds-last", "0 2 * * 4 30", ["2026-01-01 02:00:30"]),
        ("year-last", "0 2 * * 4 2026", ["2026-01-01 02:00:00"]),
        ("seconds-first+year", "30 0 2 * * 4 2026-2030/4", ["2026-01-01 02:00:30"]),
        (None, "30,31 0 2 ? jan thu *", ["2026-01-01 02:00:30", "2026-01-01 02:00:31"]),
        (None, "30 0 2 * * 4 2027", []),
    ],
)
def test_each_layout_reads_its_columns(fields, expression, expected):
    assert fires(expression, "2026-01-01", "2026-01-05", fields=fields) == expected


@pytest.mark.parametrize("fields", LAYOUTS)
def test_a_layout_has_exactly_its_columns(fields):
    count = len(LAYOUTS[fields])
    line = " ".join(["1"] * count)
    assert split_schedule(f"{line} 5 backup", fields=fields) == len(line)
    for other in (count - 1, count + 1):
        with pytest.raises(ScheduleError, match=f"here are {other}") as caught:
            parse(" ".join(["*"] * other), fields=fields)
        assert "write " in caught.value.hint


SECONDS = st.sampled_from(["*", "0", "30", "*/20", "59", "10-12", "0,45"])
MINUTES = st.sampled_from(["*", "0", "30", "*/30", "59", "58-59"])
HOURS = st.sampled_from(["*", "0", "2", "2-3", "23", "*/2"])
WINDOW = range(instant("2026-10-24T23:00"), instant("2026-10-25T04:00"))


def naive(second: str, minute: str, hour: str, zone: ZoneInfo) -> list[int]:
    """Look at the wall clock every second; a fixed time that is shown again does not count again."""
    found = []
    shown = set()
    wildcard = minute.startswith("*") or hour.startswith("*")
    for tick in WINDOW:
        wall = datetime.fromtimestamp(tick, zone).replace(tzinfo=None, fold=0)
        if wall in shown and not wildcard:
            continue
        shown.add(wall)
        if all(_matches(text, value) for text, value in zip((second, minute, hour), _clock(wall), strict=True)):
            found.append(tick)
    return found


def _clock(wall: datetime) -> tuple[int, int, int]:
    return wall.second, wall.minute, wall.hour


def _matches(text: str, value: int) -> bool:
    for item in text.split(","):
        span, _, step = item.partition("/")
        low, _, high = ("0-59" if span == "*" else span).partition("-")
        if value in range(int(low), int(high or low) + 1, int(step or 1)):
            return True
    return False


@given(SECONDS, MINUTES, HOURS, st.sampled_from(["UTC", "Europe/Berlin"]))
def test_seconds_agree_with_a_look_at_the_clock_every_second_also_where_an_hour_repeats(second, minute, hour, zone):
    schedule = parse(f"{second} {minute} {hour} * * *", zone, fields="seconds-first")
    expected = naive(second, minute, hour, ZoneInfo(zone))
    forward, backward = [], []
    at = schedule.next_after(WINDOW.start - 1)
    while at is not None and at in WINDOW:
        forward.append(at)
        at = schedule.next_after(at)
    at = schedule.previous_before(WINDOW.stop)
    while at is not None and at in WINDOW:
        backward.append(at)
        at = schedule.previous_before(at)
    assert forward == expected
    assert backward == expected[::-1]


def test_all_seconds_that_a_shift_skips_are_one_fire_at_the_shift():
    assert fires("*/20 30 2 * * * 2026", "2026-03-29", "2026-03-30", "Europe/Berlin") == ["2026-03-29 03:00:00"]
    schedule = parse("*/20 30 2 * * * 2026", "Europe/Berlin")
    assert occurrence(schedule, instant("2026-03-29T01:00")) is Occurrence.MADE_UP


def test_years_end_a_schedule_on_both_sides():
    schedule = parse("0 0 12 31 12 ? 2026,2028")
    noons = [instant(f"{year}-12-31T12:00") for year in (2026, 2028)]
    assert [schedule.next_after(at) for at in (0, noons[0] - 1, noons[0], noons[1])] == [
        noons[0],
        noons[0],
        noons[1],
        None,
    ]
    assert [schedule.previous_before(at) for at in (1 << 37, noons[1] + 1, noons[1], noons[0])] == [
        noons[1],
        noons[1],
        noons[0],
        None,
    ]


def test_a_leap_day_waits_for_its_years():
    assert fires("29 2 0 29 2 ? 2027-2035", "2026-01-01", "2040-01-01") == [
        "2028-02-29 00:02:29",
        "2032-02-29 00:02:29",
    ]


def test_the_first_and_the_last_second_of_a_year_are_in_it():
    assert fires("59 59 23 31 12 ? 2026", "2026-01-01", "2030-01-01", "Asia/Tokyo") == ["2026-12-31 23:59:59"]
    assert fires("0 0 0 1 1 ? 2026", "2025-01-01", "2030-01-01", "Asia/Tokyo") == ["2026-01-01 00:00:00"]


def test_all_years_and_second_zero_are_the_five_fields():
    schedule, five = parse("0 */5 9 * * 1-5 *", "Europe/Berlin"), parse("*/5 9 * * 1-5", "Europe/Berlin")
    assert isinstance(schedule, CronSchedule)
    assert not schedule.in_years
    at = 1_750_000_000
    for _ in range(300):
        following = schedule.next_after(at)
        assert following == five.next_after(at)
        assert following is not None
        at = following


def test_steps_of_all_fields_are_checked():
    assert [warning.message for warning in check("*/90 0 0 * * *", fields="seconds-first")] == [
        "the step 90 is larger than its range: only the first value is left"
    ]


def test_a_seeded_second_is_a_second():
    seconds = {parse("H 0 0 * * * *", seed=f"job-{number}").next_after(0) for number in range(3000)}
    assert seconds == {*range(1, 60), 86400}
