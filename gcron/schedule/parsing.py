"""From text to schedules and durations; and where the schedule ends in an entry's line."""

from __future__ import annotations

import re
from datetime import tzinfo

from gcron.schedule.days import day_rule
from gcron.schedule.errors import ScheduleError
from gcron.schedule.fields import Field, parse_field
from gcron.schedule.layouts import (
    DAY,
    FIELDS,
    HOUR,
    LAYOUTS,
    MINUTE,
    MONTH,
    NICKNAMES,
    SECOND,
    WEEKDAY,
    YEAR,
    FieldKind,
    layout_of,
)
from gcron.schedule.schedules import (
    AfterEndSchedule,
    AfterJobsSchedule,
    CronSchedule,
    EverySchedule,
    Schedule,
    Unscheduled,
)
from gcron.schedule.wall_clock import SecondPattern, WallPattern
from gcron.schedule.zones import LAST_INSTANT, Zone, find_zone
from gcron.spelling import closest

__all__ = ["parse", "parse_duration", "split_schedule"]

_LIKENESS = 0.8  # `@fortnightly` is no misspelt `@monthly`
_UNSCHEDULED = {"@reboot": "reboot", "@service": "service", "@manual": "manual"}
_EVERY, _AFTER_END, _AFTER = "@every", "@after-end", "@after"
_WITH_ARGUMENT = (_EVERY, _AFTER_END, _AFTER)
_EVERY_YEAR = sum(1 << year for year in range(YEAR.low, YEAR.high + 1))
_ALL_NICKNAMES = (*NICKNAMES, *_UNSCHEDULED, *_WITH_ARGUMENT)

_WORD = re.compile(r"[^ \t]+")
# No command begins like this, but a sixth and a seventh field do.
_WEEKDAY = "(?:sun|mon|tue|wed|thu|fri|sat)"
_FIELD_LIKE = rf"(?:[0-9*?][0-9*?,/#LW-]*+|{_WEEKDAY}(?>(?:[,-]{_WEEKDAY})*)(?>(?:#[1-5]|L)?))(?![^ \t])"
# Possessive (`++`): a match never goes back, so the time is linear for any text. Groups are atomic (`(?>…)`)
# instead: before 3.11.5, Python loses text after a possessive group (python/cpython#100061).
_FIVE_FIELDS = re.compile(rf"[^ \t]++(?:[ \t]++[^ \t]++){{4}}(?>((?:[ \t]++(?i:{_FIELD_LIKE})){{0,2}}))")

_SECONDS_IN = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
# Twelve digits are 30,000 years: more is a mistake, and would overflow a timeout.
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_DURATION_PART = rf"({_NUMBER})(ms|[wdhms])"
_DURATION_HINT = "write a number of seconds or parts with units from large to small, such as 90, 90s, 1h30m or 2d"


def parse(text: str, tz: str | tzinfo | None = None, *, seed: str = "", fields: str | None = None) -> Schedule:
    """Return the schedule that `text` stands for: five or seven fields, or a nickname.

    `@every` and `@after-end` have a duration after them, `@after` the names of jobs: `@after extract,load`.

    `tz` is the zone of its wall clock: a name of the tz database, a `tzinfo`, or None for UTC. `seed` is the job's
    name, which decides the values of `H` and `~`. `fields` says which fields `text` has, as a key of `LAYOUTS`
    (`seconds-first`); seven fields always have the seconds first and the year last.

        >>> parse("30 2 * * *", "Europe/Berlin").next_after(1767225600)
        1767231000

    Raises ScheduleError, with columns inside `text`, and KeyError for unknown `fields`. Source: docs/crontab.md,
    sections 1 and 2.

    A `tzinfo` that is not of `zoneinfo` cannot be asked for its changes of offset. It is probed every 137 minutes; a
    change that is undone sooner may go unseen.
    """
    zone = find_zone(tz)
    words = _WORD.findall(text)
    if words and words[0].startswith("@"):
        return _parse_nickname(text, zone, seed)
    return _cron(text, _checked_layout(text, len(words), fields), words, zone, seed)


def split_schedule(text: str, *, fields: str | None = None) -> int:
    """Return the column at which the schedule ends in an entry's text, which begins without blanks.

    The schedule is five fields, seven, as many as `fields` (see `parse`) has, or a nickname, with its duration or its
    names of jobs. It is not checked further. Raises ScheduleError if there is too little, or if only a
    sixth field seems to follow.
    """
    if text.startswith("@"):
        return _nickname_end(text)
    if fields is not None:
        return _declared_end(text, fields)
    match = _FIVE_FIELDS.match(text)
    if match is None:
        raise _wrong_field_count(text.rstrip(" \t"), None)
    if match[1] and len(match[1].split()) == 1:
        raise _wrong_field_count(match[0], None)
    return match.end()


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for: `90`, `90s`, `1h30m`, `2d`.

    A bare number is seconds. The units are w, d, h, m, s and ms, each at most once, from large to small. Raises
    ScheduleError for anything else.
    """
    if re.fullmatch(_NUMBER, text):
        return float(text)
    seconds, column, units_left = 0.0, 0, list(_SECONDS_IN)
    pattern = re.compile(_DURATION_PART)
    while column < len(text):
        part = pattern.match(text, column)
        if part is None or part[2] not in units_left:
            raise ScheduleError(f"{text!r} is not a duration", column, len(text), _DURATION_HINT)
        seconds += float(part[1]) * _SECONDS_IN[part[2]]
        units_left = units_left[units_left.index(part[2]) + 1 :]
        column = part.end()
    if not text:
        raise ScheduleError("a duration is missing", 0, 0, _DURATION_HINT)
    return seconds


# -- where a schedule ends --------------------------------------------------------------------------------------------


def _nickname_end(text: str) -> int:
    nickname = _WORD.match(text)
    assert nickname is not None
    if nickname[0] not in _WITH_ARGUMENT:
        return nickname.end()
    argument = _WORD.search(text, nickname.end())
    if argument is None:
        raise _argument_missing(nickname[0], text)
    return argument.end()


def _declared_end(text: str, fields: str) -> int:
    match = re.match(rf"[^ \t]++(?:[ \t]++[^ \t]++){{{len(LAYOUTS[fields]) - 1}}}", text)
    if match is None:
        raise _wrong_field_count(text.rstrip(" \t"), fields)
    return match.end()


# -- cron expressions -------------------------------------------------------------------------------------------------


def _checked_layout(text: str, count: int, fields: str | None) -> tuple[FieldKind, ...]:
    layout = layout_of(count, fields)
    if count != len(layout):
        raise _wrong_field_count(text, fields)
    return layout


def _cron(text: str, layout: tuple[FieldKind, ...], words: list[str], zone: Zone, seed: str) -> CronSchedule:
    try:
        parsed = {kind: parse_field(kind, word, seed) for kind, word in zip(layout, words, strict=True)}
    except ScheduleError:
        raise _located_error(text, layout, seed) from None
    minute, hour = parsed[MINUTE], parsed[HOUR]
    days = day_rule(parsed[DAY], parsed[MONTH], parsed[WEEKDAY])
    if not days.months:
        raise _never_fires(text, layout)
    wildcard = minute.starred or hour.starred
    minutes = WallPattern(minute.bits, hour.bits, days)
    if layout is FIELDS:
        return CronSchedule(text, zone, minutes, wildcard)
    seconds = _with_seconds(minutes, parsed.get(SECOND), parsed.get(YEAR))
    if seconds.at_or_after(0) is None:
        message = "this schedule can never fire: none of its years has such a day"
        raise ScheduleError(message, 0, len(text), "choose a year that has the day")
    return CronSchedule(text, zone, seconds, wildcard)


def _with_seconds(minutes: WallPattern, second: Field | None, year: Field | None) -> SecondPattern:
    years = 0 if year is None or year.bits == _EVERY_YEAR else year.bits
    return SecondPattern(minutes, 1 if second is None else second.bits, years)


def _located_error(text: str, layout: tuple[FieldKind, ...], seed: str) -> ScheduleError:
    """Find the faulty field again, now with its column: valid schedules are too many to count columns in them."""
    for kind, word in zip(layout, _WORD.finditer(text), strict=True):
        try:
            parse_field(kind, word[0], seed)
        except ScheduleError as error:
            return error.shifted(word.start())
    raise AssertionError(f"no field of {text!r} is at fault")


def _never_fires(text: str, layout: tuple[FieldKind, ...]) -> ScheduleError:
    words = dict(zip(layout, _WORD.finditer(text), strict=True))
    day, month, weekday = words[DAY], words[MONTH], words[WEEKDAY]
    if weekday[0] in ("*", "?"):
        message = f"this schedule can never fire: no month {month[0]} has a day {day[0]}"
        return ScheduleError(message, day.start(), month.end(), "choose a day that the month has")
    message = f"this schedule can never fire: no day matches {day[0]}, {month[0]} and {weekday[0]} together"
    return ScheduleError(message, day.start(), weekday.end(), "loosen one of the three")


def _wrong_field_count(text: str, fields: str | None) -> ScheduleError:
    words = _WORD.findall(text)
    if fields is not None:
        names = ", ".join(kind.name for kind in LAYOUTS[fields])
        message = f"a schedule has {len(LAYOUTS[fields])} fields in a file with fields={fields}, here {_count(words)}"
        return ScheduleError(message, 0, len(text), f"write {names}")
    message = f"a schedule has five fields, here {_count(words)}" if words else "the schedule is missing"
    hint = "write minute, hour, day of month, month and day of week"
    if len(words) == 6:
        message = f"six fields: `{' '.join(words)}` means three different things"
        hint = _three_readings(words)
    return ScheduleError(message, 0, len(text), hint)


def _count(words: list[str]) -> str:
    return "is 1" if len(words) == 1 else f"are {len(words)}"


def _three_readings(words: list[str]) -> str:
    return (
        f"with seconds first it is second {words[0]} of `{' '.join(words[1:])}`, "
        f"with seconds last second {words[5]} of `{' '.join(words[:5])}`, "
        f"with the year last `{' '.join(words[:5])}` in the year {words[5]}: write five fields, "
        "or say which in the file: # gcron-file: fields=seconds-first, seconds-last or year-last"
    )


# -- nicknames --------------------------------------------------------------------------------------------------------


def _parse_nickname(text: str, zone: Zone, seed: str) -> Schedule:
    words = list(_WORD.finditer(text))
    name = words[0][0]
    if name not in _ALL_NICKNAMES:
        raise _unknown_nickname(words[0])
    count = 2 if name in _WITH_ARGUMENT else 1
    if len(words) < count:
        raise _argument_missing(name, text)
    jobs = _names(words[1]) if name == _AFTER else ()
    if len(words) > count:
        known = text[: words[count - 1].end()].lstrip()
        raise ScheduleError(f"nothing may follow {known}", words[count].start(), words[-1].end())
    if name == _EVERY:
        return EverySchedule(text, zone, _seconds(name, words[1]))
    if name == _AFTER_END:
        return AfterEndSchedule(text, zone, _seconds(name, words[1]))
    if name == _AFTER:
        return AfterJobsSchedule(text, zone, "after-jobs", jobs)
    if name in _UNSCHEDULED:
        return Unscheduled(text, zone, _UNSCHEDULED[name])
    return _cron(text, FIELDS, NICKNAMES[name].split(), zone, seed)


def _seconds(name: str, word: re.Match[str]) -> int:
    try:
        seconds = parse_duration(word[0])
    except ScheduleError as error:
        raise error.shifted(word.start()) from None
    if seconds < 1 or seconds != int(seconds):
        message = f"{name} needs a whole number of seconds, at least 1"
        raise ScheduleError(message, *word.span(), "write 90s, 5m or 1h30m")
    if seconds > LAST_INSTANT:
        raise ScheduleError("this schedule can never fire: the calendar ends before", *word.span(), "write 90s or 2d")
    return int(seconds)


def _names(word: re.Match[str]) -> tuple[str, ...]:
    names = word[0].split(",")
    if "" in names:
        hint = "write the names with commas and no blanks between them: @after extract,load"
        raise ScheduleError("@after has a comma without a name", *word.span(), hint)
    return tuple(dict.fromkeys(names))


def _unknown_nickname(word: re.Match[str]) -> ScheduleError:
    message = f"{word[0]!r} is not a nickname"
    if word[0].lower() in _ALL_NICKNAMES:
        return ScheduleError(message, *word.span(), f"nicknames are lower case: write {word[0].lower()}")
    if close := closest(word[0].lower(), _ALL_NICKNAMES, _LIKENESS):
        return ScheduleError(message, *word.span(), f"did you mean {close}?")
    return ScheduleError(message, *word.span(), "the nicknames are " + " ".join(_ALL_NICKNAMES))


def _argument_missing(name: str, text: str) -> ScheduleError:
    if name == _AFTER:
        return ScheduleError(f"{name} needs the names of jobs", 0, len(text), f"write {name} extract,load")
    return ScheduleError(f"{name} needs a duration", 0, len(text), f"write {name} 90s or {name} 1h30m")
