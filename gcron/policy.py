"""The options of a job, in one table: what they are called, what they accept, what they default to.

A crontab's directives and the keyword arguments of Python calls both come through `OPTIONS`, so that they
cannot drift apart. This module may not know where an option came from, nor what is done with it.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from gcron.schedule import ScheduleError, parse_duration

__all__ = ["OPTIONS", "Option", "Policy", "PolicyError", "closest", "nearest"]

OVERLAPS = ("skip", "queue", "replace", "allow")
_SMALL_NUMBER = re.compile("[0-9]{1,6}")
_EXIT_CODE = re.compile("[0-9]{1,3}")
_SWITCH = {"yes": True, "no": False}


class PolicyError(ValueError):
    """An option that does not exist, or a value that it does not accept."""

    def __init__(self, message: str, *, key: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.key = key
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Policy:
    """How a job is run, whatever its schedule (docs/crontab.md, section 4)."""

    overlap: str = "skip"
    """What happens to a fire that is due while the previous run still runs: one of `OVERLAPS`."""
    queue_limit: int = 1
    """With `overlap="queue"`: how many fires may wait for the run under way; further ones are skipped."""
    timeout: float | None = None
    """Seconds until an attempt is asked to stop; None for no limit."""
    kill_after: float = 10.0
    """Seconds from `stop_signal` to KILL."""
    stop_signal: signal.Signals = signal.SIGTERM
    """What the whole tree is asked to stop with."""
    retries: int = 0
    """How often a failed attempt is followed by another."""
    retry_delay: float = 10.0
    """Seconds between the first attempt and the second."""
    retry_backoff: float = 2.0
    """By how much each further delay is longer than the one before."""
    retry_max_delay: float = 600.0
    """Seconds that no delay exceeds."""
    jitter: float = 0.0
    """Seconds up to which a fire is put off, each by its own."""
    success_codes: frozenset[int] = frozenset({0})
    """Exit codes that count as success."""
    cwd: str | None = None
    """Directory of the process; None for the inherited one."""
    shell: str | None = None
    """Program that reads the command; None for the crontab's SHELL, or /bin/sh."""
    enabled: bool = True
    """False: known and shown, never fired."""
    description: str = ""
    """One line for people."""

    def delay_after(self, attempts: int) -> float | None:
        """Seconds to wait after so many failed attempts; None when that is the end."""
        if attempts > self.retries:
            return None
        # Not the power itself: a thousand attempts at a back-off of 10 are beyond what a float holds.
        delay = self.retry_delay
        for _ in range(attempts - 1):
            if delay >= self.retry_max_delay or delay == 0:
                break
            delay *= self.retry_backoff
        return min(delay, self.retry_max_delay)

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Policy:
        """The defaults, changed by `options` (keys as in Python: `kill_after`).

        Raises PolicyError for an unknown key or a bad value.
        """
        return cls().with_options(options)

    def with_options(self, options: Mapping[str, object]) -> Policy:
        """A copy changed by `options`; raises PolicyError for an unknown key or a bad value."""
        if not options:
            return self
        known = [(_lookup(key), value) for key, value in options.items()]
        return replace(self, **{option.attribute: option.read(value) for option, value in known})


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: an option's name in directives, and the check that its values go through."""

    name: str
    check: Callable[[Any], Any]

    @property
    def attribute(self) -> str:
        """Its name in Python: the keyword argument, and the field of `Policy`."""
        return self.name.replace("-", "_")

    def read(self, value: object) -> Any:
        """The checked value, from a directive's text or a Python object; raises PolicyError."""
        try:
            return self.check(value)
        except _Refused as refused:
            message, hint = refused.args
            raise PolicyError(f"{self.name} {message}", key=self.name, hint=hint) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a word that is not known: the one it was probably meant to be, or the list of them all."""
    words = sorted(known)
    close = closest(word, words)
    return f"did you mean {close}?" if close else "known are " + ", ".join(words)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, if any is like it."""
    if len(word) > 40:
        # difflib takes the square of the length, and nobody misspells a short word into a long one.
        return None
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


class _Refused(Exception):
    """(what is wrong, after the option's name; what would be right)."""


def _lookup(key: str) -> Option:
    option = OPTIONS.get(key.replace("_", "-"))
    if option is None:
        known = [option.attribute for option in OPTIONS.values()]
        raise PolicyError(f"unknown option {key!r}", key=key, hint=nearest(key, known))
    return option


def _one_of(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value in words:
            return str(value)
        raise _Refused(f"cannot be {value!r}", "one of " + ", ".join(words))

    return check


def _seconds(value: object) -> float:
    if isinstance(value, str):
        return _finite(_duration(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused(f"cannot be {value!r}", "seconds, or a text such as 90, 90s, 1h30m, 2d")
    return _finite(value)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ScheduleError as error:
        raise _Refused(f"is not a duration: {error.message}", error.hint) from None


def _finite(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise _Refused("must be a finite time, not negative", "such as 90, 90s, 1h30m, 2d")
    return float(seconds)


def _time_limit(value: object) -> float | None:
    if value is None or value == "none":
        return None
    seconds = _seconds(value)
    if seconds == 0:
        raise _Refused("must be more than zero", "leave it out, or say none, for no limit")
    return seconds


def _count(value: object) -> int:
    number = int(value) if isinstance(value, str) and _SMALL_NUMBER.fullmatch(value) else value
    if type(number) is not int or number < 0:
        raise _Refused(f"cannot be {value!r}", "a whole number, 0 or more")
    return number


def _factor(value: object) -> float:
    try:
        factor = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except ValueError:
        factor = 0.0
    if not 1 <= factor < math.inf:
        raise _Refused(f"cannot be {value!r}", "a number from 1 up, such as 1 or 1.5")
    return factor


def _signal(value: object) -> signal.Signals:
    if isinstance(value, signal.Signals):
        return value
    if isinstance(value, str):
        found = signal.Signals.__members__.get("SIG" + value.removeprefix("SIG"))
        if found is not None:
            return found
    raise _Refused(f"cannot be {value!r}", "a signal in upper case, such as TERM, INT, QUIT, USR1")


def _exit_codes(value: object) -> frozenset[int]:
    codes = _numbers(value.split(",")) if isinstance(value, str) else _numbers(value)
    if not codes:
        raise _Refused("needs at least one exit code", "such as 0 or 0,3")
    return codes


def _numbers(values: object) -> frozenset[int]:
    if isinstance(values, int):
        values = (values,)
    if not isinstance(values, Iterable):
        raise _Refused(f"cannot be {values!r}", "exit codes, such as 0,3")
    return frozenset(_exit_code(value) for value in values)


def _exit_code(value: object) -> int:
    text = str(value).strip(" ")
    if _EXIT_CODE.fullmatch(text) and int(text) <= 255:
        return int(text)
    raise _Refused(f"has a code that is not one: {text!r}", "exit codes are 0 to 255, separated by commas")


def _path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike):
        raise _Refused(f"cannot be {value!r}", "a path")
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise _Refused(f"cannot be {path!r}", "a path that is not empty")
    return path


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _SWITCH:
        return _SWITCH[value]
    raise _Refused(f"cannot be {value!r}", "yes or no")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _Refused(f"cannot be {value!r}", "a text")


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        option.name: option
        for option in (
            Option("overlap", _one_of(*OVERLAPS)),
            Option("queue-limit", _count),
            Option("timeout", _time_limit),
            Option("kill-after", _seconds),
            Option("stop-signal", _signal),
            Option("retries", _count),
            Option("retry-delay", _seconds),
            Option("retry-backoff", _factor),
            Option("retry-max-delay", _seconds),
            Option("jitter", _seconds),
            Option("success-codes", _exit_codes),
            Option("cwd", _path),
            Option("shell", _path),
            Option("enabled", _switch),
            Option("description", _text),
        )
    }
)
"""All options of a policy by their name in directives."""
