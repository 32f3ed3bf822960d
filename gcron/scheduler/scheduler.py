"""`Scheduler`: the job table, the loop that watches the clock, and the gate before each run.

The way of a fire goes in one direction: due, claim, gate, run, outcome. Observers are told on the way and can
neither delay nor stop it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

from gcron.clock import Clock, SystemClock
from gcron.crontab import CrontabError, load
from gcron.event import Event as Flag
from gcron.greenlet import Greenlet, spawn
from gcron.hub import get_hub
from gcron.policy import Policy
from gcron.schedule import Schedule, Unscheduled, parse
from gcron.scheduler.alarm import new_alarm
from gcron.scheduler.claims import Claims, MemoryClaims
from gcron.scheduler.events import FiresMissed
from gcron.scheduler.job import Job, job_of
from gcron.scheduler.observers import Observer, Observers
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.timekeeper import LONGEST_MADE_UP_STEP, StepDetector, resolve_due
from gcron.scheduler.timetable import Timetable
from gcron.supervise.command import Command
from gcron.supervise.outcome import Outcome
from gcron.supervise.run import Run

__all__ = ["Scheduler"]


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
        self._claims = claims or MemoryClaims()
        self._jobs: dict[str, Job] = {}
        self._timetable = Timetable()
        self._observers = Observers()
        self._runs = Runs(self._clock, self._observers)
        self._watcher: Greenlet | None = None
        self._stopper: Greenlet | None = None
        self._changed = Flag()
        self._stopped = Flag()
        self._stopping = False

    # -- the job table --------------------------------------------------------------------------------------

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order they were added."""
        return tuple(self._jobs.values())

    def add(self, job: Job) -> Job:
        """Add a job; raises ValueError when its name is taken."""
        self._check(job)
        self._jobs[job.name] = job
        if self._watcher is not None:
            self._plan(job, self._clock.now())
            self._changed.set()
        return job

    def _check(self, job: Job) -> None:
        if job.name in self._jobs:
            raise ValueError(f"there is a job named {job.name!r} already")
        _check_supported(job)

    def remove(self, name: str) -> None:
        """Forget a job; a run of it may finish. Raises KeyError when there is none of that name."""
        del self._jobs[name]
        self._timetable.set(name, None)

    def replace(self, jobs: Iterable[Job]) -> tuple[int, int, int]:
        """Make `jobs` the whole table; returns how many were added, changed and removed.

        Runs under way go on, and a job whose schedule is as before keeps its due instant. Raises ValueError, and
        changes nothing, when two jobs have one name.
        """
        wanted: dict[str, Job] = {}
        for job in jobs:
            _check_supported(job)
            if wanted.setdefault(job.name, job) is not job:
                raise ValueError(f"there are two jobs named {job.name!r}")
        before, self._jobs = self._jobs, wanted
        removed = before.keys() - wanted.keys()
        for name in removed:
            self._timetable.set(name, None)
        changed = [job for name, job in wanted.items() if name in before and before[name] != job]
        added = [job for name, job in wanted.items() if name not in before]
        for job in [*added, *changed]:
            if self._watcher is not None and not _fires_as(job, before.get(job.name)):
                self._plan(job, self._clock.now())
        self._changed.set()
        return len(added), len(changed), len(removed)

    def command(self, command: str, schedule: str | Schedule, *, name: str | None = None, **options: Any) -> Job:
        """Add a shell command; `options` are those of a crontab's directives.

        Raises ScheduleError, PolicyError, or ValueError when the name is taken.
        """
        policy = Policy.from_options(options)
        name = name or command
        action = Command(command, shell=policy.shell, cwd=policy.cwd)
        return self.add(Job(name, self._schedule(schedule, name), action, policy))

    def job(
        self, schedule: str | Schedule, *, name: str | None = None, **options: Any
    ) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        """Decorator: run the function, in a greenlet, when `schedule` says."""
        policy = Policy.from_options(options)

        def add(function: Callable[[], Any]) -> Callable[[], Any]:
            label = name or function.__name__
            self.add(Job(label, self._schedule(schedule, label), function, policy))
            return function

        return add

    def load_crontab(self, path: str) -> list[Job]:
        """Add the jobs of a crontab file, or none when anything is wrong.

        Raises CrontabError for what is wrong in the file, ValueError when the name of one of its jobs is taken.
        """
        crontab = load(path, timezone=self._timezone)
        if crontab.errors:
            raise CrontabError(crontab.errors)
        jobs = [job_of(entry) for entry in crontab.entries]
        for job in jobs:
            self._check(job)
        return [self.add(job) for job in jobs]

    def _schedule(self, schedule: str | Schedule, name: str) -> Schedule:
        return parse(schedule, self._timezone, seed=name) if isinstance(schedule, str) else schedule

    def on(self, kind: str, observer: Observer) -> None:
        """Call `observer(event)` at each event of `kind` (see `gcron.scheduler.events`); `*`: at all.

        What an observer raises is reported on stderr and disturbs nothing. One that waits delays the run it is told
        of, and no other. Raises ValueError when there is no such kind.
        """
        self._observers.add(kind, observer)

    def next_due(self) -> datetime | None:
        """The next instant at which any job is due; None when none will be."""
        first = self._timetable.first()
        return None if first is None else datetime.fromtimestamp(first, UTC)

    # -- running --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fire, beside the caller's own greenlets. Raises RuntimeError when started or stopped before."""
        if self._watcher is not None or self._stopping:
            raise RuntimeError("a scheduler starts once")
        now = self._clock.now()
        for job in self.jobs:
            self._plan(job, now)
        self._watcher = spawn(self._watch_the_clock)
        for job in self.jobs:
            if job.starts_with_scheduler and job.policy.enabled:
                self._runs.start(job, None)

    def run(self) -> None:
        """Start, and wait until `stop()` has been called and is done."""
        if self._watcher is None:
            self.start()
        self._stopped.wait()

    def trigger(self, name: str) -> Run:
        """Run a job now, whatever its schedule.

        Raises KeyError when there is none of that name, RuntimeError once `stop` has been called.
        """
        job = self._jobs[name]
        if self._stopping:
            raise RuntimeError("the scheduler is stopping")
        return self._runs.start(job, None)

    def running(self) -> list[Run]:
        """The runs under way."""
        return self._runs.running()

    def stop(self, grace: float = 30.0) -> StopReport:
        """Fire no more; let running jobs finish for `grace` seconds, then end their process trees.

        Bounded by `grace` plus the jobs' `kill-after` plus 15 s, whatever they do. Returns when all is done; a second
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
            if self._watcher is not None:
                self._watcher.kill()
            return self._runs.stop(grace)
        finally:
            self._stopped.set()

    def kill(self) -> None:
        """End all running jobs at once, without asking them first; returns at once."""
        self._runs.kill()

    # -- watching the clock ---------------------------------------------------------------------------------

    def _plan(self, job: Job, after: float) -> None:
        due = job.schedule.next_after(int(after)) if job.policy.enabled else None
        self._timetable.set(job.name, due)

    def _watch_the_clock(self) -> None:
        steps = StepDetector(self._clock)
        alarm = new_alarm(self._clock)
        try:
            while True:
                self._changed.clear()
                step = steps.step()
                if step:
                    self._follow_step(step)
                self._fire_due()
                alarm.wait(self._timetable.first(), self._changed)
        finally:
            alarm.close()

    def _fire_due(self) -> None:
        now = self._clock.now()
        while (popped := self._timetable.pop_due(now)) is not None:
            name, due = popped
            job = self._jobs[name]
            try:
                self._resolve(job, due, now)
                self._plan(job, now)
            except Exception as error:  # a schedule of somebody's own making: it must not end all others
                get_hub().report_error(f"the schedule of job {name}, which fires no more,", error)

    def _resolve(self, job: Job, due: int, now: float) -> None:
        decision = resolve_due(job, due, now)
        if decision.missed is not None:
            self._tell_missed(job, *decision.missed, reason="gcron could not act when they were due")
        if decision.fire_at is not None:
            self._fire(job, decision.fire_at)

    def _follow_step(self, step: float) -> None:
        """The wall clock was set by `step` seconds: see which due instants still hold."""
        now = self._clock.now()
        clock_was_wrong = abs(step) > LONGEST_MADE_UP_STEP
        for job in self.jobs:
            due = self._timetable.get(job.name)
            if due is None:
                continue
            if step < 0 and (clock_was_wrong or not job.is_fixed_time):
                self._claims.forget(job.name)
                self._plan(job, now)
            elif clock_was_wrong and due <= now:
                last = job.schedule.previous_before(int(now) + 1) or due
                self._tell_missed(job, due, last, reason=f"the clock was set forward by {step:.0f} s")
                self._plan(job, now)

    def _tell_missed(self, job: Job, first: int, last: int, reason: str) -> None:
        self._runs.tell(FiresMissed(self._clock.now(), job.name, first, last, reason))

    def _fire(self, job: Job, fire_at: int) -> None:
        if self._stopping or not self._claims.claim(job.name, fire_at):
            return
        for run in self._runs.of(job.name):
            if run.waits_for_retry:
                run.end_retries("the job is due again")
        running = [run for run in self._runs.of(job.name) if not run.waits_for_retry]
        if not running or job.policy.overlap == "allow":
            self._runs.start(job, fire_at)
        elif job.policy.overlap == "skip":
            self._runs.skip(job, fire_at, f"the run {running[0].id} is still under way")
        elif job.policy.overlap == "replace":
            for run in running:
                if not run.is_stopping:  # a function that cleans up is not interrupted again
                    run.stop(Outcome.KILLED, "replaced: the job is due again")
            self._runs.start(job, fire_at, after=running)
        elif sum(not run.has_begun for run in running) < job.policy.queue_limit:
            self._runs.start(job, fire_at, after=running)
        else:
            self._runs.skip(job, fire_at, f"{job.policy.queue_limit} fires wait already for run {running[0].id}")


def _check_supported(job: Job) -> None:
    if isinstance(job.schedule, Unscheduled) and job.schedule.kind == "service":
        raise ValueError(f"job {job.name!r}: @service is not supported by this version of gcron")


def _fires_as(job: Job, other: Job | None) -> bool:
    return other is not None and (job.schedule, job.policy.enabled) == (other.schedule, other.policy.enabled)
