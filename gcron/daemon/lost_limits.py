"""Limits of jobs that the kernel cannot keep: a warning when the jobs are loaded, long before they run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gcron.daemon.formats.format import Level
from gcron.scheduler import Job
from gcron.supervise.command import Command

__all__ = ["report_limits"]


class _Log(Protocol):
    def say(self, text: str, level: Level = "info") -> None: ...


def report_limits(jobs: Iterable[Job], log: _Log) -> None:
    """Prepare the kernel for the limits of these jobs, and warn of those that cannot be kept: once for each job."""
    limits_of = {job.name: job.action.cgroup_limits for job in jobs if isinstance(job.action, Command)}
    limited = {name: limits for name, limits in limits_of.items() if limits}
    if not limited:
        return
    from gcron.supervise.cgroup_limits import report_once  # few crontabs need it

    jobs_with: dict[str, list[str]] = {}
    for name, limits in limited.items():
        if problem := report_once(name, limits):
            jobs_with.setdefault(problem, []).append(name)
    for problem, names in jobs_with.items():
        log.say(f"{', '.join(names)}: {problem}", "warning")
