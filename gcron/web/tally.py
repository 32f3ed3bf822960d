"""What metrics need and the scheduler does not keep: durations by job, and sums since the start. An observer."""

from __future__ import annotations

from bisect import bisect_left

from gcron.scheduler.events import LoopBlocked, RunFinished, RunLate, RunStarted, StoreFailed
from gcron.scheduler.scheduler import Scheduler

__all__ = ["BUCKETS", "JobTally", "MetricsTally"]

BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
"""Seconds: upper bounds of the histogram of durations."""


class JobTally:
    """Of one job."""

    __slots__ = ("counts", "cpu_seconds", "exit_code", "late", "max_rss_bytes", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        """How many runs took so long, by bucket; the last: longer than all."""
        self.seconds = 0.0
        self.exit_code: int | None = None
        self.cpu_seconds = 0.0
        """Of all its runs."""
        self.max_rss_bytes: int | None = None
        """Of its last run."""
        self.late = 0.0
        """Seconds that its last run began after it was due."""


class MetricsTally:
    """Counts from its making on. Only jobs that ran cost memory."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.jobs: dict[str, JobTally] = {}
        self.store_errors = 0
        self.blocked_seconds = 0.0
        scheduler.on("run-started", self._start)
        scheduler.on("run-late", self._late)
        scheduler.on("run-finished", self._finish)
        scheduler.on("store-failed", self._fail)
        scheduler.on("loop-blocked", self._block)

    def forget_removed(self) -> None:
        """Drop jobs that are gone."""
        for name in [name for name in self.jobs if self._scheduler.get_job(name) is None]:
            del self.jobs[name]

    def _of(self, job: str) -> JobTally:
        tally = self.jobs.get(job)
        if tally is None:
            tally = self.jobs[job] = JobTally()
        return tally

    def _start(self, event: RunStarted) -> None:
        self._of(event.job).late = 0.0 if event.fire_at is None else max(0.0, event.time - event.fire_at)

    def _late(self, event: RunLate) -> None:
        self._of(event.job).late = event.delay

    def _finish(self, event: RunFinished) -> None:
        if event.result.duration is None:
            return  # it was skipped or lost
        tally = self._of(event.job)
        tally.exit_code = event.result.exit_code
        tally.counts[bisect_left(BUCKETS, event.result.duration)] += 1
        tally.seconds += event.result.duration
        tally.cpu_seconds += event.result.usage.cpu_seconds or 0.0
        tally.max_rss_bytes = event.result.usage.max_rss_bytes

    def _fail(self, event: StoreFailed) -> None:
        self.store_errors += 1

    def _block(self, event: LoopBlocked) -> None:
        self.blocked_seconds += event.seconds
