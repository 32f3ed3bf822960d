"""A schedule in words that a person would say.

The words are made from the values of the fields, not from their text: `*/15`, `0-59/15` and `0,15,30,45` are the same
minutes and read the same. Only the day rule depends on how a field begins. This module knows neither zones nor
instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from gcron.schedule.fields import DayMark, Field, is_seeded, parse_field
from gcron.schedule.layouts import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, YEAR, FieldKind, layout_of

__all__ = [
    "FieldWords",
    "describe",
    "describe_after_jobs",
    "describe_delay",
    "describe_fields",
    "describe_period",
    "join_words",
]

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_NTH = ("", "first", "second", "third", "fourth", "fifth")
_UNITS = ((604800, "week"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

# Up to this many times of day are listed; more are described by their pattern.
_MOST_LISTED = 6
# This many values or more in equal steps are described by the step.
_LEAST_STEPPED = 5


class FieldWords(NamedTuple):
    """One field of an expression: its name, its text, its meaning in words, and whether the job's name decides it."""

    name: str
    text: str
    words: str
    drawn: bool


class _Days(NamedTuple):
    day: Field
    month: Field
    weekday: Field


def describe(expression: str, seed: str = "", *, fields: str | None = None) -> str:
    """Return a valid expression as one sentence without its full stop: `At 02:30 on Mondays`.

    `seed` is the job's name, which decides `H` and `~`; `fields` as for `parse`. Raises ScheduleError for a field that
    is wrong.
    """
    parsed = {kind: parse_field(kind, text, seed) for kind, text in _columns(expression, fields)}
    minutes, hours = _values(MINUTE, parsed[MINUTE]), _values(HOUR, parsed[HOUR])
    time, is_pattern = _time_words(minutes, hours)
    days = _days_words(_Days(parsed[DAY], parsed[MONTH], parsed[WEEKDAY]))
    if not days and not (is_pattern and len(hours) == 24):
        days = "every day"
    words = f"{time}{',' if is_pattern else ''} {days}" if days else time
    for kind in (SECOND, YEAR):
        words += _extra_words(kind, parsed.get(kind))
    return words


def describe_fields(expression: str, seed: str = "", *, fields: str | None = None) -> list[FieldWords]:
    """Return what each of the fields says, in their order; the parameters as for `describe`."""
    return [
        FieldWords(kind.name, text, _field_words(kind, parse_field(kind, text, seed)), is_seeded(text))
        for kind, text in _columns(expression, fields)
    ]


def describe_period(seconds: int) -> str:
    """Return a period in words: `every 90 seconds`, `every 2 hours`."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    count = seconds // size
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def describe_delay(seconds: int) -> str:
    """Return what `@after-end` says: `5 minutes after the end of the last run`."""
    words = describe_period(seconds).removeprefix("every ")
    return f"{words if words[0].isdigit() else f'1 {words}'} after the end of the last run"


def describe_after_jobs(jobs: Sequence[str]) -> str:
    """Return what `@after` says: `after extract and load have each succeeded`."""
    if len(jobs) == 1:
        return f"after {jobs[0]} has succeeded"
    return f"after {join_words(jobs)} have each succeeded"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Return the words as a list: `a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _columns(expression: str, fields: str | None) -> list[tuple[FieldKind, str]]:
    texts = expression.split()
    return list(zip(layout_of(len(texts), fields), texts, strict=True))


def _extra_words(kind: FieldKind, field: Field | None) -> str:
    """The end of the sentence for a field of seconds or years. Most expressions have none."""
    if field is None or (kind is YEAR and _is_full(kind, field)) or (kind is SECOND and _values(kind, field) == [0]):
        return ""
    return f", at {_field_words(kind, field)}" if kind is SECOND else f", in {_field_words(kind, field)}"


def _values(kind: FieldKind, field: Field) -> list[int]:
    return [value for value in range(kind.low, kind.high + 1) if field.bits >> value & 1]


# -- the time of day ----------------------------------------------------------------------------------------------


def _time_words(minutes: list[int], hours: list[int]) -> tuple[str, bool]:
    """The words, and whether they are a pattern (`Every 15 minutes`) and not times (`At 02:30`)."""
    if len(minutes) * len(hours) <= _MOST_LISTED:
        times = [_clock(hour, minute) for hour in hours for minute in minutes]
        return f"At {join_words(times)}", False
    if len(minutes) == 1 and (step := _step(hours)):
        return _hourly_words(minutes[0], hours, step)
    step = _step(minutes)
    if step and minutes[0] == 0 and len(minutes) * step == 60:
        return _interval_words(step, hours), True
    return f"At {_minutes_words(minutes)} of {_hours_words(hours)}", True


def _hourly_words(minute: int, hours: list[int], step: int) -> tuple[str, bool]:
    if len(hours) == 24:
        return ("Every hour, on the hour", True) if minute == 0 else (f"At minute {minute} of every hour", True)
    every = "Every hour" if step == 1 else f"Every {step} hours"
    return f"{every} from {_clock(hours[0], minute)} to {_clock(hours[-1], minute)}", True


def _interval_words(step: int, hours: list[int]) -> str:
    every = "Every minute" if step == 1 else f"Every {step} minutes"
    if len(hours) == 24:
        return every
    if len(hours) == 1 or _step(hours) == 1:
        return f"{every} from {_clock(hours[0], 0)} to {_clock(hours[-1], 60 - step)}"
    return f"{every} in {_hours_words(hours)}"


def _minutes_words(minutes: list[int], noun: str = MINUTE.name) -> str:
    if (step := _step(minutes)) and len(minutes) >= _LEAST_STEPPED:
        return f"{_every_nth(step)} {noun} from {minutes[0]} to {minutes[-1]}"
    return (
        f"{noun if len(minutes) == 1 else f'{noun}s'} {join_words(_runs([str(minute) for minute in minutes], minutes))}"
    )


def _hours_words(hours: list[int]) -> str:
    if len(hours) == 24:
        return "every hour"
    names = [f"{hour:02}" for hour in hours]
    if (step := _step(hours)) and (len(hours) >= _LEAST_STEPPED or (step == 1 and len(hours) > 2)):
        return f"{_every_nth(step)} hour from {names[0]} to {names[-1]}"
    noun = "hour" if len(hours) == 1 else "the hours"
    return f"{noun} {join_words(_runs(names, hours))}"


def _clock(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"


# -- the days -----------------------------------------------------------------------------------------------------


def _days_words(days: _Days) -> str:
    """The words for the three date fields, empty for every day of the year."""
    month = _months_words(_values(MONTH, days.month))
    every_date, every_weekday = _is_full(DAY, days.day), _is_full(WEEKDAY, days.weekday)
    both_must_match = days.day.starred or days.weekday.starred
    if (every_date and every_weekday) or (not both_must_match and (every_date or every_weekday)):
        return f"every day in {month}" if month else ""
    within = f" in {month}" if month else ""
    if every_date:
        return f"on {_weekdays_words(days.weekday)}{within}"
    dates = _dates_words(days.day)
    if every_weekday:
        return f"on {dates} of {month or 'every month'}"
    if both_must_match:
        return f"on {_weekdays_words(days.weekday)}{within}, but only on {_dates_words(days.day, 'or')} of the month"
    return f"on {dates} of {month or 'every month'} and on {_weekdays_words(days.weekday)}{within}"


def _dates_words(field: Field, last: str = "and") -> str:
    dates = _values(DAY, field)
    marks = [_mark_words(mark) for mark in field.marks]
    if (step := _step(dates)) and len(dates) >= _LEAST_STEPPED:
        stepped = f"{_every_nth(step)} day from the {_ordinal(dates[0])} to the {_ordinal(dates[-1])}"
        return join_words([stepped, *marks], last)
    return join_words([*_runs([f"the {_ordinal(date)}" for date in dates], dates), *marks], last)


def _weekdays_words(field: Field) -> str:
    # The week of a list begins on Monday: `0,6` is the weekend, Saturday first.
    days = sorted(_values(WEEKDAY, field), key=lambda day: (day - 1) % 7)
    places = [(day - 1) % 7 for day in days]
    names = [name if " to " in name else f"{name}s" for name in _runs([_WEEKDAYS[day] for day in days], places)]
    return join_words([*names, *(_mark_words(mark) for mark in field.marks)])


def _mark_words(mark: DayMark) -> str:
    if mark.kind == "L" and mark.value > 1:
        return f"the {_ordinal(mark.value)} day before the last"
    if mark.kind == "L":
        return "the day before the last" if mark.value else "the last day"
    if mark.kind == "LW":
        return "the last weekday"
    if mark.kind == "W":
        return f"the weekday nearest to the {_ordinal(mark.value)}"
    if mark.kind == "last":
        return f"the last {_WEEKDAYS[mark.value]} of the month"
    return f"the {_NTH[mark.nth]} {_WEEKDAYS[mark.value]} of the month"


def _months_words(months: list[int]) -> str:
    """The names of the months, empty for all of them."""
    if len(months) == 12:
        return ""
    return join_words(_runs([_MONTHS[month - 1] for month in months], months))


def _is_full(kind: FieldKind, field: Field) -> bool:
    return len(_values(kind, field)) == kind.high - kind.low + 1


# -- one field ----------------------------------------------------------------------------------------------------


def _field_words(kind: FieldKind, field: Field) -> str:
    if _is_full(kind, field):
        return f"every {kind.name.removesuffix(' of month').removesuffix(' of week')}"
    values = _values(kind, field)
    if kind is DAY:
        return _dates_words(field)
    if kind is WEEKDAY:
        return _weekdays_words(field)
    if kind is MONTH:
        return _months_words(values)
    if kind is YEAR:
        return join_words(_runs([str(value) for value in values], values))
    return _hours_words(values) if kind is HOUR else _minutes_words(values, kind.name)


# -- numbers ------------------------------------------------------------------------------------------------------


def _step(values: list[int]) -> int:
    """The difference between neighbours if it is always the same, else 0."""
    differences = {after - before for before, after in pairwise(values)}
    return differences.pop() if len(differences) == 1 else 0


def _runs(names: Sequence[str], values: Sequence[int]) -> list[str]:
    """The names; three or more neighbours are written as `first to last`."""
    words: list[str] = []
    start = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[end - 1] + 1:
            continue
        if end - start > 2:
            words.append(f"{names[start]} to {names[end - 1]}")
        else:
            words += names[start:end]
        start = end
    return words


def _every_nth(step: int) -> str:
    return "every" if step == 1 else f"every {_ordinal(step)}"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
