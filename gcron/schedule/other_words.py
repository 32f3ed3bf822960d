"""Words of other schedulers for schedules, with what gcron says instead.

Python's own answer, "got an unexpected keyword argument 'hour'", does not say what would be right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

__all__ = ["FIELDS", "LIMITS", "OF_CRON", "OF_PERIODS", "UNITS", "answering"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

FIELDS: Mapping[str, str] = dict.fromkeys(
    ("second", "minute", "hour", "day", "month", "year", "week", "day_of_week"), "cron('30 2 * * mon-fri')"
)
UNITS: Mapping[str, str] = dict.fromkeys(
    ("seconds", "minutes", "hours", "days", "weeks"), "every('5m'), or every(timedelta(…))"
)
LIMITS: Mapping[str, str] = {"start_date": "start=", "end_date": "end=", "timezone": "tz="}
_OF_JOBS: Mapping[str, str] = {"jitter": "it is an option of the job: job(schedule, jitter=30)"}
OF_CRON: Mapping[str, str] = {**FIELDS, **UNITS, **LIMITS, **_OF_JOBS}
OF_PERIODS: Mapping[str, str] = {**UNITS, **LIMITS, **_OF_JOBS}


def answering(words: Mapping[str, str]) -> Callable[[_Function], _Function]:
    """Decorator: a keyword argument in `words` raises a TypeError that says what is right here."""

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for word in kwargs:
                if word in words:
                    called = function.__qualname__.removesuffix(".__init__")
                    raise TypeError(f"{called}() has no argument {word!r}: {words[word]}")
            return function(*args, **kwargs)

        return cast("_Function", call)

    return decorate
