"""Time zones as sequences of segments in which the offset from UTC is constant.

Inside a segment the wall clock runs evenly, so schedules need plain integers. What happens where two segments meet
is one number, the segment's `first_wall`. This module knows neither expressions nor schedules.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gcron.frozen import frozen
from gcron.schedule.errors import ScheduleError
from gcron.schedule.zone_data import load_zone

__all__ = ["FIRST_INSTANT", "LAST_INSTANT", "Segment", "Shift", "Zone", "find_zone", "instant_of", "shifts"]

_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
_DAY = 86400

# A little more than a day inside the range of datetime, so that no offset leads out of it.
FIRST_INSTANT = (datetime(1, 1, 4) - _EPOCH) // _SECOND
LAST_INSTANT = (datetime(9999, 12, 28) - _EPOCH) // _SECOND

# Shifts below three hours are the clock changes that cron makes up for (docs/crontab.md, section 3, rule 4).
_MAKE_UP_LIMIT = 3 * 3600

# Segments are computed a block at a time: 388 days of a zone that is quick to ask, and three days of any other tzinfo.
# One in pure Python takes up to 70 µs for an answer. For 388 days, that stopped the scheduler for 80 to 275 ms.
_BLOCK_BITS = 25
_SMALL_BLOCK_BITS = 18
# Seconds between two probes of the offset: 36 hours. In the whole tz database no two changes of offset are nearer to
# each other than 95 hours (Africa/Freetown, 1939), so no pair of changes hides between two probes.
_PROBE_STEP = 1 << 17
# In a tzinfo of other origin, a change may be undone at any time: it is probed every 137 minutes. A tzinfo cannot be
# asked for its changes, so a change that is undone even sooner may go unseen.
_FINE_PROBE_STEP = 1 << 13
# Seconds before its block from which a zone's history is read: a repeated stretch may reach into the block.
_LEAD = 2 * _DAY


@frozen
class Segment:
    """The stretch of instants from `start` to before `end` (UTC seconds) in which a zone keeps one `offset`.

    `first_wall` is the wall time from which fixed-time entries use this segment. Compared with the wall time at
    `start`, it is earlier by what a forward shift skipped (`start` makes up for that), and later by what a backward
    shift shows again.
    """

    start: int
    end: int
    offset: int
    first_wall: int


class Shift(NamedTuple):
    """A change of a zone's offset: at `instant` it goes from `before` to `after` (all in seconds)."""

    instant: int
    before: int
    after: int


class Zone:
    """A `tzinfo` with its segments. They are computed once for each block of time that is asked about."""

    __slots__ = ("_block_bits", "_blocks", "_probe_step", "tz")

    def __init__(self, tz: tzinfo) -> None:
        self.tz = tz
        is_quick = isinstance(tz, ZoneInfo | timezone)
        self._probe_step = _PROBE_STEP if is_quick else _FINE_PROBE_STEP
        self._block_bits = _BLOCK_BITS if is_quick else _SMALL_BLOCK_BITS
        self._blocks: dict[int, tuple[Segment, ...]] = {}

    def __repr__(self) -> str:
        return f"Zone({str(self.tz)!r})"

    def segment_at(self, instant: int) -> Segment:
        """Return the segment of `instant`, cut at the ends of the block.

        `instant` must lie between FIRST_INSTANT and LAST_INSTANT.
        """
        number = instant >> self._block_bits
        block = self._blocks.get(number)
        if block is None:
            block = tuple(self._segments(number << self._block_bits, number + 1 << self._block_bits))
            self._blocks[number] = block
        for segment in block:
            if instant < segment.end:
                return segment
        raise AssertionError("the segments of a block reach to its end")

    def offset_at(self, instant: int) -> int:
        """Return the seconds that the wall clock is ahead of UTC at `instant`."""
        # Not tz.utcoffset(local): in some zones a wall time has more than one instant.
        clamped = min(max(instant, FIRST_INSTANT), LAST_INSTANT)
        utc = _EPOCH + timedelta(seconds=clamped)
        return (self.tz.fromutc(utc.replace(tzinfo=self.tz)).replace(tzinfo=None) - utc) // _SECOND

    def _segments(self, start: int, end: int) -> Iterator[Segment]:
        since = start - _LEAD
        offset = self.offset_at(since)
        first_wall = since + offset
        for shift in self._shifts(since, end):
            if shift.instant > start:
                yield _cut(start, Segment(since, shift.instant, offset, first_wall))
            first_wall = _first_wall_after(shift, first_wall)
            since, offset = shift.instant, shift.after
        yield _cut(start, Segment(since, end, offset, first_wall))

    def _shifts(self, start: int, end: int) -> Iterator[Shift]:
        """Yield the shifts with start < instant < end."""
        known, before = start, self.offset_at(start)
        while known < end - 1:
            probe = min(known + self._probe_step, end - 1)
            if self.offset_at(probe) != before:
                probe = self._bisect(known, probe, before)
                after = self.offset_at(probe)
                yield Shift(probe, before, after)
                before = after
            known = probe

    def _bisect(self, known: int, probe: int, before: int) -> int:
        while probe - known > 1:
            middle = (known + probe) // 2
            if self.offset_at(middle) == before:
                known = middle
            else:
                probe = middle
        return probe


def _cut(start: int, segment: Segment) -> Segment:
    if segment.start >= start:
        return segment
    return Segment(start, segment.end, segment.offset, max(segment.first_wall, start + segment.offset))


def _first_wall_after(shift: Shift, first_wall: int) -> int:
    size = shift.after - shift.before
    if not -_MAKE_UP_LIMIT <= size < _MAKE_UP_LIMIT:
        return shift.instant + shift.after
    # The latest wall time shown so far: later than the clock's, if it was still repeating an earlier stretch.
    return max(first_wall, shift.instant + shift.before)


def shifts(zone: Zone, start: int, end: int) -> Iterator[Shift]:
    """Yield the zone's changes of offset with start < instant <= end, in order."""
    last = min(end, LAST_INSTANT)
    segment = zone.segment_at(max(start, FIRST_INSTANT))
    while segment.end <= last:
        following = zone.segment_at(segment.end)
        if following.offset != segment.offset:
            yield Shift(segment.end, segment.offset, following.offset)
        segment = following


def instant_of(zone: Zone, wall: int) -> int:
    """Return the first instant at which the zone's wall clock shows `wall` or later, both in seconds since 1970.

    So a time that a clock change skips stands for that change, and one that is shown twice for its first pass. `wall`
    must lie more than a day inside the calendar.
    """
    # No offset reaches a day.
    segment = zone.segment_at(wall - _DAY)
    while wall - segment.offset >= segment.end:
        segment = zone.segment_at(segment.end)
    return max(segment.start, wall - segment.offset)


def zone_of(tz: tzinfo) -> Zone:
    """Return the `Zone` of a `tzinfo`. All schedules in a zone share one."""
    try:
        return _zone_of(tz)
    except TypeError:  # those of dateutil cannot be hashed
        return _zone_of_object(_ById(tz))


@lru_cache(maxsize=1024)
def _zone_of(tz: tzinfo) -> Zone:
    return Zone(tz)


@lru_cache(maxsize=1024)
def _zone_of_object(key: _ById) -> Zone:
    return Zone(key.tz)


class _ById:
    """A `tzinfo` that equals only itself."""

    __slots__ = ("tz",)

    def __init__(self, tz: tzinfo) -> None:
        self.tz = tz

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.tz is other.tz

    def __hash__(self) -> int:
        return id(self.tz)


def find_zone(name: str | tzinfo | None) -> Zone:
    """Return the zone for a name of the tz database or a `tzinfo`; UTC for None.

    Raises ScheduleError when there is no such zone.
    """
    if name is None:
        return zone_of(UTC)
    if isinstance(name, tzinfo):
        return zone_of(name)
    return _zone_named(name)


@lru_cache(maxsize=1024)
def _zone_named(name: str) -> Zone:
    try:
        return zone_of(load_zone(name))
    except (ValueError, OSError):
        hint = "use a name of the tz database, such as Europe/Berlin or UTC"
        raise ScheduleError(f"unknown time zone {name!r}", hint=hint) from None
