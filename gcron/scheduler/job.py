"""A job: a name, when, what, and how. Plain data: jobs that are equal are the same job."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gcron.crontab import (
    Crontab,
    CrontabError,
    Entry,
    Target,
    find_group_mistakes,
    find_target_mistakes,
    group_limits,
    targets_of,
)
from gcron.frozen import frozen
from gcron.policy import Policy
from gcron.schedule import CronSchedule, Schedule, Unscheduled, core_of
from gcron.supervise.command import Command, command_of
from gcron.supervise.python_call import PythonCall

__all__ = ["Job", "job_of", "jobs_of"]

_NO_GROUPS: Mapping[str, int] = MappingProxyType({})
_NO_TARGETS: Mapping[str, Target] = MappingProxyType({})


@frozen(uncompared=("source", "targets", "mail_on_failure"))
class Job:
    """Something to run, and when."""

    name: str
    schedule: Schedule
    action: Command | PythonCall
    policy: Policy
    source: str = ""
    """Where it was defined, for people: `crontab.example:12`. A line above it more or less makes it no other job."""
    group_limit: int | None = None
    """How many runs of its group there may be at once, as its file declares; None: as `Scheduler.group` says."""
    targets: tuple[Target, ...] = ()
    """Where its messages go: those of its `notify`. Other targets make it no other job: no service is restarted."""
    mail_on_failure: bool = False
    """`-n`: mail to MAILTO only if it fails."""
    owner: str = ""
    """The user whose crontab defines it, which only that user edits; empty for all others."""

    @property
    def starts_with_scheduler(self) -> bool:
        """True for `@reboot`, and for a schedule with `now`."""
        return self.schedule.at_start

    @property
    def starts_when_added(self) -> bool:
        """True for a schedule with `now`: it also runs when it is added to a scheduler that has started."""
        return self.schedule.at_start and not isinstance(core_of(self.schedule), Unscheduled)

    @property
    def is_fixed_time(self) -> bool:
        """True when its fires stand for times of the day, which are made up after a step of the clock."""
        schedule = core_of(self.schedule)
        return isinstance(schedule, CronSchedule) and not schedule.wildcard


def jobs_of(crontab: Crontab, known_groups: Mapping[str, int] = _NO_GROUPS) -> list[Job]:
    """Make the jobs of a crontab that stands alone but for the limits of `known_groups`.

    Raises CrontabError for all that is wrong with it.
    """
    mistakes = (*find_group_mistakes([crontab], known_groups), *find_target_mistakes([crontab]))
    if errors := crontab.errors or mistakes:
        raise CrontabError(errors)
    limits, targets = group_limits([crontab]), targets_of([crontab])
    return [job_of(entry, limits, targets=targets) for entry in crontab.entries]


def job_of(
    entry: Entry,
    group_limits: Mapping[str, int] = _NO_GROUPS,
    trusted_owners: frozenset[int] = frozenset(),
    targets: Mapping[str, Target] = _NO_TARGETS,
) -> Job:
    """Make the job of a crontab entry.

    `group_limits` and `targets` are what its file and others with it declare; `trusted_owners` as in `LoadSettings`.
    """
    command = command_of(
        entry.command,
        entry.policy,
        stdin=entry.stdin,
        environment=entry.environment,
        user=entry.user,
        trusted_owners=trusted_owners,
    )
    limit = None if entry.policy.group is None else group_limits.get(entry.policy.group)
    notified = tuple(targets[name] for name in entry.policy.notify if name in targets)
    source = f"{entry.path}:{entry.line}"
    return Job(
        entry.name, entry.schedule, command, entry.policy, source, limit, notified, entry.mail_on_failure, entry.owner
    )
