"""One field of a cron expression: text in, a set of values out.

The text is checked and normalised here, to the last character, before croniter expands it: croniter reads `5-5`
as every minute, wraps `22-2` around, turns `*/90` into `0` and leaves a star in the values of `0,*`. This module
may not know dates or zones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gcron.schedule.draws import draw
from gcron.schedule.errors import ScheduleError
from gcron.schedule.kinds import DAY, FIELDS, WEEKDAY, FieldKind

__all__ = ["DayMark", "Field", "oversized_steps", "parse_field"]


@dataclass(frozen=True, slots=True)
class DayMark:
    """A day that depends on the month. `kind` is one of:

    `L` the last day; `W` the weekday (Monday to Friday) nearest to day `value`;
    `#` the `nth` weekday `value` of the month; `last` its last weekday `value`.
    """

    kind: str
    value: int = 0
    nth: int = 0


# A tuple and no dataclass: three of them are hashed for each entry that is loaded.
class Field(NamedTuple):
    """The values of a field as bits (bit n is the value n), and the days of it that depend on the month."""

    bits: int
    starred: bool
    marks: tuple[DayMark, ...] = ()


_NUMBER = re.compile(r"[0-9]{1,9}")
_RANGE = re.compile(r"(?P<low>[^-/]+)(?:-(?P<high>[^-/]+))?(?:/(?P<step>.*))?")
_HASHED = re.compile(r"H(?:\((?P<low>[0-9]{1,9})-(?P<high>[0-9]{1,9})\))?(?:/(?P<step>.*))?", re.IGNORECASE)
_DRAWN = re.compile(r"(?P<low>[^~/]*)~(?P<high>[^~/]*)")
_SEEDED = re.compile(r"~|(?:^|,)H", re.IGNORECASE)
_NEAREST_WEEKDAY = re.compile(r"(?P<day>[0-9]{1,9})W", re.IGNORECASE)
_NTH_WEEKDAY = re.compile(r"(?P<day>[^#]*)#(?P<nth>.*)")
_LAST_WEEKDAY = re.compile(r"(?P<day>[0-9]{1,9}|[a-z]{3})L", re.IGNORECASE)


def parse_field(kind: FieldKind, text: str, seed: str = "") -> Field:
    """Return what `text` means in the column `kind`; `seed` is the job's name, from which `H` and `~` draw.

    Raises ScheduleError, with columns inside `text`. Source: docs/crontab.md, section 2, which is cronie's dialect with
    the exceptions named there.
    """
    return _parse_unseeded(kind, text) or _parse(kind, text, seed)


# Crontabs repeat the same few field texts, and croniter takes 50 µs for each: 5 s and more for 100,000 entries.
@lru_cache(maxsize=4096)
def _parse_unseeded(kind: FieldKind, text: str) -> Field | None:
    return None if _SEEDED.search(text) else _parse(kind, text, "")


def _parse(kind: FieldKind, text: str, seed: str) -> Field:
    if text == "?":
        return _question_mark(kind)
    spans: list[str] = []
    marks: list[DayMark] = []
    column = 0
    for item in text.split(","):
        try:
            mark = _day_mark(kind, item)
            if mark is not None:
                marks.append(mark)
            else:
                spans.extend(_spans(kind, item, seed))
        except ScheduleError as error:
            raise error.shifted(column) from None
        column += len(item) + 1
    return Field(_expand(kind, tuple(spans)), text.startswith("*"), tuple(marks))


def oversized_steps(kind: FieldKind, text: str) -> Iterator[tuple[int, int]]:
    """Yield the columns, start and end, of each step in a valid field that leads out of its range at once.

    Such a field is accepted, but says less than it seems to: `*/90` is minute 0, `10-20/30` is 10.
    """
    column = 0
    for item in text.split(","):
        match = _RANGE.fullmatch(item)
        if match is not None and match["step"] is not None and _HASHED.fullmatch(item) is None:
            low, high, step = _range_limits(kind, match)
            if step > high - low:
                yield column + match.start("step"), column + match.end("step")
        column += len(item) + 1


def _question_mark(kind: FieldKind) -> Field:
    if kind not in (DAY, WEEKDAY):
        raise ScheduleError(f"'?' has no meaning in the {kind.name} field", 0, 1, "write *")
    return Field(_expand(kind, (f"{kind.low}-{kind.high}",)), True)


# Cached once more, for drawn values: their texts differ in meaning from job to job, their spans hardly do.
@lru_cache(maxsize=4096)
def _expand(kind: FieldKind, spans: tuple[str, ...]) -> int:
    if not spans:
        return 0
    # Imported here: croniter brings dateutil with it, 40 ms that `import gcron` need not take.
    from croniter import croniter

    columns = ["*"] * max(len(FIELDS), kind.index + 1)
    columns[kind.index] = ",".join(spans)
    values = croniter.expand(" ".join(columns))[0][kind.index]
    if values == ["*"]:
        values = range(kind.low, kind.high + 1)
    return sum(1 << value for value in values)


def _spans(kind: FieldKind, item: str, seed: str) -> Iterator[str]:
    """Rewrite one item of a list in the forms that croniter gets right: `a`, and `a-b/n` with a < b."""
    low, high, step = _limits(kind, item, seed)
    if kind is WEEKDAY and high == 7:
        # croniter knows 7, but counts a step through 6-7 as a wrapped range.
        sunday_is_hit = (7 - low) % step == 0
        if sunday_is_hit:
            yield "0"
        if low == 7:
            return
        high = 6
    yield str(low) if low == high else f"{low}-{high}/{step}"


def _limits(kind: FieldKind, item: str, seed: str) -> tuple[int, int, int]:
    if hashed := _HASHED.fullmatch(item):
        return _hashed_limits(kind, hashed, seed)
    if drawn := _DRAWN.fullmatch(item):
        value = _drawn_value(kind, drawn, seed)
        return value, value, 1
    match = _RANGE.fullmatch(item)
    if match is None:
        raise _unreadable(kind, item)
    return _range_limits(kind, match)


def _range_limits(kind: FieldKind, match: re.Match[str]) -> tuple[int, int, int]:
    step = _step(match)
    if match["low"] == "*" and match["high"] is None:
        return kind.low, kind.high, step
    low = _value(kind, match, "low")
    if match["high"] is None:
        if match["step"] is None:
            return low, low, 1
        hint = f"write {match['low']}-{kind.high}/{match['step']}"
        raise ScheduleError(f"{match[0]!r} means different things to different tools", 0, match.end(), hint)
    high = _value(kind, match, "high")
    if low > high:
        raise _reversed(kind, match, low, high)
    return low, high, step


def _hashed_limits(kind: FieldKind, match: re.Match[str], seed: str) -> tuple[int, int, int]:
    step = _step(match)
    low, high = kind.low, kind.high if match["step"] else kind.high_hashed
    if match["low"]:
        low, high = _value(kind, match, "low"), _value(kind, match, "high")
    if low > high:
        raise _reversed(kind, match, low, high)
    if not match["step"]:
        value = draw(kind.name, low, high, seed)
        return value, value, 1
    return draw(kind.name, low, min(low + step - 1, high), seed), high, step


def _drawn_value(kind: FieldKind, match: re.Match[str], seed: str) -> int:
    low = _value(kind, match, "low") if match["low"] else kind.low
    high = _value(kind, match, "high") if match["high"] else kind.high
    if low > high:
        raise _reversed(kind, match, low, high)
    return draw(kind.name, low, high, seed)


def _step(match: re.Match[str]) -> int:
    text = match["step"]
    if text is None:
        return 1
    start, end = match.span("step")
    if not text:
        raise ScheduleError("the step is missing", start, end, "write a number from 1 up behind the slash")
    if not _NUMBER.fullmatch(text):
        raise ScheduleError(f"{text!r} is not a step", start, end, "write a number from 1 up")
    if int(text) == 0:
        raise ScheduleError("a step of 0 never moves", start, end, "write a step from 1 up")
    return int(text)


def _value(kind: FieldKind, match: re.Match[str], group: str) -> int:
    text, (start, end) = match[group], match.span(group)
    if text.lower() in kind.names:
        return kind.low + kind.names.index(text.lower())
    if not _NUMBER.fullmatch(text):
        raise _not_a_value(kind, text).shifted(start)
    if not kind.low <= int(text) <= kind.high_written:
        hint = f"write {kind.low} to {kind.high_written}"
        raise ScheduleError(f"{text} is out of range in the {kind.name} field", start, end, hint)
    return int(text)


def _not_a_value(kind: FieldKind, text: str) -> ScheduleError:
    hint = f"write {kind.low} to {kind.high_written}"
    if kind.names:
        hint += f", or a name from {kind.names[0]} to {kind.names[-1]}"
    message = f"{text!r} is not a {kind.name}"
    for other in FIELDS:
        if text.lower() in other.names:
            message += f" but a {other.name}"
    return ScheduleError(message, 0, len(text), hint)


def _unreadable(kind: FieldKind, item: str) -> ScheduleError:
    if not item:
        return ScheduleError(f"an item of the {kind.name} list is missing", 0, 0, "remove the comma")
    return ScheduleError(f"{item!r} is not a value, range or step of the {kind.name} field", 0, len(item))


def _reversed(kind: FieldKind, match: re.Match[str], low: int, high: int) -> ScheduleError:
    start, end = match.start("low"), match.end("high")
    if kind is WEEKDAY and high == 0:
        hint = f"write {low}-7" if low < 7 else "write 0"
    else:
        hint = f"write {_span(low, kind.high)},{_span(kind.low, high)}"
    return ScheduleError(f"the range {match['low']}-{match['high']} is reversed", start, end, hint)


def _span(low: int, high: int) -> str:
    return str(low) if low >= high else f"{low}-{high}"


def _day_mark(kind: FieldKind, item: str) -> DayMark | None:
    if kind is DAY and item in ("L", "l"):
        return DayMark("L")
    if kind is DAY and (match := _NEAREST_WEEKDAY.fullmatch(item)):
        return DayMark("W", _value(kind, match, "day"))
    if kind is not WEEKDAY:
        return None
    if match := _LAST_WEEKDAY.fullmatch(item):
        return DayMark("last", _value(kind, match, "day") % 7)
    if match := _NTH_WEEKDAY.fullmatch(item):
        return _nth_weekday(kind, match)
    return None


def _nth_weekday(kind: FieldKind, match: re.Match[str]) -> DayMark:
    if match["nth"] not in ("1", "2", "3", "4", "5"):
        message = f"{match['nth']!r} is not a week of the month"
        raise ScheduleError(message, *match.span("nth"), "write 1 to 5")
    return DayMark("#", _value(kind, match, "day") % 7, int(match["nth"]))
