"""The runs under way: starting one, telling of it, and ending all of them.

May not know schedules or the time of day that they are about: the scheduler says what is to run, and for which fire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gcron.runtime.pool import Group
from gcron.schedule.clock import Clock
from gcron.schedule.draws import draw
from gcron.scheduler.delays import Delays
from gcron.scheduler.events import (
    Event,
    JobOutput,
    Notice,
    ProcessStarted,
    RawOutput,
    RetryPlanned,
    RunFinished,
    RunLate,
    RunStarted,
)
from gcron.scheduler.groups import Groups
from gcron.scheduler.job import Job
from gcron.scheduler.observers import Observers
from gcron.supervise.attempt import Attempt
from gcron.supervise.call import call_of
from gcron.supervise.command import Command
from gcron.supervise.identity import identity_of, new_run_id
from gcron.supervise.outcome import Outcome, RunResult
from gcron.supervise.output import Stream
from gcron.supervise.run import AnyAttempt, Run

__all__ = ["HoldBack", "Runs", "StopReport"]

HoldBack = Callable[[Job, Run, float], str]
"""Parks until the run may begin, at most until the start deadline (by the clock's `monotonic`); returns why it shall
not, or nothing."""

LATE_AFTER = 5.0
"""Seconds after its due time (and jitter) from which on a run is late."""

# Seconds beyond a job's own limits until stopping gives up on it: 10 s to notice that KILL does not help, and slack.
_STOP_SLACK = 15.0
# The exit status by which a job says that another attempt would be of no use (docs/running.md).
_DO_NOT_RETRY = 125


@dataclass(frozen=True, slots=True)
class StopReport:
    """How a shutdown went."""

    killed: tuple[str, ...]
    """Jobs that had to be ended."""
    left_behind: tuple[str, ...]
    """Processes that nothing could end."""

    def __add__(self, other: StopReport) -> StopReport:
        return StopReport(self.killed + other.killed, self.left_behind + other.left_behind)


class Runs:
    """All runs of a scheduler, each in a greenlet of one group."""

    def __init__(
        self, clock: Clock, observers: Observers, wait_for_services: HoldBack, groups: Groups | None = None
    ) -> None:
        self._clock = clock
        self._wait_for_services = wait_for_services
        self._groups = groups or Groups()
        self._observers = observers
        self._group = Group()
        self._active: dict[Run, Job] = {}
        self._of_job: dict[str, list[Run]] = {}
        """The same by job: a thousand that start at once are not to look through one another."""

    def running(self) -> list[Run]:
        """The runs under way, oldest first."""
        return list(self._active)

    def of(self, job_name: str) -> list[Run]:
        """The runs under way of one job, oldest first."""
        return list(self._of_job.get(job_name, ()))

    def start(self, job: Job, fire_at: int | None, after: Sequence[Run] = ()) -> Run:
        """Run `job` for the fire at `fire_at`, or for a trigger by hand, once the runs `after` are over.

        Returns at once.
        """
        run = Run(new_run_id(), job.name, fire_at)
        self._active[run] = job
        self._of_job.setdefault(job.name, []).append(run)
        self._group.spawn(self._perform, job, run, after)
        return run

    def skip(self, job: Job, fire_at: int, reason: str) -> None:
        """Conclude the fire without a process."""
        run = Run(new_run_id(), job.name, fire_at)
        result = run.conclude(Outcome.SKIPPED, reason)
        self.tell(RunFinished(self._clock.now(), job.name, run.id, fire_at, result))

    def tell(self, event: Event) -> None:
        """Tell the observers, in a greenlet of its own: whoever watches the clock cannot wait for them."""
        self._group.spawn(self._observers.tell, event)

    # -- one run --------------------------------------------------------------------------------------------

    def _perform(self, job: Job, run: Run, after: Sequence[Run]) -> None:
        try:
            self._observers.tell(RunStarted(self._clock.now(), job.name, run.id, run.fire_at))
            why_not = self._hold_back(job, run, after)
            run.finish(RunResult(Outcome.SKIPPED, f"not begun: {why_not}") if why_not else self._result(job, run))
        finally:
            self._groups.leave(job, run)
            self._remove(run)
            result = run.result.value or run.conclude(Outcome.KILLED, "its greenlet was killed")
            self._observers.tell(RunFinished(self._clock.now(), job.name, run.id, run.fire_at, result))

    def _remove(self, run: Run) -> None:
        del self._active[run]
        runs = self._of_job[run.job_name]
        runs.remove(run)
        if not runs:
            del self._of_job[run.job_name]

    def _hold_back(self, job: Job, run: Run, after: Sequence[Run]) -> str:
        """Wait until it may begin; return why it shall not, or nothing."""
        delays = Delays(self._clock, run.fire_at)
        for earlier in after:
            if why_not := run.wait_for(earlier):
                return why_not
        if after:
            delays.note("for earlier runs of the job")
        if job.policy.jitter and run.fire_at is not None:
            put_off = _put_off(job, run.fire_at)
            if why_not := run.wait(put_off):
                return why_not
            delays.intend(put_off)
        # Its own earlier runs and its jitter are its own business; for others it waits so long and no longer.
        deadline = self._clock.monotonic() + job.policy.start_deadline
        if why_not := self._wait_for_services(job, run, deadline):
            return why_not
        if job.policy.after:
            delays.note("for services")
        if job.policy.group is not None:
            if why_not := self._enter_group(job, run, deadline):
                return why_not
            delays.note(f"for the group {job.policy.group}")
        if run.fire_at is not None and delays.total >= LATE_AFTER:
            self._observers.tell(RunLate(self._clock.now(), job.name, run.id, run.fire_at, delays.total, delays.reason))
        return ""

    def _enter_group(self, job: Job, run: Run, deadline: float) -> str:
        def tell(text: str) -> None:
            self._observers.tell(Notice(self._clock.now(), job.name, run.id, text))

        return self._groups.enter(job, run, max(0.0, deadline - self._clock.monotonic()), tell)

    def _wait_for_retry(self, job: Job, run: Run, delay: float) -> str:
        """Let `delay` pass, without a place in its group; return why there shall be no further attempt, or nothing."""
        self._groups.leave(job, run)
        if why_not := run.wait_for_retry(delay):
            return why_not
        run.waits_for_retry = True
        try:
            return self._groups.enter(job, run)
        finally:
            run.waits_for_retry = False

    def _result(self, job: Job, run: Run) -> RunResult:
        """Attempts until one succeeds, there may be no more of them, or somebody ends the run."""
        number = 1
        while True:
            result = replace(run.perform(self._attempt(job, run, number)), attempts=number)
            delay = job.policy.delay_after(number) if _may_be_retried(result) else None
            if delay is None:
                return result
            self._observers.tell(RetryPlanned(self._clock.now(), job.name, run.id, number, result, delay))
            if why := self._wait_for_retry(job, run, delay):
                return replace(result, reason=f"{result.reason}; no further attempt: {why}")
            number += 1

    def _attempt(self, job: Job, run: Run, number: int) -> AnyAttempt:
        listener = _RunListener(self._observers, self._clock, job.name, run.id)
        if not isinstance(job.action, Command):
            return call_of(job.action, job.policy, listener)
        return Attempt(job.action, job.policy, run.id, identity_of(job.name, run.fire_at, number), listener)

    # -- the end of all -------------------------------------------------------------------------------------

    def stop(self, grace: float) -> StopReport:
        """Wait for them for `grace` seconds, then end their process trees; bounded, whatever they do."""
        unfinished = self.running()
        for run in unfinished:
            run.end_retries("gcron is told to stop")
        if not self._group.join(grace):
            for run in self.running():
                run.stop(Outcome.KILLED, f"still running {grace:g} s after gcron was told to stop")
        return self.await_end(unfinished)

    def await_end(self, unfinished: Sequence[Run]) -> StopReport:
        """Wait for those that were told to stop, and say how all of `unfinished` ended; bounded, whatever they do."""
        self._observers.hurry()
        longest = max((job.policy.kill_after for job in self._active.values()), default=0.0)
        self._group.join(longest + _STOP_SLACK)
        return _report(unfinished)

    def kill(self) -> None:
        """End all of them without asking first; returns at once."""
        for run in self.running():
            run.stop(Outcome.KILLED, "gcron was told to stop at once", now=True)


class _RunListener:
    """Turns what an attempt tells into events."""

    def __init__(self, observers: Observers, clock: Clock, job: str, run_id: str) -> None:
        self._observers = observers
        self._clock = clock
        self._job = job
        self._run_id = run_id

    def process_started(self, pid: int) -> None:
        """See `Listener`."""
        self._observers.tell(ProcessStarted(self._clock.now(), self._job, self._run_id, pid))

    def output(self, stream: Stream, lines: list[bytes], late: bool, continued: bool = False) -> None:
        """See `Listener`."""
        self._observers.tell(JobOutput(self._clock.now(), self._job, self._run_id, stream, lines, late, continued))

    def raw_output(self, stream: Stream, data: bytes, late: bool) -> None:
        """See `Listener`."""
        self._observers.tell(RawOutput(self._clock.now(), self._job, self._run_id, stream, data, late))

    def notice(self, text: str) -> None:
        """See `Listener`."""
        self._observers.tell(Notice(self._clock.now(), self._job, self._run_id, text))


def _may_be_retried(result: RunResult) -> bool:
    failed = result.outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.START_FAILED)
    return failed and result.exit_code != _DO_NOT_RETRY


def _put_off(job: Job, fire_at: int) -> float:
    """Seconds of this fire's jitter: drawn anew for each, and the same for one that is asked about twice."""
    return draw("jitter", 0, round(job.policy.jitter * 1000), f"{job.name}\0{fire_at}") / 1000


def _report(unfinished: Iterable[Run]) -> StopReport:
    results = [(run, run.result.value) for run in unfinished]
    killed = [run.job_name for run, result in results if result is None or result.outcome is Outcome.KILLED]
    left = [result.left_behind for _, result in results if result is not None and result.left_behind]
    left += [f"job {run.job_name}, which does not end" for run, result in results if result is None]
    return StopReport(tuple(killed), tuple(left))
