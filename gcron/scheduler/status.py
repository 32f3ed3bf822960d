"""How jobs stand: the counts of their outcomes, and their status at one moment. Pure data and sums."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from gcron.frozen import frozen
from gcron.scheduler.events import FiresMissed, LoopBlocked, RunFinished, RunLate, SchedulerEvent
from gcron.scheduler.history import Pause, Upstream
from gcron.scheduler.job import Job
from gcron.scheduler.services import ServiceStatus
from gcron.supervise.run import Run

__all__ = ["Counts", "JobCounts", "JobStatus"]


class JobCounts:
    """How often each outcome came since gcron started, of one job or of all."""

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed = 0
        self.timed_out = 0
        self.killed = 0
        self.start_failed = 0
        self.skipped = 0
        self.missed = 0
        """Fires; a span of more than a hundred counts at least a hundred."""
        self.unknown_exit = 0
        self.lost = 0
        self.stopped = 0
        """Lives of a service that were asked to end."""
        self.retried = 0
        """Attempts beyond the first of their run."""
        self.late = 0
        """Runs that began 5 s or more after they were due, with any outcome; see `RunLate`."""

        self.blocked = 0
        """How often it kept the scheduler's thread busy for over a second; see `LoopBlocked`."""

    def add(self, name: str, count: int = 1) -> None:
        """Add `count` to the field of this name, or of this outcome."""
        field = name.replace("-", "_")
        setattr(self, field, getattr(self, field) + count)

    def copy(self) -> JobCounts:
        """A copy, which stays as it is."""
        copied = JobCounts()
        copied.__dict__.update(self.__dict__)
        return copied

    def as_dict(self) -> dict[str, int]:
        """All of them by name."""
        return dict(self.__dict__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobCounts) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"JobCounts({', '.join(f'{name}={count}' for name, count in self.__dict__.items() if count)})"


class Counts:
    """An observer that adds up outcomes. Only jobs that had one cost memory."""

    def __init__(self) -> None:
        self.total = JobCounts()
        """Of all jobs, removed ones too."""
        self._jobs: dict[str, JobCounts] = {}

    @property
    def jobs(self) -> Mapping[str, JobCounts]:
        """By name of the job, for jobs that had an outcome."""
        return MappingProxyType(self._jobs)

    def of(self, job: str) -> JobCounts:
        """Of one job; all zero when it had no outcome yet."""
        return self._jobs.get(job) or JobCounts()

    def forget(self, job: str) -> None:
        """The job was removed: only the total still counts it."""
        self._jobs.pop(job, None)

    def __call__(self, event: SchedulerEvent) -> None:
        """Take note of an event."""
        if isinstance(event, RunFinished):
            self._add(event.job, event.result.outcome, 1)
            if event.result.attempts > 1:
                self._add(event.job, "retried", event.result.attempts - 1)
        elif isinstance(event, FiresMissed):
            self._add(event.job, "missed", event.count)
        elif isinstance(event, RunLate):
            self._add(event.job, "late", 1)
        elif isinstance(event, LoopBlocked):
            self._add(event.job, "blocked", 1)

    def _add(self, job: str, name: str, count: int) -> None:
        self.total.add(name, count)
        if job:
            self._jobs.setdefault(job, JobCounts()).add(name, count)


@frozen
class JobStatus:
    """How a job stands at one moment."""

    job: Job
    next_fire: datetime | None
    """When it is due next, in UTC; None if never: it is paused, not enabled, over, or the scheduler has not started."""
    is_paused: bool
    """By `Scheduler.pause`."""
    running: tuple[Run, ...]
    """Its runs that have no outcome yet, oldest first."""
    counts: JobCounts
    """How often each outcome came."""
    service: ServiceStatus | None = None
    """Its status as a service, if it is one."""
    last: RunFinished | FiresMissed | None = None
    """How a job that was to run once, and is over, has ended."""
    is_overdue: bool = False
    """It has not succeeded within its `expect-within`."""
    pause: Pause | None = None
    """Since when it is paused, until when, by whom and why; None when it is not paused."""
    upstream: tuple[Upstream, ...] = ()
    """The jobs that it runs after, and how they have done since its last start."""

    @property
    def name(self) -> str:
        """Of the job."""
        return self.job.name

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Names of the jobs that must still succeed before it is due."""
        return tuple(each.job for each in self.upstream if not each.has_succeeded)

    def __repr__(self) -> str:
        state = "paused" if self.is_paused else f"next at {self.next_fire:%Y-%m-%d %H:%M:%SZ}" if self.next_fire else ""
        if self.service is not None:
            state = str(self.service.state)
        running = f"{len(self.running)} running"
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.as_dict().items() if count)
        return f"<JobStatus {self.name}: {', '.join(filter(None, [state or 'no next fire', running, counts]))}>"
