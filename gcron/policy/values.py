"""The values that options accept: a reader for each kind.

A reader takes a directive's text or a Python object, and returns the checked value or raises `Refused`. It does not
know for which option.
"""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from gcron.schedule import ScheduleError, parse_duration

__all__ = [
    "Refused",
    "is_name",
    "one_of",
    "or_none",
    "read_command",
    "read_count",
    "read_exit_codes",
    "read_factor",
    "read_name",
    "read_names",
    "read_nice",
    "read_path",
    "read_pattern",
    "read_program",
    "read_seconds",
    "read_signal",
    "read_switch",
    "read_text",
    "read_time_limit",
    "read_umask",
    "read_user",
]

_T = TypeVar("_T")

# As text: `re` compiles each at its first use.
_SMALL_NUMBER = "[0-9]{1,9}"
_SMALL_INTEGER = "-?[0-9]{1,2}"
_OCTAL = "0?[0-7]{1,3}"
_EXIT_CODE = "[0-9]{1,3}"
_NAME = r"\w[\w.:@+-]{0,99}"
_USER = r"[\w.][\w.@+-]{0,99}(?:\\[\w.@+-]{1,99})?\$?"
_SWITCH = {"yes": True, "no": False}
LABEL = "label:"
"""What the names of labels follow in `run-on`."""


class Refused(Exception):
    """A value that is not accepted: (what is wrong, as a phrase after the option's name; what would be right)."""


def one_of(*words: str) -> Callable[[object], str]:
    """Return a reader for one of these words."""

    def read(value: object) -> str:
        if value in words:
            return str(value)
        raise Refused(f"cannot be {value!r}", "one of " + ", ".join(words))

    return read


def or_none(read: Callable[[object], _T]) -> Callable[[object], _T | None]:
    """Return a reader that also takes None: as for all jobs."""
    return lambda value: None if value is None else read(value)


def read_seconds(value: object) -> float:
    """Read seconds, a `timedelta`, or a text such as `1h30m`."""
    if isinstance(value, str):
        return _finite(_duration(value))
    if isinstance(value, timedelta):
        return _finite(value.total_seconds())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"cannot be {value!r}", "seconds, or a text such as 90, 90s, 1h30m, 2d")
    return _finite(value)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ScheduleError as error:
        raise Refused(f"is not a duration: {error.message}", error.hint) from None


def _finite(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise Refused("must be a finite time, not negative", "such as 90, 90s, 1h30m, 2d")
    return float(seconds)


def read_time_limit(value: object) -> float | None:
    """Read as `read_seconds`, but above zero; None or `none` is no limit."""
    if value is None or value == "none":
        return None
    seconds = read_seconds(value)
    if seconds == 0:
        raise Refused("must be more than zero", "leave it out, or say none, for no limit")
    return seconds


def read_count(value: object) -> int:
    """Read a whole number from 0 up."""
    number = int(value) if isinstance(value, str) and re.fullmatch(_SMALL_NUMBER, value) else value
    if type(number) is not int or number < 0:
        raise Refused(f"cannot be {value!r}", "a whole number, 0 or more")
    return number


def read_factor(value: object) -> float:
    """Read a number from 1 up."""
    try:
        factor = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except ValueError:
        factor = 0.0
    if not 1 <= factor < math.inf:
        raise Refused(f"cannot be {value!r}", "a number from 1 up, such as 1 or 1.5")
    return factor


def read_signal(value: object) -> signal.Signals:
    """Read a signal, or its name with or without `SIG`."""
    if isinstance(value, signal.Signals):
        return value
    if isinstance(value, str):
        found = signal.Signals.__members__.get("SIG" + value.removeprefix("SIG"))
        if found is not None:
            return found
    raise Refused(f"cannot be {value!r}", "a signal in upper case, such as TERM, INT, QUIT, USR1")


def read_exit_codes(value: object) -> frozenset[int]:
    """Read one or more exit codes, as numbers or as a text with commas."""
    codes = _numbers(value.split(",")) if isinstance(value, str) else _numbers(value)
    if not codes:
        raise Refused("needs at least one exit code", "such as 0 or 0,3")
    return codes


def _numbers(values: object) -> frozenset[int]:
    if isinstance(values, int):
        values = (values,)
    if not isinstance(values, Iterable):
        raise Refused(f"cannot be {values!r}", "exit codes, such as 0,3")
    return frozenset(_exit_code(value) for value in values)


def _exit_code(value: object) -> int:
    text = str(value).strip(" ")
    if re.fullmatch(_EXIT_CODE, text) and int(text) <= 255:
        return int(text)
    raise Refused(f"has a code that is not one: {text!r}", "exit codes are 0 to 255, separated by commas")


def read_path(value: object) -> str | None:
    """Read a path that is not empty, or None."""
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike):
        raise Refused(f"cannot be {value!r}", "a path")
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise Refused(f"cannot be {path!r}", "a path that is not empty")
    return path


def read_program(value: object) -> str | None:
    """Read the path of a program, without options for it, or None."""
    path = read_path(value)
    if path is not None and re.search(r"\s-\S", path):
        raise Refused(f"cannot be {value!r}", "a program without options")
    return path


def read_switch(value: object) -> bool:
    """Read a bool, `yes` or `no`."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _SWITCH:
        return _SWITCH[value]
    raise Refused(f"cannot be {value!r}", "yes or no")


def read_command(value: object) -> str | None:
    """Read a shell command that is not empty, or None."""
    if value is None or (isinstance(value, str) and value.strip() and "\0" not in value):
        return value
    raise Refused(f"cannot be {value!r}", "a shell command")


def read_text(value: object) -> str:
    """Read a text."""
    if isinstance(value, str):
        return value
    raise Refused(f"cannot be {value!r}", "a text")


def read_user(value: object) -> str | None:
    """Read the name or the number of a user, or None for gcron's own."""
    if type(value) is int and value >= 0:
        value = str(value)
    if value is None or (isinstance(value, str) and re.fullmatch(_USER, value)):
        return value
    raise Refused(f"cannot be {value!r}", "the name of a user, or a number")


def read_name(value: object) -> str | None:
    """Read a name, as jobs have them, or None."""
    return None if value is None else _checked_name(value)


def read_run_on(value: object) -> str:
    """Read `one`, `every` or `label:NAME`."""
    if value in ("one", "every"):
        return str(value)
    if isinstance(value, str) and value.startswith(LABEL) and is_name(value.removeprefix(LABEL)):
        return value
    raise Refused(f"cannot be {value!r}", "one, every, or label:NAME")


def read_names(value: object) -> tuple[str, ...]:
    """Read names, as a sequence or as a text with commas; there may be none."""
    if isinstance(value, str):
        value = [word.strip(" ") for word in value.split(",")] if value.strip(" ") else ()
    if not isinstance(value, list | tuple):
        raise Refused(f"cannot be {value!r}", "names, separated by commas")
    return tuple(dict.fromkeys(_checked_name(name) for name in value))


def is_name(text: str) -> bool:
    """Whether a job or a group in a crontab may have this name."""
    return re.fullmatch(_NAME, text) is not None


def _checked_name(value: object) -> str:
    if isinstance(value, str) and is_name(value):
        return value
    raise Refused(f"cannot be {value!r}", "letters, digits and . _ : @ + - (at most 100), a letter or digit first")


def read_umask(value: object) -> int | None:
    """Read a file mode mask: octal digits as a text, or a number; None for the inherited one."""
    if value is None:
        return None
    mask = int(value, 8) if isinstance(value, str) and re.fullmatch(_OCTAL, value) else value
    if type(mask) is not int or not 0 <= mask <= 0o777:
        raise Refused(f"cannot be {value!r}", "octal digits, such as 022 or 077")
    return mask


def read_nice(value: object) -> int | None:
    """Read what is added to the niceness, -20 to 19; None for the inherited one."""
    if value is None:
        return None
    nice = int(value) if isinstance(value, str) and re.fullmatch(_SMALL_INTEGER, value) else value
    if type(nice) is not int or not -20 <= nice <= 19:
        raise Refused(f"cannot be {value!r}", "-20 (goes first) to 19 (goes last)")
    return nice


def read_pattern(value: object) -> str | None:
    """Read a regular expression, or None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused(f"cannot be {value!r}", "a regular expression")
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise Refused(f"is no regular expression: {error}", "as Python's re module takes them") from None
    return value
