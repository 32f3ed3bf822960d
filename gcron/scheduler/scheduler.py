"""`Scheduler`: what a program says to its jobs.

The way of a fire goes in one direction: due and claimed (watch.py), admitted (gate.py), run (runs.py), outcome.
Observers are told on the way and can neither delay nor stop it. All of that happens in one thread (home.py). Longer
than most modules, by what it says and not by what it does: each method hands on to the room that does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from gcron.crontab import load
from gcron.policy.keywords import CommandOptions, FunctionOptions, ServiceOptions
from gcron.policy.services import is_service
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock, SystemClock
from gcron.scheduler.arguments import When, checked_grace, checked_jobs, checked_when, checked_zone, schedule_of
from gcron.scheduler.claims import Claims, MemoryClaims
from gcron.scheduler.counts import Counts
from gcron.scheduler.definition import command_job, function_job, function_policy
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.gate import Gate
from gcron.scheduler.groups import Groups
from gcron.scheduler.home import Home, get_from_afar
from gcron.scheduler.job import Job, jobs_of
from gcron.scheduler.observers import Observable
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.services import Services, ServiceStatus
from gcron.scheduler.status import JobStatus
from gcron.scheduler.table import JobTable
from gcron.scheduler.thread import Background
from gcron.scheduler.watch import Watch
from gcron.supervise.call import InThread
from gcron.supervise.run import Run

__all__ = ["Scheduler", "When"]

Function = TypeVar("Function", bound=Callable[[], Any])


class Scheduler(Observable):
    """Runs jobs when they are due.

    `timezone`: of schedules that name none (an IANA name or a tzinfo; UTC by default). `threads`: how many jobs with
    `thread=True` run at once. `clock` and `claims` can be replaced, by virtual time in tests and by a shared store.

    It belongs to the thread that starts it. From then on any thread may call any method but `start`, `start_thread`
    and `run`: what is asked for is done in the scheduler's thread, and the caller waits until it is. Before the
    start, one thread at a time may. As a context manager it stops at the end of the block.
    """

    def __init__(
        self,
        timezone: str | tzinfo | None = None,
        *,
        threads: int = 8,
        clock: Clock | None = None,
        claims: Claims | None = None,
    ) -> None:
        super().__init__()
        self._timezone = checked_zone(timezone) or UTC
        self._pool = ThreadPool(threads)
        self._home = Home()
        clock = clock or SystemClock()
        jobs: dict[str, Job] = {}
        self._services = Services(clock, self._observers)
        self._groups = Groups()
        self._runs = Runs(clock, self._observers, self._services.hold_back, self._groups)
        self._expectations = Expectations(clock, self._runs.tell)
        gate = Gate(self._runs, clock)
        self._watch = Watch(jobs, clock, claims or MemoryClaims(), gate, self._runs, self._expectations.look)
        self._counts = Counts()
        self._table = JobTable(jobs, self._watch, self._services, self._groups, self._expectations, self._counts)
        self._observers.add("run-finished", self._expectations.notice)
        for kind in ("run-finished", "run-late", "fires-missed"):
            self._observers.add(kind, self._counts)
        self._stopper: Greenlet | None = None
        self._stopped = Flag()
        self._stopping = False

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
        jobs = jobs_of(load(path, timezone=self._timezone), self._table.group_limits)
        self._home.call(self._table.add, jobs)
        return jobs

    def add(self, job: Job) -> Job:
        """Add a job; raises ValueError when its name is taken, TypeError when it is no `Job`."""
        self._home.call(self._table.add, checked_jobs([job]))
        return job

    def group(self, name: str, *, limit: int) -> None:
        """Let at most `limit` runs of the jobs with `group=name` go on at once; again: with another limit.

        A group is declared before the jobs in it. Raises ValueError when the limit is less than 1.
        """
        self._home.call(self._groups.declare, name, limit)

    # -- changing them --------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Forget a job; a run of it may finish, a service is ended. Raises KeyError when there is none of that name."""
        self._home.call(self._table.remove, name)

    def replace(self, jobs: Iterable[Job]) -> tuple[int, int, int]:
        """Make `jobs` the whole table; returns how many were added, changed and removed.

        Runs under way go on, a job whose schedule is as before keeps its due instant, and one that is paused stays so;
        a service that has changed is ended and started again, one that is removed is ended. Raises ValueError, and
        changes nothing, when two jobs have one name, `after` names what is no service, or a group is not declared, or
        with two limits.
        """
        return self._home.call(self._table.replace, checked_jobs(jobs))

    def reschedule(self, name: str, schedule: When) -> Job:
        """Let a job be due by another schedule from now on; runs under way go on. Returns the job as it is now.

        Raises KeyError when there is none of that name, ScheduleError, ValueError for a service.
        """
        return self._home.call(self._table.reschedule, name, schedule_of(schedule, self._timezone, name))

    def pause(self, name: str) -> None:
        """Let a job not be due until `resume`; runs under way go on, and `trigger` works. Again: nothing happens.

        What it would have been due for meanwhile is no fire: neither run later nor missed. The pause outlasts
        `replace` and `reschedule`, but not `remove`. Raises KeyError, ValueError for a service.
        """
        self._home.call(self._table.pause, name)

    def resume(self, name: str) -> None:
        """Let a job be due again, from now on; one that is not paused goes on. Raises KeyError."""
        self._home.call(self._table.resume, name)

    def trigger(self, name: str) -> Run:
        """Run a job now, whatever its schedule. A service is started unless it lives; returns its present run.

        Raises KeyError when there is none of that name, RuntimeError once `stop` has been called.
        """
        return self._home.call(self._trigger, name)

    def _trigger(self, name: str) -> Run:
        job = self._table.get(name)
        if self._stopping:
            raise RuntimeError("the scheduler is stopping")
        self._home.settle()
        return self._services.trigger(name) if is_service(job) else self._runs.start(job, None)

    # -- looking --------------------------------------------------------------------------------------------

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order they were added."""
        return self._home.call(lambda: self._table.jobs)

    def status(self, name: str) -> JobStatus:
        """How a job stands. Raises KeyError when there is none of that name."""
        return self._home.call(lambda: self._status(self._table.get(name), self._services.status()))

    def overview(self) -> list[JobStatus]:
        """How each job stands, all at one moment, in the order they were added."""
        return self._home.call(self._overview)

    def _overview(self) -> list[JobStatus]:
        services = self._services.status()
        return [self._status(job, services) for job in self._table.jobs]

    def _status(self, job: Job, services: dict[str, ServiceStatus]) -> JobStatus:
        service = services.get(job.name)
        life = service.run if service is not None else None
        running = [life] if life is not None else self._runs.of(job.name)
        is_paused = self._watch.is_paused(job.name)
        counts = self._counts.of(job.name).copy()
        return JobStatus(job, self._watch.due(job.name), is_paused, tuple(running), counts, service)

    def next_due(self) -> datetime | None:
        """The next instant at which any job is due; None when none will be."""
        return self._home.call(self._watch.next_due)

    def upcoming(self, count: int = 10) -> list[tuple[datetime, str]]:
        """The next `count` instants at which jobs are due, each job's first one, with their names."""
        return self._home.call(self._watch.upcoming, count)

    def running(self) -> list[Run]:
        """The runs under way, those of services last."""
        return self._home.call(lambda: [*self._runs.running(), *self._services.running()])

    @property
    def services(self) -> dict[str, ServiceStatus]:
        """How each service stands, by name."""
        return self._home.call(self._services.status)

    @property
    def counts(self) -> Counts:
        """How often each outcome came, and goes on to: `counts.total`, `counts.of("backup").failed`."""
        return self._counts

    # -- from start to end ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fire, beside the caller's own greenlets: it does while they wait.

        Raises RuntimeError when started or stopped before, ValueError when `after` of a job names what is no service.
        """
        if self._watch.is_started or self._stopping:
            raise RuntimeError("a scheduler starts once")
        self._home.settle()
        try:
            self._table.start()
        except ValueError:
            self._home.leave()
            raise
        for job in self._table.jobs:
            if job.starts_with_scheduler and job.policy.enabled and not self._watch.is_paused(job.name):
                self._runs.start(job, None)

    def start_thread(self, *, grace: float = 30.0) -> None:
        """Begin to fire in a thread of its own; returns when it has begun.

        The thread keeps no program alive: when the program ends, it is stopped with `grace`, as by `stop`. Raises as
        `start`, RuntimeError also when a job was triggered before.
        """
        Background(self, checked_grace(grace)).start()

    def run(self, *, grace: float = 30.0) -> None:
        """Start, and wait until `stop()` has been called and is done.

        What is raised in it meanwhile, as Ctrl-C raises KeyboardInterrupt, goes on when all has stopped with `grace`;
        once more, and what runs is killed.
        """
        checked_grace(grace)
        if not self._watch.is_started:
            self.start()
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

        Bounded by `grace`, the longest `kill-after` of jobs, that of services, and a few seconds; when something does
        not die of KILL, 10 s more for each of the two (docs/running.md, section 6). Returns when all is done; a second
        call waits for the first. A job or an observer that calls it is itself waited for, and ended after `grace` (an
        observer 2 s later): there, let somebody else wait, by `gcron.spawn(scheduler.stop)`.
        """
        stopper = self._home.call(self._begin_to_stop, checked_grace(grace))
        report: StopReport = get_from_afar(stopper)
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
            return self._runs.stop(grace) + self._services.stop()
        finally:
            self._home.leave()
            self._pool.kill()
            self._stopped.set()

    def kill(self) -> None:
        """End all running jobs and services at once, without asking; services stay so. Returns at once."""
        self._home.call(self._kill)

    def _kill(self) -> None:
        self._runs.kill()
        self._services.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
