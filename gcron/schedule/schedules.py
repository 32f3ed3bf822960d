"""The schedules.

Instants are integer seconds of UTC since 1970.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gcron.frozen import frozen
from gcron.schedule.errors import ScheduleError
from gcron.schedule.wall_clock import SECONDS_IN_DAY, DayGrid, SecondPattern, WallPattern
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, Segment, Zone

__all__ = [
    "AfterEndSchedule",
    "AfterJobsSchedule",
    "CronSchedule",
    "EverySchedule",
    "OnceSchedule",
    "Schedule",
    "Unscheduled",
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

    @property
    def at_start(self) -> bool:
        """Whether the job also runs when the scheduler starts."""
        return False

    @property
    def follows_end(self) -> bool:
        """Whether the job is due by the ends of its runs (`next_after_end`) and not by the clock."""
        return False

    def next_after_end(self, instant: int) -> int | None:
        """Return when the job is due next after a run that ended at `instant`; None if that does not matter to it."""
        return None

    def fires(self, start: datetime, end: datetime | None = None) -> Iterator[datetime]:
        """Iterate over the fires after `start` up to and including `end`, as datetimes in the schedule's zone.

        Without `end` the iteration goes on to the end of the calendar. Raises ScheduleError if a bound has no zone.
        """
        if start.tzinfo is None or (end is not None and end.tzinfo is None):
            raise ScheduleError("the bounds of fires() must be aware datetimes: give them a tzinfo")
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
    pattern: WallPattern | SecondPattern | DayGrid
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
    """Fires at every multiple of `period` seconds since 1970: the same on every host and after every restart.

    With an `anchor`, an instant, it fires there and then every `period` seconds.
    """

    text: str
    zone: Zone
    period: int
    anchor: int | None = None

    def next_after(self, instant: int) -> int | None:
        """Return the first fire after `instant`; None after the end of the calendar."""
        if self.anchor is not None and instant < self.anchor:
            return self.anchor
        origin = self.anchor or 0
        fire = ((max(instant, FIRST_INSTANT - 1) - origin) // self.period + 1) * self.period + origin
        return fire if fire <= LAST_INSTANT else None

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire before `instant`; None before the start of the calendar, or before the anchor."""
        origin = self.anchor or 0
        fire = (min(instant, LAST_INSTANT + 1) - 1 - origin) // self.period * self.period + origin
        return fire if fire >= (FIRST_INSTANT if self.anchor is None else self.anchor) else None


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
    """Never fires by the clock.

    `kind` is `reboot` (once at start), `service` (keep running), `manual` or `after-jobs` (`AfterJobsSchedule`).
    """

    text: str
    zone: Zone
    kind: str

    @property
    def at_start(self) -> bool:
        """Whether it is `reboot`."""
        return self.kind == "reboot"

    def next_after(self, instant: int) -> int | None:
        """Return None."""
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return None."""
        return None


@frozen
class AfterJobsSchedule(Unscheduled):
    """Due when each of `jobs` has succeeded since the last start of this job.

    The ends of runs are not known here: `gcron.scheduler.chains` follows them.
    """

    jobs: tuple[str, ...]
    """Names, each once."""


@frozen
class AfterEndSchedule(Schedule):
    """Due `delay` seconds after the end of the job's last run, so that its runs never overlap or queue up.

    The ends of runs are not known here: the scheduler asks `next_after_end` when a run has ended, and when it starts.
    """

    text: str
    zone: Zone
    delay: int

    @property
    def follows_end(self) -> bool:
        """Return True."""
        return True

    def next_after(self, instant: int) -> int | None:
        """Return None: it has no instants of its own."""
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return None."""
        return None

    def next_after_end(self, instant: int) -> int | None:
        """Return when the job is due next after a run that ended at `instant`."""
        due = instant + self.delay
        return due if due <= LAST_INSTANT else None
