"""This scheduler as one of several nodes that share a store: it joins its parts to the scheduler's.

Imported only where there is such a store. Its parts: the lease (`membership.py`), the claims of fires
(`shared_claims.py`) and of services (`shared_services.py`), what other nodes pause (`shared_pauses.py`) and order
(`shared_orders.py`), and the door through which all of them ask (`shared_door.py`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from gcron.policy.services import is_service, is_shared, label_of
from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.cluster import Beat, NodeRecord, Presence, SharedFire, Verdict
from gcron.scheduler.definitions import digest_of
from gcron.scheduler.door import NO_ANSWER, StoreDoor, StoreUnavailable
from gcron.scheduler.events import FiresMissed, JobPaused, JobResumed, Notice, RunFinished
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.history import StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.job_table import JobTable
from gcron.scheduler.membership import Membership
from gcron.scheduler.observers import Observers
from gcron.scheduler.overlap import Overlap
from gcron.scheduler.pauses import Pauses
from gcron.scheduler.restart import Takeover
from gcron.scheduler.runs import Runs
from gcron.scheduler.services import Services
from gcron.scheduler.shared_claims import SharedClaims, shared_fire
from gcron.scheduler.shared_door import SharedDoor
from gcron.scheduler.shared_orders import SharedOrders
from gcron.scheduler.shared_pauses import SharedPauses
from gcron.scheduler.shared_services import SharedServices
from gcron.scheduler.watch import Watch
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.run import Run

__all__ = ["Node", "Parts"]

# Lost runs that are remembered, so that none is reported twice. One beat brings a thousand.
_MOST_REPORTED = 3000
# Seconds that a stop waits for the answer to a claim.
_LAST_ANSWER = 3.0
_LEASE_LOST = Reason(ReasonCode.LEASE_LOST, "lease lost: this node could not reach the store, so others may run it")


class Parts(NamedTuple):
    """The parts of a scheduler that have to do with other nodes."""

    clock: Clock
    observers: Observers
    door: StoreDoor
    table: JobTable
    watch: Watch
    runs: Runs
    services: Services
    overlap: Overlap
    pauses: Pauses
    expectations: Expectations


class Node:
    """Takes part from `start` to `leave`."""

    def __init__(self, parts: Parts) -> None:
        cluster = parts.door.store.cluster
        assert cluster is not None, "made for a store that is shared"
        self._parts = parts
        self._clock = parts.clock
        self.name = cluster.node
        self.labels = cluster.labels
        self._goes_on = parts.door.store.when_down == "run"
        """Without an answer of the store, fires start all the same."""
        self._shared_door = door = SharedDoor(cluster, parts.door, parts.clock)
        self._lease = Membership(door, parts.clock, self._present, self._learn, self._lose)
        self.claims = SharedClaims(door, self._lease, parts.clock, self, self._goes_on)
        self._services = SharedServices(parts.services, self.claims, door, self.is_here)
        self._pauses = SharedPauses(parts.table, parts.watch, parts.pauses, parts.clock, self._tell_pause)
        self._orders = SharedOrders(parts.table, parts.runs, parts.services, self._why_not_here)
        self._unclaimed: set[str] = set()
        """Ids of runs that start without a claim."""
        self._jobs: tuple[Job, ...] = ()
        self._definitions = ""
        self._seen_success = 0.0
        self._reported: deque[str] = deque(maxlen=_MOST_REPORTED)
        """Ids of runs of other nodes that were lost."""
        self._unfinished: Takeover | None = None
        """What is left of the start: the store did not answer then."""
        self._finishing: Greenlet | None = None

    # -- what can be asked ------------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[NodeRecord, ...]:
        """All of them, as this one saw them last."""
        return self._lease.nodes

    @property
    def has_lease(self) -> bool:
        """Whether it reports to the store in time, and so starts shared jobs."""
        return self._lease.is_sure

    @property
    def skew(self) -> float | None:
        """By how many seconds its clock is ahead of the store's; None: not known yet."""
        return self._lease.skew

    @property
    def latency(self) -> float | None:
        """Seconds that the store took to answer the last beat; None: it has answered none yet."""
        return self._lease.latency

    def is_here(self, job: Job) -> bool:
        """Whether this node has the label that the job asks for, if it asks for one."""
        label = label_of(job)
        return not label or label in self.labels

    def owner_of(self, service: str) -> str:
        """The other node that runs a shared service, as far as this one knows; empty: none, or this one."""
        return self._services.owner_of(service)

    # -- from start to end ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Get the lease, parking. Nothing may be due before."""
        parts = self._parts
        parts.watch.may_run = self.is_here
        parts.expectations.may_report = self._may_report
        parts.runs.node, parts.runs.claim = self.name, self._claim_run
        parts.services.claim_for(self.name, self._claim_life, self._why_not_here)
        for kind in ("job-paused", "job-resumed"):
            parts.observers.add_own(kind, self._note_pause)
        self.claims.start()
        self._lease.start()

    def begin(self, takeover: Takeover) -> None:
        """Jobs can be due from now on. What the store did not say at the start, `takeover` asks for again."""
        self._services.adopt()
        if takeover.is_answered:
            self._end_given_up(takeover)
            self._services.ask(self._parts.table.jobs)
        else:
            self._unfinished = takeover
            if not self._goes_on:
                self._end_given_up(takeover)
        self._lease.hurry()

    def look(self) -> None:
        """The clock was read: after a suspend, the lease may be over."""
        self._lease.look()

    def release_services(self) -> None:
        """The services have ended: other nodes may run them."""
        self._services.leave()

    def leave(self) -> None:
        """Ask nothing more. The store ends the lease when it is closed. Parks."""
        self.claims.join(_LAST_ANSWER)
        self._lease.stop()
        spawn(self._give_back).join(_LAST_ANSWER)
        self._shared_door.close()

    def _give_back(self) -> None:
        with suppress(StoreUnavailable):
            self._shared_door.give_back()

    # -- decisions after a claim ------------------------------------------------------------------------------

    def may_start(self, job: Job) -> bool:
        """See `Decisions`."""
        found = self._parts.table.find(job.name)
        return found is not None and self.is_here(found)

    def begin_fire(self, job: Job, fire: SharedFire, fence: int) -> None:
        """See `Decisions`. A run of the job that goes on here decides as it always does."""
        run = self._parts.overlap.trigger(job, None if fire.trigger else fire.fire_at)
        run.fence = fence

    def begin_unclaimed(self, job: Job, fire: SharedFire) -> None:
        """See `Decisions`."""
        run = self._parts.overlap.trigger(job, fire.fire_at)
        self._allow_unclaimed(run)

    def _allow_unclaimed(self, run: Run) -> None:
        self._unclaimed.add(run.run_id)
        text = "it starts though the store gave no answer (on-store-down=run): another node may start it, too"
        self._tell_notice(run.job, run.run_id, text, is_warning=True)

    def skip(self, job: Job, fire: SharedFire, verdict: Verdict) -> None:
        """See `Decisions`."""
        run = self._parts.runs.skip(job, None if fire.trigger else fire.fire_at, _busy(verdict))
        run.fence = verdict.fence

    def miss(self, job: Job, fires: Sequence[int], reason: Reason) -> None:
        """See `Decisions`."""
        self._parts.overlap.miss(job, fires, reason)

    def miss_span(self, job: Job, first: int, last: int, count: int, reason: Reason) -> None:
        """See `Decisions`."""
        self._parts.runs.tell(FiresMissed(self._clock.now(), job.name, first, last, reason, count))

    # -- claims of runs that somebody asked for, and of the lives of services -----------------------------------

    def _claim_run(self, job: Job, run: Run) -> Reason:
        if run.run_id in self._unclaimed:
            self._unclaimed.discard(run.run_id)
            return NO_REASON
        if run.fence or not is_shared(job):
            return NO_REASON
        if not self.is_here(job):
            return self._why_not_here(job)
        answer: AsyncResult[Verdict | None] = AsyncResult()
        run.describe_wait = lambda: "waits for the answer of the store"
        self.claims.ask(job, shared_fire(job, int(self._lease.now()), run.run_id), answer.set)
        verdict = answer.get()
        run.describe_wait = str
        if verdict is not None:
            run.fence = verdict.fence
            return NO_REASON if verdict else _busy(verdict)
        if self.claims.is_stopped:
            return Reason(ReasonCode.SHUTDOWN, "gcron is told to stop")
        if not self._goes_on:
            return NO_ANSWER
        self._allow_unclaimed(run)
        self._unclaimed.discard(run.run_id)
        return NO_REASON

    def _claim_life(self, job: Job, run: Run) -> Reason:
        run.fence = self._services.fence_of(job.name)
        return self._why_not_here(job)

    def _why_not_here(self, job: Job) -> Reason:
        if not self.is_here(job):
            return Reason(ReasonCode.OTHER_NODE, f"this node does not have the label {label_of(job)}")
        return self._services.why_not(job)

    # -- the lease --------------------------------------------------------------------------------------------

    def _present(self) -> Presence:
        # In a thread, since the digest may take seconds.
        jobs = self._parts.table.jobs
        if jobs != self._jobs:
            self._jobs, self._definitions = jobs, digest_of(jobs)
        return Presence(len(jobs), self._definitions, os.getpid(), self._pauses.version, self._seen_success)

    def _lose(self, seconds: float | None) -> None:
        """End what was claimed, at the latest in so many seconds: others may run it then. None: they may already."""
        if self._goes_on and seconds is not None:
            return
        runs = self._claimed_runs()
        for run in runs:
            run.stop(Outcome.KILLED, _LEASE_LOST, now=not seconds, kill_after=seconds)
        self._services.lose(_LEASE_LOST)
        if seconds:  # some may have been asked to end before, and have longer
            get_hub().call_later(seconds, _kill, runs)

    def _claimed_runs(self) -> list[Run]:
        """What must end with its claim. With on-store-down=run, jobs may run twice; services would do so for ever."""
        runs = [] if self._goes_on else self._parts.runs.running()
        return [run for run in (*runs, *self._parts.services.running()) if run.fence]

    def _end_given_up(self, takeover: Takeover) -> None:
        """End what the gcron before left running, and other nodes may have: its lease has ended meanwhile.

        When that was is unknown until the store answers.
        """
        given_up = takeover.given_up()
        _kill([run for run in self._claimed_runs() if run.fence in given_up])
        self._services.lose(_LEASE_LOST, given_up)

    # -- what a beat brings -----------------------------------------------------------------------------------

    def _learn(self, beat: Beat, sent: float) -> None:
        for run in beat.lost:
            if run.run_id not in self._reported:  # they come until the store knows that they have arrived
                self._reported.append(run.run_id)
                self._report_lost(run)
        if not self._parts.watch.is_started:
            return  # `recall` brings the rest
        self._seen_success = beat.now
        if beat.pauses is not None:
            self._pauses.follow(beat.pauses, beat.pauses_version, sent)
        for name, at in beat.successes.items():
            self._parts.expectations.note_success(name, at, max(0.0, beat.now - at))
        for order in beat.orders:
            self._orders.obey(order)
        for fire in beat.offers:
            job = self._parts.table.find(fire.job)
            if job is not None and not is_service(job) and self._parts.watch.is_watched(job):
                self.claims.offer(job, fire)
        if self._unfinished is None:
            self._services.ask(self._parts.table.jobs)
        elif self._finishing is None:
            self._finishing = spawn(self._finish_takeover, self._unfinished)

    def _finish_takeover(self, takeover: Takeover) -> None:
        try:
            if takeover.look_again():
                self._unfinished = None
                self._end_given_up(takeover)
                self._services.ask(self._parts.table.jobs)  # the lives before are on record as lost
        finally:
            self._finishing = None

    def _report_lost(self, run: StoredRun) -> None:
        text = run.reason or f"node {run.node} was lost while the run was under way, and nobody knows how it ended"
        result = RunResult(Outcome.LOST, Reason(ReasonCode.NODE_LOST, text), attempts=max(1, run.attempts))
        details = run.created, run.started, run.who, run.why, run.node, run.fence
        self._parts.runs.tell(RunFinished(self._clock.now(), run.job, run.run_id, run.fire_at, result, *details))

    def _note_pause(self, event: JobPaused | JobResumed) -> None:
        self._pauses.note(event.job)
        self._lease.hurry()

    def _tell_pause(self, job: str, text: str) -> None:
        self._tell_notice(job, "", text)

    def _may_report(self, name: str) -> bool:
        job = self._parts.table.find(name)
        return job is None or not is_shared(job) or self._lease.speaks()

    def _tell_notice(self, job: str, run_id: str, text: str, is_warning: bool = False) -> None:
        self._parts.runs.tell(Notice(self._clock.now(), job, run_id, text, is_warning=is_warning))


def _kill(runs: Sequence[Run]) -> None:
    for run in runs:
        run.stop(Outcome.KILLED, _LEASE_LOST, now=True)


def _busy(verdict: Verdict) -> Reason:
    where = f" on node {verdict.node}" if verdict.node else " on another node"
    return Reason(ReasonCode.OVERLAP, f"a run of the job is still under way{where}")
