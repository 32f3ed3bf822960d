"""The gcron that is asked: its scheduler, and what else there is to know about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from gcron.control.errors import ControlError
from gcron.crontab.finding import JobNotFound, find_job
from gcron.frozen import frozen
from gcron.policy.services import is_service
from gcron.runtime.hub import get_hub
from gcron.schedule.clock import Clock, SystemClock
from gcron.scheduler.job import Job
from gcron.scheduler.scheduler import Scheduler

__all__ = ["AT_ONCE", "Instance", "Reload", "Reloaded"]

AT_ONCE = 50
"""So many jobs are looked at before others have their turn: a page must not delay a fire."""
_NEAREST = 5


class Reloaded(Protocol):
    """What a reload came to."""

    @property
    def added(self) -> Sequence[str]:
        """Names of jobs that are new."""

    @property
    def changed(self) -> Sequence[str]:
        """Names of jobs that are different."""

    @property
    def removed(self) -> Sequence[str]:
        """Names of jobs that are gone."""

    @property
    def problem(self) -> str:
        """All that is wrong, for people; then nothing has changed."""


class Reload(Protocol):
    """What reads the crontabs again."""

    @property
    def problem(self) -> str:
        """What is wrong with the crontabs on disk; empty when their jobs are those that run."""

    @property
    def last_read(self) -> float | None:
        """Seconds of UTC at which they were last read again."""

    @property
    def reading_since(self) -> float | None:
        """Seconds of UTC; None when no read is under way."""

    def reload(self, who: str) -> Reloaded | None:
        """Read them now; None when gcron is stopping."""


@frozen
class Instance:
    """A scheduler that answers. Its methods are for the thread of the scheduler, and may park."""

    scheduler: Scheduler
    name: str = ""
    crontabs: tuple[str, ...] = ()
    """As they were named on the command line."""
    reload: Reload | None = None
    """None for a program that has no crontabs to read again."""
    since: float = 0.0
    """Seconds of UTC at which it started."""
    clock: Clock = SystemClock()

    @property
    def pid(self) -> int:
        """Of this process."""
        return os.getpid()

    def job(self, name: str) -> Job:
        """The job of that name. Raises ControlError with the nearest names when there is none."""
        job = self.scheduler.get_job(name)
        if job is None:
            raise self._unknown_job(name)
        return job

    def _unknown_job(self, name: str) -> ControlError:
        names = [job.name for job in self.scheduler.jobs]
        near: Sequence[str] = ()
        if len(name) <= 100:
            import difflib  # only for what is wrong

            near = get_hub().threadpool.spawn(difflib.get_close_matches, name, names, _NEAREST, 0.5).get()
        known = names if len(names) <= _NEAREST else ()
        hint = f"; did you mean {', '.join(near)}?" if near else (f"; the jobs are {', '.join(known)}" if known else "")
        return ControlError("no-such-job", f"there is no job {name!r}{hint}", job=name, nearest=list(near or known))

    def find(self, text: str) -> Job:
        """The job that a person means: by its name, by a part of it, or as `crontab:12`. Raises ControlError."""
        if (job := self.scheduler.get_job(text)) is not None:
            return job
        jobs = self.scheduler.jobs
        try:
            name: str = get_hub().threadpool.spawn(_find, text, jobs).get()  # in a thread: there may be 100,000
        except JobNotFound as error:
            nearest = list(error.candidates[:_NEAREST])
            raise ControlError("no-such-job", error.message, job=text, nearest=nearest) from None
        return self.job(name)

    def service(self, name: str) -> Job:
        """The service of that name. Raises ControlError also for a job that is none."""
        job = self.job(name)
        if not is_service(job):
            raise ControlError("not-a-service", f"{name!r} is a job with a schedule, no service", job=name)
        return job


class _Placed:
    """A job as `find_job` wants it."""

    __slots__ = ("line", "name", "path")

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self.path, _, line = job.source.rpartition(":")
        self.line = int(line) if line.isdecimal() else 0


def _find(text: str, jobs: Sequence[Job]) -> str:
    return find_job(text, [_Placed(job) for job in jobs]).name
