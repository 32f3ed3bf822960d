"""A job: a name, when, what, and how. Plain data: jobs that are equal are the same job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gcron.crontab import Entry
from gcron.policy import Policy
from gcron.schedule import CronSchedule, DelayedSchedule, Schedule, Unscheduled
from gcron.supervise.command import Command

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

    @property
    def starts_with_scheduler(self) -> bool:
        """True for `@reboot`."""
        return isinstance(self.schedule, Unscheduled) and self.schedule.kind == "reboot"

    @property
    def is_fixed_time(self) -> bool:
        """True when its fires stand for times of the day, which are made up after a step of the clock."""
        schedule = self.schedule.schedule if isinstance(self.schedule, DelayedSchedule) else self.schedule
        return isinstance(schedule, CronSchedule) and not schedule.wildcard


def job_of(entry: Entry) -> Job:
    """Make the job of a crontab entry."""
    command = Command(
        entry.command,
        stdin=entry.stdin,
        environment=entry.environment,
        shell=entry.policy.shell,
        cwd=entry.policy.cwd,
    )
    return Job(entry.name, entry.schedule, command, entry.policy, source=f"{entry.path}:{entry.line}")
