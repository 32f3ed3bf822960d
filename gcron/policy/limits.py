"""The values of limits that options accept: a reader for each kind, as in `gcron.policy.values`."""

from __future__ import annotations

import re
from collections.abc import Callable
from resource import RLIM_INFINITY

from gcron.policy.values import Refused

__all__ = ["limit_of", "most_of", "read_percent"]

# As text: `re` compiles each at its first use.
_SIZE = "([0-9]{1,15})([kKmMgGtT]?)"
_PERCENT = "[0-9]{1,6}%"
_SUCH_AS = {"bytes": "512M", "seconds": "60", "files": "1024", "processes": "200"}


def limit_of(unit: str) -> Callable[[object], int | None]:
    """Return a reader for a limit counted in `unit`: a number, `unlimited`, or None for the inherited limit.

    Bytes may be followed by K, M, G or T, powers of 1024; `unlimited` is `resource.RLIM_INFINITY`.
    """

    def read(value: object) -> int | None:
        if value is None or value == "unlimited":
            return None if value is None else RLIM_INFINITY
        size = _size(value, unit) if isinstance(value, str) else value
        if type(size) is not int or not (0 <= size < 1 << 63 or size == RLIM_INFINITY):
            raise Refused(f"cannot be {value!r}", f"{unit}, such as {_SUCH_AS[unit]}, or unlimited")
        return size

    return read


def most_of(unit: str) -> Callable[[object], int | None]:
    """Return a reader as `limit_of`, for a limit above zero; None and `unlimited` are no limit."""
    read_limit = limit_of(unit)

    def read(value: object) -> int | None:
        limit = read_limit(value)
        if limit == 0:
            raise Refused("must be more than zero", "leave it out, or say unlimited, for no limit")
        return None if limit == RLIM_INFINITY else limit

    return read


def read_percent(value: object) -> int | None:
    """Read whole percents above zero: `150%`, or 150; None and `unlimited` are no limit."""
    if value is None or value == "unlimited":
        return None
    percent = int(value[:-1]) if isinstance(value, str) and re.fullmatch(_PERCENT, value) else value
    if type(percent) is not int or not 0 < percent < 1_000_000:
        raise Refused(f"cannot be {value!r}", "percent of one processor, such as 50% or 150%, or unlimited")
    return percent


def _size(text: str, unit: str) -> int | None:
    match = re.fullmatch(_SIZE, text)
    if match is None or (match[2] and unit != "bytes"):
        return None
    return int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ")
