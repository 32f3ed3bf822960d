"""Watches the clock for a table of jobs: each one's next due instant, and what is done when it has come, or was missed.

It claims fires and hands them to the gate; it may not know what becomes of them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.alarm import new_alarm
from gcron.scheduler.claims import Claims
from gcron.scheduler.events import FiresMissed
from gcron.scheduler.gate import MOST_REMEMBERED, Gate
from gcron.scheduler.job import Job
from gcron.scheduler.runs import Runs
from gcron.scheduler.timekeeper import LONGEST_MADE_UP_STEP, Counter, StepDetector, resolve_due
from gcron.scheduler.timetable import Timetable

__all__ = ["Watch"]


class Watch:
    """Fires `jobs`, by name, from `start` to `stop`; it is told of each one that comes, changes or goes.

    `look`: called as often as it looks at the clock itself, which it does when a machine that slept wakes up.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        clock: Clock,
        claims: Claims,
        gate: Gate,
        runs: Runs,
        look: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._claims = claims
        self._gate = gate
        self._runs = runs
        self._look = look
        self._timetable = Timetable()
        self._paused: set[str] = set()
        self._steps = StepDetector(clock)
        self._counter = Counter()
        self._changed = Flag()
        self._watcher: Greenlet | None = None
        self._is_stopped = False

    @property
    def is_started(self) -> bool:
        """True from `start` on, also when it has stopped."""
        return self._watcher is not None

    def is_paused(self, name: str) -> bool:
        """True from `pause` to `resume`."""
        return name in self._paused

    def due(self, name: str) -> datetime | None:
        """The next instant at which the job of that name is due; None when it never will be."""
        due = self._timetable.get(name)
        return None if due is None else datetime.fromtimestamp(due, UTC)

    def upcoming(self, count: int) -> list[tuple[datetime, str]]:
        """The next `count` instants at which jobs are due, each job's first one, with their names."""
        return [(datetime.fromtimestamp(due, UTC), name) for due, name in self._timetable.upcoming(count)]

    def next_due(self) -> datetime | None:
        """The next instant at which any job is due; None when none will be."""
        first = self._timetable.first()
        return None if first is None else datetime.fromtimestamp(first, UTC)

    # -- the table ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch; what is due from now on is fired."""
        self._steps.step()
        now = int(self._clock.now())
        # Jobs of a large crontab share schedules, each of which needs to be asked once.
        watched = [job for job in self._jobs.values() if self._is_watched(job)]
        schedules = {id(job.schedule): job.schedule for job in watched}
        first = {key: schedule.next_after(now) for key, schedule in schedules.items()}
        due = ((job.name, first[id(job.schedule)]) for job in watched)
        self._timetable.fill((name, instant) for name, instant in due if instant is not None)
        self._watcher = spawn(self._watch)

    def follow(self, job: Job, before: Job | None = None) -> None:
        """There is a new job, or one that is not as `before`: if it fires as before, it keeps its due instant."""
        if not self.is_started:
            return
        self._gate.follow(job)
        if before is None or _firing(before) != _firing(job):
            self._plan(job, self._clock.now())
            self._changed.set()

    def pause(self, name: str) -> None:
        """Let the job of that name not be due until it is resumed or gone, also when it changes meanwhile."""
        self._paused.add(name)
        self._timetable.set(name, None)

    def resume(self, job: Job) -> None:
        """Let it be due again: what it would have been due for in the pause is over."""
        self._paused.discard(job.name)
        if self.is_started and not self._is_stopped:
            self._plan(job, self._clock.now())
            self._changed.set()

    def forget(self, name: str) -> None:
        """The job of that name is gone."""
        self._paused.discard(name)
        self._timetable.set(name, None)
        self._gate.forget(name, "the job was removed")

    def settle(self) -> None:
        """Act on what is due by now, as the table still is: nobody may have looked since a suspend."""
        if self.is_started and not self._is_stopped:
            self._look_at_clock()

    def stop(self) -> None:
        """Fire no more, and make up nothing more."""
        self._is_stopped = True
        if self._watcher is not None:
            self._watcher.kill()
        self._gate.close()
        now = self._clock.now()
        self._counter = Counter()
        while (popped := self._timetable.pop_due(now)) is not None:
            name, due = popped
            with self._guarded(self._jobs[name]):
                self._give_up(self._jobs[name], due, now, "gcron is told to stop")

    def _plan(self, job: Job, after: float) -> None:
        due = job.schedule.next_after(int(after)) if self._is_watched(job) else None
        self._timetable.set(job.name, due)

    def _is_watched(self, job: Job) -> bool:
        return job.policy.enabled and job.name not in self._paused

    # -- watching -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        alarm = new_alarm(self._clock)
        try:
            while True:
                self._changed.clear()
                self._look_at_clock()
                self._look()
                alarm.wait(self._timetable.first(), self._changed)
        finally:
            alarm.close()

    def _look_at_clock(self) -> None:
        self._counter = Counter()
        step = self._steps.step()
        if step:
            self._follow_step(step)
        self._fire_due()

    def _fire_due(self) -> None:
        now = self._clock.now()
        while (popped := self._timetable.pop_due(now)) is not None:
            name, due = popped
            job = self._jobs[name]
            with self._guarded(job):
                self._resolve(job, due, now)
                if self._jobs.get(name) is job:  # a store of claims takes its time, in which the table may change
                    self._plan(job, now)

    def _resolve(self, job: Job, due: int, now: float) -> None:
        decision = resolve_due(job, due, now, MOST_REMEMBERED)
        if decision.missed is not None:
            self._tell_missed(job, *decision.missed, reason="gcron could not act when they were due")
        fires = [fire for fire in decision.fires if self._claims.claim(job.name, fire)]
        if decision.caught_up and fires:
            self._gate.catch_up(job, fires)
        else:
            for fire in fires:  # one, where they are not caught up
                self._gate.admit(job, fire)

    def _follow_step(self, step: float) -> None:
        """The wall clock was set by `step` seconds: see which due instants still hold."""
        now = self._clock.now()
        clock_was_wrong = abs(step) > LONGEST_MADE_UP_STEP
        for job in list(self._jobs.values()):
            due = self._timetable.get(job.name)
            if due is None and job.name not in self._paused:
                continue
            with self._guarded(job):
                if step < 0 and (clock_was_wrong or not job.is_fixed_time):
                    self._claims.forget(job.name)
                    self._gate.set_back(job.name)
                    self._plan(job, now)
                elif clock_was_wrong and due is not None and due <= now:
                    self._give_up(job, due, now, f"the clock was set forward by {step:.0f} s")
                    self._plan(job, now)

    @contextmanager
    def _guarded(self, job: Job) -> Iterator[None]:
        """A schedule of somebody's own making that raises must not end all others."""
        try:
            yield
        except Exception as error:
            self._timetable.set(job.name, None)
            get_hub().report_error(f"the schedule of job {job.name}, which fires no more,", error)

    def _give_up(self, job: Job, due: int, now: float, reason: str) -> None:
        """All from `due` on to now are missed."""
        last = job.schedule.previous_before(int(now) + 1) or due
        self._tell_missed(job, due, last, reason)

    def _tell_missed(self, job: Job, first: int, last: int, reason: str) -> None:
        count = self._counter.count(job.schedule, first, last)
        self._runs.tell(FiresMissed(self._clock.now(), job.name, first, last, reason, count))


def _firing(job: Job) -> object:
    return job.schedule, job.policy.enabled
