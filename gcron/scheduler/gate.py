"""The gate: what becomes of a fire that is claimed while its job still runs, or that is made up with others.

May not know why a fire is due, nor when: the watch says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from gcron.runtime.pool import Group
from gcron.schedule import Schedule
from gcron.schedule.clock import Clock
from gcron.scheduler.events import FiresMissed
from gcron.scheduler.job import Job
from gcron.scheduler.runs import Runs
from gcron.supervise.outcome import Outcome
from gcron.supervise.run import Run

__all__ = ["MOST_REMEMBERED", "Gate"]

MOST_REMEMBERED = 1000
"""Fires of one job that wait to be made up; the oldest beyond are missed."""


class Gate:
    """Starts runs, or ends fires without one, as their jobs' `overlap` says."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._backlogs: dict[str, _Backlog] = {}
        self._catching_up = Group()

    def admit(self, job: Job, fire_at: int) -> None:
        """A fire is due: start it, queue it, replace what runs by it, or skip it."""
        running = self._end_retries(job)
        if not running or job.policy.overlap == "allow":
            self._runs.start(job, fire_at)
        elif job.policy.overlap == "skip":
            how = "is still under way" if running[0].has_begun else "has not begun yet"
            self._runs.skip(job, fire_at, f"the run {running[0].id} {how}")
        elif job.policy.overlap == "replace":
            for run in running:
                if not run.is_stopping:  # a function that cleans up is not interrupted again
                    run.stop(Outcome.KILLED, "replaced: the job is due again")
            self._runs.start(job, fire_at, after=running)
        elif sum(not run.has_begun for run in running) < job.policy.queue_limit:
            self._runs.start(job, fire_at, after=running)
        else:
            limit = job.policy.queue_limit
            waiting = "a fire waits" if limit == 1 else f"{limit} fires wait"
            self._runs.skip(job, fire_at, f"{waiting} already for run {running[0].id}")

    def _end_retries(self, job: Job) -> list[Run]:
        """End those runs of it that wait for another attempt; return the others."""
        runs = self._runs.of(job.name)
        for run in runs:
            if run.waits_for_retry:
                run.end_retries("the job is due again")
        return [run for run in runs if not run.waits_for_retry]

    # -- fires that are made up -----------------------------------------------------------------------------

    def catch_up(self, job: Job, fires: Sequence[int]) -> None:
        """Run `fires` one after the other, whatever `overlap` says of those that are due in time."""
        self._end_retries(job)
        backlog = self._backlogs.get(job.name)
        if backlog is not None:
            backlog.job = job
            backlog.fires.extend(fires)
        else:
            backlog = self._backlogs[job.name] = _Backlog(job, fires)
            self._catching_up.spawn(self._work_off, backlog)
        if (excess := len(backlog.fires) - MOST_REMEMBERED) > 0:
            dropped = [backlog.fires.popleft() for _ in range(excess)]
            self._tell_missed(job, dropped, f"{MOST_REMEMBERED} later ones wait to be made up")

    def follow(self, job: Job) -> None:
        """The job is defined anew: what is not made up yet is run as it says now."""
        if job.name in self._backlogs:
            self._backlogs[job.name].job = job

    def forget(self, name: str, why: str) -> None:
        """Make up no more fires of that job."""
        backlog = self._backlogs.pop(name, None)
        if backlog is not None and backlog.fires:
            self._tell_missed(backlog.job, list(backlog.fires), f"not made up: {why}")
            backlog.fires.clear()

    def set_back(self, name: str) -> None:
        """The clock was set back: make up no fires of that job that are due once more by it."""
        backlog = self._backlogs.get(name)
        if backlog is None:
            return
        now = self._clock.now()
        again = [fire for fire in backlog.fires if fire > now]
        if again:
            backlog.fires = deque(fire for fire in backlog.fires if fire <= now)
            self._tell_missed(backlog.job, again, "not made up: the clock was set back, and shows their time again")

    def close(self) -> None:
        """Make up nothing more."""
        for name in list(self._backlogs):
            self.forget(name, "gcron is told to stop")

    def _work_off(self, backlog: _Backlog) -> None:
        # One run at a time, so that what waits costs no more than its instant.
        while backlog.fires:
            job = backlog.job
            if not job.is_fixed_time and backlog.fires[0] > self._clock.now():  # nobody has looked at the clock yet
                self.set_back(job.name)
                continue
            run = self._runs.start(job, backlog.fires.popleft(), after=self._runs.of(job.name))
            run.result.wait()
        if self._backlogs.get(backlog.job.name) is backlog:
            del self._backlogs[backlog.job.name]

    def _tell_missed(self, job: Job, fires: Sequence[int], reason: str) -> None:
        now = self._clock.now()
        for span in _spans(job.schedule, fires):
            self._runs.tell(FiresMissed(now, job.name, span[0], span[-1], reason, len(span)))


class _Backlog:
    """The fires of a job that wait to be made up, oldest first."""

    def __init__(self, job: Job, fires: Sequence[int]) -> None:
        self.job = job
        self.fires = deque(fires)


def _spans(schedule: Schedule, fires: Sequence[int]) -> Iterator[list[int]]:
    """Part `fires` where others lie in between: those had an outcome of their own."""
    span: list[int] = []
    for fire in fires:
        if span and schedule.next_after(span[-1]) != fire:
            yield span
            span = []
        span.append(fire)
    yield span
