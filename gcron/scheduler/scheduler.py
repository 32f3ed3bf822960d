"""`Scheduler`: the front door to jobs.

A fire goes in one direction: due (watch.py), claimed (claims.py), overlap decided (overlap.py), run (runs.py), outcome.
Observers get events on the way and can neither delay nor stop it. All of that happens in one thread (owner.py). This
module is longer than most because it documents much: each method only calls the room that does the work.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, Unpack, cast, overload

from gcron.crontab import load
from gcron.errors import ArgumentError, JobError, StateError
from gcron.frozen import replace
from gcron.policy import OPTIONS
from gcron.policy.keywords import CommandOptions, FunctionOptions, ServiceOptions
from gcron.policy.options import Scope
from gcron.policy.services import is_service
from gcron.runtime.event import AsyncResult
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock, SystemClock, local_timezone
from gcron.schedule.factories import Days, Moment
from gcron.schedule.other_words import answering
from gcron.scheduler.background import Background, Foreground, stop_at_exit
from gcron.scheduler.claims import Claims
from gcron.scheduler.door import StoreDoor
from gcron.scheduler.event_log import EventLog
from gcron.scheduler.events import (
    FiresMissed,
    JobPaused,
    JobResumed,
    LoopBlocked,
    Notice,
    RunFinished,
    ServiceStateChanged,
)
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.groups import Groups, GroupStatus
from gcron.scheduler.history import Pause
from gcron.scheduler.job import Job, jobs_of
from gcron.scheduler.job_table import JobTable, Replaced
from gcron.scheduler.journal import KINDS
from gcron.scheduler.observers import Observable
from gcron.scheduler.other_words import METHODS, OF_SCHEDULERS, OF_START
from gcron.scheduler.overlap import Overlap
from gcron.scheduler.owner import OwnerThread, ready_within
from gcron.scheduler.pauses import Pauses
from gcron.scheduler.python_jobs import (
    Grace,
    When,
    check_not_past,
    checked_grace,
    checked_jobs,
    checked_zone,
    command_job,
    function_job,
    function_policy,
    limited_when,
    schedule_of,
)
from gcron.scheduler.restart import Past, Takeover, look_back
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.services import Services, ServiceStatus
from gcron.scheduler.status import Counts, JobStatus
from gcron.scheduler.store import NoStore, Store
from gcron.scheduler.watch import Watch
from gcron.scheduler.watchdog import Blocker, Watchdog, is_real_time
from gcron.supervise.outcome import Reason, ReasonCode
from gcron.supervise.python_call import PythonCall
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run import Run
from gcron.supervise.timing import TIMING, Timing

if TYPE_CHECKING:
    from logging import Logger

    from gcron.scheduler.chains import Chains

__all__ = ["Scheduler", "When"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Stoppable(Protocol):
    """Something that goes on until it is stopped."""

    def stop(self) -> None:
        """End it."""


class _Serving:
    """Stops something in the scheduler's thread."""

    def __init__(self, owner: OwnerThread, served: Stoppable, serving: list[Stoppable]) -> None:
        self._owner = owner
        self._served = served
        self._serving = serving

    def stop(self) -> None:
        """End it; does nothing when it has ended."""
        self._owner.call(self._stop)

    def _stop(self) -> None:
        if self._served in self._serving:
            self._serving.remove(self._served)
            self._served.stop()


# Each Python service has a thread as long as it lives: it must not take that of a job.
_MOST_SERVICES = 1_000_000
# Seconds, beyond its bound, after which a stop in another thread looks whether the scheduler's thread is blocked; and
# how often it looks.
_BLOCKED_SLACK = 3.0
_LOOK = 0.5
# Seconds that the store may take at the end for history that is not written yet.
_LAST_WRITES = 2.0


class Messenger(Protocol):
    """Sends messages about the jobs of a scheduler: `gcron.notify`."""

    def add_url(self, url: str, name: str | None, settings: Mapping[str, Any]) -> None:
        """Send messages to a URL. Raises ValueError for what is wrong."""

    def stop(self) -> None:
        """Deliver what waits, within 5 s."""


class Scheduler(Observable):
    """Runs jobs when they are due.

    `timezone`: of schedules that name none (an IANA name or a tzinfo; the machine's by default). `threads`: how many
    Python jobs run at once, apart from services and from jobs with `greenlet=True`. `logger`: of `logging`, or its
    name; it gets failures as errors (with traceback or output), what is late or missed as warnings, and all other runs
    as DEBUG; None: none. `watchdog`: the seconds after which it names what blocks the scheduler's thread; None: no
    watchdog. `on_block`: what its thread then calls, with what it found and the seconds so far; by default the logger.
    `store`: what remembers claims and history; nothing by default. `clock` and `timing`: for tests.

    It belongs to the thread that starts it. From then on any thread may call any method but `start`, `start_thread`
    and `run`: the call is made in the scheduler's thread, and the caller waits for it. Before the start, one thread at
    a time may call methods. As a context manager it stops at the end of the block.
    """

    @answering(OF_SCHEDULERS)
    def __init__(
        self,
        timezone: str | tzinfo | None = None,
        *,
        threads: int = 8,
        logger: str | Logger | None = "gcron",
        watchdog: float | None = 1.0,
        on_block: Callable[[Blocker, float], object] | None = None,
        clock: Clock | None = None,
        store: Store | None = None,
        timing: Timing = TIMING,
    ) -> None:
        super().__init__(timing)
        self._timezone = checked_zone(timezone) or local_timezone()
        self._pool = ThreadPool(threads)
        self._watchdog_limit = _checked_limit(watchdog)
        self._on_block = on_block
        self._watchdog: Watchdog | None = None
        self._log = None if logger is None else EventLog(logger)
        if self._log is not None:
            self._observers.report = self._log.report_observer
        self._owner = OwnerThread()
        self._clock = clock or SystemClock()
        self._store = store
        self._timing = timing
        self._counts = Counts()
        self._groups = Groups()
        self._messenger: Messenger | None = None
        self._make_parts()

    def _make_parts(self) -> None:
        """Make what lives from one start to the next."""
        clock, timing, observers = self._clock, self._timing, self._observers
        observers.begin_anew()
        self._services = Services(clock, observers, ThreadPool(_MOST_SERVICES), timing)
        self._runs = Runs(clock, observers, self._services.hold_back, self._pool, self._groups, timing)
        self._door = StoreDoor(self._store or NoStore(), clock, self._runs.tell, timing)
        self._expectations = Expectations(clock, self._runs.tell)
        self._overlap = overlap = Overlap(self._runs, clock)
        claims = Claims(self._door, overlap.admit, overlap.miss)
        self._pauses = Pauses(clock, self._end_pause)
        self._watch = Watch(clock, claims, overlap, self._runs, self._look)
        self._chains: Chains | None = None
        self._table = JobTable(
            self._watch, self._services, self._groups, self._expectations, self._counts, self._door, self._make_chains
        )
        observers.add_own("run-finished", self._expectations.notice)
        observers.add_own("run-finished", self._watch.notice)
        for kind in ("run-finished", "run-late", "fires-missed", "loop-blocked"):
            observers.add_own(kind, self._counts)
        for kind in ("run-finished", "fires-missed"):
            observers.add_own(kind, self._retire)
        if self._log is not None:
            for kind in self._log.kinds:
                observers.add_own(kind, self._log)
        observers.add_own("service-state-changed", self._stop_if_failed)
        for kind in ("run-finished", "fires-missed"):
            # Before the history: else a crash may find a success there that no chained job knows of.
            observers.add_own(kind, self._note_for_chains)
        if self._door.store.keeps_history:
            for kind in KINDS:
                observers.add_own(kind, self._door.note)
        self._grace = 30.0
        self._failed_service = ""
        self._serving: list[Stoppable] = []
        """What answers as long as it runs."""
        self._stopper: Greenlet | None = None
        self._stopped = Flag()
        self._stopping = False
        self._is_starting = False

    def _retire(self, event: RunFinished | FiresMissed) -> None:
        """Take a job that ran once, and is over, out of the table."""
        if not self._stopping and not self._runs.of(event.job):
            self._table.retire(event)

    def _make_chains(self) -> Chains:
        # Few programs have jobs that run after others.
        from gcron.scheduler.chains import Chains

        self._chains = Chains(self._clock, self._runs, self._overlap, self._door, self._watch.is_paused)
        self._runs.before_start = self._chains.begin
        return self._chains

    def _note_for_chains(self, event: RunFinished | FiresMissed) -> None:
        if self._chains is not None:
            self._chains.notice(event)

    def _look(self) -> None:
        """The watch has read the clock, which may have been set."""
        self._expectations.look()
        self._pauses.look()

    # -- making jobs ----------------------------------------------------------------------------------------

    def command(
        self,
        command: str,
        schedule: When,
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tz: str | tzinfo | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        except_on: Days | None = None,
        now: bool = False,
        **options: Unpack[CommandOptions],
    ) -> Job:
        """Add a shell command.

        `env`: variables beside those of this program. `stdin`: what the command reads; nothing by default. `tz`,
        `start`, `end`, `except_on` and `now` are those of `cron()`. Raises ScheduleError, PolicyError, JobError for an
        option that means nothing here, JobExistsError, TypeError.

        Options:
        """
        when = limited_when(schedule, tz=tz, start=start, end=end, except_on=except_on, now=now)
        return self.add(command_job(command, when, name, options, self._timezone, env, stdin))

    def service(
        self,
        command: str,
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tz: str | tzinfo | None = None,
        **options: Unpack[ServiceOptions],
    ) -> Job:
        """Add a shell command that is kept running (docs/services.md). The rest is as for `command`.

        Options:
        """
        return self.add(
            command_job(command, limited_when("@service", tz=tz), name, options, self._timezone, env, stdin)
        )

    def job(
        self,
        schedule: When,
        *,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        greenlet: bool = False,
        tz: str | tzinfo | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        except_on: Days | None = None,
        now: bool = False,
        **options: Unpack[FunctionOptions],
    ) -> Callable[[Function], Function]:
        """Decorator: call the function with `args` and `kwargs` when `schedule` says, in a thread.

        A coroutine (`async def`) is run by asyncio in that thread. After its `timeout` it is cancelled, and has
        `kill_after` for its clean-up. Any other thread goes on after its `timeout`, and the run is over.

        `greenlet`: call it in a greenlet of the scheduler's thread instead. The function must then wait by gcron's own
        means (`gcron.sleep`, `gcron.socket`), because others run only while it waits. Its `timeout` ends it there.

        `tz`, `start`, `end`, `except_on` and `now` are those of `cron()`. Raises as `command`; TypeError also for a
        generator, and for a function that does not take the arguments.

        Options:
        """
        when = limited_when(schedule, tz=tz, start=start, end=end, except_on=except_on, now=now)
        policy = function_policy(options)
        arguments = tuple(args), dict(kwargs or {})

        def add(function: Function) -> Function:
            call = PythonCall(function, *arguments, greenlet=greenlet)
            self.add(function_job(call, when, name, policy, self._timezone))
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
        if self._stopping and not self.has_stopped:
            raise StateError("the scheduler is stopping")
        now = self._clock.now()
        for job in jobs:
            check_not_past(job.schedule, now)
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

    def notify(
        self,
        target: str | None = None,
        *,
        on: str | Iterable[str] | None = None,
        name: str | None = None,
        **settings: Any,
    ) -> None:
        """Send messages to a URL: `mailto:ops@example.com`, `https://…`, `slack://…` (docs/notifications.md).

            scheduler.notify("slack://${TOKEN}", on=("failure", "recovery"))

        They are about all jobs, or with a `name` about those with `notify=name`. `on`: which messages, by default
        failure, recovery, overdue, service. `settings`: `quiet`, `ping_style`, `secret_file`, `body_file`, and `mailer`
        (the first time: what sends mail). Without a target, only what the jobs themselves ask for is obeyed: MAILTO,
        `notify=` and `on-failure=` of crontabs, `on_failure` and its like. Before the first call, nothing is sent.

        Raises ValueError for what is wrong.
        """
        self._owner.call(self._notify, target, on, name, settings)

    def _notify(self, url: str | None, on: object, name: str | None, settings: dict[str, Any]) -> None:
        mailer = settings.pop("mailer", None)
        if self._messenger is None:
            # Looked up here: a scheduler must not depend on who tells of it.
            make_messenger = import_module("gcron.notify.library").make_messenger
            self._messenger = cast("Messenger", make_messenger(self, self._clock, mailer))
        if url is not None:
            self._messenger.add_url(url, name, {**settings, **({} if on is None else {"on": on})})

    # -- changing them --------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Remove a job: a run of it may finish, a service is ended. Raises KeyError when there is none of that name."""
        self._owner.call(self._remove, name)

    def _remove(self, name: str) -> None:
        self._table.remove(name)
        self._pauses.forget(name)

    def replace(self, jobs: Iterable[Job]) -> Replaced:
        """Make `jobs` the whole table; returns the names of those that were added, changed and removed.

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
        found = schedule_of(schedule, self._timezone, name)
        check_not_past(found, self._clock.now())
        return self._owner.call(self._table.reschedule, name, found)

    def pause(self, name: str, *, until: datetime | None = None, who: str = "", why: str = "") -> None:
        """Let a job not be due until `until`, or until `resume`; runs under way go on, and `trigger` works.

        Instants in the pause are no fires: they neither run later nor count as missed. The pause outlasts `replace`
        and `reschedule`, but not `remove`. A second pause changes when the first one ends. `who` and `why` are for the
        log and the history. Raises KeyError, ValueError for a service and for an `until` without a time zone.
        """
        if until is not None and until.tzinfo is None:
            raise JobError("until must be an aware datetime: give it a tzinfo")
        self._owner.call(self._pause, name, None if until is None else until.timestamp(), who, why)

    def _pause(self, name: str, until: float | None, who: str, why: str) -> None:
        pause = Pause(self._clock.now(), until, who, why)
        before = None if self._table.pause(name) else self._pauses.get(name)
        if before is not None and replace(before, since=pause.since) == pause:
            return
        self._pauses.add(name, pause)
        self._runs.tell(JobPaused(pause.since, name, until, who, why))

    def resume(self, name: str) -> None:
        """Let a job be due again, from now on; one that is not paused goes on. Raises KeyError.

        A job that runs after others runs at once if all of them have succeeded meanwhile.
        """
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
        is none of that name, StateError once `stop` has been called.
        """
        return self._owner.call(self._trigger, name, who, why)

    def _trigger(self, name: str, who: str, why: str) -> Run:
        job = self._table.get(name)
        if self._stopping:
            raise StateError("the scheduler has stopped, or is stopping")
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

        Raises as `stop_service`, StateError once `stop` has been called.
        """
        self._owner.call(self._restart_service, name, Reason(ReasonCode.TRIGGERED, why))

    def _restart_service(self, name: str, reason: Reason) -> None:
        self._checked_service(name)
        if self._stopping:
            raise StateError("the scheduler has stopped, or is stopping")
        self._owner.claim()
        self._services.restart(name, reason)

    def _checked_service(self, name: str) -> None:
        if not is_service(self._table.get(name)):
            raise JobError(f"{name!r} is a job with a schedule, no service")

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

    def serve_control(self, path: str | os.PathLike[str]) -> Stoppable:
        """Answer `gcron status --socket PATH` and the like at a Unix socket; the `stop` of what is returned ends that.

        It ends with the scheduler, too. Only root and the user of this program may ask. Call it after the start. Raises
        OSError when it cannot listen.
        """
        # Looked up here: a scheduler must not depend on who asks it.
        serve = import_module("gcron.control.socket").serve_control
        made: Stoppable = self._owner.call(serve, self, os.fspath(path))
        self._serving.append(made)
        return _Serving(self._owner, made, self._serving)

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

    @answering(OF_START)
    def start(self, *, grace: Grace = 30.0) -> None:
        """Begin to fire, beside the caller's own greenlets: jobs start while these wait.

        When the program ends before `stop`, or a service with `on-failed=stop` fails, the scheduler is stopped with
        `grace`. After a stop it can be started again, with the same jobs. Raises StateError when it is started already,
        or has a `store` of its own and is started again; ValueError when an `after` does not name a service.
        """
        seconds = checked_grace(grace)
        self._begin(seconds)
        if is_real_time():
            stop_at_exit(Foreground(self, seconds))

    def _begin(self, grace: float) -> None:
        self._owner.check_process()
        if self._stopped.is_set():
            self._begin_anew()
        if self._watch.is_started or self._stopping or self._is_starting:
            raise StateError("the scheduler is started already")
        self._grace = grace
        self._owner.claim()
        try:
            began = self._table.prepare()
        except ValueError:
            self._owner.leave()
            raise
        self._is_starting = True
        try:
            past = look_back(self._door, self._table.jobs, began)
        finally:
            self._is_starting = False
        if not self._stopping:  # meanwhile
            self._take_over(past, began)

    def _take_over(self, past: Past, began: float) -> None:
        takeover = Takeover(past, self._table, self._runs, self._services, self._pauses, self._door, self._clock)
        takeover.restore_pauses()
        takeover.take_over_runs()
        self._table.start(began, takeover.handled(), takeover.silences(), takeover.chains())
        self._watch_loop()
        for job in self._table.jobs:
            if not job.starts_with_scheduler or not job.policy.enabled or self._watch.is_paused(job.name):
                continue
            if takeover.is_due_at_start(job):
                self._overlap.trigger(job)  # it may have been left running
            elif takeover.has_succeeded(job):
                self._services.note_success(job.name)

    def _begin_anew(self) -> None:
        if self._store is not None:
            raise StateError("a scheduler with a store of its own starts once: its store is closed")
        table, watch, pauses = self._table, self._watch, self._pauses
        self._make_parts()
        self._table.adopt(table)
        for job in self._table.jobs:
            if watch.is_paused(job.name):
                self._table.pause(job.name)
                if (pause := pauses.get(job.name)) is not None:
                    self._pauses.add(job.name, pause)

    def _watch_loop(self) -> None:
        limit = self._watchdog_limit
        if limit is None or not is_real_time():  # on virtual time nothing takes long
            return
        log = self._log
        report = self._on_block or (_hear_nothing if log is None else log.report_block)
        self._watchdog = Watchdog(limit, report, self._report_block)
        self._watchdog.start()

    def _report_block(self, blocker: Blocker, seconds: float) -> None:
        self._runs.tell(LoopBlocked(self._clock.now(), blocker.job, blocker.what, blocker.where, seconds))

    def start_thread(self, *, grace: Grace = 30.0) -> None:
        """Begin to fire in a thread of its own; returns when it has begun.

        The thread keeps no program alive: when the program ends, it is stopped with `grace`, as by `stop`. Raises as
        `start`, StateError also when a job was triggered before.
        """
        seconds = checked_grace(grace)
        Background(self, partial(self._begin, seconds), seconds).start()

    def run(self, *, grace: Grace = 30.0) -> None:
        """Start, and wait until `stop()` has been called and is done.

        An exception in the meantime (Ctrl-C raises KeyboardInterrupt) stops everything with `grace` and is raised
        again afterwards. A second Ctrl-C kills what runs. Raises StateError when another thread has started it.
        """
        seconds = checked_grace(grace)
        self._owner.check_process()
        if not self._watch.is_started or self._stopped.is_set():
            self._begin(seconds)
        else:
            self._owner.claim()  # raises when it runs in another thread, which is not this one's to wait for
        try:
            self._stopped.wait()
        except KeyboardInterrupt:
            self._stop_by_ctrl_c(seconds)
            raise KeyboardInterrupt from None  # without a traceback of what was interrupted
        except BaseException:
            self.stop(seconds)
            raise

    def _stop_by_ctrl_c(self, grace: float) -> None:
        try:
            names = ", ".join(dict.fromkeys(run.job for run in self._runs.running()))
            if names and self._log is not None:
                self._log.warn(f"stopping: waits up to {grace:g} s for {names}; Ctrl-C again ends them at once")
            self.stop(grace)
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):
                self.kill()
                self.stop(grace)

    @overload
    def stop(self, grace: Grace = ..., *, wait: Literal[True] = ...) -> StopReport: ...
    @overload
    def stop(self, grace: Grace = ..., *, wait: Literal[False]) -> None: ...

    def stop(self, grace: Grace = 30.0, *, wait: bool = True) -> StopReport | None:
        """Fire no more; let running jobs finish for `grace` seconds, then end their process trees; then the services.

        Bounded by `grace`, the longest `kill-after` of jobs, those of services that need one another, and a few
        seconds; when something does not die of KILL, 10 s more for each of the two (docs/running.md, section 6).
        Called in another thread, it is also bounded when something blocks the scheduler's thread, which it then names
        as left behind.

        Returns when all is done; a second call waits for the first. With `wait=False` it returns at once: for a job,
        an observer or a signal handler that stops its own scheduler. Such a job is waited for like others.
        """
        seconds = checked_grace(grace)
        asked = self._owner.ask(self._begin_to_stop, seconds)
        if asked is None:
            stopper = self._begin_to_stop(seconds)
            return stopper.get() if wait else None
        return self._await_stop(asked, seconds) if wait else None

    def _await_stop(self, asked: AsyncResult[Greenlet], grace: float) -> StopReport:
        """Wait for a stop that was asked for in another thread, as long as the scheduler's thread goes on with it."""
        deadline = time.monotonic() + self.stop_takes(grace)
        while not ready_within(asked, _LOOK):
            if time.monotonic() > deadline and (blocker := self._owner.blocker()) is not None:
                return _report_blocked(blocker)
        stopper = asked.get()
        while not ready_within(stopper, _LOOK):
            if time.monotonic() > deadline and (blocker := self._owner.blocker()) is not None:
                return _report_blocked(blocker)
        report: StopReport = stopper.get()
        return report

    def ask_to_stop(self, grace: float, kill: bool = False) -> None:
        """Have it stopped in its thread, by a kill if `kill`. Returns at once, also where no greenlet may run."""
        if kill:
            self._owner.post(self._kill)
        self._owner.post(self._begin_to_stop, grace)

    def is_blocked(self) -> bool:
        """Whether something has kept its thread busy for a second. Waits for that second."""
        return self._owner.blocker() is not None

    def stop_takes(self, grace: float) -> float:
        """Seconds that a stop may take."""
        return grace + self._table.longest_kill_after() + _BLOCKED_SLACK

    def _begin_to_stop(self, grace: float) -> Greenlet:
        if self._stopper is None:
            self._stopping = True
            # In a greenlet of its own: the caller may be a run, and so among those that are to be ended.
            self._stopper = spawn(self._stop, grace)
        return self._stopper

    def _stop(self, grace: float) -> StopReport:
        try:
            self._watch.stop()
            if self._chains is not None:
                self._chains.stop()
            self._expectations.close()
            self._pauses.close()
            return self._runs.stop(grace) + self._services.stop()
        finally:
            while self._serving:
                self._end("what answers at a socket", self._serving.pop(0).stop)
            if self._watchdog is not None:
                self._watchdog.stop()
            if self._messenger is not None:
                self._end("the messages", self._messenger.stop)
            self._end("the store", partial(self._door.close, _LAST_WRITES))
            self._owner.leave()
            self._pool.kill()
            self._stopped.set()

    @staticmethod
    def _end(what: str, stop: Callable[[], object]) -> None:
        """An error of one part keeps no other from its end: the stop would never be done."""
        try:
            stop()
        except Exception as error:
            get_hub().report_error(f"the end of {what}", error)

    @property
    def is_started(self) -> bool:
        """True from a start to the end of its stop. `running()` is another thing: the runs under way."""
        return not self.has_stopped and (self._is_starting or self._watch.is_started or self._stopping)

    @property
    def has_stopped(self) -> bool:
        """True once a stop is done, until the next start."""
        return self._stopped.is_set()

    def kill(self) -> None:
        """End all running jobs and services at once, without asking; services stay so. Returns at once."""
        if self._owner.ask(self._kill) is None:
            self._kill()

    def _kill(self) -> None:
        self._runs.kill()
        self._services.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._owner.is_in_parent:
            self.stop()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = f": use {METHODS[name]}" if name in METHODS else ""
            raise AttributeError(f"a Scheduler has no {name!r}{hint}")

    def __repr__(self) -> str:
        state = "stopped" if self.has_stopped else "stopping" if self._stopping else "started"
        if not self._watch.is_started and not self._stopping:
            state = "not started"
        return f"<Scheduler: {len(self._table.jobs)} jobs, {len(self._runs.running())} running, {state}>"


def _list_options(method: Callable[..., Any], scopes: Iterable[Scope]) -> None:
    """Complete the docstring of a method by the options that it takes, from the table of them."""
    rows = [row for row in OPTIONS.values() if row.scope in scopes]
    lines = [f"            {row.attribute} ({row.default or 'none'}): {row.help}\n" for row in rows]
    if method.__doc__ is not None:  # python -OO
        method.__doc__ = method.__doc__.rstrip() + "\n\n" + "".join(lines)


_list_options(Scheduler.command, ("every job", "scheduled jobs", "processes"))
_list_options(Scheduler.service, ("every job", "services", "processes"))
_list_options(Scheduler.job, ("every job", "scheduled jobs", "services"))


def _report_blocked(blocker: Blocker) -> StopReport:
    return StopReport((), (f"{blocker.what}, which blocks the scheduler's thread at {blocker.where}",))


def _hear_nothing(blocker: Blocker, seconds: float) -> None: ...


def _checked_limit(seconds: float | None) -> float | None:
    """Return the limit of the watchdog. Raises TypeError, ArgumentError."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"watchdog is a number of seconds or None, not {seconds!r}")
    if not 0 < seconds < math.inf:
        raise ArgumentError(f"watchdog is a number of seconds above 0, not {seconds!r}")
    return seconds
