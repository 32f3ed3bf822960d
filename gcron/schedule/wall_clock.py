"""A cron expression on an ideal wall clock, one that is never set: which wall times match.

A *wall time* is an integer: the seconds from 1970-01-01 00:00 to what the clock on the wall shows. This module knows
neither zones nor instants.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR

from gcron.schedule.days import FIRST_DAY, LAST_DAY, DayRule, month_place, place_in_month

__all__ = ["SECONDS_IN_DAY", "SecondPattern", "WallPattern"]

SECONDS_IN_DAY = 86400
_MINUTES_IN_DAY = 1440
_ALL_DAYS = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class WallPattern:
    """The wall times that match: bit sets of minutes and hours, and a rule for the days.

    None of the three may be empty. The methods come in pairs, one for each direction of time.
    """

    minutes: int
    hours: int
    days: DayRule

    def at_or_after(self, wall: int) -> int | None:
        """Return the first matching wall time not before `wall`; None if there is none before the year 10000."""
        # HOT PATH: written as one function.
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
        """Return the last matching wall time not after `wall`; None if there is none since the year 1."""
        day, minute_of_day = divmod(wall // 60, _MINUTES_IN_DAY)
        if day > LAST_DAY:
            day, minute_of_day = LAST_DAY, _MINUTES_IN_DAY - 1
        if day < FIRST_DAY:
            return None
        _, month, day_of_month, shape = place_in_month(day)
        if self.days.months >> month & self.days.by_shape[shape] >> day_of_month & 1:
            found = self._minute_up_to(minute_of_day)
            if found is not None:
                return (day * _MINUTES_IN_DAY + found) * 60
        previous_day = self._day_before(day)
        if previous_day is None:
            return None
        return previous_day * SECONDS_IN_DAY + (_highest(self.hours) * 60 + _highest(self.minutes)) * 60

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
            months = self.days.months >> month + 1
            year, month = (year, month + 1 + _lowest(months)) if months else (year + 1, _lowest(self.days.months))
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
            months = self.days.months & (1 << month) - 1
            year, month = (year, _highest(months)) if months else (year - 1, _highest(self.days.months))
            wanted = _ALL_DAYS
        return None


@dataclass(frozen=True, slots=True)
class SecondPattern:
    """The minutes of `minutes` in `years`, and of each the `seconds`: two bit sets, where bit n is the value n.

    `seconds` is never empty; `years` is 0 for every year. The methods are those of `WallPattern`.
    """

    minutes: WallPattern
    seconds: int
    years: int

    def at_or_after(self, wall: int) -> int | None:
        """Return the first matching wall time not before `wall`; None if there is none."""
        minute = wall - wall % 60
        found = self._minute_from(minute)
        if found == minute:
            if later := self.seconds >> wall - minute:
                return wall + _lowest(later)
            found = self._minute_from(minute + 60)
        return None if found is None else found + _lowest(self.seconds)

    def at_or_before(self, wall: int) -> int | None:
        """Return the last matching wall time not after `wall`; None if there is none."""
        minute = wall - wall % 60
        found = self._minute_up_to(minute)
        if found == minute:
            if earlier := self.seconds & (2 << wall - minute) - 1:
                return minute + _highest(earlier)
            found = self._minute_up_to(minute - 60)
        return None if found is None else found + _highest(self.seconds)

    def _minute_from(self, wall: int) -> int | None:
        minute = self.minutes.at_or_after(wall)
        while minute is not None and not self._in_years(minute):
            following = _year(minute) + 1
            years = self.years >> following
            minute = self.minutes.at_or_after(_start(following + _lowest(years))) if years else None
        return minute

    def _minute_up_to(self, wall: int) -> int | None:
        minute = self.minutes.at_or_before(wall)
        while minute is not None and not self._in_years(minute):
            years = self.years & (1 << _year(minute)) - 1
            minute = self.minutes.at_or_before(_start(_highest(years) + 1) - 60) if years else None
        return minute

    def _in_years(self, wall: int) -> bool:
        return not self.years or bool(self.years >> _year(wall) & 1)


def _year(wall: int) -> int:
    return place_in_month(wall // SECONDS_IN_DAY)[0]


def _start(year: int) -> int:
    return month_place(year, 1)[0] * SECONDS_IN_DAY


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _highest(bits: int) -> int:
    return bits.bit_length() - 1
