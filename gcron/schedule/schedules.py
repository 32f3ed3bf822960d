"""The schedules, and how one of their fires relates to the wall clock.

Instants are integer seconds of UTC since 1970.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gcron.frozen import frozen
from gcron.schedule.seeded import seeded_value
from gcron.schedule.wall_clock import SECONDS_IN_DAY, SecondPattern, WallPattern
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, Segment, Zone, shifts

__all__ = [
    "CronSchedule",
    "DelayedSchedule",
    "EverySchedule",
    "Occurrence",
    "OnceSchedule",
    "Schedule",
    "Unscheduled",
    "occurrence",
    "put_off",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Schedule(ABC):
    """A fixed ordered set of instants. `text` is the schedule as written, `zone` the zone of its wall clock.

    A schedule never changes. Equal schedules have equal fires.
    """

    __slots__ = ()
    text: str
    zone: Zone

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r}, {self.zone})"

    @abstractmethod
    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`, or None if there is none."""

    @abstractmethod
    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`, or None if there is none."""

    def fires(self, start: datetime, end: datetime | None = None) -> Iterator[datetime]:
        """Iterate over the fires after `start` up to and including `end`, as datetimes in the schedule's zone.

        Without `end` the iteration goes on to the end of the calendar. Raises ValueError if a bound has no time zone.
        """
        if start.tzinfo is None or (end is not None and end.tzinfo is None):
            raise ValueError("the bounds of fires() must be aware datetimes: give them a tzinfo")
        last = None if end is None else (end - _EPOCH) // _SECOND
        return self._fires((start - _EPOCH) // _SECOND, last)

    def _fires(self, instant: int, last: int | None) -> Iterator[datetime]:
        while (fire := self.next_after(instant)) is not None and (last is None or fire <= last):
            yield datetime.fromtimestamp(fire, self.zone.tz)
            instant = fire


@frozen
class CronSchedule(Schedule):
    """A cron expression in a zone (docs/crontab.md, section 3, rules 1 and 2).

    `wildcard` entries, whose minute or hour begins with `*`, fire whenever the wall clock matches. All others are
    fixed-time: what a short forward shift skips fires at the shift, what a short backward shift repeats fires once.
    `Segment.first_wall` holds the rules for shifts; here they are applied.
    """

    text: str
    zone: Zone
    pattern: WallPattern | SecondPattern
    """The wall times that match."""
    wildcard: bool

    @property
    def in_years(self) -> bool:
        """Whether a field for years limits it, so that it may be over."""
        return isinstance(self.pattern, SecondPattern) and self.pattern.years != 0

    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`; None if the calendar ends before it."""
        # HOT PATH: `benchmarks/schedule.py`.
        earliest = instant + 1 if instant >= FIRST_INSTANT else FIRST_INSTANT
        while earliest <= LAST_INSTANT:
            segment = self.zone.segment_at(earliest)
            shown = earliest + segment.offset
            # A wildcard entry uses every wall time of a segment.
            if not self.wildcard and (earliest == segment.start or shown < segment.first_wall):
                shown = segment.first_wall
            wall = self.pattern.at_or_after(shown)
            if wall is None:
                return None
            fire = wall - segment.offset
            if fire < segment.end:
                return fire if fire > segment.start else segment.start
            # No offset reaches a day, so later instants show later wall times: skip to the first that can match.
            wall = self.pattern.at_or_after(segment.end - SECONDS_IN_DAY)
            if wall is None:
                return None
            earliest = max(segment.end, wall - SECONDS_IN_DAY)
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`; None if the calendar begins after it."""
        latest = min(instant - 1, LAST_INSTANT)
        while latest >= FIRST_INSTANT:
            segment = self.zone.segment_at(latest)
            wall = self.pattern.at_or_before(latest + segment.offset)
            if wall is not None and wall >= self._first_wall(segment):
                return max(wall - segment.offset, segment.start)
            wall = self.pattern.at_or_before(segment.start + SECONDS_IN_DAY)
            if wall is None:
                return None
            latest = min(segment.start - 1, wall + SECONDS_IN_DAY)
        return None

    def _first_wall(self, segment: Segment) -> int:
        return segment.start + segment.offset if self.wildcard else segment.first_wall


@frozen
class EverySchedule(Schedule):
    """Fires at every multiple of `period` seconds since 1970: the same on every host and after every restart."""

    text: str
    zone: Zone
    period: int

    def next_after(self, instant: int) -> int | None:
        """Return the next multiple after `instant`; None after the end of the calendar."""
        fire = (max(instant, FIRST_INSTANT - 1) // self.period + 1) * self.period
        return fire if fire <= LAST_INSTANT else None

    def previous_before(self, instant: int) -> int | None:
        """Return the last multiple before `instant`; None before the start of the calendar."""
        fire = (min(instant, LAST_INSTANT + 1) - 1) // self.period * self.period
        return fire if fire >= FIRST_INSTANT else None


@frozen
class OnceSchedule(Schedule):
    """Fires at `instant`, once."""

    text: str
    zone: Zone
    instant: int

    def next_after(self, instant: int) -> int | None:
        """Return the instant if it is still to come, else None."""
        return self.instant if instant < self.instant else None

    def previous_before(self, instant: int) -> int | None:
        """Return the instant if it is over, else None."""
        return self.instant if self.instant < instant else None


@frozen
class Unscheduled(Schedule):
    """Never fires by the clock. `kind` is `reboot` (once at start), `service` (keep running) or `manual`."""

    text: str
    zone: Zone
    kind: str

    def next_after(self, instant: int) -> int | None:
        """Return None."""
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return None."""
        return None


@frozen
class DelayedSchedule(Schedule):
    """The fires of `schedule`, each `delay` seconds later: what `RANDOM_DELAY` makes of a schedule."""

    schedule: Schedule
    delay: int

    @property
    def text(self) -> str:  # type: ignore[override]
        """As written."""
        return self.schedule.text

    @property
    def zone(self) -> Zone:  # type: ignore[override]
        """The zone of `schedule`."""
        return self.schedule.zone

    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`, or None."""
        fire = self.schedule.next_after(instant - self.delay)
        return None if fire is None else fire + self.delay

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`, or None."""
        fire = self.schedule.previous_before(instant - self.delay)
        return None if fire is None else fire + self.delay


def put_off(schedule: Schedule, minutes: int, seed: str) -> Schedule:
    """Return `schedule` delayed by 0 to `minutes` whole minutes, as `seed` decides (docs/crontab.md, section 1).

    A schedule that never fires by the clock is returned as it is.
    """
    delay = 60 * seeded_value("RANDOM_DELAY", 0, minutes, seed)
    return DelayedSchedule(schedule, delay) if delay and not isinstance(schedule, Unscheduled) else schedule


class Occurrence(StrEnum):
    """How a fire relates to the wall clock. Empty, and so false, where nothing is odd."""

    ORDINARY = ""
    MADE_UP = "made up"  # the wall time was skipped: the fire is at the shift instead
    FIRST_PASS = "first pass"  # the clock will show this wall time again
    SECOND_PASS = "second pass"  # the clock has shown this wall time before


def occurrence(schedule: Schedule, fire: int) -> Occurrence:
    """Return whether a fire of `schedule` makes up for a skipped wall time, or lies in a repeated stretch.

    For a delayed schedule, the time before the delay counts.
    """
    if isinstance(schedule, DelayedSchedule):
        return occurrence(schedule.schedule, fire - schedule.delay)
    zone = schedule.zone
    wall = fire + zone.offset_at(fire)
    if isinstance(schedule, CronSchedule) and schedule.pattern.at_or_after(wall) != wall:
        return Occurrence.MADE_UP
    # A stretch longer than a day is never repeated: no zone moves by more.
    for shift in shifts(zone, fire - SECONDS_IN_DAY, fire + SECONDS_IN_DAY):
        if shift.instant <= fire and wall < shift.instant + shift.before:
            return Occurrence.SECOND_PASS
        if shift.instant > fire and wall >= shift.instant + shift.after:
            return Occurrence.FIRST_PASS
    return Occurrence.ORDINARY
