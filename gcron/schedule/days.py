"""Which days an expression matches: the calendar by months, and the day rule.

A month's *shape* is the weekday of its first day and its length, as one number from 0 to 27. Months of one shape have
the same days, so a table of 28 bit sets answers every question about days, also for `L`, `W` and `#`, and makes leaps
of forty years cheap. Days are counted from 1970-01-01. This module knows neither times of day nor zones.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from gcron.frozen import frozen
from gcron.schedule.fields import DayMark, Field

__all__ = ["FIRST_DAY", "LAST_DAY", "DayRule", "day_rule", "month_place", "place_in_month"]

_EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = 4  # a Thursday, counted from Sunday
FIRST_DAY = date.min.toordinal() - _EPOCH
LAST_DAY = date.max.toordinal() - _EPOCH

_SATURDAY = 6
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LENGTHS_IN_LEAP_YEAR = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Index n holds the shape n: the weekday of the first day (Sunday is 0) and the length.
_SHAPES = tuple((first_weekday, length) for length in range(28, 32) for first_weekday in range(7))
_ALL_WEEKS = sum(1 << week * 7 for week in range(5))


@frozen
class DayRule:
    """`by_shape`: the matching days as bits (bit n is day n). `months`: those in which any day ever matches."""

    by_shape: tuple[int, ...]
    months: int


# -- the calendar -----------------------------------------------------------------------------------------------------


# Cached: schedules ask about the same few days, and working one out takes longer than the rest of a fire.
@lru_cache(maxsize=4096)
def place_in_month(day: int) -> tuple[int, int, int, int]:
    """Return the year, the month, the day of the month and the month's shape."""
    found = date.fromordinal(day + _EPOCH)
    return found.year, found.month, found.day, month_place(found.year, found.month)[1]


@lru_cache(maxsize=4096)
def month_place(year: int, month: int) -> tuple[int, int]:
    """Return the first day of a month and the month's shape."""
    first = date(year, month, 1).toordinal() - _EPOCH
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = (_LENGTHS_IN_LEAP_YEAR if leap else _LENGTHS)[month]
    return first, (length - 28) * 7 + (first + _EPOCH_WEEKDAY) % 7


# -- the day rule -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def day_rule(day: Field, month: Field, weekday: Field) -> DayRule:
    """Combine the three date fields.

    A day matches if day of month or day of week matches. If one of the two fields begins with `*`, both must match
    (cronie; docs/crontab.md, section 2).
    """
    by_shape = _days_by_shape(day, weekday)
    months = [number for number in range(1, 13) if month.bits >> number & 1 and _any_day(by_shape, number)]
    return DayRule(by_shape, sum(1 << number for number in months))


@lru_cache(maxsize=4096)
def _days_by_shape(day: Field, weekday: Field) -> tuple[int, ...]:
    both = day.starred or weekday.starred
    table = []
    for first_weekday, length in _SHAPES:
        of_month = _days_of_month(day, first_weekday, length)
        of_week = _days_of_week(weekday, first_weekday, length)
        table.append(of_month & of_week if both else of_month | of_week)
    return tuple(table)


def _any_day(by_shape: tuple[int, ...], month: int) -> bool:
    # The calendar repeats after 400 years, in which each month, also a leap February, begins on each weekday.
    possible = (_LENGTHS[month], _LENGTHS_IN_LEAP_YEAR[month])
    return any(days for days, (_, length) in zip(by_shape, _SHAPES, strict=True) if length in possible)


def _days_of_month(field: Field, first_weekday: int, length: int) -> int:
    bits = field.bits
    for mark in field.marks:
        if mark.kind == "L":
            bits |= 1 << max(0, length - mark.value)
        else:
            bits |= 1 << _nearest_weekday(length if mark.kind == "LW" else mark.value, first_weekday, length)
    return bits & _days_up_to(length)


def _nearest_weekday(day: int, first_weekday: int, length: int) -> int:
    """Return the day from Monday to Friday nearest to `day` in the same month, or `day` if the month lacks it."""
    if day > length:
        return day
    weekday = (first_weekday + day - 1) % 7
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _days_of_week(field: Field, first_weekday: int, length: int) -> int:
    bits = 0
    for weekday in range(7):
        if field.bits >> weekday & 1:
            bits |= _every_week(weekday, first_weekday, length)
    for mark in field.marks:
        bits |= _one_week(mark, first_weekday, length)
    return bits


def _one_week(mark: DayMark, first_weekday: int, length: int) -> int:
    days = _every_week(mark.value, first_weekday, length)
    if mark.kind == "last":
        return 1 << (days.bit_length() - 1)
    first = (mark.value - first_weekday) % 7 + 1
    return days & 1 << (first + (mark.nth - 1) * 7)


def _every_week(weekday: int, first_weekday: int, length: int) -> int:
    first = (weekday - first_weekday) % 7 + 1
    return _ALL_WEEKS << first & _days_up_to(length)


def _days_up_to(length: int) -> int:
    return (1 << length + 1) - 2
