"""Jobs as Python programs define them: a command or a function, when, and the options of a crontab's directives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from gcron.policy import Policy
from gcron.policy.services import describe_kind, find_useless
from gcron.schedule import CronTrigger, Schedule, resolve
from gcron.scheduler.job import Job
from gcron.supervise.call import InThread
from gcron.supervise.command import OF_PROCESSES, command_of

__all__ = ["When", "command_job", "function_job", "function_policy"]

When = str | CronTrigger | Schedule
"""An expression as in a crontab, or what `cron()`, `every()` and `at()` return."""

Zone = str | tzinfo | None


def command_job(command: str, when: When, name: str | None, options: Mapping[str, object], timezone: Zone) -> Job:
    """A job that runs a shell command; without a `name` it is called as the command is.

    Raises ScheduleError, PolicyError, and ValueError for an option that means nothing here.
    """
    policy = Policy.from_options(options)
    name = name or command
    return _checked(Job(name, resolve(when, timezone, name), command_of(command, policy), policy))


def function_policy(options: Mapping[str, object]) -> Policy:
    """How a function is run.

    Raises PolicyError, and ValueError for an option of processes: a function is run in this one.
    """
    policy = Policy.from_options(options)
    if useless := [name for name in OF_PROCESSES if getattr(policy, name) is not None]:
        raise ValueError(f"{', '.join(useless)} means nothing to a function, which has no process of its own")
    return policy


def function_job(
    action: Callable[[], Any] | InThread, when: When, name: str | None, policy: Policy, timezone: Zone
) -> Job:
    """A job that calls a function; without a `name` it is called as the function is. Raises as `command_job`."""
    name = name or _name_of(action.function if isinstance(action, InThread) else action)
    return _checked(Job(name, resolve(when, timezone, name), action, policy))


def _name_of(function: Callable[[], Any]) -> str:
    while not hasattr(function, "__name__") and hasattr(function, "func"):
        function = function.func  # a functools.partial has no name, what is in it has
    name: str = getattr(function, "__name__", "") or type(function).__name__
    return name


def _checked(job: Job) -> Job:
    if useless := find_useless(job):
        raise ValueError(f"job {job.name!r}: {', '.join(useless)} means nothing to {describe_kind(job)}")
    return job
