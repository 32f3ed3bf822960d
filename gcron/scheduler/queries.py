"""What can be asked about a scheduler: its jobs, their runs and services, what is due next.

Any thread may ask, see `OwnerThread.call`. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gcron.schedule.clock import Clock
from gcron.scheduler.door import StoreDoor
from gcron.scheduler.groups import GroupStatus
from gcron.scheduler.job import Job
from gcron.scheduler.lifecycle import Lifecycle
from gcron.scheduler.services import ServiceStatus
from gcron.scheduler.status import Counts, JobStatus
from gcron.supervise.run import Run

__all__ = ["Queries"]


class Queries(Lifecycle):
    """A scheduler that answers."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order they were added."""
        return self._owner.call(lambda: self._table.jobs)

    def get_job(self, name: str) -> Job | None:
        """The job of that name; None when there is none."""
        return self._owner.call(self._table.find, name)

    def status(self, name: str) -> JobStatus:
        """How a job stands, also one that ran once and is over. Raises KeyError when there is none of that name."""
        return self._owner.call(self._status_of, name)

    def _status_of(self, name: str) -> JobStatus:
        if (over := self._table.over(name)) is not None:
            job, last = over
            return JobStatus(job, None, False, (), self._counts.of(name).copy(), None, last)
        return self._status(self._table.get(name), self._services.status())

    def statuses(self, names: Iterable[str]) -> list[JobStatus]:
        """How the jobs of these names stand, all at one moment; names of no job are left out."""
        return self._owner.call(self._statuses, names)

    def _statuses(self, names: Iterable[str]) -> list[JobStatus]:
        services = self._services.status()
        return [self._status(job, services) for name in names if (job := self._table.find(name)) is not None]

    def overview(self) -> list[JobStatus]:
        """How each job stands, all at one moment, in the order they were added."""
        return self._owner.call(self._overview)

    def _overview(self) -> list[JobStatus]:
        return self._statuses(job.name for job in self._table.jobs)

    def _status(self, job: Job, services: dict[str, ServiceStatus]) -> JobStatus:
        service = services.get(job.name)
        life = service.run if service is not None else None
        running = [life] if life is not None else self._runs.of(job.name)
        is_paused = self._watch.is_paused(job.name)
        counts = self._counts.of(job.name).copy()
        pause = self._pauses.get(job.name) if is_paused else None
        is_overdue = self._expectations.is_overdue(job.name)
        due, upstream = self._watch.due(job.name), self._table.upstream(job)
        return JobStatus(
            job,
            due,
            is_paused,
            tuple(running),
            counts,
            service,
            is_overdue=is_overdue,
            pause=pause,
            upstream=upstream,
        )

    def is_paused(self, name: str) -> bool:
        """Whether the job of that name is paused."""
        return self._owner.call(self._watch.is_paused, name)

    def next_due(self) -> datetime | None:
        """The next instant at which any job is due; None when none will be."""
        return self._owner.call(self._watch.next_due)

    def upcoming(self, count: int = 10) -> list[tuple[datetime, str]]:
        """The next `count` instants at which jobs are due, each job's first one, with their names."""
        return self._owner.call(self._watch.upcoming, count)

    def running(self) -> list[Run]:
        """The runs under way, those of services last."""
        return self._owner.call(lambda: [*self._runs.running(), *self._services.running()])

    @property
    def services(self) -> dict[str, ServiceStatus]:
        """How each service stands, by name."""
        return self._owner.call(self._services.status)

    @property
    def groups(self) -> list[GroupStatus]:
        """How each group stands."""
        return self._owner.call(self._groups.status)

    @property
    def counts(self) -> Counts:
        """How often each outcome came, kept up to date: `counts.total`, `counts.of("backup").failed`."""
        return self._counts

    @property
    def clock(self) -> Clock:
        """What tells it the time."""
        return self._clock

    @property
    def store(self) -> StoreDoor:
        """What it remembers: runs, output, pauses, and whether the store works. Ask in the scheduler's thread."""
        return self._door
