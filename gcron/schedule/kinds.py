"""The columns of a cron expression, as a table: their names, bounds, the names of their values, and their orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "DAY",
    "FIELDS",
    "HOUR",
    "LAYOUTS",
    "MINUTE",
    "MONTH",
    "NICKNAMES",
    "SECOND",
    "SEVEN",
    "WEEKDAY",
    "YEAR",
    "FieldKind",
]


@dataclass(frozen=True, slots=True, eq=False)
class FieldKind:
    """A column of a cron expression.

    `low` and `high` bound its values; `high_written` is the largest number one may write (7 is a second name of
    Sunday), `high_hashed` the largest that a bare `H` draws (a job on day 29 to 31 would miss some months).
    """

    index: int
    name: str
    low: int
    high: int
    high_written: int
    high_hashed: int
    names: tuple[str, ...] = ()


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

MINUTE = FieldKind(0, "minute", 0, 59, 59, 59)
HOUR = FieldKind(1, "hour", 0, 23, 23, 23)
DAY = FieldKind(2, "day of month", 1, 31, 31, 28)
MONTH = FieldKind(3, "month", 1, 12, 12, 12, _MONTHS)
WEEKDAY = FieldKind(4, "day of week", 0, 6, 7, 6, _WEEKDAYS)
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
SECOND = FieldKind(5, "second", 0, 59, 59, 59)
YEAR = FieldKind(6, "year", 1970, 2099, 2099, 2099)

SEVEN = (SECOND, *FIELDS, YEAR)
"""Seven columns have one order in all tools."""
LAYOUTS: Mapping[str, tuple[FieldKind, ...]] = MappingProxyType(
    {
        "seconds-first": (SECOND, *FIELDS),
        "seconds-last": (*FIELDS, SECOND),
        "year-last": (*FIELDS, YEAR),
        "seconds-first+year": SEVEN,
    }
)
"""The orders that a crontab may declare for all its lines (docs/crontab.md, section 4)."""

NICKNAMES: Mapping[str, str] = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
"""What is short for five fields (crontab(5))."""
