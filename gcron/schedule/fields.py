"""One field of a cron expression: text in, a set of values out.

Numbers, names, ranges and steps are expanded here. Items with `L`, `W` or `#` are read by croniter, which is loaded
only for them: importing it takes a tenth of gcron's start. The rest is not for croniter: it reads `5-5` as every
minute, wraps `22-2` around and makes 0 of `*/90`; it does not know `LW` and `L-3`. Its errors name no column, so what
it gets is checked first.

This module knows neither dates nor zones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from gcron.schedule.errors import ScheduleError
from gcron.schedule.layouts import DAY, FIELDS, WEEKDAY, FieldKind
from gcron.schedule.seeded import seeded_value

__all__ = ["DayMark", "Field", "is_seeded", "oversized_steps", "parse_field"]


class DayMark(NamedTuple):
    """A day that depends on the month. `kind` is one of:

    `L` the last day, or the one that is `value` days before it; `LW` the last day from Monday to Friday;
    `W` the weekday (Monday to Friday) nearest to day `value`;
    `#` the `nth` weekday `value` of the month; `last` its last weekday `value`.
    """

    kind: str
    value: int = 0
    nth: int = 0


class Field(NamedTuple):
    """The values of a field as bits (bit n is the value n), and its days that depend on the month."""

    bits: int
    starred: bool
    """Whether the text begins with `*`, or is `?`."""
    marks: tuple[DayMark, ...] = ()


_RANGE = re.compile(r"(?P<low>[^-/]+)(?:-(?P<high>[^-/]+))?(?:/(?P<step>.*))?")
# Patterns as text are compiled at their first use: most crontabs have no need of them.
_HASHED = r"[Hh](?:\((?P<low>[0-9]+)-(?P<high>[0-9]+)\))?(?:/(?P<step>.*))?"
_BETWEEN = r"(?P<low>[^~/]*)~(?P<high>[^~/]*)"
_BEFORE_LAST = r"[Ll]-(?P<days>[0-9]+)"
_NEAREST_WEEKDAY = r"(?P<day>[0-9]+)[Ww]"
_NTH_WEEKDAY = r"(?P<day>[^#]*)#(?P<nth>.*)"
_LAST_WEEKDAY = r"(?P<day>[0-9]+|[A-Za-z]{3})[Ll]"
_LONGEST_NUMBER = 9
"""Digits that are read; longer numbers are all the same to a schedule."""
_MOST_BEFORE_LAST = 30


def parse_field(kind: FieldKind, text: str, seed: str = "") -> Field:
    """Return what `text` means as a field of this kind. `seed` is the job's name, which decides `H` and `~`.

    Raises ScheduleError, with columns inside `text`. Source: docs/crontab.md, section 2, which is cronie's dialect with
    the exceptions named there.
    """
    return _parse_unseeded(kind, text) or _parse(kind, text, seed)


def is_seeded(text: str) -> bool:
    """Whether the job's name decides values of this field: it has an `H` or a `~`."""
    return "~" in text or (("h" in text or "H" in text) and any(item[:1] in ("H", "h") for item in text.split(",")))


def oversized_steps(kind: FieldKind, text: str) -> Iterator[tuple[int, int]]:
    """Yield the columns, start and end, of each step in a valid field that is larger than its range.

    Such a field is accepted, but says less than it seems to: `*/90` is minute 0, `10-20/30` is 10.
    """
    column = 0
    for item in text.split(","):
        match = _RANGE.fullmatch(item)
        if match is not None and match["step"] is not None and not is_seeded(item):
            low, high, step = _range_limits(kind, match)
            if step > high - low:
                yield column + match.start("step"), column + match.end("step")
        column += len(item) + 1


# Cached: crontabs repeat the same few texts.
@lru_cache(maxsize=4096)
def _parse_unseeded(kind: FieldKind, text: str) -> Field | None:
    return None if is_seeded(text) else _parse(kind, text, "")


def _parse(kind: FieldKind, text: str, seed: str) -> Field:
    if text == "?":
        return _question_mark(kind)
    bits = 0
    marks: list[DayMark] = []
    column = 0
    for item in text.split(","):
        try:
            mark = _day_mark(kind, item)
            if mark is None:
                bits |= _bits(kind, *_limits(kind, item, seed))
            else:
                marks.append(mark)
        except ScheduleError as error:
            raise error.shifted(column) from None
        column += len(item) + 1
    return Field(bits, text.startswith("*"), tuple(marks))


def _question_mark(kind: FieldKind) -> Field:
    if kind not in (DAY, WEEKDAY):
        raise ScheduleError(f"'?' has no meaning in the {kind.name} field", 0, 1, "write *")
    return Field(_bits(kind, kind.low, kind.high, 1), True)


def _bits(kind: FieldKind, low: int, high: int, step: int) -> int:
    bits = 0
    for value in range(low, high + 1, step):
        bits |= 1 << (value % 7 if kind is WEEKDAY else value)  # 7 is Sunday, too
    return bits


# -- numbers, names, ranges, steps ------------------------------------------------------------------------------------


def _limits(kind: FieldKind, item: str, seed: str) -> tuple[int, int, int]:
    """Return the first value, the last that may be reached, and the step of one item of a list."""
    if hashed := item[:1] in ("H", "h") and re.fullmatch(_HASHED, item):
        return _hashed_limits(kind, hashed, seed)
    if between := "~" in item and re.fullmatch(_BETWEEN, item):
        value = _value_between(kind, between, seed)
        return value, value, 1
    match = _RANGE.fullmatch(item)
    if match is None:
        raise _unreadable(kind, item)
    return _range_limits(kind, match)


def _range_limits(kind: FieldKind, match: re.Match[str]) -> tuple[int, int, int]:
    step = _step(match)
    if match["low"] == "*" and match["high"] is None:
        return kind.low, kind.high, step
    if match["high"] is not None:
        return *_ends(kind, match), step
    low = _value(kind, match, "low")
    if match["step"] is None:
        return low, low, 1
    hint = f"write {match['low']}-{kind.high}/{match['step']}"
    raise ScheduleError(f"{match[0]!r} means different things to different tools", 0, match.end(), hint)


def _ends(kind: FieldKind, match: re.Match[str]) -> tuple[int, int]:
    """Return the first and the last value of a range; where one is left open, that of the field."""
    low = _value(kind, match, "low") if match["low"] else kind.low
    high = _value(kind, match, "high") if match["high"] else kind.high
    if kind is WEEKDAY and high == 0 < low:
        return low, 7  # `fri-sun`: a week that ends on Sunday
    if low > high:
        raise _reversed(kind, match, low, high)
    return low, high


def _hashed_limits(kind: FieldKind, match: re.Match[str], seed: str) -> tuple[int, int, int]:
    step = _step(match)
    low, high = kind.low, kind.high if match["step"] else kind.high_hashed
    if match["low"]:
        low, high = _ends(kind, match)
    if not match["step"]:
        value = seeded_value(kind.name, low, high, seed)
        return value, value, 1
    return seeded_value(kind.name, low, min(low + step - 1, high), seed), high, step


def _value_between(kind: FieldKind, match: re.Match[str], seed: str) -> int:
    return seeded_value(kind.name, *_ends(kind, match), seed)


def _step(match: re.Match[str]) -> int:
    text = match["step"]
    if text is None:
        return 1
    start, end = match.span("step")
    if not text:
        raise ScheduleError("the step is missing", start, end, "write a number from 1 up after the slash")
    step = _number(text)
    if step is None:
        raise ScheduleError(f"{text!r} is not a step", start, end, "write a number from 1 up")
    if step == 0:
        raise ScheduleError("a step of 0 never moves", start, end, "write a step from 1 up")
    return step


def _value(kind: FieldKind, match: re.Match[str], group: str) -> int:
    text, (start, end) = match[group], match.span(group)
    if text.lower() in kind.names:
        return kind.low + kind.names.index(text.lower())
    value = _number(text)
    if value is None:
        raise _not_a_value(kind, text).shifted(start)
    if not kind.low <= value <= kind.high_written:
        hint = f"write {kind.low} to {kind.high_written}"
        raise ScheduleError(f"{text} is out of range in the {kind.name} field", start, end, hint)
    return value


def _number(text: str) -> int | None:
    """Return the number, at most 10**9, which is larger than all values and ranges; None if it is none."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    return int(digits or 0) if len(digits) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER


def _not_a_value(kind: FieldKind, text: str) -> ScheduleError:
    hint = f"write {kind.low} to {kind.high_written}"
    if kind.names:
        hint += f", or a name from {kind.names[0]} to {kind.names[-1]}"
    message = f"{text!r} is not a {kind.name}"
    for other in FIELDS:
        if text.lower() in other.names:
            message += f" but a {other.name}"
    if kind is DAY and text in ("L", "l"):
        message, hint = "L, the last day, cannot be part of a range", "write L, LW, L-3, or a day that the months have"
    return ScheduleError(message, 0, len(text), hint)


def _unreadable(kind: FieldKind, item: str) -> ScheduleError:
    if not item:
        return ScheduleError(f"an item of the {kind.name} list is missing", 0, 0, "remove the comma")
    return ScheduleError(f"{item!r} is not a value, range or step of the {kind.name} field", 0, len(item))


def _reversed(kind: FieldKind, match: re.Match[str], low: int, high: int) -> ScheduleError:
    start, end = match.start("low"), match.end("high")
    spans = ((low, kind.high), (kind.low, high))
    hint = "write " + ",".join(str(first) if first >= last else f"{first}-{last}" for first, last in spans)
    return ScheduleError(f"the range {match['low']}-{match['high']} is reversed", start, end, hint)


# -- days that depend on the month ------------------------------------------------------------------------------------


def _day_mark(kind: FieldKind, item: str) -> DayMark | None:
    """Return what an item with `L`, `W` or `#` means in a field for days; None if it is another item."""
    last = item[-1:]
    if kind is DAY:
        if item in ("L", "l"):
            return _read_mark(kind, item)
        if item[:1] in ("L", "l") and (mark := _mark_of_ours(item)):
            return mark
        if last in ("W", "w") and (match := re.fullmatch(_NEAREST_WEEKDAY, item)):
            return _read_mark(kind, f"{_value(kind, match, 'day')}W")
    if kind is WEEKDAY:
        if last in ("L", "l") and (match := re.fullmatch(_LAST_WEEKDAY, item)):
            return _read_mark(kind, f"L{_value(kind, match, 'day')}")  # croniter has the day after the L
        if "#" in item and (match := re.fullmatch(_NTH_WEEKDAY, item)):
            return _read_mark(kind, _nth_weekday(kind, match))
    return None


def _mark_of_ours(item: str) -> DayMark | None:
    """Return what `LW` or `L-3` means; None if it is neither. croniter knows neither."""
    if item in ("LW", "lw", "Lw", "lW"):
        return DayMark("LW")
    match = re.fullmatch(_BEFORE_LAST, item)
    if match is None:
        return None
    days = _number(match["days"])
    if days is None or not 1 <= days <= _MOST_BEFORE_LAST:
        message = f"no month has a day that is {match['days']} days before its last"
        raise ScheduleError(message, *match.span("days"), f"write L, or L-1 to L-{_MOST_BEFORE_LAST}")
    return DayMark("L", days)


def _nth_weekday(kind: FieldKind, match: re.Match[str]) -> str:
    if match["nth"] not in ("1", "2", "3", "4", "5"):
        message = f"{match['nth']!r} is not a week of the month"
        raise ScheduleError(message, *match.span("nth"), "write 1 to 5")
    return f"{_value(kind, match, 'day')}#{match['nth']}"


# Cached: croniter takes 50 µs for one.
@lru_cache(maxsize=1024)
def _read_mark(kind: FieldKind, item: str) -> DayMark:
    """Return what croniter reads in an item that was checked and is written as croniter has it."""
    from croniter import croniter

    columns = ["*"] * len(FIELDS)
    columns[kind.position] = item
    expanded, weeks = croniter.expand(" ".join(columns))
    (value,) = expanded[kind.position]
    if kind is DAY:
        return DayMark("L") if value == "l" else DayMark("W", value)
    (nth,) = weeks[value]
    return DayMark("last", value) if nth == "l" else DayMark("#", value, nth)
