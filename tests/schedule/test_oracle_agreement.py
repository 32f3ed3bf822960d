"""Random expressions around random changes of the clock: the schedule and the naive oracle name the same fires."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.schedule import CronSchedule, Schedule, ScheduleError, Zone, find_zone, parse, shifts

from . import oracle

EXAMPLES = int(os.environ.get("GCRON_SCHEDULE_EXAMPLES", "100"))
HOUR, DAY = 3600, 86400

# Chosen for what their clocks do: hour, half-hour and two-hour summer time, negative summer time, changes at
# midnight and a minute past it, suspended in Ramadan, moved standard time by 20, 30 and 60 minutes, a day skipped.
ZONES = [
    "Europe/London", "Europe/Berlin", "Europe/Dublin", "America/New_York", "Australia/Lord_Howe",
    "America/St_Johns", "America/Sao_Paulo", "Africa/Casablanca", "Africa/El_Aaiun", "Pacific/Apia",
    "Antarctica/Troll", "Asia/Pyongyang", "America/Caracas", "Africa/Cairo", "America/Havana",
    "Asia/Beirut", "Asia/Gaza", "Asia/Tehran", "Asia/Kathmandu", "Pacific/Kwajalein", "Antarctica/Casey",
    "Europe/Moscow", "Europe/Lisbon", "America/Godthab", "Pacific/Chatham", "Asia/Singapore",
    "America/Anchorage", "UTC",
]  # fmt: skip
FROM = int(datetime(1972, 6, 1, tzinfo=UTC).timestamp())
TO = int(datetime(2060, 1, 1, tzinfo=UTC).timestamp())
CHANGES = [(name, shift.instant) for name in ZONES for shift in shifts(find_zone(name), FROM, TO)]


def items(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.tuples(span, st.integers(1, 20)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    starred = st.integers(1, 20).map(lambda step: f"*/{step}")
    return st.one_of(number.map(str), span, stepped, starred)


def fields(low: int, high: int, *special: str) -> st.SearchStrategy[str]:
    listed = st.lists(items(low, high) | st.sampled_from(special or ("*",)), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), items(low, high), listed)


# Most changes come in the small hours; a day field that rarely matches would make most examples empty.
DAYS = st.one_of(st.just("*"), fields(1, 31, "L", "15W", "1W", "31W", "LW", "L-3", "L-30"))
MONTHS = st.one_of(st.just("*"), st.just("*"), fields(1, 12))
WEEKDAYS = st.one_of(st.just("*"), fields(0, 7, "fri", "mon-wed", "0#1", "5L", "sun#5", "fri-sun", "6-0"))
HOURS = st.one_of(fields(0, 4), fields(0, 23), st.just("23,0,1"))
EXPRESSIONS = st.tuples(fields(0, 59), HOURS, DAYS, MONTHS, WEEKDAYS).map(" ".join)


def schedule_for(expression: str, tz: str) -> CronSchedule | None:
    try:
        schedule = parse(expression, tz)
    except ScheduleError as error:
        if "never fire" in error.message:
            return None
        raise
    assert isinstance(schedule, CronSchedule)
    return schedule


def fires_forward(schedule: Schedule, start: int, end: int) -> list[int]:
    found, fire = [], schedule.next_after(start - 1)
    while fire is not None and fire < end:
        found.append(fire)
        fire = schedule.next_after(fire)
    return found


def fires_backward(schedule: Schedule, start: int, end: int) -> list[int]:
    found, fire = [], schedule.previous_before(end)
    while fire is not None and fire >= start:
        found.append(fire)
        fire = schedule.previous_before(fire)
    return found[::-1]


@settings(max_examples=EXAMPLES * 4)
@given(EXPRESSIONS, st.sampled_from(CHANGES), st.integers(0, 26 * HOUR), st.integers(1, 30 * HOUR))
def test_the_fires_around_a_change_of_the_clock_are_those_of_the_oracle(expression, change, before, length):
    zone, instant = change
    start = (instant - before) // 60 * 60
    schedule = schedule_for(expression, zone)
    expected = oracle.fires(expression, ZoneInfo(zone), start, start + length)
    if schedule is None:
        assert expected == []
        return
    assert fires_forward(schedule, start, start + length) == expected
    assert fires_backward(schedule, start, start + length) == expected


@settings(max_examples=EXAMPLES)
@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(FROM, TO))
def test_the_first_fire_within_two_days_of_any_instant_is_that_of_the_oracle(expression, zone, instant):
    schedule = schedule_for(expression, zone)
    minute = instant // 60 * 60 + 60
    expected = oracle.fires(expression, ZoneInfo(zone), minute, minute + 2 * DAY)
    found = None if schedule is None else schedule.next_after(minute - 1)
    if expected:
        assert found == expected[0]
    else:
        assert found is None or found >= minute + 2 * DAY


LOCAL_MEAN_TIMES = [
    (name, shift.instant)
    for name in ("Europe/Amsterdam", "Africa/Monrovia", "Europe/Dublin", "Asia/Kolkata", "America/New_York")
    for shift in shifts(find_zone(name), int(datetime(1850, 1, 1, tzinfo=UTC).timestamp()), 94694400)
]


@settings(max_examples=EXAMPLES // 4)
@given(fields(0, 59), st.sampled_from(LOCAL_MEAN_TIMES), st.integers(0, 2 * HOUR))
def test_offsets_of_odd_seconds_are_exact_to_the_second(minute, change, before):
    zone, instant = change
    start, end = instant - before, instant + HOUR
    for expression in (f"{minute} 0-23 * * *", f"{minute} * * * *"):
        schedule = parse(expression, zone)
        expected = oracle.fires(expression, ZoneInfo(zone), start, end, tick=1, lead=3 * HOUR)
        assert fires_forward(schedule, start, end) == expected
        assert fires_backward(schedule, start, end) == expected


@settings(max_examples=EXAMPLES * 2)
@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(FROM, TO))
def test_next_and_previous_are_mirrors(expression, zone, instant):
    schedule = schedule_for(expression, zone)
    following = None if schedule is None else schedule.next_after(instant)
    if schedule is None or following is None:
        return
    assert following > instant
    assert schedule.previous_before(following + 1) == following
    previous = schedule.previous_before(following)
    assert previous is None or previous <= instant
    if previous is not None:
        assert schedule.next_after(previous) == following


@settings(max_examples=EXAMPLES)
@given(EXPRESSIONS, st.sampled_from(CHANGES), st.lists(st.integers(-2 * DAY, 2 * DAY), min_size=2, max_size=6))
def test_the_answer_does_not_depend_on_what_was_asked_before(expression, change, distances):
    zone, instant = change
    schedule = schedule_for(expression, zone)
    if schedule is None:
        return
    fresh = CronSchedule(schedule.text, Zone(schedule.zone.tz), schedule.pattern, schedule.wildcard)
    asked = [schedule.next_after(instant + distance) for distance in distances]
    assert [fresh.next_after(instant + distance) for distance in reversed(distances)] == asked[::-1]


@settings(max_examples=EXAMPLES)
@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(FROM, TO))
def test_a_schedule_parses_from_its_own_text(expression, zone, instant):
    schedule = schedule_for(expression, zone)
    if schedule is not None:
        assert parse(schedule.text, zone) == schedule


@pytest.mark.parametrize("hours", [-23, -11.5, 0, 5.75, 14, 23])
def test_a_fixed_offset_is_a_zone_too(hours):
    tz = timezone(timedelta(hours=hours))
    schedule = parse("*/20 3,23 * * *", tz)
    start = 1_700_000_000 // 60 * 60
    assert fires_forward(schedule, start, start + 2 * DAY) == oracle.fires(schedule.text, tz, start, start + 2 * DAY)
