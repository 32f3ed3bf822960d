"""The claims of fires that one of several nodes starts: asked until they are answered, and what follows each answer.

One greenlet asks. What is to be claimed while the store is asked is in the next question. This module must not know
when a fire is due, nor how long the lease of this node holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from gcron.frozen import replace
from gcron.policy.services import label_of
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.cluster import Answer, SharedFire, Verdict
from gcron.scheduler.door import NO_ANSWER, StoreUnavailable
from gcron.scheduler.due import latest_start
from gcron.scheduler.job import Job
from gcron.scheduler.shared_door import MOST_FIRES, SharedDoor
from gcron.supervise.outcome import NO_REASON, Reason, ReasonCode

__all__ = ["Decisions", "Lease", "SharedClaims", "shared_fire"]

# Seconds until the store is asked again: because it gave no answer, or at the latest because a fire is early.
_AGAIN, _LONGEST_WAIT = 1.0, 60.0
# Seconds for the node that asks first. So the fires of one instant are spread over all nodes: the first question has
# only a part of them, and otherwise the quickest node would have them all.
_FIRST_TURN = 0.1
# Seconds after a fire until this node says that nobody has started it. A node that was stopped may still start it.
_OTHERS_TURN = 60.0
# Fires of a span that are claimed as missed; of a longer one, the last ones stand for all.
_MOST_MISSED = 30
# Numbers of claims that are remembered, so that a fire that comes again does not start again.
_MOST_KNOWN = 10_000

_LATE = Reason(ReasonCode.NOT_IN_TIME, "no node could start it in time")


class Lease(Protocol):
    """What `Membership` knows of this node's lease."""

    @property
    def is_sure(self) -> bool:
        """Whether it holds."""

    def covers(self, sent: float) -> bool:
        """Whether what the store has granted when it was asked at `sent` may start now."""

    def now(self) -> float:
        """The time of the store."""

    def has_turn(self, job: str, fire_at: int, label: str) -> bool:
        """Whether this node asks first for the fire: of those that are up, and have the label if there is one."""


class Decisions(Protocol):
    """What is done after an answer. Nothing here may park."""

    def may_start(self, job: Job) -> bool:
        """Whether the job is still there, and this node may run it."""

    def begin_fire(self, job: Job, fire: SharedFire, fence: int) -> None:
        """Let the fire start."""

    def begin_unclaimed(self, job: Job, fire: SharedFire) -> None:
        """Let the fire start though the store gave no answer."""

    def skip(self, job: Job, fire: SharedFire, verdict: Verdict) -> None:
        """End the fire: a run of the job is open on another node."""

    def miss(self, job: Job, fires: Sequence[int], reason: Reason) -> None:
        """Report these fires as missed."""

    def miss_span(self, job: Job, first: int, last: int, count: int, reason: Reason) -> None:
        """Report all fires of a span as missed."""


def shared_fire(job: Job, fire_at: int, trigger: str = "") -> SharedFire:
    """What is claimed for a fire of the job."""
    policy = job.policy
    late = policy.start_deadline if policy.catchup != "none" else min(policy.start_deadline, latest_start(job))
    return SharedFire(job.name, fire_at, trigger, late, policy.overlap == "allow", policy.retry_lost)


class _Claim:
    """Fires of a job that are claimed together: one, or a span that was missed."""

    def __init__(
        self,
        job: Job,
        fires: tuple[SharedFire, ...],
        why_missed: Reason = NO_REASON,
        span: tuple[int, int, int] | None = None,
        then: Callable[[Verdict | None], object] | None = None,
    ) -> None:
        self.job = job
        self.fires = fires
        self.why_missed = why_missed
        """Why the fires do not start; `NO_REASON`: they are to start, or were started without a claim."""
        self.span = span
        """First, last and count of the missed fires, if `fires` are only the last ones."""
        self.then = then
        """Called with the answer, instead of what is otherwise done; with None when there will be none."""
        self.ask_at = 0.0
        """By the clock's `monotonic`."""

    @property
    def key(self) -> tuple[str, int, str, bool]:
        """By which a second claim of the same is seen."""
        last = self.fires[-1]
        return last.job, last.fire_at, last.trigger, last.is_missed

    @property
    def fire(self) -> SharedFire:
        """The last one, or the only one."""
        return self.fires[-1]


class SharedClaims:
    """Claims fires. `goes_on`: fires start also when the store gives no answer (`on-store-down=run`)."""

    def __init__(self, door: SharedDoor, lease: Lease, clock: Clock, decisions: Decisions, goes_on: bool) -> None:
        self._door = door
        self._lease = lease
        self._clock = clock
        self._decisions = decisions
        self._goes_on = goes_on
        self._waiting: dict[tuple[str, int, str, bool], _Claim] = {}
        self._known: dict[int, None] = {}
        """Numbers of claims that were used. The store gives the same one again when it is asked again."""
        self._changed = Flag()
        self._asking: Greenlet | None = None
        self.is_stopped = False

    def start(self) -> None:
        """Ask from now on."""
        self._asking = spawn(self._work)

    def stop(self) -> None:
        """Start nothing more. Fires without an answer are left to other nodes, or to the next start."""
        self.is_stopped = True
        waiting, self._waiting = self._waiting, {}
        for claim in waiting.values():
            if claim.then is not None:
                claim.then(None)

    def join(self, seconds: float) -> None:
        """Wait for the answer to a question that is under way, at most so long: what it grants is given back."""
        self._changed.set()
        if self._asking is not None:
            self._asking.join(seconds)

    # -- what is to be claimed --------------------------------------------------------------------------------

    def request(self, job: Job, fires: Sequence[int]) -> None:
        """Let these fires start, once they are claimed. Returns at once."""
        label = label_of(job)
        for fire_at in fires:
            after = 0.0 if self._lease.has_turn(job.name, fire_at, label) else _FIRST_TURN
            self._add(_Claim(job, (shared_fire(job, fire_at),)), after)

    def offer(self, job: Job, fire: SharedFire) -> None:
        """Claim a fire that another node gave back, or lost."""
        self._add(_Claim(job, (fire,)))

    def ask(self, job: Job, fire: SharedFire, then: Callable[[Verdict | None], object]) -> None:
        """Claim something else, and call `then` with the answer; with None when there will be none."""
        self._add(_Claim(job, (fire,), then=then))

    def miss(self, job: Job, first: int, last: int, count: int, reason: Reason) -> None:
        """Fires were missed here. Where no other node has started them, one reports them. Returns at once."""
        fires: list[int] = []
        fire: int | None = last
        while fire is not None and fire >= first and len(fires) < _MOST_MISSED:
            fires.append(fire)
            fire = job.schedule.previous_before(fire)
        span = (first, last, count) if fire is not None and fire >= first else None
        self._add_missed(job, [replace(shared_fire(job, at), is_missed=True) for at in reversed(fires)], reason, span)

    def _add_missed(
        self, job: Job, fires: Sequence[SharedFire], reason: Reason, span: tuple[int, int, int] | None = None
    ) -> None:
        claim = _Claim(job, tuple(fires), reason, span)
        self._add(claim, after=claim.fire.fire_at + _OTHERS_TURN - self._lease.now())

    def _add(self, claim: _Claim, after: float = 0.0) -> None:
        if self.is_stopped:
            if claim.then is not None:
                claim.then(None)
            return
        claim.ask_at = self._clock.monotonic() + max(0.0, after)
        if claim.key not in self._waiting:
            self._waiting[claim.key] = claim
            self._changed.set()

    # -- asking -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self.is_stopped:
            self._changed.clear()
            now = self._clock.monotonic()
            due = _without_twins(claim for claim in self._waiting.values() if claim.ask_at <= now)
            if due:
                self._ask(due)
                continue
            first = min((claim.ask_at for claim in self._waiting.values()), default=None)
            self._changed.wait(None if first is None else first - now)

    def _ask(self, due: Sequence[_Claim]) -> None:
        can_ask = self._lease.is_sure
        for some in _questions(due):
            sent, answers = 0.0, None
            # A stop takes back what waits. What nobody asks for any more is not claimed.
            if can_ask and not self.is_stopped:
                try:
                    sent, verdicts = self._door.claim([fire for claim in some for fire in claim.fires])
                    answers = iter(verdicts)
                except StoreUnavailable:
                    can_ask = False
            self._follow_all(some, answers, sent)

    def _follow_all(self, asked: Sequence[_Claim], answers: Iterator[Verdict] | None, sent: float) -> None:
        for claim in asked:
            verdicts = [] if answers is None else [next(answers) for _ in claim.fires]
            was_stopped = self._waiting.pop(claim.key, None) is not claim
            if was_stopped and not claim.fire.is_missed:
                self._door.release([verdict.fence for verdict in verdicts if verdict])
                continue
            try:
                if verdicts:
                    self._follow(claim, verdicts, sent)
                else:
                    self._go_on_without_answer(claim)
            except Exception as error:  # with one job must not keep the others from starting
                get_hub().report_error(f"the start of job {claim.job.name}", error)

    def _again(self, claim: _Claim, after: float = _AGAIN) -> None:
        self._add(claim, after=after)

    def _follow(self, claim: _Claim, verdicts: Sequence[Verdict], sent: float) -> None:
        if claim.fire.is_missed:
            self._follow_missed(claim, verdicts)
            return
        verdict = verdicts[0]
        match verdict.answer:
            case Answer.START:
                self._follow_grant(claim, verdict, sent)
            case Answer.EARLY:
                self._again(claim, min(max(verdict.wait, 0.05), _LONGEST_WAIT))
            case _ if claim.then is not None:
                claim.then(verdict)
            case Answer.BUSY:
                self._decisions.skip(claim.job, claim.fire, verdict)
            case Answer.LATE:
                self._add_missed(claim.job, [replace(claim.fire, is_missed=True)], claim.why_missed or _LATE)

    def _follow_grant(self, claim: _Claim, verdict: Verdict, sent: float) -> None:
        fence = verdict.fence
        if fence in self._known and claim.then is None:
            return  # the clock was set back, and its time came again
        if not self._decisions.may_start(claim.job):
            self._door.release([fence])
            if claim.then is not None:
                claim.then(None)
            return
        if not self._lease.covers(sent):
            self._door.release([fence])
            self._again(claim)
            return
        self._use(fence)
        if claim.then is not None:
            claim.then(verdict)
        else:
            self._decisions.begin_fire(claim.job, claim.fire, fence)

    def _use(self, fence: int) -> bool:
        """Whether what this claim grants is not done yet. It is, from now on."""
        if fence in self._known:
            return False
        self._known[fence] = None
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return True

    def _follow_missed(self, claim: _Claim, verdicts: Sequence[Verdict]) -> None:
        if early := [verdict.wait for verdict in verdicts if verdict.answer is Answer.EARLY]:
            self._again(claim, min(max(*early, 0.05), _LONGEST_WAIT))
            return
        missed = []
        for fire, verdict in zip(claim.fires, verdicts, strict=True):
            if verdict and self._use(verdict.fence):
                missed.append(fire.fire_at)
            elif verdict.answer is Answer.BUSY and claim.why_missed and self._use(verdict.fence):
                self._decisions.skip(claim.job, fire, verdict)  # that answer had not arrived
        if not missed or not claim.why_missed:
            return
        if claim.span is not None and len(missed) == len(claim.fires):
            self._decisions.miss_span(claim.job, *claim.span, claim.why_missed)
        else:
            self._decisions.miss(claim.job, missed, claim.why_missed)

    def _go_on_without_answer(self, claim: _Claim) -> None:
        fire = claim.fire
        if fire.is_missed or not fire.fire_at:
            self._again(claim)
        elif self._goes_on or self._lease.now() - fire.fire_at > fire.deadline:
            # The store may have granted it all the same: what is claimed, and not begun, must not stay so.
            reason = NO_REASON if self._goes_on or claim.then is not None else NO_ANSWER
            self._add_missed(claim.job, [replace(fire, is_missed=True)], reason)
            if claim.then is not None:
                claim.then(None)
            elif self._goes_on:
                self._decisions.begin_unclaimed(claim.job, fire)
        else:
            claim.why_missed = NO_ANSWER
            self._again(claim)


def _questions(claims: Iterable[_Claim]) -> Iterator[list[_Claim]]:
    """The claims in the order in which they are asked for. What one question grants starts before the next is asked:
    it counts only for a part of the lease."""
    some: list[_Claim] = []
    fires = 0
    for claim in claims:
        if some and fires + len(claim.fires) > MOST_FIRES:
            yield some
            some, fires = [], 0
        some.append(claim)
        fires += len(claim.fires)
    if some:
        yield some


def _without_twins(claims: Iterable[_Claim]) -> list[_Claim]:
    """Leave out what has a fire of an earlier one: one question has each fire once."""
    asked: set[tuple[str, int, str]] = set()
    found = []
    for claim in claims:
        keys = {(fire.job, fire.fire_at, fire.trigger) for fire in claim.fires}
        if asked.isdisjoint(keys):
            asked |= keys
            found.append(claim)
    return found
