"""The days of a calendar file (.ics, RFC 5545), such as one of public holidays.

The file is read by `recurring-ical-events`, an extra that is imported at the first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from gcron.schedule.errors import ScheduleError
from gcron.schedule.zones import Zone

__all__ = ["days_of", "read_file"]

# Events that recur without an end are followed so far.
_FIRST, _LAST = date(1970, 1, 1), date(2099, 12, 31)
_MOST_EVENTS = 10_000
_OF_DAYS = frozenset({"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE"})
_ONE_DAY, _MOMENT = timedelta(days=1), timedelta(microseconds=1)


def read_file(path: str, zone: Zone) -> list[tuple[date, date]]:
    """Return `days_of` the file at this path. Raises ScheduleError also if it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ScheduleError(f"{path} cannot be read: {error.strerror}") from None
    return days_of(data, path, zone)


def days_of(data: bytes, path: str, zone: Zone) -> list[tuple[date, date]]:
    """Return the first and the last day of each event, also of those that recur, from 1970 to 2099.

    An event with times takes each day that it touches, in `zone`. Cancelled events do not count. `path` is for
    messages. Raises ScheduleError if the data are no calendar, hold more than 10,000 events, or the extra is missing.
    """
    try:
        import icalendar
        import recurring_ical_events
    except ImportError:
        hint = "install it: pip install 'gcron[calendar]'"
        raise ScheduleError("an .ics file needs the package recurring-ical-events", hint=hint) from None
    try:
        calendar: Any = icalendar.Calendar.from_ical(data)
        if calendar.name != "VCALENDAR":
            raise ValueError("it does not begin with BEGIN:VCALENDAR")
        _check_properties(calendar)
        found = list(islice(_spans(recurring_ical_events.of(calendar), zone), _MOST_EVENTS + 1))
    except Exception as error:  # whatever the two raise for what other programs wrote
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ScheduleError(f"{path} is no calendar: {reason}", hint="an .ics file, as calendars export them") from None
    if len(found) > _MOST_EVENTS:
        raise ScheduleError(f"{path} has more than {_MOST_EVENTS} events")
    return found


def _check_properties(calendar: Any) -> None:
    """Raise ValueError for what icalendar could not read and left out: a holiday would come once, or never."""
    for component in calendar.walk():
        for name, reason in component.errors:
            if name in _OF_DAYS:
                raise ValueError(f"{name}: {reason}")


def _spans(events: Any, zone: Zone) -> Iterator[tuple[date, date]]:
    for event in events.after(_FIRST):
        first = _day(event.start, zone)
        if first > _LAST:
            return
        if event.get("STATUS") == "CANCELLED":
            continue
        end = event.end
        last = _day(end - _MOMENT, zone) if isinstance(end, datetime) else end - _ONE_DAY
        yield first, max(first, last)  # an event may end when it begins


def _day(moment: date, zone: Zone) -> date:
    if not isinstance(moment, datetime):
        return moment
    return (moment if moment.tzinfo is None else moment.astimezone(zone.tz)).date()
