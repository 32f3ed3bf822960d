"""Jobs that run after others (`@after`): what each of those has done, and when all of them have succeeded.

A chained job has a round: from its last start on, the ends of the jobs before it are collected. When all have
succeeded, it is due. What they do from then until it begins is part of the same round: its process will see that. With
its start the next round begins. A fire that ends without a start (it is skipped) begins the next round, too.

The start has a number, which is claimed before the process starts. So what the store remembers of a round is void once
the store knows of a later start, and no crash starts a job twice for one round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gcron.policy.services import is_chained
from gcron.schedule import AfterJobsSchedule
from gcron.schedule.clock import Clock
from gcron.scheduler.door import NO_ANSWER, StoreDoor
from gcron.scheduler.events import FiresMissed, RunFinished
from gcron.scheduler.history import Chain, Upstream
from gcron.scheduler.job import Job
from gcron.scheduler.overlap import Overlap
from gcron.scheduler.runs import Runs
from gcron.scheduler.store import Fire
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode
from gcron.supervise.run import Run

__all__ = ["Chains"]


class Chains:
    """Lets chained jobs run. The job table reports each job that comes, changes or goes."""

    def __init__(
        self, clock: Clock, runs: Runs, overlap: Overlap, door: StoreDoor, is_paused: Callable[[str], bool]
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._overlap = overlap
        self._door = door
        self._is_paused = is_paused
        self._rounds: dict[str, _Round] = {}
        """By name of the chained job."""
        self._followers: dict[str, dict[str, None]] = {}
        """By name of a job, the chained jobs that run after it."""
        self._is_firing = False

    def upstream(self, job: Job) -> tuple[Upstream, ...]:
        """How the jobs before a chained job have done since its last start."""
        found = self._rounds.get(job.name)
        return tuple(Upstream(name) for name in _names(job)) if found is None else found.upstream

    # -- the jobs -------------------------------------------------------------------------------------------

    def follow(self, job: Job) -> None:
        """There is a new job, or it has changed. What is known of the jobs that it still names stays."""
        found = self._rounds.get(job.name)
        if not is_chained(job) or not job.policy.enabled:
            self.forget(job.name)
            if found is not None:
                self._door.keep_chain(job.name, Chain(found.start))
            return
        if found is None:
            found = self._rounds[job.name] = _Round(job)
        else:
            self._unlink(found)
            found.redefine(job)
        for name in _names(job):
            self._followers.setdefault(name, {})[job.name] = None
        self._fire(found)

    def forget(self, name: str) -> None:
        """The job of that name is gone, or does not run after others any more."""
        if (found := self._rounds.pop(name, None)) is not None:
            self._unlink(found)

    def _unlink(self, found: _Round) -> None:
        for name in _names(found.job):
            del self._followers[name][found.job.name]

    def resume(self, name: str) -> None:
        """The job of that name is not paused any more: it is due if all before it have succeeded meanwhile."""
        if (found := self._rounds.get(name)) is not None:
            self._fire(found)

    # -- from start to end ----------------------------------------------------------------------------------

    def start(self, remembered: Mapping[str, tuple[Chain, float]]) -> None:
        """Begin to fire.

        `remembered`: by job, what an earlier gcron left, and a time before which the job was not to run. A job that
        was due longer ago than its start deadline is missed.
        """
        self._is_firing = True
        for name, found in self._rounds.items():
            if name in remembered:
                chain, not_before = remembered[name]
                found.restore(chain)
                self._miss_late(found, not_before)
            self._fire(found)

    def _miss_late(self, found: _Round, not_before: float) -> None:
        if not found.is_complete or self._is_paused(found.job.name):
            return
        now, due = self._clock.now(), max(not_before, found.completed)
        if now - due <= found.job.policy.start_deadline:
            return
        reason = Reason(ReasonCode.NOT_RUNNING, "gcron was not running, and the start deadline has passed")
        self._runs.tell(FiresMissed(now, found.job.name, int(due), int(due), reason, 1))
        found.use_up()
        self._remember(found)

    def stop(self) -> None:
        """Fire no more. What has succeeded is still noted, for the next start."""
        self._is_firing = False

    # -- rounds ---------------------------------------------------------------------------------------------

    def notice(self, event: RunFinished | FiresMissed) -> None:
        """A run has ended, or fires were missed."""
        own = self._rounds.get(event.job)
        if own is not None and own.due is not None and isinstance(event, RunFinished):
            self._end_due(own, event)
        for name in tuple(self._followers.get(event.job, ())):
            found = self._rounds[name]
            found.note(event)
            self._remember(found)
            self._fire(found)

    def _end_due(self, own: _Round, event: RunFinished) -> None:
        """The run that was due has ended before it began. A stop of gcron leaves it to the next start."""
        if own.due is None or own.due.run_id != event.run_id:
            return
        own.due = None
        if event.result.reason.code is not ReasonCode.SHUTDOWN:
            own.use_up()
        self._remember(own)

    def _fire(self, found: _Round) -> None:
        """Let the job run if all before it have succeeded."""
        if not self._is_firing or found.due is not None or not found.is_complete or self._is_paused(found.job.name):
            return
        run = self._overlap.trigger(found.job, int(self._clock.now()))
        if run.outcome is None:
            found.due = run
        else:  # skipped
            found.use_up()
            self._remember(found)

    def begin(self, job: Job, run: Run) -> Reason:
        """A run of the job is about to start its process: claim that start, parking, and begin the next round.

        Returns why the run shall not start, if so.
        """
        found = self._rounds.get(job.name)
        if found is None:
            return NO_REASON
        found.start = max(int(self._clock.now()), found.start + 1)
        store = self._door.store
        if store.must_claim(job):
            claimed = self._door.claim([Fire(job.name, found.start, has_run=True)])
            if claimed is None and store.when_down == "skip":
                return NO_ANSWER
            if why_not := run.wait(0):  # it was told to stop meanwhile
                return why_not
        begun = (each.run_id for name in _names(found.job) for each in self._runs.of(name) if each.has_begun)
        found.begin(run, frozenset(begun))
        self._remember(found)
        return NO_REASON

    def _remember(self, found: _Round) -> None:
        self._door.keep_chain(found.job.name, Chain(found.start, tuple(found.ends.values())))


class _Round:
    """What is known since the last start of a chained job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.start = 0
        """The number of its last start."""
        self.ends: dict[str, Upstream] = {}
        """By name, of the jobs before it that have ended."""
        self.due: Run | None = None
        """The run that is due, and has not begun."""
        self._too_early: frozenset[str] = frozenset()
        """Ids of runs that had begun before the last start: their success is none of this round."""

    @property
    def upstream(self) -> tuple[Upstream, ...]:
        """All jobs before it, in the order in which it names them."""
        return tuple(self.ends.get(name) or Upstream(name) for name in _names(self.job))

    @property
    def is_complete(self) -> bool:
        """Whether all of them have succeeded."""
        return all(each.has_succeeded for each in self.upstream)

    @property
    def completed(self) -> float:
        """When the last of them succeeded."""
        return max(each.ended or 0.0 for each in self.upstream)

    def redefine(self, job: Job) -> None:
        """It has changed."""
        self.job = job
        self.ends = {name: end for name, end in self.ends.items() if name in _names(job)}

    def restore(self, chain: Chain) -> None:
        """An earlier gcron left this. What has happened since this one began goes first."""
        self.start = max(self.start, chain.start)
        before = {each.job: each for each in chain.upstream if each.job in _names(self.job)}
        self.ends = before | self.ends

    def note(self, event: RunFinished | FiresMissed) -> None:
        """A job before it has ended. A success stays, whatever comes after it."""
        if isinstance(event, RunFinished):
            counts = event.run_id not in self._too_early
            end = Upstream(event.job, str(event.result.outcome), event.time, event.result.reason.text, counts)
        else:
            end = Upstream(event.job, str(Outcome.MISSED), event.time, event.reason.text)
        before = self.ends.get(event.job)
        if before is None or not before.has_succeeded or end.has_succeeded:
            self.ends[event.job] = end

    def begin(self, run: Run, begun: frozenset[str]) -> None:
        """It starts. `begun`: ids of the runs of jobs before it that are under way."""
        if self.due is run:
            self.due = None
        self._too_early = begun
        self.ends = {}

    def use_up(self) -> None:
        """It was due, and ended without a start."""
        self.ends = {}


def _names(job: Job) -> tuple[str, ...]:
    schedule = job.schedule
    return schedule.jobs if isinstance(schedule, AfterJobsSchedule) else ()
