"""`ThreadPool`: run in real threads what would block the loop (DNS, /proc, files on slow disks)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from gcron.event import AsyncResult
from gcron.hub import Hub, get_hub

__all__ = ["ThreadPool", "get_threadpool"]

_Work = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Callable[[Any, BaseException | None], None]]


class ThreadPool:
    """At most `maxsize` daemon threads, started as needed and kept.

    Results come back to the hub of the thread that made the pool; call its methods from there.
    """

    def __init__(self, maxsize: int = 8, hub: Hub | None = None) -> None:
        if maxsize < 1:
            raise ValueError(f"a thread pool has 1 thread or more, got {maxsize}")
        self.maxsize = maxsize
        self.hub = hub or get_hub()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Call `function(*args, **kwargs)` in a thread; the result arrives in what is returned."""
        result: AsyncResult[Any] = AsyncResult()
        release = self.hub.hold()

        def arrive(value: Any, error: BaseException | None) -> None:
            release()
            self._busy -= 1
            if error is None:
                result.set(value)
            else:
                result.set_exception(error)

        def deliver(value: Any, error: BaseException | None) -> None:
            self.hub.call_soon_threadsafe(arrive, value, error)

        self._busy += 1
        if self._busy > self._threads and self._threads < self.maxsize:
            self._start_thread()
        self._work.put((function, args, kwargs, deliver))
        return result

    def apply(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function(*args, **kwargs)` in a thread, wait for it, return its result or raise its error."""
        return self.spawn(function, *args, **kwargs).get()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=_work, args=(self._work,), name="gcron-pool", daemon=True).start()

    def kill(self) -> None:
        """Let the threads end when they have done what was asked so far."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = 0


def _work(queue: SimpleQueue[_Work | None]) -> None:
    while (work := queue.get()) is not None:
        function, args, kwargs, deliver = work
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            deliver(None, error)
        else:
            deliver(value, None)
        # A thread that waits for work must not keep the last one's objects alive.
        del work, function, args, kwargs, deliver


def get_threadpool() -> ThreadPool:
    """This thread's own pool, made on first use."""
    hub = get_hub()
    pool: ThreadPool | None = getattr(hub, "default_threadpool", None)
    if pool is None:
        pool = hub.default_threadpool = ThreadPool(hub=hub)
    return pool
