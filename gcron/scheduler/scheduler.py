"""`Scheduler`: the job table, and what is to be done with it.

The way of a fire goes in one direction: due and claimed (watch.py), admitted (gate.py), run (runs.py), outcome.
Observers are told on the way and can neither delay nor stop it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from gcron.clock import Clock, SystemClock
from gcron.crontab import load
from gcron.event import Event as Flag
from gcron.greenlet import Greenlet, spawn
from gcron.policy import Policy
from gcron.policy.services import describe_kind, find_mistakes, find_useless, is_service
from gcron.schedule import CronTrigger, Schedule, resolve
from gcron.scheduler.claims import Claims, MemoryClaims
from gcron.scheduler.counts import Counts
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.gate import Gate
from gcron.scheduler.groups import Groups
from gcron.scheduler.job import Job, jobs_of
from gcron.scheduler.observers import Observer, Observers
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.services import Services, ServiceStatus
from gcron.scheduler.watch import Watch
from gcron.supervise.command import OF_PROCESSES, command_of
from gcron.supervise.run import Run

__all__ = ["Scheduler", "When"]

When = str | CronTrigger | Schedule
"""An expression as in a crontab, or what `cron()`, `every()` and `at()` return."""


class Scheduler:
    """Runs jobs when they are due.

    `timezone`: of schedules that name none (an IANA name or a tzinfo; UTC by default). `clock` and `claims` can be
    replaced, by virtual time in tests and by a shared store. All methods belong to the thread that runs it.
    """

    def __init__(
        self, timezone: str | tzinfo | None = None, *, clock: Clock | None = None, claims: Claims | None = None
    ) -> None:
        self._timezone = timezone or UTC
        self._clock = clock or SystemClock()
        self._jobs: dict[str, Job] = {}
        self._observers = Observers()
        self._services = Services(self._clock, self._observers)
        self._groups = Groups()
        self._runs = Runs(self._clock, self._observers, self._services.hold_back, self._groups)
        gate = Gate(self._runs, self._clock)
        self._expectations = Expectations(self._clock, self._runs.tell)
        self._watch = Watch(
            self._jobs, self._clock, claims or MemoryClaims(), gate, self._runs, self._expectations.look
        )
        self._counts = Counts()
        self._observers.add("run-finished", self._expectations.notice)
        for kind in ("run-finished", "run-late", "fires-missed"):
            self._observers.add(kind, self._counts)
        self._stopper: Greenlet | None = None
        self._stopped = Flag()
        self._stopping = False

    # -- the job table --------------------------------------------------------------------------------------

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order they were added."""
        return tuple(self._jobs.values())

    def add(self, job: Job) -> Job:
        """Add a job; raises ValueError when its name is taken."""
        self._check([job])
        return self._add(job)

    def _check(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.name in self._jobs:
                raise ValueError(f"there is a job named {job.name!r} already")
            if job.policy.group is not None:
                self._groups.check([job])
        # Before the start, what a job comes after may be added later than the job.
        if self._watch.is_started and any(job.policy.after for job in jobs):
            _check_after([*self.jobs, *jobs])

    def _add(self, job: Job) -> Job:
        if job.policy.group is not None:
            self._groups.adopt([job])
        self._jobs[job.name] = job
        if is_service(job):
            self._services.add(job)
        else:
            self._watch.follow(job)
        if self._watch.is_started:
            self._expectations.add(job)
        return job

    def remove(self, name: str) -> None:
        """Forget a job; a run of it may finish, a service is ended. Raises KeyError when there is none of that name."""
        self._watch.settle()
        del self._jobs[name]
        self._watch.forget(name)
        self._expectations.forget(name)
        self._counts.forget(name)
        self._services.remove(name)

    def replace(self, jobs: Iterable[Job]) -> tuple[int, int, int]:
        """Make `jobs` the whole table; returns how many were added, changed and removed.

        Runs under way go on, and a job whose schedule is as before keeps its due instant; a service that has changed
        is ended and started again, one that is removed is ended. Raises ValueError, and changes nothing, when two jobs
        have one name, `after` names what is no service, or a group is not declared, or with two limits.
        """
        wanted: dict[str, Job] = {}
        for job in jobs:
            if wanted.setdefault(job.name, job) is not job:
                raise ValueError(f"there are two jobs named {job.name!r}")
        _check_after(list(wanted.values()))
        self._groups.adopt(wanted.values(), anew=True)
        self._watch.settle()
        before = dict(self._jobs)
        self._jobs.clear()
        self._jobs.update(wanted)
        self._services.replace([job for job in wanted.values() if is_service(job)])
        removed = before.keys() - wanted.keys()
        for name in removed:
            self._watch.forget(name)
            self._counts.forget(name)
        changed = [job for name, job in wanted.items() if name in before and before[name] != job]
        added = [job for name, job in wanted.items() if name not in before]
        for job in [*added, *changed]:
            self._watch.follow(job, before.get(job.name))
        if self._watch.is_started:
            self._expectations.replace(wanted.values())
        return len(added), len(changed), len(removed)

    def command(self, command: str, schedule: When, *, name: str | None = None, **options: Any) -> Job:
        """Add a shell command; `options` are those of a crontab's directives.

        Raises ScheduleError, PolicyError, or ValueError when the name is taken or an option means nothing here.
        """
        policy = Policy.from_options(options)
        name = name or command
        action = command_of(command, policy)
        return self._add_made(Job(name, self._schedule(schedule, name), action, policy))

    def service(self, command: str, *, name: str | None = None, **options: Any) -> Job:
        """Add a shell command that is kept running (docs/services.md). Raises as `command`."""
        return self.command(command, "@service", name=name, **options)

    def job(
        self, schedule: When, *, name: str | None = None, **options: Any
    ) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        """Decorator: run the function, in a greenlet, when `schedule` says.

        Raises PolicyError, ValueError also for an option of processes: a function is run in this one.
        """
        policy = Policy.from_options(options)
        if useless := [name for name in OF_PROCESSES if getattr(policy, name) is not None]:
            raise ValueError(f"{', '.join(useless)} means nothing to a function, which has no process of its own")

        def add(function: Callable[[], Any]) -> Callable[[], Any]:
            label = name or function.__name__
            self._add_made(Job(label, self._schedule(schedule, label), function, policy))
            return function

        return add

    def _add_made(self, job: Job) -> Job:
        if useless := find_useless(job):
            raise ValueError(f"job {job.name!r}: {', '.join(useless)} means nothing to {describe_kind(job)}")
        return self.add(job)

    def load_crontab(self, path: str) -> list[Job]:
        """Add the jobs of a crontab file, or none when anything is wrong.

        Raises CrontabError for what is wrong in the file, ValueError when the name of one of its jobs is taken.
        """
        jobs = jobs_of(load(path, timezone=self._timezone), self._groups.limits)
        self._check(jobs)
        return [self._add(job) for job in jobs]

    def _schedule(self, when: When, name: str) -> Schedule:
        return resolve(when, self._timezone, name)

    def group(self, name: str, *, limit: int) -> None:
        """Let at most `limit` runs of the jobs with `group=name` go on at once; again: with another limit.

        A group is declared before the jobs in it. Raises ValueError when the limit is less than 1.
        """
        self._groups.declare(name, limit)

    def on(self, kind: str, observer: Observer) -> None:
        """Call `observer(event)` at each event of `kind` (see `gcron.scheduler.events`); `*`: at all.

        What an observer raises is reported on stderr and disturbs nothing. One that waits delays the run it is told
        of, and no other. Raises ValueError when there is no such kind.
        """
        self._observers.add(kind, observer)

    def next_due(self) -> datetime | None:
        """The next instant at which any job is due; None when none will be."""
        return self._watch.next_due()

    def upcoming(self, count: int = 10) -> list[tuple[datetime, str]]:
        """The next `count` instants at which jobs are due, each job's first one, with their names."""
        return self._watch.upcoming(count)

    # -- running --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fire, beside the caller's own greenlets.

        Raises RuntimeError when started or stopped before, ValueError when `after` of a job names what is no service.
        """
        if self._watch.is_started or self._stopping:
            raise RuntimeError("a scheduler starts once")
        _check_after(self.jobs)
        self._watch.start()
        self._expectations.replace(self._jobs.values())
        self._services.start()
        for job in self.jobs:
            if job.starts_with_scheduler and job.policy.enabled:
                self._runs.start(job, None)

    def run(self) -> None:
        """Start, and wait until `stop()` has been called and is done."""
        if not self._watch.is_started:
            self.start()
        self._stopped.wait()

    def trigger(self, name: str) -> Run:
        """Run a job now, whatever its schedule. A service is started unless it lives; returns its present run.

        Raises KeyError when there is none of that name, RuntimeError once `stop` has been called.
        """
        job = self._jobs[name]
        if self._stopping:
            raise RuntimeError("the scheduler is stopping")
        if is_service(job):
            return self._services.trigger(name)
        return self._runs.start(job, None)

    def running(self) -> list[Run]:
        """The runs under way, those of services last."""
        return [*self._runs.running(), *self._services.running()]

    @property
    def services(self) -> dict[str, ServiceStatus]:
        """How each service stands, by name."""
        return self._services.status()

    @property
    def counts(self) -> Counts:
        """How often each outcome came: `counts.total`, `counts.of("backup").failed`."""
        return self._counts

    def stop(self, grace: float = 30.0) -> StopReport:
        """Fire no more; let running jobs finish for `grace` seconds, then end their process trees; then the services.

        Bounded by `grace`, the longest `kill-after` of jobs, that of services, and a few seconds; when something does
        not die of KILL, 10 s more for each of the two (docs/running.md, section 6). Returns when all is done; a second
        call waits for the first. A job or an observer that calls it is itself waited for, and ended after `grace`.
        """
        if self._stopper is None:
            self._stopping = True
            # In a greenlet of its own: the caller may be a run, and so among those that are to be ended.
            self._stopper = spawn(self._stop, grace)
        report: StopReport = self._stopper.get()
        return report

    def _stop(self, grace: float) -> StopReport:
        try:
            self._watch.stop()
            self._expectations.close()
            return self._runs.stop(grace) + self._services.stop()
        finally:
            self._stopped.set()

    def kill(self) -> None:
        """End all running jobs and services at once, without asking; services stay so. Returns at once."""
        self._runs.kill()
        self._services.kill()


def _check_after(jobs: Sequence[Job]) -> None:
    for job, message, hint in find_mistakes(jobs):
        raise ValueError(f"job {job.name!r}: {message} ({hint})")
