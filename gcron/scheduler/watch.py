"""Watches the clock: which job is due next, and what is done when its instant has come, or was missed.

It hands due fires to `Claims`. It must not know what becomes of them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import ceil
from types import MappingProxyType

from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.schedule import AfterJobsSchedule, OnceSchedule, Schedule, core_of
from gcron.schedule.clock import Clock
from gcron.schedule.zones import FIRST_INSTANT
from gcron.scheduler.alarm import new_alarm
from gcron.scheduler.claims import Claims, DueFires
from gcron.scheduler.due import (
    LONGEST_MADE_UP_STEP,
    Counter,
    StepDetector,
    resolve_before_start,
    resolve_due,
    resolve_waiting,
)
from gcron.scheduler.events import FiresMissed, RunFinished
from gcron.scheduler.job import Job
from gcron.scheduler.overlap import MOST_REMEMBERED, Overlap
from gcron.scheduler.runs import Runs
from gcron.scheduler.timetable import Timetable
from gcron.supervise.outcome import Reason, ReasonCode

__all__ = ["Watch"]

# Seconds until the watch goes on after an error and after a second one. After a third in a row it has died.
_PAUSES = (1.0, 5.0)


class Watch:
    """Fires jobs from `start` to `stop`. The job table reports each job that comes, changes or goes.

    `look`: called each time the watch reads the clock, which it also does when the machine wakes from a suspend.
    """

    def __init__(
        self,
        clock: Clock,
        claims: Claims,
        overlap: Overlap,
        runs: Runs,
        look: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._claims = claims
        self._overlap = overlap
        self._runs = runs
        self._look = look
        self._timetable = Timetable()
        self._paused: dict[str, Job] = {}
        self._following_ends: dict[str, Job] = {}
        """The jobs that are due by the ends of their runs."""
        self._steps = StepDetector(clock)
        self._counter = Counter()
        self._changed = Flag()
        self._watcher: Greenlet | None = None
        self._is_stopped = False
        self.may_run: Callable[[Job], bool] | None = None
        """Whether this one of several nodes may run the job; None: there is no other."""

    @property
    def is_started(self) -> bool:
        """True from `start` on, also after `stop`."""
        return self._watcher is not None

    @property
    def has_died(self) -> bool:
        """True when nobody watches the clock any more, because of an error."""
        return self._watcher is not None and self._watcher.ready() and not self._is_stopped

    @property
    def _is_watching(self) -> bool:
        return self.is_started and not self._is_stopped

    def is_paused(self, name: str) -> bool:
        """True from `pause` to `resume`."""
        return name in self._paused

    def is_over(self, job: Job) -> bool:
        """Whether the job has no due instant any more, and will have none."""
        if not self._is_watching or not self.is_watched(job):
            return False
        return self._timetable.get(job.name) is None

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

    # -- the jobs -------------------------------------------------------------------------------------------

    def prepare(self) -> float:
        """The time from which on jobs will be due."""
        return self._clock.now()

    def start(
        self,
        jobs: Iterable[Job],
        began: float,
        handled: Mapping[str, float],
        waiting: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ) -> None:
        """Begin to watch; what is due after `began` is fired.

        `handled`: by job, up to when an earlier gcron has handled its fires. `catchup` decides on those until `began`.
        `waiting`: by job, the fires that an earlier gcron was to make up, and did not begin.
        """
        self._steps.step()
        now = int(began)
        # Jobs of a large crontab share schedules: each schedule is asked once.
        jobs = list(jobs)
        watched = [job for job in jobs if self.is_watched(job)]
        schedules = {id(job.schedule): job.schedule for job in watched}
        first = {key: _due_at_start(schedule, now) for key, schedule in schedules.items()}
        due = ((job, first[id(job.schedule)]) for job in watched)
        self._following_ends = {job.name: job for job in jobs if job.schedule.follows_end}
        self._timetable.fill((job, instant) for job, instant in due if instant is not None)
        self._watcher = spawn(self._watch)
        known = [job for job in watched if job.name in handled and not _has_no_instants(job.schedule)]
        newest = {key: schedule.previous_before(now + 1) for key, schedule in schedules.items()} if known else {}
        made_up: dict[str, DueFires] = {}
        for job in known:
            with self._guarded(job):
                fires = self._take_up(job, handled[job.name], began, newest[id(job.schedule)])
                if fires is not None:
                    made_up[job.name] = fires
        for job in jobs:
            if job.name in waiting:
                fires = self._take_up_waiting(job, waiting[job.name], began, made_up.get(job.name))
                if fires is not None:
                    made_up[job.name] = fires
        if made_up:
            self._claims.request(list(made_up.values()))

    def _take_up_waiting(
        self, job: Job, waiting: Sequence[int], began: float, later: DueFires | None
    ) -> DueFires | None:
        """Decide on the fires that were to be made up when gcron ended; `later` are those that came after."""
        fires, missed = resolve_waiting(job, waiting, began, has_later=later is not None)
        if missed:
            text = "gcron ended before they were made up"
            self._overlap.miss(job, missed, Reason(ReasonCode.NOT_RUNNING, text))
        if not fires:
            return later
        return DueFires(job, (*fires, *(later.fires if later is not None else ())), caught_up=True)

    def _take_up(self, job: Job, handled: float, began: float, newest: int | None) -> DueFires | None:
        """Decide on the fires of a job since `handled`, the last of which is `newest`; returns those to be made up."""
        if isinstance(core_of(job.schedule), OnceSchedule):
            self._timetable.set(job, job.schedule.next_after(int(began)))
        if handled > began + 1.0:  # the clock was set back meanwhile
            if handled - began > LONGEST_MADE_UP_STEP or not job.is_fixed_time:
                self._claims.set_back(job.name)
            else:  # as after a step that gcron sees: no time of the day comes twice
                self._timetable.set(job, job.schedule.next_after(int(handled)))
            return None
        if newest is None or newest <= handled:
            return None
        first = job.schedule.next_after(int(handled)) or newest
        decision = resolve_before_start(job, first, began, MOST_REMEMBERED)
        if decision.missed is not None:
            self._tell_missed(job, *decision.missed, Reason(ReasonCode.NOT_RUNNING, "gcron was not running"))
        return DueFires(job, decision.fires, decision.caught_up) if decision.fires else None

    def follow(self, job: Job, before: Job | None = None) -> None:
        """There is a new job, or `before` has changed. A job that fires as before keeps its due instant."""
        if self.is_paused(job.name):
            self._paused[job.name] = job
        if not self._is_watching:
            return
        self._overlap.follow(job)
        self._following_ends.pop(job.name, None)
        if job.schedule.follows_end:
            self._following_ends[job.name] = job
        if before is None or _firing(before) != _firing(job):
            self._plan(job, self._clock.now())
            self._changed.set()
        else:
            self._timetable.redefine(job)

    def pause(self, job: Job) -> None:
        """Let the job not be due until it is resumed or removed, also when it changes meanwhile."""
        self._paused[job.name] = job
        self._timetable.discard(job.name)

    def resume(self, job: Job) -> None:
        """Let it be due again. What it would have been due for in the pause is over."""
        self._paused.pop(job.name, None)
        if self._is_watching:
            self._plan(job, self._clock.now())
            self._changed.set()

    def forget(self, name: str) -> None:
        """The job of that name is gone."""
        self._paused.pop(name, None)
        self._following_ends.pop(name, None)
        self._timetable.discard(name)
        self._overlap.forget(name, Reason(ReasonCode.JOB_REMOVED, "the job was removed"))
        self._claims.forget(name)

    def notice(self, event: RunFinished) -> None:
        """A run has ended: a job that follows the ends of its runs is due so much later."""
        job = self._following_ends.get(event.job)
        if job is not None and self._is_watching and not self._runs.of(job.name):
            self._plan(job, self._clock.now())
            self._changed.set()

    def settle(self) -> None:
        """Fire what is due by now, before the job table changes: after a suspend the watch may not have looked yet."""
        if self._is_watching:
            self._look_at_clock()

    def stop(self) -> None:
        """Fire no more, and make up nothing more."""
        self._is_stopped = True
        if self._watcher is not None:
            self._watcher.kill()
        self._claims.stop()
        self._overlap.close()
        now = self._clock.now()
        self._counter = Counter()
        reason = Reason(ReasonCode.SHUTDOWN, "gcron is told to stop")
        while (popped := self._timetable.pop_due(now)) is not None:
            job, due = popped
            with self._guarded(job):
                self._give_up(job, due, now, reason)

    def _plan(self, job: Job, after: float) -> None:
        self._timetable.set(job, _first_due(job.schedule, after) if self.is_watched(job) else None)

    def is_watched(self, job: Job) -> bool:
        """Whether it can be due here: it is enabled, not paused, and this node may run it."""
        is_due_anywhere = job.policy.enabled and job.name not in self._paused
        return is_due_anywhere and (self.may_run is None or self.may_run(job))

    def is_here(self, job: Job) -> bool:
        """Whether this one of several nodes may run it; without others, true."""
        return self.may_run is None or self.may_run(job)

    # -- watching -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        alarm = new_alarm(self._clock)
        errors = 0
        try:
            while True:
                try:
                    self._changed.clear()
                    self._look_at_clock()
                    self._look()
                    alarm.wait(self._timetable.first(), self._changed)
                    errors = 0
                except Exception as error:  # of a clock, or a bug: without the watch nothing would ever run again
                    if errors == len(_PAUSES):
                        raise
                    pause = _PAUSES[errors]
                    get_hub().report_error(f"the watch of the clock, which goes on after {pause:g} s,", error)
                    sleep(pause)
                    errors += 1
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
        batch: list[DueFires] = []
        while (popped := self._timetable.pop_due(now)) is not None:
            job, due = popped
            with self._guarded(job):
                if (fires := self._resolve(job, due, now)) is not None:
                    batch.append(fires)
                self._plan(job, now)
        if batch:
            self._claims.request(batch)

    def _resolve(self, job: Job, due: int, now: float) -> DueFires | None:
        if job.schedule.follows_end and self._runs.of(job.name):
            return None  # the end of that run decides
        decision = resolve_due(job, due, now, MOST_REMEMBERED)
        if decision.missed is not None:
            reason = Reason(ReasonCode.NOT_IN_TIME, "gcron could not act when they were due")
            self._tell_missed(job, *decision.missed, reason)
        return DueFires(job, decision.fires, decision.caught_up) if decision.fires else None

    def _follow_step(self, step: float) -> None:
        """The wall clock was set by `step` seconds: decide which due instants still hold."""
        now = self._clock.now()
        clock_was_wrong = abs(step) > LONGEST_MADE_UP_STEP
        for job in [*self._timetable.jobs(), *self._paused.values()]:
            with self._guarded(job):
                due = self._timetable.get(job.name)
                if step < 0 and (clock_was_wrong or not job.is_fixed_time):
                    self._claims.set_back(job.name)
                    self._overlap.set_back(job.name)
                    self._plan(job, now)
                elif clock_was_wrong and due is not None and due <= now and not job.schedule.follows_end:
                    reason = Reason(ReasonCode.CLOCK_SET, f"the clock was set forward by {step:.0f} s")
                    self._give_up(job, due, now, reason)
                    self._plan(job, now)

    @contextmanager
    def _guarded(self, job: Job) -> Iterator[None]:
        """A user's own schedule that raises must not end all others."""
        try:
            yield
        except Exception as error:
            self._timetable.discard(job.name)
            get_hub().report_error(f"the schedule of job {job.name}, which fires no more,", error)

    def _give_up(self, job: Job, due: int, now: float, reason: Reason) -> None:
        """Every fire from `due` up to now is missed."""
        last = job.schedule.previous_before(int(now) + 1) or due
        self._tell_missed(job, due, last, reason)

    def _tell_missed(self, job: Job, first: int, last: int, reason: Reason) -> None:
        count = self._counter.count(job.schedule, first, last)
        if self._claims.miss_shared(job, first, last, count, reason):
            return
        self._runs.tell(FiresMissed(self._clock.now(), job.name, first, last, reason, count))


def _due_at_start(schedule: Schedule, now: int) -> int | None:
    """As `_first_due`, but a job that runs once may have been due before the start: it is missed, or made up."""
    if isinstance(core_of(schedule), OnceSchedule):
        return schedule.next_after(FIRST_INSTANT)
    return _first_due(schedule, now)


def _first_due(schedule: Schedule, after: float) -> int | None:
    if schedule.follows_end:
        # Once it has fired, too, in case no run comes of that: the end of a run plans it anew.
        return schedule.next_after_end(ceil(after))
    return schedule.next_after(int(after))


def _has_no_instants(schedule: Schedule) -> bool:
    return schedule.follows_end or isinstance(schedule, AfterJobsSchedule)


def _firing(job: Job) -> object:
    return job.schedule, job.policy.enabled, job.policy.run_on
