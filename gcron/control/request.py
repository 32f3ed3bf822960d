"""What a client sent, checked: parameters of the path, the query and the body, by the readers of their rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, NamedTuple
from urllib.parse import parse_qsl

from gcron.control.errors import ControlError
from gcron.schedule import ScheduleError, parse_duration
from gcron.spelling import nearest

__all__ = [
    "MOST_BODY",
    "Parameter",
    "read_body",
    "read_count",
    "read_duration",
    "read_names",
    "read_number",
    "read_parameters",
    "read_switch",
    "read_text",
    "read_time",
]

MOST_BODY = 64 * 1024
"""Bytes of a request's body."""
_MOST_PARAMETERS = 50
_LONGEST_TEXT = 1000
_YEAR_10000 = 253402300800
_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

Place = Literal["path", "query", "body"]


class Parameter(NamedTuple):
    """One row: a parameter's name, where it is, what reads its text, its JSON Schema and its help."""

    name: str
    place: Place
    read: Callable[[Any], Any]
    schema: Mapping[str, Any]
    help: str
    is_required: bool = False


def read_parameters(
    rows: Sequence[Parameter], path: Mapping[str, str], query: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of the parameters that were given. Raises ControlError for an unknown or wrong one."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="surrogateescape")
    except ValueError:
        raise ControlError("bad-request", f"more than {_MOST_PARAMETERS} parameters") from None
    given: dict[Place, dict[str, Any]] = {"path": dict(path), "query": {}, "body": dict(body)}
    for name, text in pairs:
        if name in given["query"]:
            raise ControlError("bad-request", f"the parameter {name!r} was given twice", parameter=name)
        given["query"][name] = text
    values: dict[str, Any] = {}
    for row in rows:
        if row.name in given[row.place]:
            values[row.name] = _read(row, given[row.place].pop(row.name))
        elif row.is_required:
            raise ControlError("bad-request", f"the parameter {row.name!r} is missing: {row.help}", parameter=row.name)
    for place, left in given.items():
        for name in left:
            known = [row.name for row in rows if row.place == place]
            hint = nearest(name, known) if known else "there are none"
            raise ControlError("bad-request", f"unknown parameter {name!r} ({hint})", parameter=name)
    return values


def _read(row: Parameter, value: Any) -> Any:
    try:
        return row.read(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ControlError("bad-request", f"{row.name}: {error}", parameter=row.name) from None


def read_body(stream: BinaryIO, content_type: str) -> dict[str, Any]:
    """The JSON object that is the body; an empty body is an empty object. Raises ControlError."""
    data = stream.read(MOST_BODY + 1)
    if len(data) > MOST_BODY:
        raise ControlError("too-large", f"a body of more than {MOST_BODY} bytes")
    if not data:
        return {}
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ControlError("bad-request", f"a body is application/json, not {content_type or 'without a type'!r}")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ControlError("bad-request", f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise ControlError("bad-request", f"the body is a JSON object, not {type(body).__name__}")
    return body


# -- values -------------------------------------------------------------------------------------------------------


def read_text(value: Any) -> str:
    """Read a text of at most 1,000 characters, without control characters."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"{len(value)} characters are too many: at most {_LONGEST_TEXT}")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("it has control characters")
    return value


def read_number(value: Any) -> int:
    """Read a whole number."""
    text = str(value)
    if isinstance(value, bool) or not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        raise ValueError(f"{value!r} is no whole number")
    return int(text)


def read_count(most: int) -> Callable[[Any], int]:
    """Return a reader of a whole number from 1 to `most`."""

    def read(value: Any) -> int:
        number = read_number(value)
        if not 1 <= number <= most:
            raise ValueError(f"{number} is not from 1 to {most}")
        return number

    return read


def read_switch(value: Any) -> bool:
    """Read `1`, `true` or `yes`, `0`, `false` or `no`, or a JSON boolean."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in _SWITCH:
        raise ValueError(f"{value!r} is neither true nor false")
    return _SWITCH[value.lower()]


def read_time(value: Any) -> float:
    """Read a time in RFC 3339: seconds of UTC."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no time")
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))  # a + in a query is a blank
    except ValueError:
        raise ValueError(f"{value!r} is no time such as 2027-03-28T02:30:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no zone: add Z, or an offset such as +02:00")
    seconds = moment.astimezone(UTC).timestamp()
    if seconds >= _YEAR_10000:  # the last microseconds before it are rounded up
        raise ValueError(f"{value!r} is not before the year 10000")
    return seconds


def read_duration(value: Any) -> float:
    """Read seconds, or a text such as `1h30m`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no duration")
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except ScheduleError as error:
        raise ValueError(str(error)) from None
    if not 0 < seconds < 10**10:
        raise ValueError(f"{value!r} is no duration above 0")
    return seconds


def read_names(value: Any) -> frozenset[str]:
    """Read words separated by commas."""
    return frozenset(word for word in read_text(value).split(",") if word)
