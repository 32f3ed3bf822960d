"""Lengths of time as people write them: `90`, `90s`, `1h30m`, `2d`."""

from __future__ import annotations

import re

from gcron.schedule.errors import ScheduleError

__all__ = ["parse_duration"]

_SECONDS_IN = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_UNITS = list(_SECONDS_IN)
# Twelve digits are 30,000 years: more is a slip, and would overflow what takes a timeout.
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_PART = re.compile(rf"({_NUMBER})(ms|[wdhms])")
_PLAIN = re.compile(_NUMBER)
_HINT = "write a number of seconds or parts with units from large to small, such as 90, 90s, 1h30m or 2d"


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for.

    A bare number is seconds; the units are w, d, h, m, s and ms, each at most once, from large to small.
    Raises ScheduleError for anything else.
    """
    if _PLAIN.fullmatch(text):
        return float(text)
    seconds, column, units_left = 0.0, 0, _UNITS
    while column < len(text):
        part = _PART.match(text, column)
        if part is None or part[2] not in units_left:
            raise ScheduleError(f"{text!r} is not a duration", column, len(text), _HINT)
        seconds += float(part[1]) * _SECONDS_IN[part[2]]
        units_left = units_left[units_left.index(part[2]) + 1 :]
        column = part.end()
    if not text:
        raise ScheduleError("a duration is missing", 0, 0, _HINT)
    return seconds
