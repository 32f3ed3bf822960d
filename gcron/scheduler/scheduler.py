"""`Scheduler`: the front door to jobs.

A fire goes in one direction: due (watch.py), claimed (claims.py), overlap decided (overlap.py), run (runs.py), outcome.
Observers get events on the way and can neither delay nor stop it. All of that happens in one thread (owner.py). This
module is longer than most because it documents much: each method only calls the room that does the work.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

from gcron.crontab import load
from gcron.frozen import replace
from gcron.policy.keywords import CommandOptions, FunctionOptions, ServiceOptions
from gcron.policy.services import is_service
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock, SystemClock
from gcron.scheduler.background import Background
from gcron.scheduler.claims import Claims
from gcron.scheduler.door import StoreDoor
from gcron.scheduler.events import JobPaused, JobResumed, Notice, ServiceStateChanged
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.groups import Groups, GroupStatus
from gcron.scheduler.history import Pause
from gcron.scheduler.job import Job, jobs_of
from gcron.scheduler.job_table import JobTable
from gcron.scheduler.journal import KINDS
from gcron.scheduler.observers import Observable
from gcron.scheduler.overlap import Overlap
from gcron.scheduler.owner import OwnerThread, get_across_threads
from gcron.scheduler.pauses import Pauses
from gcron.scheduler.python_jobs import (
    When,
    checked_jobs,
    checked_when,
    checked_zone,
    command_job,
    function_job,
    function_policy,
    schedule_of,
)
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.services import Services, ServiceStatus
from gcron.scheduler.status import Counts, JobStatus
from gcron.scheduler.store import NoStore, Store
from gcron.scheduler.watch import Watch
from gcron.supervise.outcome import Reason, ReasonCode
from gcron.supervise.python_call import InThread
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run import Run
from gcron.supervise.timing import TIMING, Timing

__all__ = ["Scheduler", "When"]


class Stoppable(Protocol):
    """Something that goes on until it is stopped."""

    def stop(self) -> None:
        """End it."""


class _Serving:
    """Stops something in the scheduler's thread."""

    def __init__(self, owner: OwnerThread, served: Stoppable) -> None:
        self._owner = owner
        self._served = served

    def stop(self) -> None:
        """End it; does nothing when it has ended."""
        self._owner.call(self._served.stop)


Function = TypeVar("Function", bound=Callable[[], Any])

# Seconds that the store may take at the end for history that is not written yet.
_LAST_WRITES = 2.0


class Scheduler(Observable):
    """Runs jobs when they are due.

    `timezone`: of schedules that name none (an IANA name or a tzinfo; UTC by default). `threads`: how many jobs with
    `thread=True` run at once. `store`: what remembers claims and history; nothing by default. `clock` and `timing`:
    for tests.

    It belongs to the thread that starts it. From then on any thread may call any method but `start`, `start_thread`
    and `run`: the call is made in the scheduler's thread, and the caller waits for it. Before the start, one thread at
    a time may call methods. As a context manager it stops at the end of the block.
    """

    def __init__(
        self,
        timezone: str | tzinfo | None = None,
        *,
        threads: int = 8,
        clock: Clock | None = None,
        store: Store | None = None,
        timing: Timing = TIMING,
    ) -> None:
        super().__init__(timing)
        self._timezone = checked_zone(timezone) or UTC
        self._pool = ThreadPool(threads)
        self._owner = OwnerThread()
        self._clock = clock = clock or SystemClock()
        self._services = Services(clock, self._observers, timing)
        self._groups = Groups()
        self._runs = Runs(clock, self._observers, self._services.hold_back, self._groups, timing)
        self._door = StoreDoor(store or NoStore(), clock, self._runs.tell, timing)
        self._expectations = Expectations(clock, self._runs.tell)
        self._overlap = overlap = Overlap(self._runs, clock)
        claims = Claims(self._door, overlap.admit, overlap.miss)
        self._pauses = Pauses(clock, self._end_pause)
        self._watch = Watch(clock, claims, overlap, self._runs, self._look)
        self._counts = Counts()
        self._table = JobTable(self._watch, self._services, self._groups, self._expectations, self._counts, self._door)
        self._observers.add("run-finished", self._expectations.notice)
        self._observers.add("run-finished", self._watch.notice)
        for kind in ("run-finished", "run-late", "fires-missed"):
            self._observers.add(kind, self._counts)
        self._observers.add("service-state-changed", self._stop_if_failed)
        self._grace = 30.0
        self._failed_service = ""
        if self._door.store.keeps_history:
            for kind in KINDS:
                self._observers.add(kind, self._door.note)
        self._serving: list[Stoppable] = []
        """What answers as long as it runs."""
        self._stopper: Greenlet | None = None
        self._stopped = Flag()
        self._stopping = False

    def _look(self) -> None:
        """The watch has read the clock, which may have been set."""
        self._expectations.look()
        self._pauses.look()

    # -- making jobs ----------------------------------------------------------------------------------------

    def command(
        self, command: str, schedule: When, *, name: str | None = None, **options: Unpack[CommandOptions]
    ) -> Job:
        """Add a shell command; `options` are those of a crontab's directives (docs/crontab.md, section 4).

        Raises ScheduleError, PolicyError, ValueError when the name is taken or an option means nothing here, TypeError.
        """
        return self.add(command_job(command, schedule, name, options, self._timezone))

    def service(self, command: str, *, name: str | None = None, **options: Unpack[ServiceOptions]) -> Job:
        """Add a shell command that is kept running (docs/services.md). Raises as `command`."""
        return self.add(command_job(command, "@service", name, options, self._timezone))

    def job(
        self, schedule: When, *, name: str | None = None, thread: bool = False, **options: Unpack[FunctionOptions]
    ) -> Callable[[Function], Function]:
        """Decorator: run the function when `schedule` says, in a greenlet; with `thread`, in a thread of its own.

        A greenlet shares the scheduler's thread, and is to wait by `gcron` alone (`gcron.sleep`, `gcron.socket`); a
        thread may block, and cannot be ended: when its `timeout` is over it is left to itself. Raises PolicyError,
        ValueError also for an option of processes: a function is run in this one; TypeError for what is
        no schedule, and for a function that is async, a generator, or needs arguments.
        """
        checked_when(schedule)
        policy = function_policy(options)

        def add(function: Function) -> Function:
            action = InThread(function, self._pool) if thread else function
            self.add(function_job(action, schedule, name, policy, self._timezone))
            return function

        return add

    def load_crontab(self, path: str | os.PathLike[str]) -> list[Job]:
        """Add the jobs of a crontab file, or none when anything is wrong.

        Raises CrontabError for what is wrong in the file, ValueError when the name of one of its jobs is taken.
        """
        taken = [job.name for job in self.jobs]
        jobs = jobs_of(load(path, timezone=self._timezone, taken=taken), self._table.group_limits)
        self._owner.call(self._add, jobs)
        return jobs

    def add(self, job: Job) -> Job:
        """Add a job; raises ValueError when its name is taken, TypeError when it is no `Job`."""
        self._owner.call(self._add, checked_jobs([job]))
        return job

    def _add(self, jobs: Sequence[Job]) -> None:
        self._table.add(jobs)
        if self._watch.is_started and not self._stopping:
            for job in jobs:
                if job.starts_when_added and job.policy.enabled:
                    self._runs.start(job, None)

    def group(self, name: str, *, limit: int) -> None:
        """Let at most `limit` runs of the jobs with `group=name` go on at once; again: with another limit.

        A group is declared before the jobs in it. Raises ValueError when the limit is less than 1.
        """
        self._owner.call(self._groups.declare, name, limit)

    # -- changing them --------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Remove a job: a run of it may finish, a service is ended. Raises KeyError when there is none of that name."""
        self._owner.call(self._remove, name)

    def _remove(self, name: str) -> None:
        self._table.remove(name)
        self._pauses.forget(name)

    def replace(self, jobs: Iterable[Job]) -> tuple[int, int, int]:
        """Make `jobs` the whole table; returns how many were added, changed and removed.

        Runs under way go on, a job whose schedule is as before keeps its due instant, and one that is paused stays so;
        a service that has changed is ended and started again, one that is removed is ended. Raises ValueError, and
        changes nothing, when two jobs have one name, `after` names something other than a service, or a group is not
        declared or has two limits.
        """
        return self._owner.call(self._table.replace, checked_jobs(jobs))

    def reschedule(self, name: str, schedule: When) -> Job:
        """Let a job be due by another schedule from now on; runs under way go on. Returns the job as it is now.

        Raises KeyError when there is none of that name, ScheduleError, ValueError for a service.
        """
        return self._owner.call(self._table.reschedule, name, schedule_of(schedule, self._timezone, name))

    def pause(self, name: str, *, until: datetime | None = None, who: str = "", why: str = "") -> None:
        """Let a job not be due until `until`, or until `resume`; runs under way go on, and `trigger` works.

        Instants in the pause are no fires: they neither run later nor count as missed. The pause outlasts `replace`
        and `reschedule`, but not `remove`. A second pause changes when the first one ends. `who` and `why` are for the
        log and the history. Raises KeyError, ValueError for a service and for an `until` without a time zone.
        """
        if until is not None and until.tzinfo is None:
            raise ValueError("until must be an aware datetime: give it a tzinfo")
        self._owner.call(self._pause, name, None if until is None else until.timestamp(), who, why)

    def _pause(self, name: str, until: float | None, who: str, why: str) -> None:
        pause = Pause(self._clock.now(), until, who, why)
        before = None if self._table.pause(name) else self._pauses.get(name)
        if before is not None and replace(before, since=pause.since) == pause:
            return
        self._pauses.add(name, pause)
        self._runs.tell(JobPaused(pause.since, name, until, who, why))

    def resume(self, name: str) -> None:
        """Let a job be due again, from now on; one that is not paused goes on. Raises KeyError."""
        self._owner.call(self._resume, name)

    def _resume(self, name: str) -> None:
        if self._table.resume(name):
            self._pauses.forget(name)
            self._runs.tell(JobResumed(self._clock.now(), name))

    def _end_pause(self, name: str) -> None:
        if self._table.find(name) is not None:
            self._resume(name)

    def trigger(self, name: str, *, who: str = "", why: str = "") -> Run:
        """Run a job now, whatever its schedule. A service is started unless it lives; returns its present run.

        While a run of the job is under way, `overlap` decides, as for a fire: the run that is returned starts, waits,
        replaces the other one, or has ended as `skipped`. `who` and `why` go into the log. Raises KeyError when there
        is none of that name, RuntimeError once `stop` has been called.
        """
        return self._owner.call(self._trigger, name, who, why)

    def _trigger(self, name: str, who: str, why: str) -> Run:
        job = self._table.get(name)
        if self._stopping:
            raise RuntimeError("the scheduler is stopping")
        self._owner.claim()
        run = self._start_now(job)
        if who or why:
            text = "triggered" + (f" by {who}" if who else "") + (f": {why}" if why else "")
            self._runs.tell(Notice(self._clock.now(), name, run.run_id, text))
        return run

    def _start_now(self, job: Job) -> Run:
        return self._services.trigger(job.name) if is_service(job) else self._overlap.trigger(job)

    def stop_service(self, name: str, why: str = "stopped on request") -> None:
        """End a service and do not start it again, until `trigger` or `restart_service`; returns at once.

        Raises KeyError when there is none of that name, ValueError for a job that is no service.
        """
        self._owner.call(self._stop_service, name, Reason(ReasonCode.STOP_REQUESTED, why))

    def _stop_service(self, name: str, reason: Reason) -> None:
        self._checked_service(name)
        self._services.stop_one(name, reason)

    def restart_service(self, name: str, why: str = "restarted on request") -> None:
        """End the present life of a service, if it has one, and start it again; returns at once.

        Raises as `stop_service`, RuntimeError once `stop` has been called.
        """
        self._owner.call(self._restart_service, name, Reason(ReasonCode.TRIGGERED, why))

    def _restart_service(self, name: str, reason: Reason) -> None:
        self._checked_service(name)
        if self._stopping:
            raise RuntimeError("the scheduler is stopping")
        self._owner.claim()
        self._services.restart(name, reason)

    def _checked_service(self, name: str) -> None:
        if not is_service(self._table.get(name)):
            raise ValueError(f"{name!r} is a job with a schedule, no service")

    @property
    def has_died(self) -> bool:
        """True when no job will be due any more, because of an error in the watch of the clock."""
        return self._watch.has_died

    @property
    def is_stopping(self) -> bool:
        """True once `stop` has been called."""
        return self._stopping

    # -- looking --------------------------------------------------------------------------------------------

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order they were added."""
        return self._owner.call(lambda: self._table.jobs)

    def get_job(self, name: str) -> Job | None:
        """The job of that name; None when there is none."""
        return self._owner.call(self._table.find, name)

    def status(self, name: str) -> JobStatus:
        """How a job stands. Raises KeyError when there is none of that name."""
        return self._owner.call(lambda: self._status(self._table.get(name), self._services.status()))

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
        return JobStatus(job, self._watch.due(job.name), is_paused, tuple(running), counts, service, is_overdue, pause)

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

    def serve_control(self, path: str | os.PathLike[str]) -> Stoppable:
        """Answer `gcron status --socket PATH` and the like at a Unix socket; the `stop` of what is returned ends that.

        It ends with the scheduler, too. Only root and the user of this program may ask. Call it after the start. Raises
        OSError when it cannot listen.
        """
        # Looked up here: a scheduler must not depend on who asks it.
        serve = import_module("gcron.control.socket").serve_control
        made: Stoppable = self._owner.call(serve, self, os.fspath(path))
        self._serving.append(made)
        return _Serving(self._owner, made)

    @property
    def store(self) -> StoreDoor:
        """What it remembers: runs, output, pauses, and whether the store works. Ask in the scheduler's thread."""
        return self._door

    # -- from start to end ----------------------------------------------------------------------------------

    @property
    def failed_service(self) -> str:
        """The service with `on-failed=stop` whose failure has stopped the scheduler; empty if there is none."""
        return self._failed_service

    def _stop_if_failed(self, event: ServiceStateChanged) -> None:
        if event.state is not ServiceState.FAILED or self._stopping:
            return
        if any(job.name == event.job and job.policy.on_failed == "stop" for job in self._table.jobs):
            self._failed_service = event.job
            self._begin_to_stop(self._grace)

    def start(self, *, grace: float = 30.0) -> None:
        """Begin to fire, beside the caller's own greenlets: jobs start while these wait.

        `grace`: seconds that running jobs have if a service with `on-failed=stop` stops the scheduler.

        Raises RuntimeError when started or stopped before, ValueError when an `after` does not name a service.
        """
        if self._watch.is_started or self._stopping:
            raise RuntimeError("a scheduler starts once")
        self._grace = _checked_grace(grace)
        self._owner.claim()
        try:
            self._table.start()
        except ValueError:
            self._owner.leave()
            raise
        for job in self._table.jobs:
            if job.starts_with_scheduler and job.policy.enabled and not self._watch.is_paused(job.name):
                self._runs.start(job, None)

    def start_thread(self, *, grace: float = 30.0) -> None:
        """Begin to fire in a thread of its own; returns when it has begun.

        The thread keeps no program alive: when the program ends, it is stopped with `grace`, as by `stop`. Raises as
        `start`, RuntimeError also when a job was triggered before.
        """
        Background(self, _checked_grace(grace)).start()

    def run(self, *, grace: float = 30.0) -> None:
        """Start, and wait until `stop()` has been called and is done.

        An exception in the meantime (Ctrl-C raises KeyboardInterrupt) stops everything with `grace` and is raised
        again afterwards. A second one kills what runs.
        """
        _checked_grace(grace)
        if not self._watch.is_started:
            self.start(grace=grace)
        try:
            self._stopped.wait()
        except BaseException:
            self._stop_or_kill(grace)
            raise

    def _stop_or_kill(self, grace: float) -> None:
        try:
            self.stop(grace)
        except BaseException:
            self.kill()
            self.stop(grace)
            raise

    def stop(self, grace: float = 30.0) -> StopReport:
        """Fire no more; let running jobs finish for `grace` seconds, then end their process trees; then the services.

        Bounded by `grace`, the longest `kill-after` of jobs, those of services that need one another, and a few
        seconds; when something does not die of KILL, 10 s more for each of the two (docs/running.md, section 6).
        Returns when all is done; a second call waits for the first. A job or an observer that calls it is itself
        waited for, and ended after `grace` (an observer 2 s later): there, let somebody else wait, by
        `gcron.spawn(scheduler.stop)`.
        """
        stopper = self._owner.call(self._begin_to_stop, _checked_grace(grace))
        report: StopReport = get_across_threads(stopper)
        return report

    def _begin_to_stop(self, grace: float) -> Greenlet:
        if self._stopper is None:
            self._stopping = True
            # In a greenlet of its own: the caller may be a run, and so among those that are to be ended.
            self._stopper = spawn(self._stop, grace)
        return self._stopper

    def _stop(self, grace: float) -> StopReport:
        try:
            self._watch.stop()
            self._expectations.close()
            self._pauses.close()
            return self._runs.stop(grace) + self._services.stop()
        finally:
            for served in self._serving:
                served.stop()
            self._door.close(_LAST_WRITES)
            self._owner.leave()
            self._pool.kill()
            self._stopped.set()

    def kill(self) -> None:
        """End all running jobs and services at once, without asking; services stay so. Returns at once."""
        self._owner.call(self._kill)

    def _kill(self) -> None:
        self._runs.kill()
        self._services.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _checked_grace(grace: float) -> float:
    """Return `grace`: seconds, maybe infinite. Raises TypeError, and ValueError for a negative number or NaN."""
    if isinstance(grace, bool) or not isinstance(grace, int | float):
        raise TypeError(f"grace is a number of seconds, not {grace!r}")
    if grace < 0 or math.isnan(grace):
        raise ValueError(f"grace is a number of seconds, 0 or more, not {grace!r}")
    return grace
