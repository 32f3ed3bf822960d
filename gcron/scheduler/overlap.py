"""What becomes of a claimed fire: it starts, waits for an earlier run, replaces it, or is skipped.

Also fires that are made up: they run one after the other. This module must not know why or when a fire is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from gcron.runtime.pool import Group
from gcron.schedule import Schedule
from gcron.schedule.clock import Clock
from gcron.scheduler.claims import DueFires
from gcron.scheduler.events import FiresMissed, Notice
from gcron.scheduler.job import Job
from gcron.scheduler.runs import Runs
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode
from gcron.supervise.run import Run
from gcron.supervise.run_state import RunState

__all__ = ["MOST_REMEMBERED", "Overlap"]

MOST_REMEMBERED = 1000
"""Fires of one job that wait to be made up; older ones are missed."""


class Overlap:
    """Starts runs, or ends fires without one, as their jobs' `overlap` says.

    `take`: called before a fire that has waited starts; may park, and returns why it may not start, if so.
    `keeps_waiting`: whether the next start finds the fires of that job that wait.
    """

    def __init__(
        self, runs: Runs, clock: Clock, take: Callable[[Job, int], Reason], keeps_waiting: Callable[[Job], bool]
    ) -> None:
        self._runs = runs
        self._clock = clock
        self._take = take
        self._keeps_waiting = keeps_waiting
        self._backlogs: dict[str, _Backlog] = {}
        self._catching_up = Group()

    def admit(self, due: DueFires) -> None:
        """These fires are claimed."""
        if due.caught_up:
            self._catch_up(due)
            return
        for fire_at in due.fires:  # one, unless they are caught up
            self._admit(due.job, fire_at)

    def trigger(self, job: Job, fire_at: int | None = None) -> Run:
        """The job is to run now: somebody wants it to or, with a `fire_at`, the jobs before it have succeeded.

        Returns its run, which has ended already when it was skipped.
        """
        return self._admit(job, fire_at)

    def miss(self, job: Job, fires: Sequence[int], reason: Reason) -> None:
        """End these fires without a run."""
        self._miss(job.name, job.schedule, fires, reason)

    def _miss(self, name: str, schedule: Schedule, fires: Sequence[int], reason: Reason) -> None:
        now = self._clock.now()
        for span in _spans(schedule, fires):
            self._runs.tell(FiresMissed(now, name, span[0], span[-1], reason, len(span)))

    def _miss_backlog(self, job: Job, fires: Iterable[_Fire], reason: Reason) -> None:
        """End these fires without a run, each by the schedule that it was due by."""
        for schedule, due in groupby(fires, attrgetter("schedule")):
            self._miss(job.name, schedule, [fire.at for fire in due], reason)

    def _admit(self, job: Job, fire_at: int | None) -> Run:
        """Start it, queue it, replace what runs by it, or skip it."""
        running = self._end_retries(job)
        if not running or job.policy.overlap == "allow":
            return self._runs.start(job, fire_at)
        if job.policy.overlap == "skip":
            how = "is still under way" if running[0].has_begun else "has not begun yet"
            waits = f": it {words}" if (words := running[0].describe_wait()) else ""
            reason = Reason(ReasonCode.OVERLAP, f"the run {running[0].run_id} {how}{waits}")
            return self._runs.skip(job, fire_at, reason)
        if job.policy.overlap == "replace":
            for run in running:
                if not run.is_stopping:  # a function that cleans up is not interrupted again
                    run.stop(Outcome.KILLED, Reason(ReasonCode.REPLACED, "replaced: the job is due again"))
            return self._runs.start(job, fire_at, after=running)
        if sum(not run.has_begun for run in running) < job.policy.queue_limit:
            return self._runs.start(job, fire_at, after=running)
        limit = job.policy.queue_limit
        waiting = "a fire waits" if limit == 1 else f"{limit} fires wait"
        reason = Reason(ReasonCode.QUEUE_FULL, f"{waiting} already for run {running[0].run_id}")
        return self._runs.skip(job, fire_at, reason)

    def _end_retries(self, job: Job) -> list[Run]:
        """End those runs of it that wait for another attempt, or for room to start; return the others.

        A run that waits for room gives way only where one of the two fires is to be skipped or replaced.
        """
        gives_way = job.policy.overlap in ("skip", "replace")
        waiting: list[Run] = []
        others: list[Run] = []
        for run in self._runs.of(job.name):
            waits = run.state is RunState.RETRYING or (gives_way and run.waits_for_capacity)
            (waiting if waits else others).append(run)
        for run in waiting:
            run.end_retries(Reason(ReasonCode.DUE_AGAIN, "the job is due again"))
        return others

    # -- fires that are made up -----------------------------------------------------------------------------

    def _catch_up(self, due: DueFires) -> None:
        """Run these fires one after the other, whatever `overlap` says."""
        job = due.job
        self._end_retries(job)
        backlog = self._backlogs.get(job.name)
        if backlog is not None:
            backlog.job = job
            backlog.add(due)
        else:
            backlog = self._backlogs[job.name] = _Backlog(due)
            self._catching_up.spawn(self._work_off, backlog)
        if (excess := len(backlog.fires) - MOST_REMEMBERED) > 0:
            dropped = [backlog.fires.popleft() for _ in range(excess)]
            self._miss_backlog(
                job, dropped, Reason(ReasonCode.BACKLOG_FULL, f"{MOST_REMEMBERED} later ones wait to be made up")
            )

    def follow(self, job: Job) -> None:
        """The job has changed: what is not made up yet runs by the new definition."""
        if job.name in self._backlogs:
            self._backlogs[job.name].job = job

    def forget(self, name: str, why: Reason) -> None:
        """Make up no more fires of that job."""
        backlog = self._backlogs.pop(name, None)
        if backlog is not None and backlog.fires:
            self._miss_backlog(backlog.job, backlog.fires, Reason(why.code, f"not made up: {why}"))
            backlog.fires.clear()

    def set_back(self, name: str) -> None:
        """The clock was set back: make up no fires of that job that will be due again."""
        backlog = self._backlogs.get(name)
        if backlog is None:
            return
        now = self._clock.now()
        again = [fire for fire in backlog.fires if fire.at > now]
        # The claims of the others are dropped with the rest: the store would refuse them after the next fire.
        backlog.fires = deque(fire._replace(is_claimed=False) for fire in backlog.fires if fire.at <= now)
        if again:
            text = "not made up: the clock was set back, and shows their time again"
            self._miss_backlog(backlog.job, again, Reason(ReasonCode.CLOCK_SET, text))

    def close(self) -> None:
        """Make up nothing more. What waits is left to the next start if that finds it; otherwise it is missed."""
        for name, backlog in list(self._backlogs.items()):
            if self._keeps_waiting(backlog.job) and (left := backlog.leave()):
                fires = "1 fire waits" if left == 1 else f"{left} fires wait"
                text = f"{fires} for the next start, to be made up"
                self._runs.tell(Notice(self._clock.now(), name, "", text))
            self.forget(name, Reason(ReasonCode.SHUTDOWN, "gcron is told to stop"))

    def _work_off(self, backlog: _Backlog) -> None:
        # One run at a time: a fire that waits costs no more than its instant.
        while backlog.fires:
            job = backlog.job
            if not job.is_fixed_time and backlog.fires[0].at > self._clock.now():  # the watch has not seen the step yet
                self.set_back(job.name)
                continue
            fire = backlog.fires[0]
            backlog.asked = fire
            why_not = self._take(job, fire.at) if fire.is_claimed else NO_REASON
            if not backlog.fires or backlog.fires[0] is not fire:
                continue  # meanwhile it was given up, or the clock was set back
            backlog.fires.popleft()
            if why_not:
                self._miss_backlog(backlog.job, [fire], why_not)
            else:
                self._runs.start(backlog.job, fire.at, after=self._runs.of(job.name)).ended.wait()
        if self._backlogs.get(backlog.job.name) is backlog:
            del self._backlogs[backlog.job.name]


class _Fire(NamedTuple):
    """A fire that waits to be made up. A reload may have changed the job's schedule since it was due."""

    at: int
    schedule: Schedule
    is_claimed: bool
    """The store knows that it waits, and has to be asked once more."""


class _Backlog:
    """The fires of a job that wait to be made up, oldest first."""

    def __init__(self, due: DueFires) -> None:
        self.job = due.job
        self.fires: deque[_Fire] = deque()
        self.asked: _Fire | None = None
        """The fire that was claimed last to start now."""
        self.add(due)

    def add(self, due: DueFires) -> None:
        """These fires wait, too."""
        self.fires.extend(_Fire(at, due.job.schedule, due.is_claimed) for at in due.fires)

    def leave(self) -> int:
        """Forget the fires that the store knows as waiting; returns how many."""
        others = [fire for fire in self.fires if fire is self.asked or not fire.is_claimed]
        left = len(self.fires) - len(others)
        self.fires = deque(others)
        return left


def _spans(schedule: Schedule, fires: Sequence[int]) -> Iterator[list[int]]:
    """Split `fires` where others lie in between: those had an outcome of their own."""
    span: list[int] = []
    for fire in fires:
        if span and schedule.next_after(span[-1]) != fire:
            yield span
            span = []
        span.append(fire)
    yield span
