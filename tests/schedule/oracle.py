"""The rules of when an entry fires, written in the most naive way: look at the wall clock at every tick.

Nothing here is shared with `gcron.schedule`; what the two agree on is right, or wrong in two unlike ways.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

THREE_HOURS = timedelta(hours=3)
ZERO = timedelta(0)
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
NAMES = {name: str(number) for number, name in [*enumerate(WEEKDAYS), *enumerate(MONTHS, 1)]}
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


Expression = str | Callable[[datetime], bool]
"""A cron expression, or whatever else says whether a wall time matches."""


def matches(expression: Expression, wall: datetime) -> bool:
    """Does a wall clock that shows `wall` match? It does only on the full minute."""
    if callable(expression):
        return expression(wall)
    minute, hour, day, month, weekday = expression.split()
    if wall.second or wall.microsecond:
        return False
    if wall.minute not in _values(minute, 0) or wall.hour not in _values(hour, 1):
        return False
    if wall.month not in _values(month, 3):
        return False
    day_matches = _day_of_month_matches(day, wall)
    weekday_matches = _day_of_week_matches(weekday, wall)
    if day[0] in "*?" or weekday[0] in "*?":
        return day_matches and weekday_matches
    return day_matches or weekday_matches


def fires(expression: str, tz: tzinfo, start: int, end: int, tick: int = 60, lead: int = 86400) -> list[int]:
    """All fires with start <= instant < end, found by looking at the wall clock every `tick` seconds.

    Looks from `lead` seconds before, so that a stretch repeated across `start` is known.
    """
    found = _wildcard_fires if is_wildcard(expression) else fixed_time_fires
    return [fire for fire in found(expression, tz, start - lead, end, tick) if fire >= start]


def is_wildcard(expression: str) -> bool:
    minute, hour = expression.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


def _wildcard_fires(expression: str, tz: tzinfo, start: int, end: int, tick: int) -> Iterator[int]:
    for instant in range(start, end, tick):
        if matches(expression, wall_clock(tz, instant)):
            yield instant


def fixed_time_fires(expression: Expression, tz: tzinfo, start: int, end: int, tick: int) -> Iterator[int]:
    step = timedelta(seconds=tick)
    shown: set[datetime] = set()
    before = wall_clock(tz, start - tick)
    for instant in range(start, end, tick):
        now = wall_clock(tz, instant)
        expected = before + step
        due = matches(expression, now) and now not in shown
        if ZERO < now - expected < THREE_HOURS:
            due = due or any(matches(expression, wall) for wall in _stretch(expected, now, step))
        if ZERO < expected - now <= THREE_HOURS:
            shown.update(_stretch(now, expected, step))
            due = False if now in shown else due
        if due:
            yield instant
        before = now


def wall_clock(tz: tzinfo, instant: int) -> datetime:
    return datetime.fromtimestamp(instant, UTC).astimezone(tz).replace(tzinfo=None)


def _stretch(first: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while first < end:
        yield first
        first += step


@cache
def _values(field: str, position: int) -> set[int]:
    low, high = BOUNDS[position]
    values: set[int] = set()
    for item in field.replace("?", "*").lower().split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        first = NAMES.get(first, first)
        last = NAMES.get(last, last)
        # A starred weekday counts 0 to 6: 7 is a second name of Sunday, not an eighth day.
        bound = 6 if position == 4 and span == "*" else int(last or first)
        if position == 4 and bound == 0 and int(first) > 0:
            bound = 7  # a week that ends on Sunday
        values |= set(range(int(first), bound + 1, int(step or 1)))
    return {value % 7 for value in values} if position == 4 else values


def _day_of_month_matches(field: str, wall: datetime) -> bool:
    last = calendar.monthrange(wall.year, wall.month)[1]
    for item in field.split(","):
        if item == "LW":
            if wall.day == max(d for d in range(1, last + 1) if calendar.weekday(wall.year, wall.month, d) < 5):
                return True
        elif item.startswith("L"):
            if wall.day == last - int(item[2:] or 0):
                return True
        elif item.endswith("W"):
            if wall.day == _nearest_weekday(wall.year, wall.month, int(item[:-1]), last):
                return True
        elif wall.day in _values(item, 2):
            return True
    return False


def _nearest_weekday(year: int, month: int, day: int, last: int) -> int:
    weekdays = [d for d in range(1, last + 1) if calendar.weekday(year, month, d) < 5]
    # At equal distance (there is none: a weekend has two days) the order would matter.
    return min(weekdays, key=lambda d: abs(d - day)) if day <= last else 0


def _day_of_week_matches(field: str, wall: datetime) -> bool:
    last = calendar.monthrange(wall.year, wall.month)[1]
    for item in field.split(","):
        if "#" in item:
            day, nth = item.split("#")
            if wall.isoweekday() % 7 in _values(day, 4) and (wall.day + 6) // 7 == int(nth):
                return True
        elif item.endswith("L"):
            if wall.isoweekday() % 7 in _values(item[:-1], 4) and wall.day + 7 > last:
                return True
        elif wall.isoweekday() % 7 in _values(item, 4):
            return True
    return False
