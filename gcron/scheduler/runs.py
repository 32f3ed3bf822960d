"""The runs under way: starting one, reporting on it, and ending all of them.

This module must not know schedules: the scheduler says what runs, and for which fire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gcron.frozen import frozen, replace
from gcron.policy.services import is_service
from gcron.runtime.pool import Group
from gcron.schedule.clock import Clock
from gcron.schedule.seeded import seeded_value
from gcron.scheduler.events import (
    JobEvent,
    Notice,
    ProcessStarted,
    RetryPlanned,
    RunFinished,
    RunLate,
    RunStarted,
    asked_words,
)
from gcron.scheduler.groups import Groups
from gcron.scheduler.history import StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.lateness import Lateness
from gcron.scheduler.observers import Observers
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, Identity, new_run_id
from gcron.supervise.events import Emit, SchedulerEvent
from gcron.supervise.orphans import AdoptedAttempt, Orphan
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.python_call import PythonCall, Threads, python_call
from gcron.supervise.run import AnyAttempt, Run, enter_run
from gcron.supervise.timing import TIMING, Timing
from gcron.supervise.usage import NO_USAGE

__all__ = ["HoldBack", "Runs", "StopReport"]

HoldBack = Callable[[Job, Run, float], Reason]
"""Parks until the run may begin, at most until the start deadline (by the clock's `monotonic`); returns why it shall
not begin, or `NO_REASON`."""

LATE_AFTER = 5.0
"""Seconds after its due time (and jitter) from which a run is late."""

# The exit status by which a job says that another attempt would be useless (docs/running.md).
_DO_NOT_RETRY = 125


@frozen
class StopReport:
    """How a shutdown went."""

    killed: tuple[str, ...]
    """Names of jobs that had to be ended."""
    left_behind: tuple[str, ...]
    """Processes that could not be ended."""

    def __add__(self, other: StopReport) -> StopReport:
        return StopReport(self.killed + other.killed, self.left_behind + other.left_behind)


class Runs:
    """All runs of a scheduler, each in a greenlet of one group."""

    def __init__(
        self,
        clock: Clock,
        observers: Observers,
        wait_for_services: HoldBack,
        threads: Threads,
        groups: Groups | None = None,
        timing: Timing = TIMING,
    ) -> None:
        self._clock = clock
        self._wait_for_services = wait_for_services
        self._threads = threads
        self._groups = groups or Groups()
        self._observers = observers
        self._timing = timing
        self.node = ""
        """Where several nodes share the work: this one."""
        self.claim: Callable[[Job, Run], Reason] | None = None
        """Called before a run begins that no earlier gcron began: parks, and returns why it shall not, or `NO_REASON`.
        It sets the run's fence."""
        self._group = Group()
        self._active: dict[Run, Job] = {}
        self.before_start: Callable[[Job, Run], Reason] | None = None
        """Called before the first process of a run starts; parks; returns why it shall not start, or `NO_REASON`."""
        self._of_job: dict[str, list[Run]] = {}
        """The same by job: otherwise each of a thousand that start at once would look through all others."""

    def running(self) -> list[Run]:
        """The runs under way, oldest first."""
        return list(self._active)

    def of(self, job: str) -> list[Run]:
        """The runs under way of one job, oldest first."""
        return list(self._of_job.get(job, ()))

    def start(self, job: Job, fire_at: int | None, after: Sequence[Run] = ()) -> Run:
        """Run `job` for the fire at `fire_at`, or for a manual trigger, once the runs `after` are over.

        Returns at once.
        """
        run = self._new_run(job, fire_at)
        self._active[run] = job
        self._of_job.setdefault(job.name, []).append(run)
        self._group.spawn(self._perform, job, run, after)
        return run

    def _new_run(self, job: Job, fire_at: int | None) -> Run:
        run = Run(new_run_id(), job.name, fire_at, self._clock)
        run.node = self.node
        return run

    def adopt(self, job: Job, stored: StoredRun, orphan: Orphan) -> Run:
        """Go on with a run whose process an earlier gcron started. Returns at once."""

        def attempt(run: Run) -> AnyAttempt:
            assert isinstance(job.action, Command), "of a Python function no process is left"
            identity = Identity(job.name, run.run_id, run.fire_at, orphan.attempt, orphan.mark, run.node, run.fence)
            emit, sweep = self._emitter(run), is_service(job)
            return AdoptedAttempt(orphan, job.action, job.policy, identity, emit, self._clock, self._timing, sweep)

        return self._take_up(job, stored, attempt, orphan.mark)

    def retry_lost(self, job: Job, stored: StoredRun, end: RunResult) -> Run:
        """Go on with a run that is lost: its last attempt has failed. Returns at once."""
        return self._take_up(job, stored, lambda run: _LostAttempt(end))

    def _take_up(self, job: Job, stored: StoredRun, first: Callable[[Run], AnyAttempt], mark: str = "") -> Run:
        run = Run(stored.run_id, job.name, stored.fire_at, self._clock)
        run.take_up(mark or run.mark, stored.created, stored.started, stored.attempts, stored.pid)
        run.who, run.why = stored.who, stored.why
        run.node, run.fence = stored.node or self.node, stored.fence
        self._active[run] = job
        self._of_job.setdefault(job.name, []).append(run)
        self._groups.keep(job, run)
        self._group.spawn(self._perform, job, run, (), first(run))
        return run

    def skip(self, job: Job, fire_at: int | None, reason: Reason) -> Run:
        """End the fire, or the manual trigger, without a process; returns its run, which has ended."""
        run = self._new_run(job, fire_at)
        run.end(RunResult(Outcome.SKIPPED, reason))
        self._group.spawn(self._deliver_skipped, run)
        return run

    def _deliver_skipped(self, run: Run) -> None:
        assert run.outcome is not None
        if run.who or run.why:
            text = asked_words("triggered", run.who, run.why)
            self._observers.tell(Notice(self._clock.now(), run.job, run.run_id, text))
        self._tell_end(run, run.outcome)
        run.deliver()

    def _tell_end(self, run: Run, result: RunResult) -> None:
        details = run.created_at, run.started_at, run.who, run.why, run.node, run.fence
        self._observers.tell(RunFinished(self._clock.now(), run.job, run.run_id, run.fire_at, result, *details))

    def tell(self, event: SchedulerEvent) -> None:
        """Give an event to the observers, in a greenlet of its own: the caller may not wait for them."""
        self._group.spawn(self._observers.tell, event)

    # -- one run --------------------------------------------------------------------------------------------

    def _perform(self, job: Job, run: Run, after: Sequence[Run], begun: AnyAttempt | None = None) -> None:
        """`begun`: an attempt of an earlier gcron, with which the run goes on."""
        enter_run(None)  # a job may have triggered it
        result = RunResult(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "its greenlet was killed"))
        try:
            if begun is not None:
                result = self._result(job, run, begun)
            elif why_not := self._begin(job, run, after):
                result = RunResult(Outcome.SKIPPED, Reason(why_not.code, f"not begun: {why_not}"))
            else:
                result = self._result(job, run)
        except Exception as error:
            text = f"gcron itself failed: {type(error).__name__}: {error}"
            result = RunResult(Outcome.FAILED, Reason(ReasonCode.INTERNAL_ERROR, text))
            raise
        finally:
            self._groups.leave(job, run)
            self._remove(run)
            run.end(result)
            self._tell_end(run, result)
            run.deliver()

    def _begin(self, job: Job, run: Run, after: Sequence[Run]) -> Reason:
        """Wait until it may begin; return why it shall not, or `NO_REASON`."""
        if self.claim is not None and (why_not := self.claim(job, run)):
            return why_not
        details = run.fire_at, run.who, run.why, run.node, run.fence
        self._observers.tell(RunStarted(self._clock.now(), job.name, run.run_id, *details))
        return self._hold_back(job, run, after)

    def _remove(self, run: Run) -> None:
        del self._active[run]
        runs = self._of_job[run.job]
        runs.remove(run)
        if not runs:
            del self._of_job[run.job]

    def _hold_back(self, job: Job, run: Run, after: Sequence[Run]) -> Reason:
        lateness = Lateness(self._clock, run.fire_at)
        for earlier in after:
            if why_not := run.wait_for(earlier.ended):
                return why_not
        if after:
            lateness.note(ReasonCode.OVERLAP, "for earlier runs of the job")
        if job.policy.jitter and run.fire_at is not None:
            jitter = _jitter(job, run.fire_at)
            if why_not := run.wait(jitter):
                return why_not
            lateness.exclude(jitter)
        # The start deadline limits the wait for others, not the wait for its own earlier runs and its jitter.
        deadline = self._clock.monotonic() + job.policy.start_deadline
        if why_not := self._wait_for_services(job, run, deadline):
            return why_not
        if job.policy.after:
            lateness.note(ReasonCode.SERVICE_NOT_READY, "for services")
        if job.policy.group is not None:
            if why_not := self._enter_group(job, run, deadline):
                return why_not
            lateness.note(ReasonCode.GROUP_FULL, f"for the group {job.policy.group}")
        if self.before_start is not None and (why_not := self.before_start(job, run)):
            return why_not
        if run.fire_at is not None and lateness.total >= LATE_AFTER:
            late = RunLate(self._clock.now(), job.name, run.run_id, run.fire_at, lateness.total, lateness.reason)
            self._observers.tell(late)
        return NO_REASON

    def _enter_group(self, job: Job, run: Run, deadline: float) -> Reason:
        def explain(text: str) -> None:
            self._observers.tell(Notice(self._clock.now(), job.name, run.run_id, text))

        return self._groups.enter(job, run, max(0.0, deadline - self._clock.monotonic()), explain)

    def _wait_for_retry(self, job: Job, run: Run, delay: float) -> Reason:
        """Let `delay` pass, without a place in its group; return why there shall be no further attempt, if so."""
        run.begin_retry()
        self._groups.leave(job, run)
        return run.wait(delay) or self._groups.enter(job, run)

    def _result(self, job: Job, run: Run, begun: AnyAttempt | None = None) -> RunResult:
        """Attempts until one succeeds, no more are allowed, or somebody ends the run."""
        usage = NO_USAGE
        while True:
            result = run.perform(begun or self._attempt(job, run, run.attempt + 1))
            begun = None
            number = run.attempt
            usage = usage.plus(result.usage)
            if number > 1:
                result = replace(result, attempts=number, usage=usage)
            delay = job.policy.delay_after(number) if _may_be_retried(result, job) else None
            if delay is None:
                return result
            self._observers.tell(RetryPlanned(self._clock.now(), job.name, run.run_id, number, result, delay))
            if why := self._wait_for_retry(job, run, delay):
                return replace(result, reason=result.reason.extended(f"; no further attempt: {why}"))

    def _attempt(self, job: Job, run: Run, number: int) -> AnyAttempt:
        identity = Identity(job.name, run.run_id, run.fire_at, number, run.mark, run.node, run.fence)
        if not isinstance(job.action, Command):
            emit_call = self._observers.tell
            return python_call(job.action, job.policy, run, identity, emit_call, self._clock, self._threads)
        if job.action.cgroup_limits:
            self._report_lost_limits(job.action, run)
        emit, sweep = self._emitter(run), is_service(job)
        return Attempt(job.action, job.policy, identity, emit, self._clock, self._timing, sweep)

    def _report_lost_limits(self, command: Command, run: Run) -> None:
        from gcron.supervise.cgroup_limits import report_once  # few jobs have such limits

        if problem := report_once(run.job, command.cgroup_limits):
            self._observers.tell(Notice(self._clock.now(), run.job, run.run_id, problem, is_warning=True))

    def _emitter(self, run: Run) -> Emit:
        def emit(event: JobEvent) -> None:
            if type(event) is ProcessStarted:
                run.pid = event.pid
            self._observers.tell(event)

        return emit

    # -- the end of all -------------------------------------------------------------------------------------

    def stop(self, grace: float) -> StopReport:
        """Wait for them for `grace` seconds, then end their process trees; bounded, whatever they do."""
        unfinished = self.running()
        reason = Reason(ReasonCode.SHUTDOWN, "gcron is told to stop")
        for run in unfinished:
            run.end_retries(reason)
            job = self._active[run]
            # A thread cannot be told to stop: it would only be given up.
            is_in_thread = isinstance(job.action, PythonCall) and not job.action.greenlet
            if job.policy.on_stop == "term" and run.has_begun and not is_in_thread:
                run.stop(Outcome.STOPPED, reason, kill_after=max(grace, job.policy.kill_after))
        if not self._group.join(grace):
            when = f"{grace:g} s after gcron was told to stop" if grace else "when gcron was told to stop without grace"
            reason = Reason(ReasonCode.SHUTDOWN, f"still running {when}")
            for run in self.running():
                run.stop(Outcome.KILLED, reason)
        return self.await_end(unfinished)

    def await_end(self, unfinished: Sequence[Run]) -> StopReport:
        """Wait for those that were told to stop, and report how all of `unfinished` ended; bounded."""
        self._observers.hurry()
        longest = max((job.policy.kill_after for job in self._active.values()), default=0.0)
        self._group.join(longest + self._timing.stop_slack)
        return _report(unfinished)

    def kill(self) -> None:
        """End all of them at once, without asking first; returns at once."""
        for run in self.running():
            run.stop(Outcome.KILLED, Reason(ReasonCode.SHUTDOWN, "gcron was told to stop at once"), now=True)


class _LostAttempt:
    """An attempt that has ended with the gcron before."""

    waits_for_capacity = False

    def __init__(self, end: RunResult) -> None:
        self._end = end

    def perform(self) -> RunResult:
        return self._end

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False, kill_after: float | None = None) -> None: ...

    def give_up_starting(self, why: Reason) -> None: ...


def _may_be_retried(result: RunResult, job: Job) -> bool:
    if result.outcome is Outcome.LOST:
        return job.policy.retry_lost
    failed = result.outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.START_FAILED)
    return failed and result.exit_code != _DO_NOT_RETRY


def _jitter(job: Job, fire_at: int) -> float:
    """Seconds of this fire's jitter: a new value for each fire, and always the same value for the same fire."""
    return seeded_value("jitter", 0, round(job.policy.jitter * 1000), f"{job.name}\0{fire_at}") / 1000


def _report(unfinished: Iterable[Run]) -> StopReport:
    ends = [(run, run.outcome) for run in unfinished]
    killed = [run.job for run, end in ends if end is None or end.outcome is Outcome.KILLED]
    left = [end.left_behind for _, end in ends if end is not None and end.left_behind]
    left += [f"job {run.job}, which does not end" for run, end in ends if end is None]
    return StopReport(tuple(killed), tuple(left))
