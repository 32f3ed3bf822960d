"""What programs hand to a scheduler, held against what it takes: a mistake is told where it is made, not at the fire.

May not know what is done with it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from datetime import date, timedelta, tzinfo
from typing import Any

from gcron.schedule import CronTrigger, Schedule, find_zone, resolve
from gcron.scheduler.job import Job

__all__ = [
    "When",
    "Zone",
    "checked_command",
    "checked_function",
    "checked_grace",
    "checked_jobs",
    "checked_name",
    "checked_observer",
    "checked_when",
    "checked_zone",
    "schedule_of",
]

When = str | CronTrigger | Schedule
"""An expression as in a crontab, or what `cron()`, `every()` and `at()` return."""

Zone = str | tzinfo | None


def checked_zone(zone: Zone) -> Zone:
    """The time zone of schedules that name none. Raises ScheduleError when there is none of that name, TypeError."""
    if not isinstance(zone, str | tzinfo | None):
        raise TypeError(f"a time zone is a name such as 'Europe/Berlin' or a tzinfo, not {zone!r}")
    if zone:
        find_zone(zone)
    return zone


def checked_when(when: When) -> When:
    """The same. Raises TypeError for what is neither a text nor a schedule, as where `job` is written without it."""
    if isinstance(when, str | CronTrigger | Schedule):
        return when
    hint = "a text such as '*/5 * * * *', or what cron(), every() or at() returns"
    if isinstance(when, date):
        hint = "at(moment) for a single fire"
    elif isinstance(when, timedelta):
        hint = "every(period) for one that comes again and again"
    elif callable(when):
        hint += ", and the function comes after it: @scheduler.job('@hourly')"
    raise TypeError(f"{when!r} is no schedule: give {hint}")


def schedule_of(when: When, zone: Zone, name: str) -> Schedule:
    """The schedule of the job of that name. Raises ScheduleError, TypeError."""
    return resolve(checked_when(when), zone, name)


def checked_function(function: Callable[[], Any]) -> Callable[[], Any]:
    """The same. Raises TypeError for what cannot be called without arguments, or would only return a coroutine."""
    if not callable(function):
        raise TypeError(f"a job is a function, not {function!r}; a shell command is added by command()")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function!r} is async, and nobody would await it: call asyncio.run() in a job with thread=True"
        )
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function!r} is a generator, of which a call runs nothing: exhaust it in a function")
    if needed := _needed_by(function):
        raise TypeError(
            f"{function!r} needs {', '.join(needed)}, and is called without arguments: use functools.partial"
        )
    return function


def _needed_by(function: Callable[..., Any]) -> list[str]:
    try:
        # Not that of what it wraps: a decorator may be there to bring the arguments.
        parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):  # one in C may not say
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def checked_command(command: str) -> str:
    """The same. Raises TypeError for another type, ValueError where there is nothing to be run."""
    if not isinstance(command, str):
        hint = "shlex.join() makes one of a list" if isinstance(command, list | tuple) else "job() takes functions"
        raise TypeError(f"a command is a text for the shell, not {command!r}; {hint}")
    if not command.strip() or "\0" in command:
        raise ValueError(f"{command!r} is no command that a shell could run")
    return command


def checked_name(name: str | None, otherwise: str) -> str:
    """The name of a job, or what it is called without one. Raises TypeError, ValueError when it is empty."""
    if name is None:
        return otherwise
    if not isinstance(name, str):
        raise TypeError(f"the name of a job is a text, not {name!r}")
    if not name:
        raise ValueError("the name of a job cannot be empty: leave it out, and the job is called as what it runs")
    return name


def checked_jobs(jobs: Iterable[Job]) -> list[Job]:
    """All of them. Raises TypeError for what is no job."""
    jobs = list(jobs)
    for job in jobs:
        if not isinstance(job, Job):
            raise TypeError(f"{job!r} is no Job: command(), service() and job() make one and add it")
    return jobs


def checked_grace(grace: float) -> float:
    """Seconds, maybe infinite. Raises TypeError, ValueError when they are negative or no number."""
    if isinstance(grace, bool) or not isinstance(grace, int | float):
        raise TypeError(f"grace is a number of seconds, not {grace!r}")
    if grace < 0 or math.isnan(grace):
        raise ValueError(f"grace is a number of seconds, 0 or more, not {grace!r}")
    return grace


def checked_observer(observer: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same. Raises TypeError for what cannot be called, or would only return a coroutine."""
    if not callable(observer):
        raise TypeError(f"an observer is a function that takes an event, not {observer!r}")
    if inspect.iscoroutinefunction(observer):
        raise TypeError(f"{observer!r} is async, and nobody would await it: an observer is a plain function")
    return observer
