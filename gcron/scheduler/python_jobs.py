"""Jobs made by Python calls: what a program passes is checked, and becomes a `Job`.

A mistake raises where it is made, not when the job is due. This module must not know what is done with a job.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta, tzinfo
from functools import partial
from typing import Any

from gcron.errors import ArgumentError, JobError
from gcron.frozen import replace
from gcron.policy import Policy
from gcron.policy.services import describe_kind, find_useless
from gcron.schedule import (
    CronTrigger,
    EverySchedule,
    OnceSchedule,
    Schedule,
    ScheduleError,
    core_of,
    cron,
    find_zone,
    parse_duration,
    resolve,
)
from gcron.schedule.zones import FIRST_INSTANT
from gcron.scheduler.job import Job
from gcron.scheduler.other_words import check_words
from gcron.supervise.command import OF_PROCESSES, Command, command_of
from gcron.supervise.python_call import PythonCall

__all__ = [
    "Grace",
    "When",
    "Zone",
    "check_not_past",
    "checked_grace",
    "checked_jobs",
    "checked_zone",
    "command_job",
    "function_job",
    "function_policy",
    "limited_when",
    "schedule_of",
]

When = str | CronTrigger | Schedule
"""An expression as in a crontab, or what `cron()`, `every()` and `at()` return."""

Zone = str | tzinfo | None


# What a process has and a function has not: an exit status, signals, and an output of its own.
_OF_ENDS = ("success_codes", "stop_signal", "output")

Grace = float | str | timedelta
"""Seconds, or a text such as `1m30s`."""


def checked_grace(grace: Grace) -> float:
    """Return seconds, maybe infinite. Raises TypeError, and ArgumentError for a negative number or NaN."""
    if isinstance(grace, timedelta):
        grace = grace.total_seconds()
    if isinstance(grace, str):
        return parse_duration(grace)
    if isinstance(grace, bool) or not isinstance(grace, int | float):
        raise TypeError(f"grace is a number of seconds, or a text such as '30s', not {grace!r}")
    if grace < 0 or math.isnan(grace):
        raise ArgumentError(f"grace is a number of seconds, 0 or more, not {grace!r}")
    return grace


def check_not_past(schedule: Schedule, now: float) -> None:
    """Raise ScheduleError for a job that is to run once, at a moment that is over."""
    if not isinstance(core_of(schedule), OnceSchedule):
        return
    due = schedule.next_after(FIRST_INSTANT)
    if due is not None and due < int(now):
        hint = "give a later one; trigger() runs a job now"
        raise ScheduleError(f"at({schedule.text}) is over: that moment has passed", hint=hint)


def checked_zone(zone: Zone) -> Zone:
    """Return `zone`. Raises ScheduleError when there is no zone of that name, TypeError for another type."""
    if not isinstance(zone, str | tzinfo | None):
        raise TypeError(f"a time zone is a name such as 'Europe/Berlin' or a tzinfo, not {zone!r}")
    if zone:
        find_zone(zone)
    return zone


def checked_when(when: When) -> When:
    """Return `when`. Raises TypeError for what is neither a text nor a schedule, as in a bare `@scheduler.job`."""
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
    try:
        return resolve(checked_when(when), zone, name)
    except ScheduleError as error:
        if isinstance(when, str) and _is_duration(when):
            hint = f"every({when!r}) comes again and again, after_end({when!r}) so long after each end"
            raise ScheduleError(f"{when!r} is a duration, and no schedule", hint=hint) from None
        raise error


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except ScheduleError:
        return False
    return True


def limited_when(when: When, **given: Any) -> When:
    """`when` with what is given of `tz`, `start`, `end`, `except_on` and `now`, as `cron()` takes them.

    Raises ScheduleError, and TypeError for what is given twice or means nothing to the schedule.
    """
    given = {name: value for name, value in given.items() if value not in (None, False)}
    when = checked_when(when)
    if not given:
        return when
    if isinstance(when, str):
        return cron(when, **given)
    if isinstance(when, EverySchedule):
        return cron(when.text, **given)
    if not isinstance(when, CronTrigger):
        raise TypeError(f"{', '.join(given)} means nothing to {when!r}")
    before = {"tz": when.tz} | {name: getattr(when.limits, name) for name in ("start", "end", "except_on", "now")}
    if twice := [name for name in given if before[name]]:
        raise TypeError(f"{', '.join(twice)} is given twice: to the schedule, and to the job")
    added = cron(when.expression, fields=when.fields, **given)
    old = {name: value for name, value in before.items() if name != "tz" and value}
    return replace(when, tz=when.tz or added.tz, limits=replace(added.limits, **old))


def _checked_call(call: PythonCall) -> PythonCall:
    """Return `call`. Raises TypeError if the function does not take the arguments, or if a call would run nothing."""
    import inspect  # 5 ms of a start that most programs do not need

    function = call.function
    if not callable(function):
        raise TypeError(f"a job is a function, not {function!r}; a shell command is added by command()")
    if inspect.isasyncgenfunction(function):
        raise TypeError(f"{function!r} is an async generator, of which a call runs nothing: iterate in a coroutine")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function!r} is a generator, of which a call runs nothing: exhaust it in a function")
    if call.greenlet and inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r} is async, and greenlet=True is for functions that are not: leave it out")
    try:
        # Without `follow_wrapped`: a decorator may bring the arguments.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # one in C may not say
        return call
    try:
        signature.bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise TypeError(f"{function!r} cannot be called so: {error}; args= and kwargs= are its arguments") from None
    return call


def _checked_command(command: str) -> str:
    """Return `command`. Raises TypeError for another type, JobError when there is nothing to run."""
    if not isinstance(command, str):
        hint = "shlex.join() makes one of a list" if isinstance(command, list | tuple) else "job() takes functions"
        raise TypeError(f"a command is a text for the shell, not {command!r}; {hint}")
    if not command.strip() or "\0" in command:
        raise JobError(f"{command!r} is no command that a shell could run")
    return command


def _checked_name(name: str | None, otherwise: str) -> str:
    """The name of a job; `otherwise` when none is given. Raises TypeError, JobError for an empty name."""
    if name is None:
        return otherwise
    if not isinstance(name, str):
        raise TypeError(f"the name of a job is a text, not {name!r}")
    if not name:
        raise JobError("the name of a job cannot be empty: leave it out, and the job is called as what it runs")
    return name


def checked_jobs(jobs: Iterable[Job]) -> list[Job]:
    """All of them, as a list. Raises TypeError for what is no job."""
    jobs = list(jobs)
    for job in jobs:
        if not isinstance(job, Job):
            raise TypeError(f"{job!r} is no Job: command(), service() and job() make one and add it")
        if not isinstance(job.action, Command | PythonCall):
            raise TypeError(f"job {job.name!r} has the action {job.action!r}: give PythonCall(function), or a Command")
    return jobs


def command_job(
    command: str,
    when: When,
    name: str | None,
    options: Mapping[str, object],
    timezone: Zone,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
) -> Job:
    """A job that runs a shell command. Without a `name`, the command is its name.

    Raises ScheduleError, PolicyError, TypeError, and ValueError for an option without effect here.
    """
    check_words(options)
    policy = Policy.from_options(options)
    name = _checked_name(name, _checked_command(command))
    action = command_of(command, policy, stdin=_checked_stdin(stdin), environment=_checked_environment(env))
    return _checked(Job(name, schedule_of(when, timezone, name), action, policy))


def _checked_environment(env: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return a copy of `env`. Raises TypeError unless it is texts by text, ValueError for a name with a `=`."""
    if env is None:
        return None
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env= is texts by name, not {name!r}: {value!r}")
        if not name or "=" in name or "\0" in name + value:
            raise JobError(f"env= cannot have {name!r}: {value!r}")
    return dict(env)


def _checked_stdin(stdin: str | bytes | None) -> bytes | None:
    if isinstance(stdin, str):
        return stdin.encode("utf-8", "surrogateescape")
    if stdin is None or isinstance(stdin, bytes):
        return stdin
    raise TypeError(f"stdin= is a text or bytes that the command reads, not {stdin!r}")


def function_policy(options: Mapping[str, object]) -> Policy:
    """The policy of a function.

    Raises PolicyError, and JobError for an option of processes: a function runs in this process.
    """
    check_words(options)
    policy = Policy.from_options(options)
    useless = [name for name in OF_PROCESSES if getattr(policy, name) != getattr(Policy(), name)]
    useless += [name for name in _OF_ENDS if name in options and getattr(policy, name) != getattr(Policy(), name)]
    if useless:
        raise JobError(f"{', '.join(useless)} means nothing to a function, which has no process of its own")
    return policy


def function_job(call: PythonCall, when: When, name: str | None, policy: Policy, timezone: Zone) -> Job:
    """A job that calls a function. Without a `name`, it has the name of the function. Raises as `command_job`."""
    name = _checked_name(name, _name_of(_checked_call(call).function))
    return _checked(Job(name, schedule_of(when, timezone, name), call, policy))


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func  # a partial has no name; its function has one
    name = getattr(function, "__name__", "")
    return name if isinstance(name, str) and name else type(function).__name__


def _checked(job: Job) -> Job:
    if useless := find_useless(job):
        raise JobError(f"job {job.name!r}: {', '.join(useless)} means nothing to {describe_kind(job)}")
    return job
