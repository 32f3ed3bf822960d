"""The door to a store that several nodes share: claims and beats, each for a bounded time.

Imported only where there is such a store (`cluster.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gcron.runtime.event import AsyncResult
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock
from gcron.scheduler.cluster import Beat, Cluster, Presence, SharedFire, Verdict
from gcron.scheduler.door import StoreDoor, StoreUnavailable, call_in

__all__ = ["MOST_FIRES", "SharedDoor"]

T = TypeVar("T")

MOST_FIRES = 1000
"""Fires in one question."""


class SharedDoor:
    """Asks `cluster`, the shared part of the store of `door`. Its methods park, and raise StoreUnavailable."""

    def __init__(self, cluster: Cluster, door: StoreDoor, clock: Clock) -> None:
        self.cluster = cluster
        self._clock = clock
        self._claims = _Line("claims of nodes", door, cluster.lease / 2)
        self._beats = _Line("lease", door, cluster.lease)
        self._to_release: list[int] = []

    def claim(self, fires: Sequence[SharedFire]) -> tuple[float, list[Verdict]]:
        """See `Cluster.claim`; at most `MOST_FIRES`. Returns also when the store was asked, by `monotonic`."""
        sent = self._clock.monotonic()
        self.give_back()
        verdicts = self._claims.ask(self.cluster.claim, fires)
        if len(verdicts) != len(fires):
            raise self._claims.failed(f"it answered {len(verdicts)} of {len(fires)} claims")
        return sent, list(verdicts)

    def release(self, fences: Sequence[int]) -> None:
        """Have these claims given back: now, or as soon as the store can be asked. Returns at once."""
        self._to_release += fences

    def give_back(self) -> None:
        """Give back what `release` was called with."""
        if fences := tuple(self._to_release):
            self._claims.ask(self.cluster.release, fences)
            del self._to_release[: len(fences)]

    def beat(self, present: Callable[[], Presence], skew: float | None) -> tuple[float, Beat]:
        """See `Cluster.beat`; `present` is called in the thread. Returns also when it was sent, by `monotonic`."""
        sent = self._clock.monotonic()
        return sent, self._beats.ask(lambda: self.cluster.beat(present(), skew))

    def close(self) -> None:
        """Ask nothing more."""
        self._claims.close()
        self._beats.close()


class _Line:
    """Calls of one kind, in a thread of their own. While one does not come back, the next ones fail at once."""

    def __init__(self, what: str, door: StoreDoor, patience: float) -> None:
        self._what = what
        self._door = door
        self._patience = patience
        self._pool = ThreadPool(1)
        self._stalled: AsyncResult[Any] | None = None

    def ask(self, call: Callable[..., T], *args: object) -> T:
        """Call it, parking. Raises StoreUnavailable."""
        if self._stalled is not None and not self._stalled.ready():
            raise StoreUnavailable("an earlier question has no answer yet")
        self._stalled = None
        try:
            answer = call(*args) if not self._door.store.blocks else self._ask_in_thread(call, args)
        except StoreUnavailable:
            raise
        except Exception as error:
            raise self.failed(f"{type(error).__name__}: {error}") from error
        self._door.note_success(self._what)
        return answer

    def _ask_in_thread(self, call: Callable[..., T], args: Sequence[object]) -> T:
        asked = call_in(self._pool, call, *args)
        asked.wait(self._patience)
        if not asked.ready():
            self._stalled = asked
            raise self.failed(f"it did not answer within {self._patience:g} s")
        return asked.get()

    def failed(self, why: str) -> StoreUnavailable:
        """Note that it does not work; returns the error to raise."""
        self._door.note_failure(self._what, why)
        return StoreUnavailable(why)

    def close(self) -> None:
        """Ask nothing more."""
        self._pool.kill()
