"""Zones of our own making, for what no real clock does: shifts where our bookkeeping has its seams."""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import resources
from pathlib import Path

import pytest
from dateutil.parser import isoparse
from dateutil.tz import gettz, tzlocal, tzstr, tzutc
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gcron import Scheduler
from gcron.schedule import Shift, at, cron, find_zone, parse, shifts
from gcron.schedule.clock import local_timezone
from gcron.schedule.errors import ScheduleError
from gcron.schedule.zones import Zone

from . import oracle

# Zones are worked out in blocks of 2**25 or 2**18 seconds; this is where one ends and the next begins, in May 2026.
SEAM = 53 << 25
HOUR, DAY = 3600, 86400


class TableZone(tzinfo):
    """A zone with the given first offset and (instant, offset) shifts, all in seconds."""

    def __init__(self, offset: int, *table: tuple[int, int]) -> None:
        epoch = datetime(1970, 1, 1, tzinfo=self)
        self.starts = [epoch + timedelta(seconds=instant) for instant, _ in table]
        self.offsets = [timedelta(seconds=after) for after in (offset, *(after for _, after in table))]

    def fromutc(self, moment: datetime) -> datetime:
        return moment + self.offsets[bisect_right(self.starts, moment)]


def fires_between(schedule, start, end):
    found, fire = [], schedule.next_after(start - 1)
    while fire is not None and fire < end:
        found.append(fire)
        fire = schedule.next_after(fire)
    return found


def fires_back(schedule, start, end):
    found, fire = [], schedule.previous_before(end)
    while fire is not None and fire >= start:
        found.append(fire)
        fire = schedule.previous_before(fire)
    return found[::-1]


QUARTERS = st.integers(-16, 16).filter(bool).map(lambda quarters: quarters * 900)


@settings(max_examples=60)
@given(
    st.sampled_from(["0,20,40 0-23 * * *", "*/20 * * * *", "7 * * * *", "5 3,4 * * *", "0 0-23/2 10 5 *"]),
    st.integers(-12, 12).map(lambda hours: hours * HOUR),
    st.sampled_from([0, 4, -4, HOUR, -HOUR]) | st.integers(-3 * HOUR // 4, 3 * HOUR // 4).map(lambda n: n * 4),
    QUARTERS,
)
@example("0,20,40 0-23 * * *", 0, -1796, -HOUR)  # a repeated stretch reaches over the seam
@example("0,20,40 0-23 * * *", 0, -4, HOUR)  # made up just before the seam, not again at it
@example("0,20,40 0-23 * * *", 0, 0, HOUR)
@example("0,20,40 0-23 * * *", 0, 0, -HOUR)
@example("0,20,40 0-23 * * *", 0, 4, HOUR)
@example("0,20,40 0-23 * * *", 0, -4, -HOUR)
def test_a_shift_near_the_seam_of_two_blocks_is_like_any_other(expression, offset, distance, size):
    tz = TableZone(offset, (SEAM + distance, offset + size))
    schedule = parse(expression, tz)
    start, end = SEAM - 6 * HOUR, SEAM + 6 * HOUR
    # Four seconds divide the minute as well as the seam.
    expected = oracle.fires(expression, tz, start, end, tick=4, lead=6 * HOUR)
    assert fires_between(schedule, start, end) == expected
    assert fires_back(schedule, start, end) == expected


@pytest.mark.parametrize("distance", [-2, -1, 0, 1, 2])
def test_a_shift_is_found_to_the_second(distance):
    shift = Shift(SEAM + distance, 0, HOUR)
    zone = Zone(TableZone(0, (shift.instant, HOUR)))
    assert list(shifts(zone, SEAM - DAY, SEAM + DAY)) == [shift]
    assert list(shifts(zone, shift.instant - 1, shift.instant)) == [shift]
    assert list(shifts(zone, shift.instant, SEAM + DAY)) == []


def test_shifts_may_follow_each_other_closely():
    start = SEAM + 10 * DAY
    zone = Zone(TableZone(0, (start, HOUR), (start + HOUR, 2 * HOUR), (start + 2 * HOUR, 3 * HOUR)))
    assert [shift.instant for shift in shifts(zone, start - DAY, start + DAY)] == [start + n * HOUR for n in range(3)]


@pytest.mark.parametrize("hours", [2.5, 4, 35])
def test_a_change_that_is_soon_undone_is_seen(hours):
    """Probing every 36 hours, right for the tz database, saw the same offset before and after such a pair."""
    start = SEAM // DAY * DAY + 10 * DAY
    end = int(start + hours * HOUR)
    tz = TableZone(0, (start, HOUR), (end, 0))
    assert [shift.instant for shift in shifts(Zone(tz), start - DAY, end + DAY)] == [start, end]
    for expression in ("*/15 * * * *", "5,35 0-23 * * *"):
        schedule = parse(expression, tz)
        expected = oracle.fires(expression, tz, start - DAY, end + DAY)
        assert fires_between(schedule, start - DAY, end + DAY) == expected
        assert fires_back(schedule, start - DAY, end + DAY) == expected


def test_a_time_shown_three_times_by_two_shifts_back_fires_once():
    noon = SEAM // DAY * DAY + 12 * HOUR
    tz = TableZone(0, (noon, -HOUR), (noon + HOUR // 2, -2 * HOUR))
    schedule = parse("15,45 11-12 * * *", tz)
    found = fires_between(schedule, noon - 3 * HOUR, noon + 4 * HOUR)
    # 11:15 and 11:45 before the shifts; 12:15 and 12:45 when the clock, two hours later, has caught up.
    assert [fire - noon for fire in found] == [-2700, -900, 2 * HOUR + 900, 2 * HOUR + 2700]
    assert fires_back(schedule, noon - 3 * HOUR, noon + 4 * HOUR) == found


def test_zones_are_shared_by_all_their_schedules():
    assert find_zone("Europe/Berlin") is find_zone("Europe/Berlin")
    assert find_zone(None) is find_zone(UTC)
    assert repr(find_zone("Europe/Berlin")) == "Zone('Europe/Berlin')"


def test_a_leap_of_forty_years_looks_at_few_segments():
    class CountingZone(Zone):
        __slots__ = ("asked",)

        def segment_at(self, instant):
            self.asked += 1
            return super().segment_at(instant)

    zone = CountingZone(find_zone("Europe/Berlin").tz)
    zone.asked = 0
    schedule = parse("0 0 * 2 1#5", "Europe/Berlin")
    counted = type(schedule)(schedule.text, zone, schedule.pattern, schedule.wildcard)
    fire = counted.next_after(midnight(2072, 3, 1))
    assert fire == midnight(2112, 2, 28) + 23 * HOUR
    assert counted.previous_before(fire) == midnight(2072, 2, 28) + 23 * HOUR
    assert zone.asked <= 8


def midnight(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


# -- zones of other libraries -----------------------------------------------------------------------------------------

DATEUTIL = [gettz("Europe/Berlin"), gettz("Australia/Lord_Howe"), tzutc(), tzstr("EST5EDT,M3.2.0,M11.1.0"), tzlocal()]


@pytest.mark.parametrize("tz", DATEUTIL, ids=str)
def test_a_zone_of_dateutil_is_a_zone(tz):
    """They cannot be hashed: `cron(tz=…)`, `Scheduler(timezone=…)` and `at(isoparse(…))` raised TypeError."""
    assert find_zone(tz) is find_zone(tz)
    assert parse("30 2 * * *", tz) == parse("30 2 * * *", tz)
    assert Scheduler(timezone=tz).command("true", cron("30 2 * * *")).schedule.zone.tz is tz
    assert cron("30 2 * * *", tz).schedule(None, "").next_after(0) is not None
    moment = datetime(2027, 1, 1, 12, tzinfo=tz)
    assert at(moment).instant == moment.timestamp()
    assert at(isoparse("2027-01-01T12:00:00Z")).instant == 1798804800


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Tehran"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 * * * *", "0 0 1 * *"])
def test_a_zone_of_dateutil_fires_as_that_of_zoneinfo(name, expression):
    theirs, ours = parse(expression, gettz(name)), parse(expression, name)
    for year in (2021, 2026):
        start = int(datetime(year, 3, 1, tzinfo=UTC).timestamp())
        assert fires_between(theirs, start, start + 45 * DAY) == fires_between(ours, start, start + 45 * DAY)
        assert fires_back(theirs, start, start + 45 * DAY) == fires_back(ours, start, start + 45 * DAY)


class SlowZone(tzinfo):
    """A zone in pure Python that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=2)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def fromutc(self, moment: datetime) -> datetime:
        self.asked += 1
        return moment + timedelta(hours=2)


@pytest.mark.parametrize("expression", ["* * * * * * *", "30 2 * * *", "0 0 29 2 *", "0 0 1 1 *"])
def test_a_slow_zone_is_not_asked_about_a_whole_year_at_once(expression):
    """The first fire in a zone in pure Python asked it 4,100 times, which stopped every other job for 80 to 275 ms."""
    tz = SlowZone()
    schedule = parse(expression, tz)
    fire = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
    for _ in range(5):
        before = tz.asked
        fire = schedule.next_after(fire) or 0
        assert tz.asked - before < 200
        schedule.previous_before(fire)


def test_a_slow_zone_is_not_asked_about_years_of_excluded_days():
    tz = SlowZone()
    schedule = cron("0 9 * * *", tz, except_on="2026-01-01..2090-12-31").schedule(None, "")
    start = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())

    assert schedule.next_after(start) == int(datetime(2091, 1, 1, 7, tzinfo=UTC).timestamp())
    assert schedule.previous_before(start) == int(datetime(2025, 12, 31, 7, tzinfo=UTC).timestamp())
    assert tz.asked < 1000


def test_zone_data_that_is_cut_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update of the tz database that was cut off was a traceback, or froze gcron: zoneinfo reads on forever."""
    data = whole_file("Europe/Berlin")
    path = tmp_path / "Europe" / "Cut_off"
    path.parent.mkdir()
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    monkeypatch.setenv("TZ", f":{path}")
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ScheduleError, match="unknown time zone 'Europe/Cut_off'"):
            find_zone("Europe/Cut_off")
        with pytest.raises(ValueError, match="unknown time zone '/"):
            local_timezone()
    path.write_bytes(data)
    assert find_zone(local_timezone()).offset_at(0) == 3600


def whole_file(name: str) -> bytes:
    """Return the data of a zone, from the system or from the package tzdata."""
    for directory in zoneinfo.TZPATH:
        if (path := Path(directory, name)).exists():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
