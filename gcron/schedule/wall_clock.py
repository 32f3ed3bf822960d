"""A cron expression on an ideal wall clock, one that is never set: which wall times match.

A *wall time* is an integer: the seconds from 1970-01-01 00:00 to what the clock on the wall shows. This module knows
neither zones nor instants.
"""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR

from gcron.frozen import frozen
from gcron.schedule.days import FIRST_DAY, LAST_DAY, DayRule, month_place, place_in_month

__all__ = ["SECONDS_IN_DAY", "DayGrid", "SecondPattern", "WallPattern"]

SECONDS_IN_DAY = 86400
_MINUTES_IN_DAY = 1440


@frozen
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
        year, month, day_of_month, shape = place_in_month(day)
        rule, all_hours, all_minutes = self.days, self.hours, self.minutes
        days = rule.by_shape[shape] >> day_of_month if rule.months >> month & 1 else 0
        if days & 1:
            hour, minute = divmod(minute_of_day, 60)
            if all_hours >> hour & 1 and (minutes := all_minutes >> minute):
                return (day * _MINUTES_IN_DAY + minute_of_day + (minutes & -minutes).bit_length() - 1) * 60
            if hours := all_hours >> hour + 1:
                hour += (hours & -hours).bit_length()
                return (day * _MINUTES_IN_DAY + hour * 60 + (all_minutes & -all_minutes).bit_length() - 1) * 60
        later = days >> 1
        next_day = day + (later & -later).bit_length() if later else self._first_day_after(year, month)
        if next_day is None:
            return None
        return next_day * SECONDS_IN_DAY + (_lowest(all_hours) * 60 + _lowest(all_minutes)) * 60

    def at_or_before(self, wall: int) -> int | None:
        """Return the last matching wall time not after `wall`; None if there is none since the year 1."""
        day, minute_of_day = divmod(wall // 60, _MINUTES_IN_DAY)
        if day > LAST_DAY:
            day, minute_of_day = LAST_DAY, _MINUTES_IN_DAY - 1
        if day < FIRST_DAY:
            return None
        year, month, day_of_month, shape = place_in_month(day)
        days = self.days.by_shape[shape] if self.days.months >> month & 1 else 0
        if days >> day_of_month & 1:
            found = self._minute_up_to(minute_of_day)
            if found is not None:
                return (day * _MINUTES_IN_DAY + found) * 60
        earlier = days & (1 << day_of_month) - 1
        previous_day = day - day_of_month + _highest(earlier) if earlier else self._last_day_before(year, month)
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

    def _first_day_after(self, year: int, month: int) -> int | None:
        """Return the first matching day in a later month, counted from 1970."""
        while True:
            months = self.days.months >> month + 1
            year, month = (year, month + 1 + _lowest(months)) if months else (year + 1, _lowest(self.days.months))
            if year > MAXYEAR:
                return None
            first, shape = month_place(year, month)
            if days := self.days.by_shape[shape]:
                return first + _lowest(days) - 1

    def _last_day_before(self, year: int, month: int) -> int | None:
        """Return the last matching day in an earlier month, counted from 1970."""
        while True:
            months = self.days.months & (1 << month) - 1
            year, month = (year, _highest(months)) if months else (year - 1, _highest(self.days.months))
            if year < MINYEAR:
                return None
            first, shape = month_place(year, month)
            if days := self.days.by_shape[shape]:
                return first + _highest(days) - 1


@frozen
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


@frozen
class DayGrid:
    """The wall times from `first` on, one every `period` seconds, which are whole days."""

    first: int
    period: int

    def at_or_after(self, wall: int) -> int | None:
        """Return the first of these wall times not before `wall`."""
        return self.first + max(0, -((self.first - wall) // self.period)) * self.period

    def at_or_before(self, wall: int) -> int | None:
        """Return the last of these wall times not after `wall`; None if there is none."""
        return None if wall < self.first else wall - (wall - self.first) % self.period


def _year(wall: int) -> int:
    return place_in_month(wall // SECONDS_IN_DAY)[0]


def _start(year: int) -> int:
    return month_place(year, 1)[0] * SECONDS_IN_DAY


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _highest(bits: int) -> int:
    return bits.bit_length() - 1
