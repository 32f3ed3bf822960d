"""Limits of schedules: first and last moment, days without fires, anchored periods; against the naive oracle."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.schedule import (
    DelayedSchedule,
    EverySchedule,
    Limits,
    Occurrence,
    Schedule,
    ScheduleError,
    after_end,
    core_of,
    cron,
    every,
    find_zone,
    limited,
    occurrence,
    parse,
    put_off,
    resolve,
)
from gcron.schedule.ics import read_file
from gcron.schedule.limit_wording import describe_limits
from gcron.schedule.wording import describe_delay
from gcron.schedule.wrapped import Days, LimitedSchedule
from gcron.schedule.zones import instant_of

from . import oracle
from .test_oracle_agreement import CHANGES, EXPRESSIONS, FROM, TO, ZONES, fires_backward, fires_forward, schedule_for

EXAMPLES = int(os.environ.get("GCRON_SCHEDULE_EXAMPLES", "100"))
HOUR, DAY = 3600, 86400


def fires(trigger: Any, start: datetime, count: int, timezone: str = "UTC") -> list[str]:
    """The next fires, local."""
    found = resolve(trigger, timezone, "job").fires(start)
    return [f"{fire:%m-%d %H:%M}" for fire in islice(found, count)]


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc]


# -- against the oracle -----------------------------------------------------------------------------------------------


def wall_date(zone: str, instant: int) -> date:
    return oracle.wall_clock(ZoneInfo(zone), instant).date()


@st.composite
def day_sets(draw: st.DrawFn, around: date) -> tuple[tuple[date, date], ...]:
    """Spans of days near a date: single ones, long ones, touching and overlapping ones."""
    spans = draw(st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 3)), max_size=4))
    return tuple((around + timedelta(first), around + timedelta(first + length)) for first, length in spans)


@settings(max_examples=EXAMPLES * 2)
@given(st.data(), EXPRESSIONS, st.sampled_from(CHANGES), st.integers(0, 50 * HOUR), st.integers(1, 60 * HOUR))
def test_limited_fires_around_a_change_of_the_clock_are_those_of_the_oracle(data, expression, change, before, length):
    zone, instant = change
    begin = (instant - before) // 60 * 60
    end = begin + length
    excluded = data.draw(day_sets(wall_date(zone, instant)))
    bounds = sorted(data.draw(st.lists(st.integers(begin - HOUR, end + HOUR), min_size=2, max_size=2)))
    schedule = schedule_for(expression, zone)
    if schedule is None:
        return
    expected = [
        fire
        for fire in oracle.fires(expression, ZoneInfo(zone), begin, end)
        if bounds[0] <= fire <= bounds[1]
        and not any(first <= wall_date(zone, fire) <= last for first, last in excluded)
    ]
    found = LimitedSchedule(schedule, bounds[0], bounds[1], Days.of(excluded))
    assert fires_forward(found, begin, end) == expected
    assert fires_backward(found, begin, end) == expected


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(CHANGES), st.integers(1, 21), st.integers(0, 200), st.integers(0, DAY - 1))
def test_a_period_of_whole_days_is_that_of_the_oracle(change, days, ago, time_of_day):
    zone, instant = change
    first = oracle.wall_clock(ZoneInfo(zone), instant).replace(hour=0, minute=0, second=0)
    start = first - timedelta(days=ago) + timedelta(seconds=time_of_day // 60 * 60)

    def matches(wall: datetime) -> bool:
        return wall >= start and (wall - start).seconds == 0 and (wall - start).days % days == 0

    begin, end = instant // 60 * 60 - 30 * HOUR, instant // 60 * 60 + 30 * HOUR
    expected = list(oracle.fixed_time_fires(matches, ZoneInfo(zone), begin - DAY, end, 60))
    found = resolve(every(timedelta(days=days), zone, start=start), None, "")
    assert fires_forward(found, begin, end) == [fire for fire in expected if fire >= begin]
    assert fires_backward(found, begin, end) == [fire for fire in expected if fire >= begin]


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(ZONES), st.integers(FROM, TO), st.integers(1, 10**7), st.integers(-(10**7), 10**7))
def test_another_period_is_counted_from_its_start(zone, start, period, after):
    if period % DAY == 0:
        return
    moment = datetime.fromtimestamp(start, UTC)
    found = resolve(every(period, zone, start=moment), None, "")
    expected = start + max(0, after // period + 1) * period
    assert found.next_after(start + after) == expected
    assert found.previous_before(expected + 1) == expected
    assert found.previous_before(expected) == (None if expected == start else expected - period)


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(CHANGES), st.integers(-2 * DAY, 2 * DAY))
def test_the_instant_of_a_wall_time_is_the_first_that_shows_it_or_a_later_one(change, distance):
    zone, instant = change
    wall = instant + find_zone(zone).offset_at(instant) + distance
    tz = ZoneInfo(zone)
    found = instant_of(find_zone(zone), wall)

    def shown(instant: int) -> int:
        return int((oracle.wall_clock(tz, instant) - datetime(1970, 1, 1)).total_seconds())

    assert shown(found) >= wall
    assert all(shown(earlier) < wall for earlier in range(found - 2 * DAY, found, 997))
    assert shown(found - 1) < wall


# -- in words that people use -----------------------------------------------------------------------------------------


def test_every_other_week_from_a_monday_follows_the_wall_clock():
    """The most asked for: "every other week from 2026-01-05". A grid of seconds would move to 10:00 in summer."""
    trigger = every("2w", "Europe/Berlin", start="2026-01-05T09:00")

    assert fires(trigger, at(2026, 1, 1), 3) == ["01-05 09:00", "01-19 09:00", "02-02 09:00"]
    assert fires(trigger, at(2026, 3, 20), 3) == ["03-30 09:00", "04-13 09:00", "04-27 09:00"]


def test_the_zone_of_the_scheduler_counts_where_none_is_given():
    trigger = every("1d", start="2026-03-28T02:30")

    assert fires(trigger, at(2026, 3, 28), 3, "Europe/Berlin") == ["03-28 02:30", "03-29 03:00", "03-30 02:30"]
    assert fires(trigger, at(2026, 3, 28), 2) == ["03-28 02:30", "03-29 02:30"]


def test_other_periods_are_counted_in_seconds():
    trigger = every("36h", "Europe/Berlin", start="2026-03-28T12:00")

    assert fires(trigger, at(2026, 3, 28), 3) == ["03-28 12:00", "03-30 01:00", "03-31 13:00"]


def test_without_a_start_a_period_is_what_it_was():
    assert every(90) == EverySchedule("@every 90s", find_zone(None), 90)
    assert fires(every("1d", "Europe/Berlin"), at(2026, 3, 28), 2) == ["03-29 01:00", "03-30 02:00"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-03-03", None, ["03-03 09:00", "03-04 09:00"]),
        (date(2026, 3, 3), None, ["03-03 09:00", "03-04 09:00"]),
        ("2026-03-03T09:00", "2026-03-03", ["03-03 09:00"]),
        ("2026-03-03T09:01", "2026-03-04", ["03-04 09:00"]),
        (None, "2026-03-01T09:00", ["03-01 09:00"]),
        (None, datetime(2026, 3, 2, 9, 0, tzinfo=ZoneInfo("Europe/Berlin")), ["03-01 09:00", "03-02 09:00"]),
        (None, at(2026, 3, 2, 8, 0), ["03-01 09:00", "03-02 09:00"]),
        (None, "2026-03-02T07:59Z", ["03-01 09:00"]),
        (None, "2026-03-02T09:59+02:00", ["03-01 09:00"]),
        (None, "2026-03-02 09:00:00", ["03-01 09:00", "03-02 09:00"]),
    ],
)
def test_start_and_end_are_the_first_and_the_last_moment(start, end, expected):
    trigger = cron("0 9 * * *", "Europe/Berlin", start=start, end=end)

    assert fires(trigger, at(2026, 2, 28, 12), 2) == expected


def test_no_day_is_due_that_is_excluded():
    days = ["2026-03-03", date(2026, 3, 5), "2026-03-06..2026-03-08", (date(2026, 3, 10), date(2026, 3, 10))]

    found = fires(cron("0 9 * * *", "Europe/Berlin", except_on=days), at(2026, 3, 1, 12), 5)

    assert found == ["03-02 09:00", "03-04 09:00", "03-09 09:00", "03-11 09:00", "03-12 09:00"]


def test_a_day_is_that_of_the_zone():
    text = "2026-03-03"

    assert fires(cron("0 0 * * *", "Asia/Tokyo", except_on=text), at(2026, 3, 1, 16), 2) == [
        "03-04 00:00",
        "03-05 00:00",
    ]
    assert fires(every("12h", "Asia/Tokyo", except_on=text), at(2026, 3, 2, 0), 2) == ["03-02 21:00", "03-04 09:00"]


def test_a_made_up_fire_is_on_the_day_that_it_shows():
    skipped = cron("30 23 28 3 *", "America/Godthab", except_on="2026-03-28")

    assert fires(cron("30 23 28 3 *", "America/Godthab"), at(2026, 1, 1), 1) == ["03-29 00:00"]
    assert fires(skipped, at(2026, 1, 1), 1) == ["03-29 00:00"]


CALENDAR = b"""BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//test//EN
BEGIN:VEVENT
UID:christmas
DTSTART;VALUE=DATE:20201225
DTEND;VALUE=DATE:20201227
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
UID:night
DTSTART:20260105T220000Z
DTEND:20260106T230000Z
END:VEVENT
BEGIN:VEVENT
UID:off
STATUS:CANCELLED
DTSTART;VALUE=DATE:20260110
END:VEVENT
BEGIN:VEVENT
UID:floating
DTSTART:20260112T100000
DTEND:20260112T110000
END:VEVENT
END:VCALENDAR
""".replace(b"\n", b"\r\n")


def test_the_days_of_a_calendar_file_are_excluded(tmp_path):
    path = tmp_path / "holidays.ics"
    path.write_bytes(CALENDAR)
    trigger = cron("0 9 * * *", except_on=[str(path), "2026-01-08"])

    january = fires(trigger, at(2026, 1, 4), 7, "Europe/Berlin")
    december = fires(trigger, at(2031, 12, 24), 2, "Europe/Berlin")

    # In Berlin the night from the 5th to the 6th ends at the beginning of the 7th, which is not touched.
    assert january == [f"01-{day:02} 09:00" for day in (4, 7, 9, 10, 11, 13, 14)]
    assert december == ["12-24 09:00", "12-27 09:00"]
    assert fires(trigger, at(2026, 1, 4), 3, "Asia/Tokyo") == [f"01-{day:02} 09:00" for day in (5, 9, 10)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no calendar"),
        (b"BEGIN:VEVENT\r\nEND:VEVENT\r\n", "is no calendar"),
        (b"\xff\xfe\0", "is no calendar"),
        (CALENDAR.replace(b"RRULE:FREQ=YEARLY", b"RRULE:FREQ=NEVERLY"), "is no calendar"),
        (CALENDAR.replace(b"VALUE=DATE:20201225", b"VALUE=DATE:x"), "is no calendar"),
        (CALENDAR.replace(b"20260105T220000Z", b"19800105T220000Z\r\nRRULE:FREQ=HOURLY"), "more than 10000 events"),
    ],
)
def test_what_is_no_calendar_is_refused(tmp_path, data, message):
    path = tmp_path / "holidays.ics"
    path.write_bytes(data)

    with pytest.raises(ScheduleError, match=message):
        cron("@daily", except_on=str(path))


def test_a_calendar_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ScheduleError, match=r"none\.ics cannot be read: No such file"):
        cron("@daily", except_on=str(tmp_path / "none.ics"))


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "recurring_ical_events", None)
    (tmp_path / "holidays.ics").write_bytes(CALENDAR)

    with pytest.raises(ScheduleError, match=r"pip install 'gcron\[calendar\]'"):
        cron("@daily", except_on=str(tmp_path / "holidays.ics"))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"start": "soon"}, "'soon' is no moment"),
        ({"start": "2026-02-30"}, "'2026-02-30' is no moment"),
        ({"start": "2026-02-03T25:00"}, "is no moment"),
        ({"end": 5}, "5 is no moment"),
        ({"end": "20260203"}, "'20260203' is no moment"),
        ({"except_on": "2026-02-30"}, "there is no day 2026-02-30"),
        ({"except_on": "2026-2-3"}, "'2026-2-3' is no day"),
        ({"except_on": "2026-02-03.."}, "'' is no day"),
        ({"except_on": "2026-02-03..2026-02-01"}, "reversed; write 2026-02-01..2026-02-03"),
        ({"except_on": [datetime(2026, 1, 1)]}, "is no day"),
        ({"except_on": 5}, "5 is no day"),
        ({"start": "2026-02-03", "end": "2026-02-02"}, "its end is before its start"),
        ({"start": "2026-02-03T10:00", "end": "2026-02-04T08:00"}, "nothing is due from its start to its end"),
        ({"end": "2026-02-03", "start": "2026-02-03", "except_on": "2026-02-03"}, "nothing is due from its start"),
    ],
)
def test_what_cannot_be_meant_is_refused(limits, message):
    with pytest.raises(ScheduleError, match=message):
        cron("0 9 * * *", **limits)


def test_days_without_end_take_no_time():
    """A job of every second in ten thousand years of holidays: the days are passed over, not the fires."""
    schedule = resolve(cron("* * * * * * *", except_on="2026-01-01..2098-12-31"), "Europe/Berlin", "")

    assert schedule.next_after(int(at(2026, 6, 1).timestamp())) == int(at(2098, 12, 31, 23).timestamp())
    assert schedule.previous_before(int(at(2098, 6, 1).timestamp())) == int(at(2025, 12, 31, 22, 59, 59).timestamp())
    never = resolve(cron("0 9 * * *", except_on="0002-01-01..9998-12-31"), None, "")
    assert never.next_after(0) is None or never.next_after(0) > 250_000_000_000


def test_limits_and_delay_go_together():
    schedule = resolve(cron("30 2 29 3 *", "Europe/Berlin", start="2026-01-01"), None, "")
    delayed = put_off(schedule, 59, "some job")
    assert isinstance(delayed, DelayedSchedule)

    fire = delayed.next_after(int(at(2026, 1, 1).timestamp()))

    assert fire is not None
    assert occurrence(delayed, fire) is Occurrence.MADE_UP
    assert core_of(delayed) == parse("30 2 29 3 *", "Europe/Berlin")
    assert delayed.text == "30 2 29 3 *"
    assert delayed.zone is find_zone("Europe/Berlin")


def test_equal_limits_make_equal_schedules():
    def make(days: str) -> Schedule:
        return resolve(cron("@daily", except_on=days, start="2026-01-01"), "UTC", "")

    assert make("2026-01-05,2026-01-06") == make("2026-01-05..2026-01-06")
    assert make("2026-01-05") != make("2026-01-06")
    assert hash(make("2026-01-05")) == hash(make("2026-01-05"))


# -- now, and after the end -------------------------------------------------------------------------------------------


def test_now_is_an_attribute_of_the_schedule():
    assert resolve(every(60, now=True), "UTC", "").at_start
    assert resolve(cron("@daily", now=True), "UTC", "").at_start
    assert resolve("@reboot", "UTC", "").at_start
    assert not resolve(every(60), "UTC", "").at_start
    assert put_off(resolve(cron("@daily", now=True), "UTC", ""), 59, "x").at_start
    assert resolve(every(60, now=True), "UTC", "").next_after(0) == 60


def test_after_the_end_is_a_delay_and_no_set_of_instants():
    schedule = resolve(after_end("5m"), "UTC", "")

    assert schedule.follows_end
    assert (schedule.next_after(0), schedule.previous_before(0)) == (None, None)
    assert schedule.next_after_end(1000) == 1300
    assert parse("@after-end 5m").next_after_end(1000) == 1300
    assert put_off(schedule, 59, "some job") == schedule
    assert parse("@every 5m").next_after_end(1000) is None


def test_after_the_end_has_limits_too():
    trigger = after_end("5m", "Europe/Berlin", start="2026-03-02", end="2026-03-05", except_on="2026-03-03")
    schedule = resolve(trigger, None, "")

    def due(*moment: int) -> str:
        instant = schedule.next_after_end(int(at(*moment).timestamp()))
        return "" if instant is None else f"{datetime.fromtimestamp(instant, ZoneInfo('Europe/Berlin')):%m-%d %H:%M}"

    assert due(2026, 3, 1, 12) == "03-02 00:00"
    assert due(2026, 3, 2, 12) == "03-02 13:05"
    assert due(2026, 3, 2, 22, 58) == "03-04 00:00"
    assert due(2026, 3, 5, 22, 58) == ""
    assert not put_off(schedule, 59, "x").at_start


@pytest.mark.parametrize("delay", [0, 0.5, -1, "1.5s", "9999999w"])
def test_a_delay_is_whole_seconds(delay):
    with pytest.raises(ValueError, match="whole number of seconds"):
        after_end(delay)


def test_limits_mean_nothing_to_what_has_no_fires():
    schedule = parse("@service")

    assert limited(schedule, Limits(start=date(2026, 1, 1)), read_file) is schedule


# -- in words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (cron("@daily"), ""),
        (cron("@daily", start="2026-01-05"), ", from 2026-01-05 00:00"),
        (every("2w", start="2026-01-05T09:00"), ", from 2026-01-05 09:00"),
        (cron("@daily", end="2026-12-31"), ", to 2026-12-31 23:59"),
        (
            cron("@daily", start="2026-01-05T09:30:15", end="2026-02-01T08:00"),
            ", from 2026-01-05 09:30:15 to 2026-02-01 08:00",
        ),
        (cron("@daily", except_on="2026-12-24"), ", except on 2026-12-24"),
        (
            cron("@daily", except_on="2026-12-24..2026-12-26,2027-01-01", now=True),
            ", except on 2026-12-24 to 2026-12-26 and 2027-01-01; and at the start",
        ),
        (
            cron("@daily", except_on=[f"2026-{month:02}-01..2026-{month:02}-02" for month in range(1, 13)]),
            ", except on 24 days",
        ),
        (every("1h", now=True), "; and at the start"),
    ],
)
def test_limits_in_words(trigger, words):
    schedule = resolve(trigger, "Europe/Berlin", "")
    assert describe_limits(schedule) == words
    assert describe_limits(put_off(schedule, 59, "some job")) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(300, "5 minutes"), (60, "1 minute"), (90, "90 seconds"), (86400, "1 day"), (7200, "2 hours")],
)
def test_a_delay_in_words(seconds, words):
    assert describe_delay(seconds) == f"{words} after the end of the last run"
