"""The store: what remembers claims and history, and the door through which the scheduler asks it.

A store may be slow, stall or raise. The door asks it in batches and in threads, waits for a bounded time, and goes on
without it. So a store delays at most the fires that it must claim, and loses none.

This module must not know where a store keeps things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from gcron.frozen import frozen
from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock
from gcron.scheduler.events import SchedulerEvent, StoreFailed, StoreRecovered
from gcron.scheduler.job import Job
from gcron.supervise.outcome import Reason, ReasonCode
from gcron.supervise.timing import TIMING, Timing

__all__ = ["Fire", "MemoryStore", "Store", "StoreDoor"]

# Records of history that wait for the store; more are lost, and counted.
_MOST_WAITING = 20_000
_LARGEST_BATCH = 2_000


@frozen
class Fire:
    """A job and an instant at which it is due. Whatever must happen once is keyed by it."""

    job: str
    """Name of the job."""
    fire_at: int
    """Seconds of UTC."""


class Store(Protocol):
    """What a scheduler needs of a store.

    Methods raise whatever they like: the door handles it. When `blocks` is True, `claim` and `forget` are called in one
    thread at a time and `write` in another, maybe at the same moment.
    """

    blocks: bool
    """True when a call may wait for a disk or a network. It is then called in a thread."""
    when_down: Literal["run", "skip"]
    """What becomes of a fire that the store did not claim in time: it runs all the same, or it is missed."""
    kinds: Sequence[str]
    """The kinds of events that `write` wants: run-started, run-finished, fires-missed, job-paused, …"""

    def must_claim(self, job: Job) -> bool:
        """True when the job's fires have to be claimed before they start. Called in the loop: it may not wait."""

    def claim(self, fires: Sequence[Fire]) -> Sequence[bool]:
        """For each fire: True for the first caller, False for every later one."""

    def forget(self, job: str) -> None:
        """Drop the claims of that job: it was removed, or the clock was set back and its instants come again."""

    def write(self, events: Sequence[SchedulerEvent]) -> None:
        """Record these events, in this order."""

    def close(self) -> None:
        """Nothing is asked after this call."""


class MemoryStore:
    """Remembers the latest claim of each job, for as long as it lives. It keeps no history."""

    blocks = False
    when_down: Literal["run", "skip"] = "run"
    kinds: Sequence[str] = ()

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}

    def must_claim(self, job: Job) -> bool:
        """Return True: it costs nothing."""
        return True

    def claim(self, fires: Sequence[Fire]) -> list[bool]:
        """See `Store.claim`. The fires of a job come in order, so its latest one is enough to know."""
        return [self._claim(fire.job, fire.fire_at) for fire in fires]

    def _claim(self, job: str, fire_at: int) -> bool:
        if fire_at <= self._latest.get(job, fire_at - 1):
            return False
        self._latest[job] = fire_at
        return True

    def forget(self, job: str) -> None:
        """See `Store.forget`."""
        self._latest.pop(job, None)

    def write(self, events: Sequence[SchedulerEvent]) -> None:
        """Do nothing: there is no history."""

    def close(self) -> None:
        """Do nothing."""


class StoreDoor:
    """Asks `store` for a scheduler. `tell` takes the events `store-failed` and `store-recovered`, and may not park."""

    def __init__(
        self, store: Store, clock: Clock, tell: Callable[[SchedulerEvent], object], timing: Timing = TIMING
    ) -> None:
        self.store = store
        self._clock = clock
        self._tell = tell
        self._patience = timing.claim
        self._claim_pool = ThreadPool(1)
        self._write_pool = ThreadPool(1)
        self._stalled: AsyncResult[Any] | None = None
        """A call of `claim` or `forget` that has not come back in time."""
        self._waiting: deque[SchedulerEvent] = deque()
        self._writer: Greenlet | None = None
        self._failing: set[str] = set()
        """Which of `claim` and `write` do not work at the moment."""
        self._lost = 0

    def claim(self, fires: Sequence[Fire]) -> Sequence[bool] | None:
        """Ask the store, parking the caller for at most `Timing.claim` seconds; None when it has no answer."""
        answers: Sequence[bool] | None = self._ask(self.store.claim, fires)
        if answers is not None and len(answers) != len(fires):
            self._fail("claim", f"it answered {len(answers)} of {len(fires)} claims")
            return None
        return answers

    def forget(self, job: str) -> None:
        """Drop the claims of a job; returns at once."""
        if self.store.blocks:
            spawn(self._ask, self.store.forget, job)
        else:
            self._ask(self.store.forget, job)

    def _ask(self, call: Callable[[Any], Any], argument: object) -> Any:
        if self._stalled is not None:
            return None
        try:
            answer = call(argument) if not self.store.blocks else self._ask_in_thread(call, argument)
        except Exception as error:
            self._fail("claim", f"{type(error).__name__}: {error}")
            return None
        if self._stalled is None:
            self._recover("claim")
        return answer

    def _ask_in_thread(self, call: Callable[[Any], Any], argument: object) -> Any:
        asked = self._claim_pool.spawn(call, argument)
        asked.wait(self._patience)
        if asked.ready():
            return asked.get()
        self._stalled = asked
        asked.rawlink(self._end_stall)
        self._fail("claim", f"it did not answer within {self._patience:g} s")
        return None

    def _end_stall(self, asked: object) -> None:
        if self._stalled is asked:
            self._stalled = None

    # -- history --------------------------------------------------------------------------------------------

    def write(self, event: SchedulerEvent) -> None:
        """Have an event recorded soon; returns at once."""
        if len(self._waiting) >= _MOST_WAITING:
            self._lost += 1
            self._fail("write", f"{_MOST_WAITING} records wait for it")
            return
        self._waiting.append(event)
        if self._writer is None:
            self._writer = spawn(self._write_all)

    def _write_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
            try:
                if self.store.blocks:
                    self._write_pool.spawn(self.store.write, batch).get()
                else:
                    self.store.write(batch)
            except Exception as error:
                self._lost += len(batch)
                self._fail("write", f"{type(error).__name__}: {error}")
            else:
                self._recover("write")
        self._writer = None

    def close(self, timeout: float) -> None:
        """Record what waits, for at most `timeout` seconds, and close the store."""
        if self._writer is not None:
            self._writer.join(timeout)
        self._claim_pool.kill()
        if not self.store.blocks:
            self.store.close()
        elif self._writer is None:
            self._write_pool.spawn(self.store.close).wait(timeout)
        self._write_pool.kill()

    # -- whether it works -----------------------------------------------------------------------------------

    def _fail(self, what: str, why: str) -> None:
        if not self._failing:
            reason = Reason(ReasonCode.STORE_FAILED, f"the store does not work: {why}")
            self._tell(StoreFailed(self._clock.now(), reason))
        self._failing.add(what)

    def _recover(self, what: str) -> None:
        if what not in self._failing:
            return
        self._failing.discard(what)
        if not self._failing:
            lost, self._lost = self._lost, 0
            self._tell(StoreRecovered(self._clock.now(), lost))
