"""A cron expression with seconds or years, on an ideal wall clock: a `WallPattern` narrowed down.

Most expressions have neither, and pay nothing for this module. It may not know zones, offsets or instants.
"""

from __future__ import annotations

from dataclasses import dataclass

from gcron.schedule.months import month_place, place_in_month
from gcron.schedule.walls import SECONDS_IN_DAY, WallPattern

__all__ = ["SecondPattern"]


@dataclass(frozen=True, slots=True)
class SecondPattern:
    """The minutes of `minutes` that lie in `years`, and of each the `seconds`: both bit sets, bit n is the value n.

    `seconds` is never empty; no bit in `years` stands for every year. The methods are those of `WallPattern`.
    """

    minutes: WallPattern
    seconds: int
    years: int

    def at_or_after(self, wall: int) -> int | None:
        """Return the first matching wall not before `wall`; None when there is none."""
        minute = wall - wall % 60
        found = self._minute_from(minute)
        if found == minute:
            if later := self.seconds >> wall - minute:
                return wall + _lowest(later)
            found = self._minute_from(minute + 60)
        return None if found is None else found + _lowest(self.seconds)

    def at_or_before(self, wall: int) -> int | None:
        """Return the last matching wall not after `wall`; None when there is none."""
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
