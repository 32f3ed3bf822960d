"""A cron expression in a time zone: from wall times to instants.

The rules for shifts of the clock live in `Segment.first_wall`; here they are only applied.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gcron.schedule.base import Schedule
from gcron.schedule.seconds import SecondPattern
from gcron.schedule.walls import SECONDS_IN_DAY, WallPattern
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, Segment, Zone

__all__ = ["CronSchedule"]


@dataclass(frozen=True, slots=True)
class CronSchedule(Schedule):
    """A cron expression in a zone (docs/crontab.md, section 3, rules 1 to 5).

    `wildcard` entries, whose minute or hour begins with `*`, fire whenever the wall clock matches. All others
    are fixed-time: what a short forward shift skips fires at the shift, what a short backward shift repeats
    fires once.
    """

    text: str
    zone: Zone
    walls: WallPattern | SecondPattern = field(repr=False)
    wildcard: bool = field(repr=False)

    @property
    def in_years(self) -> bool:
        """Whether a field for years limits it, so that it may be over."""
        return isinstance(self.walls, SecondPattern) and self.walls.years != 0

    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`; None when the calendar ends before it."""
        # HOT PATH: `benchmarks/schedule.py`.
        earliest = instant + 1 if instant >= FIRST_INSTANT else FIRST_INSTANT
        while earliest <= LAST_INSTANT:
            segment = self.zone.segment_at(earliest)
            shown = earliest + segment.offset
            # What a wildcard entry heeds of a segment is all that its clock shows.
            if not self.wildcard and (earliest == segment.start or shown < segment.first_wall):
                shown = segment.first_wall
            wall = self.walls.at_or_after(shown)
            if wall is None:
                return None
            fire = wall - segment.offset
            if fire < segment.end:
                return fire if fire > segment.start else segment.start
            # No offset reaches a day, so all later instants show walls after this one: leap to what can match.
            wall = self.walls.at_or_after(segment.end - SECONDS_IN_DAY)
            if wall is None:
                return None
            earliest = max(segment.end, wall - SECONDS_IN_DAY)
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`; None when the calendar begins after it."""
        latest = min(instant - 1, LAST_INSTANT)
        while latest >= FIRST_INSTANT:
            segment = self.zone.segment_at(latest)
            wall = self.walls.at_or_before(latest + segment.offset)
            if wall is not None and wall >= self._first_wall(segment):
                return max(wall - segment.offset, segment.start)
            wall = self.walls.at_or_before(segment.start + SECONDS_IN_DAY)
            if wall is None:
                return None
            latest = min(segment.start - 1, wall + SECONDS_IN_DAY)
        return None

    def _first_wall(self, segment: Segment) -> int:
        return segment.start + segment.offset if self.wildcard else segment.first_wall
