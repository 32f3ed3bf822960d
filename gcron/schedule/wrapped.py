"""Schedules made of another one: its fires later by a delay, or within limits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date, timedelta
from operator import itemgetter

from gcron.frozen import frozen
from gcron.schedule.schedules import AfterEndSchedule, Schedule, Unscheduled
from gcron.schedule.seeded import seeded_value
from gcron.schedule.wall_clock import SECONDS_IN_DAY
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, Zone

__all__ = ["Days", "DelayedSchedule", "LimitedSchedule", "WrappedSchedule", "core_of", "put_off"]

_EPOCH_DAY = date(1970, 1, 1)
_ONE_DAY = timedelta(days=1)


@frozen
class WrappedSchedule(Schedule):
    """A schedule made of another one; `core_of` returns the innermost one."""

    schedule: Schedule

    @property
    def text(self) -> str:  # type: ignore[override]
        """As written."""
        return self.schedule.text

    @property
    def zone(self) -> Zone:  # type: ignore[override]
        """The zone of `schedule`."""
        return self.schedule.zone

    @property
    def at_start(self) -> bool:
        """Whether the job also runs when the scheduler starts."""
        return self.schedule.at_start

    @property
    def follows_end(self) -> bool:
        """Whether the job is due by the ends of its runs."""
        return self.schedule.follows_end


@frozen
class DelayedSchedule(WrappedSchedule):
    """The fires of `schedule`, each `delay` seconds later: what `RANDOM_DELAY` makes of a schedule."""

    delay: int

    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`, or None."""
        fire = self.schedule.next_after(instant - self.delay)
        return None if fire is None else fire + self.delay

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`, or None."""
        fire = self.schedule.previous_before(instant - self.delay)
        return None if fire is None else fire + self.delay


def core_of(schedule: Schedule) -> Schedule:
    """Return the schedule without its limits and its delay."""
    while isinstance(schedule, WrappedSchedule):
        schedule = schedule.schedule
    return schedule


def put_off(schedule: Schedule, minutes: int, seed: str) -> Schedule:
    """Return `schedule` delayed by 0 to `minutes` whole minutes, as `seed` decides (docs/crontab.md, section 1).

    A schedule that never fires by the clock is returned as it is.
    """
    if isinstance(core_of(schedule), Unscheduled | AfterEndSchedule):
        return schedule
    delay = 60 * seeded_value("RANDOM_DELAY", 0, minutes, seed)
    return DelayedSchedule(schedule, delay) if delay else schedule


@frozen
class Days:
    """Days, counted from 1970-01-01, as ranges (first, last) in order, with other days between them."""

    ranges: tuple[tuple[int, int], ...]

    def range_of(self, day: int) -> tuple[int, int] | None:
        """Return the range that holds the day, or None."""
        index = bisect_right(self.ranges, day, key=itemgetter(0)) - 1
        return self.ranges[index] if index >= 0 and day <= self.ranges[index][1] else None

    @classmethod
    def of(cls, spans: Iterable[tuple[date, date]]) -> Days:
        """Return the days of all spans, each a first and a last day."""
        ranges: list[tuple[int, int]] = []
        for first, last in sorted((_day_number(first), _day_number(last)) for first, last in spans):
            if ranges and first <= ranges[-1][1] + 1:
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], last)
            else:
                ranges.append((first, last))
        return cls(tuple(ranges))


@frozen
class LimitedSchedule(WrappedSchedule):
    """The fires of `schedule` from `start` to `end` (instants, both included) on days that are not in `excluded`.

    A day is that which the wall clock of the schedule's zone shows. `now`: the job also runs when the scheduler starts.
    """

    start: int
    end: int
    excluded: Days
    now: bool = False

    @property
    def at_start(self) -> bool:
        """Whether the job also runs when the scheduler starts."""
        return self.now or self.schedule.at_start

    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`, or None."""
        fire = self.schedule.next_after(max(instant, self.start - 1))
        while fire is not None and fire <= self.end:
            allowed = self._first_allowed(fire)
            if allowed is None or allowed == fire:
                return allowed
            fire = self.schedule.next_after(allowed - 1)
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`, or None."""
        fire = self.schedule.previous_before(min(instant, self.end + 1))
        while fire is not None and fire >= self.start:
            allowed = self._last_allowed(fire)
            if allowed is None or allowed == fire:
                return allowed
            fire = self.schedule.previous_before(allowed + 1)
        return None

    def next_after_end(self, instant: int) -> int | None:
        """Return when the job is due next after a run that ended at `instant`, or None."""
        due = self.schedule.next_after_end(instant)
        allowed = None if due is None else self._first_allowed(max(due, self.start))
        return None if allowed is None or allowed > self.end else allowed

    def _first_allowed(self, instant: int) -> int | None:
        """Return the first instant from `instant` on that lies on a day that is not excluded."""
        # By segments: a clock that goes back at midnight shows a day, the day before, and the day again.
        while instant <= LAST_INSTANT:
            segment = self.zone.segment_at(instant)
            excluded = self.excluded.range_of((instant + segment.offset) // SECONDS_IN_DAY)
            if excluded is None:
                return instant
            instant = min((excluded[1] + 1) * SECONDS_IN_DAY - segment.offset, segment.end)
            if instant >= (excluded[0] + 2) * SECONDS_IN_DAY:
                # No offset reaches a day, so all of these are excluded: years of them are passed over at once.
                instant = max(instant, excluded[1] * SECONDS_IN_DAY)
        return None

    def _last_allowed(self, instant: int) -> int | None:
        """Return the last instant up to `instant` that lies on a day that is not excluded."""
        while instant >= FIRST_INSTANT:
            segment = self.zone.segment_at(instant)
            excluded = self.excluded.range_of((instant + segment.offset) // SECONDS_IN_DAY)
            if excluded is None:
                return instant
            instant = max(excluded[0] * SECONDS_IN_DAY - segment.offset, segment.start) - 1
            if instant < (excluded[1] - 1) * SECONDS_IN_DAY:
                instant = min(instant, (excluded[0] + 1) * SECONDS_IN_DAY)
        return None


def _day_number(day: date) -> int:
    return (day - _EPOCH_DAY) // _ONE_DAY
