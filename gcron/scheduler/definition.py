"""Jobs as Python programs define them: a command or a function, when, and the options of a crontab's directives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gcron.policy import Policy
from gcron.policy.services import describe_kind, find_useless
from gcron.scheduler.arguments import When, Zone, checked_command, checked_function, checked_name, schedule_of
from gcron.scheduler.job import Job
from gcron.supervise.call import InThread
from gcron.supervise.command import OF_PROCESSES, command_of

__all__ = ["command_job", "function_job", "function_policy"]


def command_job(command: str, when: When, name: str | None, options: Mapping[str, object], timezone: Zone) -> Job:
    """A job that runs a shell command; without a `name` it is called as the command is.

    Raises ScheduleError, PolicyError, TypeError, and ValueError for an option that means nothing here.
    """
    policy = Policy.from_options(options)
    name = checked_name(name, checked_command(command))
    return _checked(Job(name, schedule_of(when, timezone, name), command_of(command, policy), policy))


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
    function = checked_function(action.function if isinstance(action, InThread) else action)
    name = checked_name(name, _name_of(function))
    return _checked(Job(name, schedule_of(when, timezone, name), action, policy))


def _name_of(function: Callable[[], Any]) -> str:
    while isinstance(function, partial):
        function = function.func  # it has no name, what is in it has
    name = getattr(function, "__name__", "")
    return name if isinstance(name, str) and name else type(function).__name__


def _checked(job: Job) -> Job:
    if useless := find_useless(job):
        raise ValueError(f"job {job.name!r}: {', '.join(useless)} means nothing to {describe_kind(job)}")
    return job
