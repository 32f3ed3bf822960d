"""The day rule: which days of a month match, worked out once for each of the 28 shapes a month can have.

A table of 28 bit sets answers every question about days, those of `L`, `W` and `#` included, and makes leaps of
forty years cheap. This module may not know years, times of day or zones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gcron.schedule.fields import DayMark, Field
from gcron.schedule.months import LENGTHS, LENGTHS_IN_LEAP_YEAR, SHAPES

__all__ = ["DayRule", "day_rule"]

_SATURDAY = 6


@dataclass(frozen=True, slots=True)
class DayRule:
    """`by_shape`: the matching days as bits (bit n is day n); `months`: those in which any day ever matches."""

    by_shape: tuple[int, ...]
    months: int


@lru_cache(maxsize=4096)
def day_rule(day: Field, month: Field, weekday: Field) -> DayRule:
    """Combine the three date fields.

    Days of the month and of the week are ORed, unless one of the fields begins with `*`: then ANDed
    (cronie; docs/crontab.md, section 3, rule 2).
    """
    by_shape = _days_by_shape(day, weekday)
    months = [number for number in range(1, 13) if month.bits >> number & 1 and _any_day(by_shape, number)]
    return DayRule(by_shape, sum(1 << number for number in months))


@lru_cache(maxsize=4096)
def _days_by_shape(day: Field, weekday: Field) -> tuple[int, ...]:
    both = day.starred or weekday.starred
    table = []
    for first_weekday, length in SHAPES:
        of_month = _days_of_month(day, first_weekday, length)
        of_week = _days_of_week(weekday, first_weekday, length)
        table.append(of_month & of_week if both else of_month | of_week)
    return tuple(table)


def _any_day(by_shape: tuple[int, ...], month: int) -> bool:
    # In the 400 years of the calendar's cycle every month, a leap February too, begins on each weekday.
    possible = (LENGTHS[month], LENGTHS_IN_LEAP_YEAR[month])
    return any(days for days, (_, length) in zip(by_shape, SHAPES, strict=True) if length in possible)


def _days_of_month(field: Field, first_weekday: int, length: int) -> int:
    bits = field.bits
    for mark in field.marks:
        bits |= 1 << (length if mark.kind == "L" else _nearest_weekday(mark.value, first_weekday, length))
    return bits & _days_up_to(length)


def _nearest_weekday(day: int, first_weekday: int, length: int) -> int:
    """Return the day from Monday to Friday nearest to `day` in its month; a day the month lacks stays."""
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


_ALL_WEEKS = sum(1 << week * 7 for week in range(5))


def _days_up_to(length: int) -> int:
    return (1 << length + 1) - 2
