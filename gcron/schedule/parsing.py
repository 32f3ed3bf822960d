"""From the text of a schedule to the schedule, and from an entry's line to that text."""

from __future__ import annotations

import re
from datetime import tzinfo

from gcron.schedule.base import Schedule
from gcron.schedule.cron import CronSchedule
from gcron.schedule.days import day_rule
from gcron.schedule.durations import parse_duration
from gcron.schedule.errors import ScheduleError, ScheduleWarning
from gcron.schedule.every import EverySchedule, Unscheduled
from gcron.schedule.fields import oversized_steps, parse_field
from gcron.schedule.kinds import DAY, FIELDS, HOUR, MINUTE, MONTH, WEEKDAY
from gcron.schedule.walls import WallPattern
from gcron.schedule.zones import Zone, find_zone

__all__ = ["check", "parse", "split_schedule"]

_EXPRESSIONS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNSCHEDULED = {"@reboot": "reboot", "@service": "service", "@manual": "manual"}
_EVERY = "@every"
_NICKNAMES = (*_EXPRESSIONS, *_UNSCHEDULED, _EVERY)

_MOST_FIELDS = 7
_WORD = re.compile(r"[^ \t]+")
# What no command begins with, but a sixth field does.
_FIELD_LIKE = re.compile(r"[0-9*?][0-9*?,/-]*")


def parse(text: str, tz: str | tzinfo | None = None, *, seed: str = "") -> Schedule:
    """Return the schedule that `text` stands for: five fields, a nickname, or `@every` with a duration.

    `tz` is where its wall clock hangs: a name of the tz database, a `tzinfo`, or None for UTC. `seed`, the
    job's name, settles the values of `H` and `~`. Raises ScheduleError, with columns inside `text`. Source:
    docs/crontab.md, sections 1 and 2.
    """
    zone = find_zone(tz)
    words = _WORD.findall(text)
    if words and words[0].startswith("@"):
        return _parse_nickname(text, zone, seed)
    if len(words) != len(FIELDS):
        raise _wrong_field_count(text)
    return _cron(text, words, zone, seed)


def check(text: str) -> list[ScheduleWarning]:
    """Return what is accepted in a valid schedule but hardly meant: steps larger than their range."""
    if text.lstrip().startswith("@"):
        return []
    return [
        _oversized_step(text, word.start() + start, word.start() + end)
        for kind, word in zip(FIELDS, _WORD.finditer(text), strict=True)
        for start, end in oversized_steps(kind, word[0])
    ]


def split_schedule(text: str) -> int:
    """Return the column at which the schedule ends in an entry's text that has no leading blanks.

    The schedule is five fields between blanks, a nickname, or `@every` with a duration; it is not checked
    further. Raises ScheduleError when there is too little of it, or when a sixth field seems to follow.
    """
    words = list(_WORD.finditer(text))
    if text.startswith("@"):
        count = _word_count(words[0][0])
        if len(words) < count:
            raise _duration_missing(text)
        return words[count - 1].end()
    count = _leading_fields(words)
    if count != len(FIELDS):
        raise _wrong_field_count(text[: words[count - 1].end()] if count else "")
    return words[count - 1].end()


def _leading_fields(words: list[re.Match[str]]) -> int:
    """Count the fields an entry begins with: five if there are so many, and more if the next look like fields."""
    count = min(len(words), len(FIELDS))
    while count < min(len(words), _MOST_FIELDS) and _FIELD_LIKE.fullmatch(words[count][0]):
        count += 1
    return count


def _cron(text: str, words: list[str], zone: Zone, seed: str) -> CronSchedule:
    try:
        minute = parse_field(MINUTE, words[0], seed)
        hour = parse_field(HOUR, words[1], seed)
        day = parse_field(DAY, words[2], seed)
        month = parse_field(MONTH, words[3], seed)
        weekday = parse_field(WEEKDAY, words[4], seed)
    except ScheduleError:
        raise _located_error(text, seed) from None
    days = day_rule(day, month, weekday)
    if not days.months:
        raise _never_fires(text)
    walls = WallPattern(minute.bits, hour.bits, days)
    return CronSchedule(text, zone, walls, minute.starred or hour.starred)


def _located_error(text: str, seed: str) -> ScheduleError:
    """Find the faulty field again, now with its column: the way without errors is too hot to count columns."""
    for kind, word in zip(FIELDS, _WORD.finditer(text), strict=True):
        try:
            parse_field(kind, word[0], seed)
        except ScheduleError as error:
            return error.shifted(word.start())
    raise AssertionError(f"no field of {text!r} is at fault")


def _never_fires(text: str) -> ScheduleError:
    day, month, weekday = list(_WORD.finditer(text))[2:]
    if weekday[0] in ("*", "?"):
        message = f"this schedule can never fire: no month {month[0]} has a day {day[0]}"
        return ScheduleError(message, day.start(), month.end(), "choose a day that the month has")
    message = f"this schedule can never fire: no day matches {day[0]}, {month[0]} and {weekday[0]} together"
    return ScheduleError(message, day.start(), weekday.end(), "loosen one of the three")


def _oversized_step(text: str, start: int, end: int) -> ScheduleWarning:
    message = f"the step {text[start:end]} is larger than its range: only the first value is left"
    return ScheduleWarning(message, start, end, "write that value, or a smaller step")


def _parse_nickname(text: str, zone: Zone, seed: str) -> Schedule:
    words = list(_WORD.finditer(text))
    name = words[0][0]
    if name not in _NICKNAMES:
        raise _unknown_nickname(words[0])
    count = _word_count(name)
    if len(words) < count:
        raise _duration_missing(text)
    if len(words) > count:
        known = text[: words[count - 1].end()].lstrip()
        raise ScheduleError(f"nothing may follow {known}", words[count].start(), words[-1].end())
    if name == _EVERY:
        return EverySchedule(text, zone, _period(words[1]))
    if name in _UNSCHEDULED:
        return Unscheduled(text, zone, _UNSCHEDULED[name])
    return _cron(text, _EXPRESSIONS[name].split(), zone, seed)


def _word_count(nickname: str) -> int:
    return 2 if nickname == _EVERY else 1


def _period(word: re.Match[str]) -> int:
    try:
        seconds = parse_duration(word[0])
    except ScheduleError as error:
        raise error.shifted(word.start()) from None
    if seconds < 1 or seconds != int(seconds):
        message = "@every needs a whole number of seconds, at least 1"
        raise ScheduleError(message, *word.span(), "write 90s, 5m or 1h30m")
    return int(seconds)


def _unknown_nickname(word: re.Match[str]) -> ScheduleError:
    message = f"{word[0]!r} is not a nickname"
    if word[0].lower() in _NICKNAMES:
        return ScheduleError(message, *word.span(), f"nicknames are lower case: write {word[0].lower()}")
    return ScheduleError(message, *word.span(), "the nicknames are " + " ".join(_NICKNAMES))


def _duration_missing(text: str) -> ScheduleError:
    return ScheduleError("@every needs a duration", 0, len(text), "write @every 90s or @every 1h30m")


def _wrong_field_count(text: str) -> ScheduleError:
    words = _WORD.findall(text)
    message = f"a schedule has five fields, here are {len(words)}" if words else "the schedule is missing"
    hint = "write minute, hour, day of month, month and day of week"
    if len(words) == 6:
        message = f"six fields: `{' '.join(words)}` means three different things"
        hint = _three_readings(words)
    if len(words) == 7:
        message = "seven fields: seconds first and a year last are not supported yet"
        hint = f"write {' '.join(words[1:6])}"
    return ScheduleError(message, 0, len(text), hint)


def _three_readings(words: list[str]) -> str:
    return (
        f"with seconds first it is second {words[0]} of `{' '.join(words[1:])}`, "
        f"with seconds last second {words[5]} of `{' '.join(words[:5])}`, "
        f"with the year last `{' '.join(words[:5])}` in the year {words[5]}: write five fields"
    )
