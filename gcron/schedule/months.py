"""The Gregorian calendar as schedules see it: days counted from 1970-01-01, and months by their shape.

A month's shape is the weekday of its first day and its length, as one number from 0 to 27: two months of one shape
have the same days.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

__all__ = ["FIRST_DAY", "LAST_DAY", "LENGTHS", "LENGTHS_IN_LEAP_YEAR", "SHAPES", "month_place", "place_in_month"]

_EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = 4  # a Thursday, counted from Sunday
FIRST_DAY = date.min.toordinal() - _EPOCH
LAST_DAY = date.max.toordinal() - _EPOCH

LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
LENGTHS_IN_LEAP_YEAR = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Index n holds the shape n: the weekday of the first day (Sunday is 0) and the length.
SHAPES = tuple((first_weekday, length) for length in range(28, 32) for first_weekday in range(7))


# Schedules ask about the same few days again and again; working one out takes longer than all the rest of a fire.
@lru_cache(maxsize=4096)
def place_in_month(day: int) -> tuple[int, int, int, int]:
    """Return the year, the month, the day of the month and the month's shape of the day counted from 1970."""
    found = date.fromordinal(day + _EPOCH)
    return found.year, found.month, found.day, month_place(found.year, found.month)[1]


@lru_cache(maxsize=4096)
def month_place(year: int, month: int) -> tuple[int, int]:
    """Return the first day of a month, counted from 1970, and the month's shape."""
    first = date(year, month, 1).toordinal() - _EPOCH
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = (LENGTHS_IN_LEAP_YEAR if leap else LENGTHS)[month]
    return first, (length - 28) * 7 + (first + _EPOCH_WEEKDAY) % 7
