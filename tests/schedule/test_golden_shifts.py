"""Nights on which real clocks were set, each with the fires that docs/crontab.md, section 3 asks for, by hand."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gcron.schedule import CronSchedule, Occurrence, find_zone, occurrence, parse, shifts

# Each row: what happens, zone, expression, first and last day (local), fires (local time and offset).
NIGHTS = [
    ("a skipped time fires at the shift", "America/New_York", "30 2 * * *", "2026-03-08", "2026-03-08",
     ["08 03:00-04:00"]),
    ("all times skipped by one shift are one fire", "America/New_York", "0,15,30 2 * * *", "2026-03-08", "2026-03-08",
     ["08 03:00-04:00"]),
    ("its own fire at the shift is merged", "America/New_York", "0,30 2,3 * * *", "2026-03-08", "2026-03-08",
     ["08 03:00-04:00", "08 03:30-04:00"]),
    ("the minute at which the gap begins is skipped too", "America/New_York", "0 2 * * *", "2026-03-08", "2026-03-08",
     ["08 03:00-04:00"]),
    ("the last minute before the gap is real", "America/New_York", "59 1 * * *", "2026-03-08", "2026-03-08",
     ["08 01:59-05:00"]),
    ("a wildcard does not fire for what is skipped", "America/New_York", "*/15 2 * * *", "2026-03-08", "2026-03-08",
     []),
    ("a starred hour has no phantom fire", "America/New_York", "30 * * * *", "2026-03-08", "2026-03-08",
     [f"08 {hour:02}:30{'-05:00' if hour < 2 else '-04:00'}" for hour in range(24) if hour != 2]),
    ("a repeated time fires the first time only", "America/New_York", "30 1 * * *", "2026-11-01", "2026-11-01",
     ["01 01:30-04:00"]),
    ("a repeated hour's first minute counts as repeated", "America/New_York", "0 1,2 * * *", "2026-11-01", "2026-11-01",
     ["01 01:00-04:00", "01 02:00-05:00"]),
    ("a wildcard fires in both passes", "America/New_York", "*/30 1 * * *", "2026-11-01", "2026-11-01",
     ["01 01:00-04:00", "01 01:30-04:00", "01 01:00-05:00", "01 01:30-05:00"]),
    ("hourly is a wildcard", "America/New_York", "@hourly", "2026-11-01", "2026-11-01",
     ["01 00:00-04:00", "01 01:00-04:00", *(f"01 {hour:02}:00-05:00" for hour in range(1, 24))]),
    ("a yearly job just after a shift is not leapt over", "America/New_York", "0 4 1 11 *", "2026-11-01", "2026-11-01",
     ["01 04:00-05:00"]),
    ("nor is one just ahead of a shift, looking back", "Europe/Berlin", "30 1 29 3 *", "2026-03-29", "2026-03-29",
     ["29 01:30+01:00"]),
    ("London's gap begins at one", "Europe/London", "30 1 * * *", "2026-03-29", "2026-03-29", ["29 02:00+01:00"]),
    ("London repeats the hour from one", "Europe/London", "30 1 * * *", "2026-10-25", "2026-10-25", ["25 01:30+01:00"]),
    ("Dublin's winter time is the odd one, its clock is not", "Europe/Dublin", "30 1 * * *", "2026-03-29", "2026-03-29",
     ["29 02:00+01:00"]),
    ("Dublin repeats too", "Europe/Dublin", "*/30 1 * * *", "2026-10-25", "2026-10-25",
     ["25 01:00+01:00", "25 01:30+01:00", "25 01:00+00:00", "25 01:30+00:00"]),
    ("Lord Howe skips half an hour", "Australia/Lord_Howe", "0,15,30,45 2 * * *", "2026-10-04", "2026-10-04",
     ["04 02:30+11:00", "04 02:45+11:00"]),
    ("Lord Howe repeats half an hour", "Australia/Lord_Howe", "15,45 1 * * *", "2026-04-05", "2026-04-05",
     ["05 01:15+11:00", "05 01:45+11:00"]),
    ("St Johns skipped from a minute past midnight", "America/St_Johns", "0,30 0 * * *", "2010-03-14", "2010-03-14",
     ["14 00:00-03:30", "14 01:01-02:30"]),
    ("St Johns went back over midnight", "America/St_Johns", "30 23 * * *", "2010-11-06", "2010-11-07",
     ["06 23:30-02:30", "07 23:30-03:30"]),
    ("a daily job is not repeated with the date", "America/St_Johns", "@daily", "2010-11-06", "2010-11-07",
     ["06 00:00-02:30", "07 00:00-02:30"]),
    ("Sao Paulo had days without midnight", "America/Sao_Paulo", "@daily", "2018-11-03", "2018-11-05",
     ["03 00:00-03:00", "04 01:00-02:00", "05 00:00-02:00"]),
    ("a weekly job is made up on the skipped day only", "America/Sao_Paulo", "0 0 * * 6", "2018-11-03", "2018-11-05",
     ["03 00:00-03:00"]),
    ("Sao Paulo lived the hour before midnight twice", "America/Sao_Paulo", "30 23 * * *", "2018-02-17", "2018-02-17",
     ["17 23:30-02:00"]),
    ("Casablanca goes back for Ramadan", "Africa/Casablanca", "30 2 * * *", "2026-02-15", "2026-02-15",
     ["15 02:30+01:00"]),
    ("Casablanca goes forward after Ramadan", "Africa/Casablanca", "30 2 * * *", "2026-03-22", "2026-03-22",
     ["22 03:00+01:00"]),
    ("Apia's missing day is not made up", "Pacific/Apia", "0 12 * * *", "2011-12-29", "2011-12-31",
     ["29 12:00-10:00", "31 12:00+14:00"]),
    ("Apia's midnight after the missing day is its own", "Pacific/Apia", "@daily", "2011-12-29", "2011-12-31",
     ["29 00:00-10:00", "31 00:00+14:00"]),
    ("Kwajalein lost a day as well", "Pacific/Kwajalein", "0 12 * * *", "1993-08-20", "1993-08-22",
     ["20 12:00-12:00", "22 12:00+12:00"]),
    ("Troll skips two hours", "Antarctica/Troll", "0,30 1,2 * * *", "2026-03-29", "2026-03-29", ["29 03:00+02:00"]),
    ("Troll repeats two hours", "Antarctica/Troll", "30 1,2 * * *", "2026-10-25", "2026-10-25",
     ["25 01:30+02:00", "25 02:30+02:00"]),
    ("Pyongyang took half an hour from midnight", "Asia/Pyongyang", "45 23 * * *", "2015-08-14", "2015-08-15",
     ["14 23:45+09:00", "15 23:45+08:30"]),
    ("Pyongyang gave it back", "Asia/Pyongyang", "45 23 * * *", "2018-05-04", "2018-05-05",
     ["05 00:00+09:00", "05 23:45+09:00"]),
    ("Caracas skipped half an hour", "America/Caracas", "45 2 * * *", "2016-05-01", "2016-05-01", ["01 03:00-04:00"]),
    ("Caracas repeated half an hour", "America/Caracas", "45 2 * * *", "2007-12-09", "2007-12-09", ["09 02:45-04:00"]),
    ("exactly three hours back are not repeated", "Antarctica/Casey", "30 0 * * *", "2010-03-04", "2010-03-06",
     ["04 00:30+11:00", "05 00:30+11:00", "06 00:30+08:00"]),
    ("exactly three hours forward are not made up", "Antarctica/Casey", "0 3 * * *", "2009-10-17", "2009-10-19",
     ["17 03:00+08:00", "19 03:00+11:00"]),
    ("Vostok's seven hours back do repeat", "Antarctica/Vostok", "30 19 * * *", "1994-01-31", "1994-01-31",
     ["31 19:30+07:00", "31 19:30+00:00"]),
]  # fmt: skip


def local_midnight(zone: str, day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))


def fires_on(zone: str, expression: str, first: str, last: str) -> list[str]:
    """The fires on the days from `first` to `last` by the local calendar, looked for well beyond its ends."""
    schedule = parse(expression, zone)
    start = int(local_midnight(zone, first).timestamp()) - 2 * 86400
    stop = int(local_midnight(zone, last).timestamp()) + 3 * 86400
    forward, fire = [], schedule.next_after(start)
    while fire is not None and fire < stop:
        forward.append(fire)
        fire = schedule.next_after(fire)
    backward, fire = [], schedule.previous_before(stop)
    while fire is not None and fire > start:
        backward.append(fire)
        fire = schedule.previous_before(fire)
    assert forward == backward[::-1]
    local = [datetime.fromtimestamp(fire, ZoneInfo(zone)) for fire in forward]
    return [f"{fire:%d %H:%M}{fire.isoformat()[19:]}" for fire in local if first <= f"{fire:%Y-%m-%d}" <= last]


@pytest.mark.parametrize(
    ("story", "zone", "expression", "first", "last", "expected"), NIGHTS, ids=[n[0] for n in NIGHTS]
)
def test_on_the_night_the_clock_was_set(story, zone, expression, first, last, expected):
    assert fires_on(zone, expression, first, last) == expected


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("expression", "fire", "expected"),
    [
        ("30 2 * * *", "2026-03-08T03:00-04:00", Occurrence.MADE_UP),
        ("30 2,3 * * *", "2026-03-08T03:30-04:00", Occurrence.ORDINARY),
        ("30 1 * * *", "2026-11-01T01:30-04:00", Occurrence.FIRST_PASS),
        ("*/30 1 * * *", "2026-11-01T01:00-05:00", Occurrence.SECOND_PASS),
        ("0 1 * * *", "2026-11-01T01:00-04:00", Occurrence.FIRST_PASS),
        ("0 2 * * *", "2026-11-01T02:00-05:00", Occurrence.ORDINARY),
        ("59 0 * * *", "2026-11-01T00:59-04:00", Occurrence.ORDINARY),
        ("@every 30m", "2026-11-01T01:30-05:00", Occurrence.SECOND_PASS),
    ],
)
def test_occurrence_shows_what_is_odd_about_a_local_time(expression, fire, expected):
    schedule = parse(expression, "America/New_York")
    assert schedule.previous_before(instant(fire) + 1) == instant(fire)
    assert occurrence(schedule, instant(fire)) is expected


def test_an_ordinary_occurrence_is_false():
    assert not Occurrence.ORDINARY


def test_the_shifts_of_a_zone_come_in_order():
    found = list(
        shifts(find_zone("Europe/Berlin"), instant("2026-01-01T00:00+00:00"), instant("2027-01-01T00:00+00:00"))
    )
    assert [(shift.instant, shift.before, shift.after) for shift in found] == [
        (instant("2026-03-29T01:00+00:00"), 3600, 7200),
        (instant("2026-10-25T01:00+00:00"), 7200, 3600),
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 29 2 *", ["2096-02-29", "2104-02-29"]),  # 2100 is no leap year
        ("0 0 * 2 1#5", ["2072-02-29", "2112-02-29"]),
        ("0 0 29 2 0", ["2052-02-04", "2052-02-11"]),  # ORed: every Sunday of February as well
    ],
)
def test_rare_days_are_found_across_decades(expression, expected):
    schedule = parse(expression)
    start = instant(expected[0] + "T00:00+00:00")
    following = schedule.next_after(start)
    assert schedule.next_after(start - 1) == start
    assert following == instant(expected[1] + "T00:00+00:00")
    assert schedule.previous_before(following) == start


def test_the_ends_of_the_calendar_end_a_schedule():
    schedule = parse("0 0 1 1 *", "Asia/Tokyo")
    assert isinstance(schedule, CronSchedule)
    assert schedule.next_after(10**15) is None
    assert schedule.previous_before(-(10**15)) is None
    first, last = schedule.next_after(-(10**15)), schedule.previous_before(10**15)
    assert first is not None
    assert last is not None
    assert schedule.previous_before(first) is None
    assert schedule.next_after(last) is None


def test_bounds_without_a_zone_are_refused():
    with pytest.raises(ValueError, match="aware"):
        parse("* * * * *").fires(datetime(2026, 1, 1))


def test_the_start_of_fires_is_exclusive_and_its_end_inclusive():
    zone = ZoneInfo("Europe/Berlin")
    found = parse("*/15 * * * *", zone).fires(
        datetime(2026, 1, 1, 0, 0, tzinfo=zone), datetime(2026, 1, 1, 0, 30, tzinfo=zone)
    )
    assert [f"{fire:%H:%M}" for fire in found] == ["00:15", "00:30"]
