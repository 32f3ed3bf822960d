"""What is accepted in a valid schedule but was probably not meant.

Each check yields warnings with columns inside the text. This module does not know when a schedule fires.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gcron.schedule.errors import ScheduleWarning
from gcron.schedule.fields import oversized_steps
from gcron.schedule.layouts import DAY, HOUR, MINUTE, WEEKDAY, FieldKind, layout_of

__all__ = ["check"]

_Words = Mapping[FieldKind, re.Match[str]]
# As text: `re` compiles each at its first use.
_WORD = r"[^ \t]+"
_NUMBERS = r"[0-9]+(?:,[0-9]+)*"
# The days of a weekday field: no step, no week of the month.
_WEEKDAY_NUMBER = r"(?<![0-9#/])[0-9]+"
_MOST_HOURS = 3


def check(text: str, *, fields: str | None = None) -> list[ScheduleWarning]:
    """Return the warnings about a valid schedule. `fields` as for `gcron.schedule.parse`."""
    # HOT PATH: a large crontab has 10,000 different schedules, and most are five fields without any of these.
    if fields is None and "/" not in text and "?" not in text and text[:1] not in "* \t" and len(text.split()) < 7:
        return []
    found = list(re.finditer(_WORD, text))
    if found[0][0].startswith("@"):
        return []
    words = dict(zip(layout_of(len(found), fields), found, strict=True))
    return [*_oversized_steps(words), *_every_minute_of_an_hour(words), *_weekdays_of_quartz(words)]


def _oversized_steps(words: _Words) -> Iterator[ScheduleWarning]:
    for kind, word in words.items():
        for start, end in oversized_steps(kind, word[0]):
            message = f"the step {word[0][start:end]} is larger than its range: only the first value is left"
            hint = "write that value, or a smaller step"
            yield ScheduleWarning(message, word.start() + start, word.start() + end, hint)


def _every_minute_of_an_hour(words: _Words) -> Iterator[ScheduleWarning]:
    """`* 4 * * *` is 60 fires, where one at 4:00 was probably meant."""
    minute, hour = words[MINUTE], words[HOUR]
    if minute[0] != "*" or not re.fullmatch(_NUMBERS, hour[0]):
        return
    hours = [int(number) for number in hour[0].split(",")]
    shown = ", ".join(f"{number}:00 to {number}:59" for number in hours[:_MOST_HOURS])
    shown += ", …" if len(hours) > _MOST_HOURS else ""
    message = f"each minute from {shown}: {60 * len(set(hours))} fires a day"
    yield ScheduleWarning(message, *minute.span(), "write 0 for one fire an hour, or */1 if all are meant")


def _weekdays_of_quartz(words: _Words) -> Iterator[ScheduleWarning]:
    """Quartz and AWS, whose expressions have a `?` or seven fields, count the days of the week from Sunday as 1."""
    weekday = words[WEEKDAY]
    numbers = re.findall(_WEEKDAY_NUMBER, weekday[0])
    if not numbers or "0" in numbers or not (words[DAY][0] == "?" or len(words) == 7):
        return
    here, there = _with_names(weekday[0], 0), _with_names(weekday[0], -1)
    message = f"{weekday[0]} is {here} here; in Quartz and AWS, which count Sunday as 1, it is {there}"
    yield ScheduleWarning(message, *weekday.span(), f"names are clear everywhere: write {here} or {there}")


def _with_names(weekdays: str, offset: int) -> str:
    return re.sub(_WEEKDAY_NUMBER, lambda match: WEEKDAY.names[(int(match[0]) + offset) % 7], weekdays)
