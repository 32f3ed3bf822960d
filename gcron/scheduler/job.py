"""A job: a name, when, what, and how. Plain data: jobs that are equal are the same job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gcron.crontab import Entry
from gcron.policy import Policy
from gcron.schedule import CronSchedule, DelayedSchedule, Schedule, Unscheduled
from gcron.supervise.command import Command, command_of

__all__ = ["Job", "job_of"]


@dataclass(frozen=True, slots=True)
class Job:
    """Something to run, and when."""

    name: str
    schedule: Schedule
    action: Command | Callable[[], Any]
    policy: Policy
    source: str = field(default="", compare=False)
    """Where it was defined, for people: `crontab.example:12`. A line above it more or less makes it no other job."""
    group_limit: int | None = None
    """How many runs of its group there may be at once, as its file declares; None: as `Scheduler.group` says."""

    @property
    def starts_with_scheduler(self) -> bool:
        """True for `@reboot`."""
        return isinstance(self.schedule, Unscheduled) and self.schedule.kind == "reboot"

    @property
    def is_fixed_time(self) -> bool:
        """True when its fires stand for times of the day, which are made up after a step of the clock."""
        schedule = self.schedule.schedule if isinstance(self.schedule, DelayedSchedule) else self.schedule
        return isinstance(schedule, CronSchedule) and not schedule.wildcard


def job_of(entry: Entry, group_limits: Mapping[str, int] = MappingProxyType({})) -> Job:
    """Make the job of a crontab entry; `group_limits` are what its file and others with it declare."""
    command = command_of(entry.command, entry.policy, stdin=entry.stdin, environment=entry.environment, user=entry.user)
    limit = None if entry.policy.group is None else group_limits.get(entry.policy.group)
    return Job(entry.name, entry.schedule, command, entry.policy, f"{entry.path}:{entry.line}", limit)
