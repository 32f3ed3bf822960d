"""How a job stands at one moment: plain data, which stays as it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gcron.scheduler.counts import JobCounts
from gcron.scheduler.job import Job
from gcron.scheduler.services import ServiceStatus
from gcron.supervise.run import Run

__all__ = ["JobStatus"]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands at one moment."""

    job: Job
    next_fire: datetime | None
    """When it is due next, in UTC; None when it never will be: it is paused, not enabled, over, or not started yet."""
    is_paused: bool
    """By `Scheduler.pause`."""
    running: tuple[Run, ...]
    """Its runs under way, oldest first; also those that wait for something before they begin."""
    counts: JobCounts
    """How often each outcome came."""
    service: ServiceStatus | None = None
    """How it stands as a service, if it is one."""

    @property
    def name(self) -> str:
        """Of the job."""
        return self.job.name
