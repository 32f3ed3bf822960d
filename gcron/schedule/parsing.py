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
from gcron.schedule.fields import Field, oversized_steps, parse_field
from gcron.schedule.kinds import (
    DAY,
    FIELDS,
    HOUR,
    LAYOUTS,
    MINUTE,
    MONTH,
    NICKNAMES,
    SECOND,
    SEVEN,
    WEEKDAY,
    YEAR,
    FieldKind,
)
from gcron.schedule.seconds import SecondPattern
from gcron.schedule.walls import WallPattern
from gcron.schedule.zones import Zone, find_zone

__all__ = ["check", "parse", "split_schedule"]

_UNSCHEDULED = {"@reboot": "reboot", "@service": "service", "@manual": "manual"}
_EVERY = "@every"
_EVERY_YEAR = sum(1 << year for year in range(YEAR.low, YEAR.high + 1))
_ALL_NICKNAMES = (*NICKNAMES, *_UNSCHEDULED, _EVERY)

_WORD = re.compile(r"[^ \t]+")
# Possessive (`++`): a match never goes back, so the time is linear for any text. Groups are
# atomic (`(?>…)`) instead: Python before 3.11.5 keeps what a possessive group took in vain (python/cpython#100061).
_HEADS = {count: re.compile(rf"[^ \t]++(?:[ \t]++[^ \t]++){{{count - 1}}}") for count in (5, 6, 7)}
_HEAD = _HEADS[len(FIELDS)]
# What no command begins with, but a sixth and a seventh field do.
_WEEKDAY = "(?:sun|mon|tue|wed|thu|fri|sat)"
_FIELD_LIKE = rf"(?:[0-9*?][0-9*?,/#LW-]*+|{_WEEKDAY}(?>(?:[,-]{_WEEKDAY})*)(?>(?:#[1-5]|L)?))(?![^ \t])"
_MORE_FIELDS = re.compile(rf"[ \t]++{_FIELD_LIKE}(?>([ \t]++{_FIELD_LIKE})?)", re.IGNORECASE)


def parse(text: str, tz: str | tzinfo | None = None, *, seed: str = "", fields: str | None = None) -> Schedule:
    """Return the schedule that `text` stands for: five or seven fields, a nickname, or `@every` with a duration.

    `tz` is where its wall clock hangs: a name of the tz database, a `tzinfo`, or None for UTC. `seed`, the
    job's name, settles the values of `H` and `~`. `fields` says which fields `text` has, as a key of `LAYOUTS`
    (`seconds-first`); seven fields are seconds first and the year last anyway. Raises ScheduleError, with columns
    inside `text`, and KeyError for unknown `fields`. Source: docs/crontab.md, sections 1 and 2.

    A `tzinfo` of one's own cannot be asked for its changes of offset and is probed every 137 minutes: a change that is
    undone sooner than that may go unseen. Those of `zoneinfo` have no such changes.
    """
    zone = find_zone(tz)
    words = _WORD.findall(text)
    if words and words[0].startswith("@"):
        return _parse_nickname(text, zone, seed)
    return _cron(text, _layout(text, len(words), fields), words, zone, seed)


def check(text: str, *, fields: str | None = None) -> list[ScheduleWarning]:
    """Return what is accepted in a valid schedule but hardly meant: steps larger than their range.

    `fields` as for `parse`.
    """
    if text.lstrip().startswith("@"):
        return []
    words = list(_WORD.finditer(text))
    return [
        _oversized_step(text, word.start() + start, word.start() + end)
        for kind, word in zip(_layout(text, len(words), fields), words, strict=True)
        for start, end in oversized_steps(kind, word[0])
    ]


def split_schedule(text: str, *, fields: str | None = None) -> int:
    """Return the column at which the schedule ends in an entry's text that has no leading blanks.

    The schedule is five fields between blanks, seven, as many as `fields` (see `parse`) has, a nickname, or
    `@every` with a duration; it is not checked further. Raises ScheduleError when there is too little of it,
    or when just a sixth field seems to follow.
    """
    if text.startswith("@"):
        return _nickname_end(text)
    head = _HEAD.match(text) if fields is None else _HEADS[len(LAYOUTS[fields])].match(text)
    if head is None:
        raise _wrong_field_count(text.rstrip(" \t"), fields)
    more = None if fields else _MORE_FIELDS.match(text, head.end())
    if more is None:
        return head.end()
    if more[1] is None:
        raise _wrong_field_count(text[: more.end()], fields)
    return more.end()


def _nickname_end(text: str) -> int:
    nickname = _WORD.match(text)
    assert nickname is not None
    if nickname[0] != _EVERY:
        return nickname.end()
    duration = _WORD.search(text, nickname.end())
    if duration is None:
        raise _duration_missing(text)
    return duration.end()


def _layout(text: str, count: int, fields: str | None) -> tuple[FieldKind, ...]:
    undeclared = SEVEN if count == len(SEVEN) else FIELDS
    layout = undeclared if fields is None else LAYOUTS[fields]
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
        raise _never_fires_in_its_years(text)
    return CronSchedule(text, zone, seconds, wildcard)


def _with_seconds(minutes: WallPattern, second: Field | None, year: Field | None) -> SecondPattern:
    years = 0 if year is None or year.bits == _EVERY_YEAR else year.bits
    return SecondPattern(minutes, 1 if second is None else second.bits, years)


def _located_error(text: str, layout: tuple[FieldKind, ...], seed: str) -> ScheduleError:
    """Find the faulty field again, now with its column: the way without errors is too hot to count columns."""
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


def _never_fires_in_its_years(text: str) -> ScheduleError:
    message = "this schedule can never fire: no year of it has such a day"
    return ScheduleError(message, 0, len(text), "choose a year that has the day")


def _oversized_step(text: str, start: int, end: int) -> ScheduleWarning:
    message = f"the step {text[start:end]} is larger than its range: only the first value is left"
    return ScheduleWarning(message, start, end, "write that value, or a smaller step")


def _parse_nickname(text: str, zone: Zone, seed: str) -> Schedule:
    words = list(_WORD.finditer(text))
    name = words[0][0]
    if name not in _ALL_NICKNAMES:
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
    return _cron(text, FIELDS, NICKNAMES[name].split(), zone, seed)


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
    if word[0].lower() in _ALL_NICKNAMES:
        return ScheduleError(message, *word.span(), f"nicknames are lower case: write {word[0].lower()}")
    return ScheduleError(message, *word.span(), "the nicknames are " + " ".join(_ALL_NICKNAMES))


def _duration_missing(text: str) -> ScheduleError:
    return ScheduleError("@every needs a duration", 0, len(text), "write @every 90s or @every 1h30m")


def _wrong_field_count(text: str, fields: str | None) -> ScheduleError:
    words = _WORD.findall(text)
    if fields is not None:
        names = ", ".join(kind.name for kind in LAYOUTS[fields])
        message = f"a schedule has {len(LAYOUTS[fields])} fields in a file with fields={fields}, here are {len(words)}"
        return ScheduleError(message, 0, len(text), f"write {names}")
    message = f"a schedule has five fields, here are {len(words)}" if words else "the schedule is missing"
    hint = "write minute, hour, day of month, month and day of week"
    if len(words) == 6:
        message = f"six fields: `{' '.join(words)}` means three different things"
        hint = _three_readings(words)
    return ScheduleError(message, 0, len(text), hint)


def _three_readings(words: list[str]) -> str:
    return (
        f"with seconds first it is second {words[0]} of `{' '.join(words[1:])}`, "
        f"with seconds last second {words[5]} of `{' '.join(words[:5])}`, "
        f"with the year last `{' '.join(words[:5])}` in the year {words[5]}: write five fields, "
        "or say which in the file: # gcron-file: fields=seconds-first, seconds-last or year-last"
    )
