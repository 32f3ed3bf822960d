"""How often each outcome came: an observer that adds up events. Pure: it knows no clock, and holds nothing back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from gcron.scheduler.events import Event, FiresMissed, RunFinished, RunLate

__all__ = ["Counts", "JobCounts"]


@dataclass(slots=True)
class JobCounts:
    """Of one job, or of all: how many of its runs ended how, since gcron started."""

    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    killed: int = 0
    start_failed: int = 0
    skipped: int = 0
    missed: int = 0
    """Fires; of a span of more than a hundred at least as many."""
    unknown_exit: int = 0
    stopped: int = 0
    """Lives of a service that were asked to end."""
    retried: int = 0
    """Attempts beyond the first of their run."""
    late: int = 0
    """Runs that began 5 s or more after they were due, whatever their outcome; see `RunLate`."""

    def add(self, name: str, count: int = 1) -> None:
        """Count more of what `name` (of a field, or of an outcome) says."""
        field = name.replace("-", "_")
        setattr(self, field, getattr(self, field) + count)

    def copy(self) -> JobCounts:
        """The same numbers, which stay as they are."""
        return replace(self)

    def as_dict(self) -> dict[str, int]:
        """All of them by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Counts:
    """Tell it events. Only jobs that had something cost memory."""

    def __init__(self) -> None:
        self.total = JobCounts()
        """Of all jobs, those that are gone too."""
        self._jobs: dict[str, JobCounts] = {}

    @property
    def jobs(self) -> Mapping[str, JobCounts]:
        """By name, of those jobs that had something."""
        return MappingProxyType(self._jobs)

    def of(self, job: str) -> JobCounts:
        """Of one job; all zero when it had nothing yet."""
        return self._jobs.get(job) or JobCounts()

    def forget(self, job: str) -> None:
        """The job is gone: only the total remembers it."""
        self._jobs.pop(job, None)

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, RunFinished):
            self._add(event.job, event.result.outcome, 1)
            if event.result.attempts > 1:
                self._add(event.job, "retried", event.result.attempts - 1)
        elif isinstance(event, FiresMissed):
            self._add(event.job, "missed", event.count)
        elif isinstance(event, RunLate):
            self._add(event.job, "late", 1)

    def _add(self, job: str, name: str, count: int) -> None:
        self.total.add(name, count)
        self._jobs.setdefault(job, JobCounts()).add(name, count)
