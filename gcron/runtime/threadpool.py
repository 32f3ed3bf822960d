"""`ThreadPool`: real threads for calls that would block the loop (DNS, /proc, files on slow disks).

Each hub has one: `get_hub().threadpool`. May not know what its calls do.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any
from weakref import WeakSet

from gcron.runtime.event import AsyncResult
from gcron.runtime.hub import Hub, describe, get_hub
from gcron.runtime.timeout import Timeout
from gcron.runtime.waiting import wait
from gcron.runtime.workers import Workers

__all__ = ["ThreadPool"]

_Deliver = Callable[[Any, BaseException | None], object]
_Work = tuple[Callable[[], Any], _Deliver]


class ThreadPool(Workers):
    """At most `maxsize` daemon threads, started when needed and kept. Calls beyond that wait their turn.

    A call runs in a copy of the caller's `contextvars` context. Its result goes to the hub of the calling thread, which
    may be any. A forked child begins without threads and calls. Raises `ValueError` for a `maxsize` below 1,
    `TypeError` for one that is no integer.
    """

    def __init__(self, maxsize: int = 8, hub: Hub | None = None) -> None:
        self._threads = _Threads()
        self._pending: dict[AsyncResult[Any], Hub] = {}
        self._maxsize = _checked(maxsize)
        self.hub = hub or get_hub()
        _pools.add(self)

    @property
    def maxsize(self) -> int:
        """The maximum number of threads. May be assigned: surplus threads end when the calls made so far are done."""
        return self._maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self._maxsize = _checked(maxsize)
        self._threads.adjust(maxsize)

    @property
    def size(self) -> int:
        """The number of threads."""
        return self._threads.threads

    def __len__(self) -> int:
        """Return the number of calls that have not ended."""
        return self._threads.unfinished

    def __bool__(self) -> bool:
        # `if pool:` asks whether there is a pool, not whether it has calls.
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {len(self)}/{self.size}/{self.maxsize}>"

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Call `function(*args, **kwargs)` in a thread. Return at once an `AsyncResult` for its result.

        An error that arrives while nobody waits for it is also printed to stderr.


        Raises `TypeError` when `function` cannot be called, `RuntimeError` when no thread can be started at all.
        """
        if not callable(function):
            raise TypeError(f"a thread runs a callable, got {function!r}")
        hub = get_hub()
        result: AsyncResult[Any] = AsyncResult()
        call = partial(copy_context().run, function, *args, **kwargs)
        release = hub.hold()

        def arrive(value: Any, error: BaseException | None) -> None:
            release()
            self._pending.pop(result, None)
            if error is None:
                result.set(value)
                return
            is_heard = result.has_links()
            result.set_exception(error)
            if not is_heard and isinstance(error, Exception):
                hub.report_error(describe(function), error)  # as for a greenlet: perhaps nobody ever asks

        self._pending[result] = hub
        try:
            self._threads.submit(call, partial(hub.call_soon_threadsafe, arrive), self._maxsize)
        except BaseException:
            release()
            del self._pending[result]
            raise
        return result

    def join(self, timeout: float | Timeout | None = None) -> bool:
        """Wait until all calls made so far by this thread have ended. False after `timeout` seconds."""
        hub = get_hub()
        asked = [result for result, owner in list(self._pending.items()) if owner is hub]
        return len(wait(asked, timeout)) == len(asked)

    def kill(self) -> None:
        """Let the threads end after the calls made so far. Does not wait. New calls start new threads."""
        self._threads.end_all()

    def _runs_here(self) -> bool:
        return threading.get_ident() in self._threads.idents

    def _begin_anew(self) -> None:
        self._threads = _Threads()
        self._pending.clear()

    def __del__(self) -> None:
        self._threads.end_all()


class _Threads:
    """What a pool and its threads share. The threads refer only to this, so that a pool without users is freed."""

    def __init__(self) -> None:
        # Reentrant: the collector may free the pool, which calls `end_all`, while this is held.
        self.lock = threading.RLock()
        self.work: SimpleQueue[_Work | None] = SimpleQueue()
        self.threads = 0
        self.unfinished = 0
        self.idents: set[int] = set()

    def submit(self, call: Callable[[], Any], deliver: _Deliver, most: int) -> None:
        """Let a thread call `call()`, and then `deliver(value, error)`."""
        with self.lock:
            if self.unfinished >= self.threads and self.threads < most:
                self._start_thread()
            self.unfinished += 1
            # Under the lock: if `end_all` came in between, nobody would read this queue again.
            self.work.put((call, deliver))

    def end_all(self) -> None:
        """Let all threads end after the calls made so far. Later calls are for new threads.

        New threads get a new queue. In the old one they would take the None that is meant to end a thread which still
        hangs in its call, and new calls would wait for that thread.
        """
        with self.lock:
            self.adjust(0)
            self.work = SimpleQueue()

    def adjust(self, most: int) -> None:
        """End surplus threads, and start missing ones for the calls that wait."""
        with self.lock:
            while self.threads > most:
                self.threads -= 1
                self.work.put(None)
            for _ in range(self.threads, min(most, self.unfinished)):
                self._start_thread()

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._serve, args=(self.work,), name="gcron-pool", daemon=True).start()
        except RuntimeError:
            if not self.threads:
                raise
            return  # the system allows no more threads: the present ones must do
        self.threads += 1

    def _serve(self, queue: SimpleQueue[_Work | None]) -> None:
        self.idents.add(threading.get_ident())
        while (work := queue.get()) is not None:
            call, deliver = work
            value: Any = None
            failure: BaseException | None = None
            try:
                value = call()
            except BaseException as error:
                failure = error
            with self.lock:
                self.unfinished -= 1
            # The calling thread may have ended meanwhile, and its loop with it. Then nobody waits for this.
            with suppress(OSError):
                deliver(value, failure)
            # While the thread waits for the next call, it must not keep the objects of the last one alive.
            del work, call, deliver, value, failure
        self.idents.discard(threading.get_ident())


def _checked(maxsize: int) -> int:
    if not isinstance(maxsize, int):
        raise TypeError(f"a thread pool has a whole number of threads, got {maxsize!r}")
    if maxsize < 1:
        raise ValueError(f"a thread pool has 1 thread or more, got {maxsize}")
    return maxsize


_pools: WeakSet[ThreadPool] = WeakSet()


def _after_fork_in_child() -> None:
    # Threads, and what they were doing, do not exist in a forked child.
    for pool in list(_pools):
        pool._begin_anew()


os.register_at_fork(after_in_child=_after_fork_in_child)
