"""A store that several schedulers of one process share, on virtual time: what a claim and a beat must answer.

It is plain and slow on purpose: the oracle for the real one. Faults are decided by the test: `cut`, `delay`, `outage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gcron.greenlet import sleep
from gcron.schedule.clock import Clock
from gcron.scheduler.cluster import Answer, Beat, NodeRecord, Order, Presence, SharedFire, Verdict
from gcron.scheduler.history import OpenRun, Pause, Recall, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock

LEASE = 15.0


@dataclass
class Incarnation:
    """A node from one start to its end, or to the loss of its lease."""

    node: str
    number: int
    lease_until: float
    labels: tuple[str, ...] = ()
    presence: Presence | None = None
    skew: float | None = None
    is_over: bool = False
    """It ended in order, or was given up, or another one has taken over: it writes nothing more."""


@dataclass
class Claimed:
    """The row of a claim."""

    fire: SharedFire
    fence: int
    owner: Incarnation
    state: Literal["claimed", "over", "offered"]
    answer: Answer
    has_begun: bool = False
    due: float = 0.0
    """From when on its deadline counts, if it was lost."""


class Shared:
    """The database. `clock` is its own: nodes may be ahead or behind."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.memory = MemoryStore(now=clock.now)
        self.claims: dict[tuple[str, int, str], Claimed] = {}
        self.incarnations: list[Incarnation] = []
        self.fence = 0
        self.pauses: dict[str, Pause] = {}
        self.pauses_version = 0
        self.successes: dict[str, float] = {}
        self.open: dict[str, tuple[Incarnation, StoredRun]] = {}
        self.orders: dict[str, list[Order]] = {}
        self.orders_sent = 0
        self.granted: list[tuple[int, SharedFire, str]] = []
        """Fence, fire and node, in the order of the grants."""
        self.is_down = False

    def holds(self, incarnation: Incarnation) -> bool:
        return not incarnation.is_over and incarnation.lease_until >= self.clock.now()

    def claim(self, mine: Incarnation, fire: SharedFire) -> Verdict:
        now, key = self.clock.now(), (fire.job, fire.fire_at, fire.trigger)
        if fire.fire_at > now + 1.0:
            return Verdict(Answer.EARLY, wait=fire.fire_at - now)
        row = self.claims.get(key)
        if row is not None and row.state != "offered":
            return self._again(row, mine, fire)
        if fire.is_missed:
            return self._decide(key, mine, fire, Answer.START, "over")
        due = max(fire.fire_at, 0.0 if row is None else row.due)
        if fire.fire_at and now - due > fire.deadline:
            return Verdict(Answer.LATE)
        other = None if fire.overlaps else self._busy(mine, fire)
        if other is not None:
            return replace(self._decide(key, mine, fire, Answer.BUSY, "over"), node=other.node)
        verdict = self._decide(key, mine, fire, Answer.START, "claimed")
        self.granted.append((verdict.fence, fire, mine.node))
        return verdict

    def _again(self, row: Claimed, mine: Incarnation, fire: SharedFire) -> Verdict:
        if row.owner is not mine:
            return Verdict(Answer.TAKEN, node=row.owner.node)
        if fire.is_missed:
            if row.has_begun:
                return Verdict(Answer.TAKEN, node=mine.node)
            row.state, row.fire = "over", fire
            return Verdict(row.answer, row.fence)
        if row.fire.fire_at and (row.has_begun or row.fire.is_missed):
            return Verdict(Answer.TAKEN, node=mine.node)
        return Verdict(row.answer, row.fence)

    def _busy(self, mine: Incarnation, fire: SharedFire) -> Incarnation | None:
        for row in self.claims.values():
            if row.fire.job == fire.job and row.state == "claimed" and row.owner is not mine and self.holds(row.owner):
                return row.owner
        return None

    def _decide(
        self,
        key: tuple[str, int, str],
        mine: Incarnation,
        fire: SharedFire,
        answer: Answer,
        state: Literal["claimed", "over"],
    ) -> Verdict:
        self.fence += 1
        self.claims[key] = Claimed(fire, self.fence, mine, state, answer)
        return Verdict(answer, self.fence)

    def give_up(self, lost: Incarnation) -> list[StoredRun]:
        """End what a node had whose lease ran out."""
        lost.is_over = True
        now, runs = self.clock.now(), []
        for run_id, (owner, run) in list(self.open.items()):
            if owner is lost:
                del self.open[run_id]
                runs.append(replace(run, outcome="lost", reason=f"node {lost.node} was lost", finished=now))
        for row in self.claims.values():
            if row.owner is lost and row.state == "claimed":
                fire = row.fire
                if not row.has_begun and fire.fire_at:  # nobody knows whether it has
                    run_id = fire.trigger or f"lost-{row.fence}"
                    run = StoredRun(run_id, fire.job, now, "lost", fire_at=fire.fire_at, finished=now, node=lost.node)
                    runs.append(replace(run, fence=row.fence))
                row.state = "offered" if fire.retry_lost or not fire.fire_at else "over"
                row.due = now
        self.memory.write(Batch(runs=tuple(runs)))
        return runs


class ClusterStore:
    """The store of one node, and its part in the cluster."""

    blocks = False
    keeps_history = True
    is_durable = True
    has_past = True
    keep_output = 1024
    lease = LEASE

    def __init__(
        self, shared: Shared, node: str, labels: Sequence[str] = (), when_down: Literal["run", "skip"] = "skip"
    ) -> None:
        self.shared = shared
        self.node = node
        self.labels = frozenset(labels)
        self.when_down: Literal["run", "skip"] = when_down
        self.is_cut = False
        """This node does not reach the store."""
        self.loses_answers = False
        """What it asks for is done, and it does not learn the answer."""
        self.delay = 0.0
        """Seconds that a claim takes on its way back."""
        self.mine = Incarnation(node, 0, -1.0, is_over=True)
        self._lost: list[StoredRun] = []
        """To be reported by this node, until it says that it has learnt of them."""
        self._begin(takes_over=True)

    @property
    def cluster(self) -> ClusterStore:
        return self

    def _begin(self, takes_over: bool = False) -> list[OpenRun]:
        shared, left = self.shared, []
        self.mine = Incarnation(self.node, len(shared.incarnations) + 1, shared.clock.now() + LEASE, tuple(self.labels))
        for old in shared.incarnations:
            if takes_over and old.node == self.node and not old.is_over:
                old.is_over = True
                for run_id, (owner, run) in list(shared.open.items()):
                    if owner is old:
                        shared.open[run_id] = self.mine, run
                        left.append(OpenRun(run, ""))
                for row in shared.claims.values():
                    if row.owner is old and row.state == "claimed":
                        row.owner = self.mine
                        if not row.has_begun and row.fire.fire_at:
                            left.append(OpenRun(self._may_have_begun(row), ""))
        shared.incarnations.append(self.mine)
        self._left = left if takes_over else []
        return left

    def _may_have_begun(self, row: Claimed) -> StoredRun:
        fire, now = row.fire, self.shared.clock.now()
        return StoredRun(f"left-{row.fence}", fire.job, now, fire_at=fire.fire_at, node=self.node, fence=row.fence)

    def _check(self) -> None:
        if self.is_cut or self.shared.is_down:
            raise ConnectionError("the store cannot be reached")

    def _answer(self, answer: Any) -> Any:
        if self.delay:
            sleep(self.delay)
        if self.loses_answers:
            raise ConnectionError("the connection broke")
        return answer

    # -- the cluster ------------------------------------------------------------------------------------------

    def claim(self, fires: Sequence[Any]) -> Any:
        self._check()
        if not fires or not isinstance(fires[0], SharedFire):
            return [True] * len(fires)
        if not self.shared.holds(self.mine):
            raise ConnectionError("this node has no lease")
        assert len({(fire.job, fire.fire_at, fire.trigger) for fire in fires}) == len(fires), "asked twice at once"
        return self._answer([self.shared.claim(self.mine, fire) for fire in fires])

    def release(self, fences: Sequence[int]) -> None:
        self._check()
        for row in self.shared.claims.values():
            if row.fence in fences and row.owner is self.mine and row.state == "claimed":
                row.state = "offered"

    def beat(self, presence: Presence, skew: float | None) -> Beat:
        self._check()
        shared, now = self.shared, self.shared.clock.now()
        holds = not self.mine.is_over
        if not holds:
            self._begin()
        self.mine.lease_until = now + LEASE
        self.mine.presence, self.mine.skew = presence, skew
        since = presence.seen_success
        self._lost = [run for run in self._lost if (run.finished or 0.0) > since]
        for other in shared.incarnations:
            if not other.is_over and other.lease_until + 1.0 <= now:
                self._lost += shared.give_up(other)
        has_news = presence.seen_pauses != shared.pauses_version
        return self._answer(
            Beat(
                now,
                holds,
                tuple(self._lost),
                tuple(row.fire for row in shared.claims.values() if row.state == "offered" and row.fire.fire_at),
                dict(shared.pauses) if has_news else None,
                shared.pauses_version,
                {job: at for job, at in shared.successes.items() if at >= since},
                tuple(shared.orders.pop(self.node, ())),
                tuple({each.node: self._record(each) for each in shared.incarnations}.values()),
            )
        )

    def _record(self, each: Incarnation) -> NodeRecord:
        jobs, digest = (each.presence.jobs, each.presence.definitions) if each.presence else (0, "")
        is_up = self.shared.holds(each)
        beat = each.lease_until - LEASE
        return NodeRecord(each.node, "host", 1, each.labels, "1", jobs, digest, 0.0, beat, is_up, each.skew)

    def send(self, node: str, order: Order) -> None:
        self._check()
        self.shared.orders_sent += 1
        self.shared.orders.setdefault(node, []).append(replace(order, number=self.shared.orders_sent))

    # -- the store --------------------------------------------------------------------------------------------

    def must_claim(self, job: Job) -> bool:
        return False

    def forget(self, jobs: Sequence[str]) -> None: ...

    def write(self, batch: Batch) -> None:
        self._check()
        shared = self.shared
        runs = []
        for run in batch.runs:
            row = next((row for row in shared.claims.values() if row.fence == run.fence), None) if run.fence else None
            if row is not None and (self.mine.is_over or row.owner is not self.mine):
                continue  # it is fenced
            runs.append(run)
            if row is not None:
                row.has_begun = True
                if run.outcome and row.fire.fire_at:
                    row.state = "over"
            if run.outcome:
                shared.open.pop(run.run_id, None)
                if run.outcome == "succeeded":
                    shared.successes[run.job] = shared.clock.now()
            else:
                shared.open[run.run_id] = self.mine, run
        for name, pause in batch.pauses.items():
            shared.pauses_version += 1
            shared.pauses.pop(name, None)
            if pause is not None:
                shared.pauses[name] = pause
        shared.memory.write(batch._replace(runs=tuple(runs)))

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        self._check()
        self.shared.memory.write_output(pieces)

    def tend(self) -> float:
        return float("inf")

    def close(self) -> None:
        """End the lease in order: others give up at once what this node may have left."""
        if not self.is_cut and not self.shared.is_down and not self.mine.is_over:
            self.mine.lease_until = min(self.mine.lease_until, self.shared.clock.now() - 1.0)

    def recall(self, jobs: Sequence[Job]) -> Recall:
        self._check()
        recall = self.shared.memory.recall(jobs)
        return replace(recall, open_runs=tuple(self._left), claims=())

    def messages(self, after: Any = None) -> Sequence[Any]:
        return ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shared.memory, name)


class NodeClock:
    """A node's own clock: that of the test, and some seconds more."""

    def __init__(self, clock: VirtualClock, skew: float = 0.0) -> None:
        self._clock = clock
        self.skew = skew
        self.longest_nap = clock.longest_nap

    def now(self) -> float:
        return self._clock.now() + self.skew

    def monotonic(self) -> float:
        return self._clock.monotonic()
