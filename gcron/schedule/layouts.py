"""The fields of a cron expression as a table: names, bounds and names of values; and the orders they come in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gcron.frozen import frozen

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
    "layout_of",
]


# Equal only to itself: it is the key of caches and tables, where hashing its values would take time.
@frozen
class FieldKind:
    """One of the fields that a cron expression may have."""

    position: int
    """Its place in an expression of croniter."""
    name: str
    low: int
    high: int
    high_written: int
    """The largest number that may be written: 7 is another name of Sunday."""
    high_hashed: int
    """The largest value of a bare `H`: a job on day 29 to 31 would skip some months."""
    names: tuple[str, ...] = ()
    """The names of its values, from `low` on."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


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
"""The order of seven fields, which is the same in all tools."""
LAYOUTS: Mapping[str, tuple[FieldKind, ...]] = MappingProxyType(
    {
        "seconds-first": (SECOND, *FIELDS),
        "seconds-last": (*FIELDS, SECOND),
        "year-last": (*FIELDS, YEAR),
        "seconds-first+year": SEVEN,
    }
)
"""The orders that a crontab may declare for all its lines (docs/crontab.md, section 2)."""

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
"""The names that stand for five fields (crontab(5))."""


def layout_of(count: int, declared: str | None) -> tuple[FieldKind, ...]:
    """Return the order of an expression's `count` fields: what was `declared` (a key of `LAYOUTS`), else five or seven.

    The result may have another number of fields: then the expression is wrong. Raises KeyError for an unknown key.
    """
    if declared is not None:
        return LAYOUTS[declared]
    return SEVEN if count == len(SEVEN) else FIELDS
