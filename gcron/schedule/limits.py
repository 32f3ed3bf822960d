"""What limits the fires of a schedule: a first and a last moment, and days on which there are none.

`start`, `end`, `except_on` and `now` have the same names in directives and in Python. Their values are read here. What
they mean depends on the zone of the schedule, so they are applied when that is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta

from gcron.frozen import frozen, replace
from gcron.schedule.errors import ScheduleError
from gcron.schedule.schedules import AfterEndSchedule, CronSchedule, EverySchedule, Schedule, Unscheduled
from gcron.schedule.wall_clock import SECONDS_IN_DAY, DayGrid
from gcron.schedule.wrapped import Days, LimitedSchedule
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, Zone, instant_of

__all__ = ["NO_LIMITS", "Bound", "Limits", "ReadDays", "Span", "limited", "read_days", "read_moment"]

_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = rf"{_DATE}(?:[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}})?(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?"
_MOMENT_HINT = "a date such as 2026-01-05, or 2026-01-05T09:30, in the zone of the schedule, or with an offset from UTC"
_DAYS_HINT = "dates such as 2026-12-24, ranges such as 2026-12-24..2027-01-01, or an .ics file, separated by commas"

Bound = date | datetime
"""A whole day, or a moment; without a zone of its own it is in that of the schedule."""
Span = tuple[date, date]
"""The first and the last of some days."""
ReadDays = Callable[[str, Zone], Iterable[Span]]
"""Returns the days of the events in an .ics file, in that zone. Raises ScheduleError."""


@frozen
class Limits:
    """The limits of a schedule, as they were given."""

    start: Bound | None = None
    """No fire is before it. A period is counted from it: see `limited`."""
    end: Bound | None = None
    """No fire is after it. A date stands for its whole day."""
    except_on: tuple[Span | str, ...] = ()
    """Days without fires, and paths of .ics files."""
    now: bool = False
    """Whether the job also runs when the scheduler starts."""


NO_LIMITS = Limits()


def limited(schedule: Schedule, limits: Limits, read_ics: ReadDays) -> Schedule:
    """Return the schedule with these limits.

    A period that has a `start` is counted from there: `@every 36h`. If the period is whole days, it follows the wall
    clock: `@every 2w` from 2026-01-05T09:00 is every other Monday at 9:00, in summer and in winter. `read_ics` is
    called for the files of `except_on`. Raises ScheduleError if there is no fire within the limits.
    """
    if limits == NO_LIMITS or isinstance(schedule, Unscheduled):
        return schedule
    zone = schedule.zone
    start = FIRST_INSTANT if limits.start is None else _instant(zone, _wall(zone, limits.start))
    end = LAST_INSTANT if limits.end is None else _end_instant(zone, limits.end)
    if limits.start is not None and isinstance(schedule, EverySchedule):
        schedule = _anchored(schedule, _wall(zone, limits.start), start)
    found = LimitedSchedule(schedule, start, end, _excluded_days(zone, limits, read_ics), limits.now)
    if start > end:
        raise ScheduleError("this schedule can never fire: its end is before its start")
    is_bounded = limits.start is not None or limits.end is not None
    if is_bounded and not isinstance(schedule, AfterEndSchedule) and found.previous_before(LAST_INSTANT + 1) is None:
        raise ScheduleError("this schedule can never fire: nothing is due from its start to its end")
    return found


def read_moment(value: object) -> Bound | None:
    """Return the date or the moment that a text or an object of `datetime` stands for. `none` and None are None.

    Raises ScheduleError.
    """
    if value is None or value == "none":
        return None
    if isinstance(value, str) and re.fullmatch(_MOMENT, value):
        try:
            return date.fromisoformat(value) if len(value) == len("2026-01-05") else datetime.fromisoformat(value)
        except ValueError:
            pass  # there is no such day, or time of the day
    if isinstance(value, date) and FIRST_INSTANT <= _wall_of(value) <= LAST_INSTANT:
        return value
    raise ScheduleError(f"{value!r} is no moment", hint=_MOMENT_HINT)


def read_days(value: object) -> tuple[Span | str, ...]:
    """Return the days that a text with commas or a collection names. `none`, None and an empty text are no days.

    An item is a date, a range of two dates, or the path of an .ics file. Raises ScheduleError.
    """
    if value is None or value == "none":
        return ()
    if isinstance(value, str):
        value = [item.strip(" ") for item in value.split(",")] if value.strip(" ") else ()
    elif isinstance(value, date):
        value = (value,)
    if not isinstance(value, Iterable):
        raise ScheduleError(f"{value!r} is no day", hint=_DAYS_HINT)
    return tuple(_read_item(item) for item in value)


def _read_item(item: object) -> Span | str:
    if isinstance(item, str) and item.lower().endswith(".ics"):
        return item
    first, last = item if isinstance(item, tuple) and len(item) == 2 else _ends(item)
    span = _read_date(first), _read_date(last)
    if span[0] > span[1]:
        raise ScheduleError(f"the days from {span[0]} to {span[1]} are reversed", hint=f"write {span[1]}..{span[0]}")
    return span


def _ends(item: object) -> tuple[object, object]:
    if isinstance(item, str) and ".." in item:
        first, _, last = item.partition("..")
        return first, last
    return item, item


def _read_date(value: object) -> date:
    if isinstance(value, str) and re.fullmatch(_DATE, value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ScheduleError(f"there is no day {value}", hint=_DAYS_HINT) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ScheduleError(f"{value!r} is no day", hint=_DAYS_HINT)


# -- in a zone --------------------------------------------------------------------------------------------------------


def _wall(zone: Zone, moment: Bound) -> int:
    """Return what the zone's wall clock shows at the moment, in seconds."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        moment = moment.astimezone(zone.tz).replace(tzinfo=None)
    return _wall_of(moment)


def _wall_of(moment: Bound) -> int:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return -((_EPOCH - moment.replace(tzinfo=None)) // _SECOND)


def _instant(zone: Zone, wall: int) -> int:
    return instant_of(zone, min(max(wall, FIRST_INSTANT + SECONDS_IN_DAY), LAST_INSTANT - SECONDS_IN_DAY))


def _end_instant(zone: Zone, moment: Bound) -> int:
    if isinstance(moment, datetime):
        return _instant(zone, _wall(zone, moment))
    return _instant(zone, _wall_of(moment) + SECONDS_IN_DAY) - 1


def _anchored(schedule: EverySchedule, wall: int, start: int) -> Schedule:
    if schedule.period % SECONDS_IN_DAY:
        return replace(schedule, anchor=start)
    return CronSchedule(schedule.text, schedule.zone, DayGrid(wall, schedule.period), wildcard=False)


def _excluded_days(zone: Zone, limits: Limits, read_ics: ReadDays) -> Days:
    spans: list[Span] = []
    for item in limits.except_on:
        spans += read_ics(item, zone) if isinstance(item, str) else [item]
    return Days.of(spans)
