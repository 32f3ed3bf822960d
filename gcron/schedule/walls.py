"""A cron expression on an ideal wall clock, one that is never set: which wall times match.

A *wall* is an integer: the seconds from 1970-01-01 00:00 to what the clock on the wall shows. This module may not
know zones, offsets or instants.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR

from gcron.schedule.days import DayRule
from gcron.schedule.months import FIRST_DAY, LAST_DAY, month_place, place_in_month

__all__ = ["SECONDS_IN_DAY", "WallPattern"]

SECONDS_IN_DAY = 86400
_MINUTES_IN_DAY = 1440
_ALL_DAYS = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class WallPattern:
    """The wall times at which an expression matches: bit sets of minutes and hours, and a rule for the days.

    None of the three may be empty. The methods come in mirrored pairs, one for each direction of time.
    """

    minutes: int
    hours: int
    days: DayRule

    def at_or_after(self, wall: int) -> int | None:
        """Return the first matching wall not before `wall`; None when there is none before the year 10000."""
        # HOT PATH: one call for all but the days that do not match.
        day, minute_of_day = divmod(-(-wall // 60), _MINUTES_IN_DAY)
        if day < FIRST_DAY:
            day, minute_of_day = FIRST_DAY, 0
        if day > LAST_DAY:
            return None
        _, month, day_of_month, shape = place_in_month(day)
        rule = self.days
        if rule.months >> month & rule.by_shape[shape] >> day_of_month & 1:
            hour, minute = divmod(minute_of_day, 60)
            if self.hours >> hour & 1 and (minutes := self.minutes >> minute):
                return (day * _MINUTES_IN_DAY + minute_of_day + (minutes & -minutes).bit_length() - 1) * 60
            if hours := self.hours >> hour + 1:
                return (day * _MINUTES_IN_DAY + (hour + 1 + _lowest(hours)) * 60 + _lowest(self.minutes)) * 60
        next_day = self._day_after(day)
        if next_day is None:
            return None
        return next_day * SECONDS_IN_DAY + (_lowest(self.hours) * 60 + _lowest(self.minutes)) * 60

    def at_or_before(self, wall: int) -> int | None:
        """Return the last matching wall not after `wall`; None when there is none since the year 1."""
        day, minute_of_day = divmod(wall // 60, _MINUTES_IN_DAY)
        if day > LAST_DAY:
            day, minute_of_day = LAST_DAY, _MINUTES_IN_DAY - 1
        if day < FIRST_DAY:
            return None
        if self._matches_day(day):
            found = self._minute_up_to(minute_of_day)
            if found is not None:
                return (day * _MINUTES_IN_DAY + found) * 60
        previous_day = self._day_before(day)
        if previous_day is None:
            return None
        return previous_day * SECONDS_IN_DAY + (_highest(self.hours) * 60 + _highest(self.minutes)) * 60

    def _matches_day(self, day: int) -> int:
        _, month, day_of_month, shape = place_in_month(day)
        rule = self.days
        return rule.months >> month & rule.by_shape[shape] >> day_of_month & 1

    def _minute_up_to(self, minute_of_day: int) -> int | None:
        hour, minute = divmod(minute_of_day, 60)
        if self.hours >> hour & 1:
            minutes = self.minutes & (2 << minute) - 1
            if minutes:
                return hour * 60 + _highest(minutes)
        hours = self.hours & (1 << hour) - 1
        return _highest(hours) * 60 + _highest(self.minutes) if hours else None

    def _day_after(self, day: int) -> int | None:
        year, month, day_of_month, _ = place_in_month(day)
        wanted = _ALL_DAYS << day_of_month + 1
        while year <= MAXYEAR:
            first, shape = month_place(year, month)
            days = self.days.by_shape[shape] & wanted
            if days and self.days.months >> month & 1:
                return first + _lowest(days) - 1
            year, month = self._month_after(year, month)
            wanted = _ALL_DAYS
        return None

    def _day_before(self, day: int) -> int | None:
        year, month, day_of_month, _ = place_in_month(day)
        wanted = (1 << day_of_month) - 1
        while year >= MINYEAR:
            first, shape = month_place(year, month)
            days = self.days.by_shape[shape] & wanted
            if days and self.days.months >> month & 1:
                return first + _highest(days) - 1
            year, month = self._month_before(year, month)
            wanted = _ALL_DAYS
        return None

    def _month_after(self, year: int, month: int) -> tuple[int, int]:
        months = self.days.months >> month + 1
        return (year, month + 1 + _lowest(months)) if months else (year + 1, _lowest(self.days.months))

    def _month_before(self, year: int, month: int) -> tuple[int, int]:
        months = self.days.months & (1 << month) - 1
        return (year, _highest(months)) if months else (year - 1, _highest(self.days.months))


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _highest(bits: int) -> int:
    return bits.bit_length() - 1
