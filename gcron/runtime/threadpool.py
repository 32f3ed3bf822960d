"""`ThreadPool`: run in real threads what would block the loop (DNS, /proc, files on slow disks).

Each hub has one of its own: `get_hub().threadpool`. May not know what its calls do, nor how a loop takes a result in:
only that every hub has `call_soon_threadsafe`.
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
    """At most `maxsize` daemon threads, started as needed and kept; more calls than threads wait their turn.

    A call runs in a copy of the caller's `contextvars` context. Its result comes back to the hub of the thread that
    asked for it; any thread may ask. A forked child begins with no threads and nothing to do. Raises `ValueError`
    for a `maxsize` below 1, `TypeError` for one that is no whole number.
    """

    def __init__(self, maxsize: int = 8, hub: Hub | None = None) -> None:
        self._crew = _Crew()
        self._pending: dict[AsyncResult[Any], Hub] = {}
        self._maxsize = _checked(maxsize)
        self.hub = hub or get_hub()
        _pools.add(self)

    @property
    def maxsize(self) -> int:
        """The most threads there may be; may be assigned: surplus threads end when they have done what is asked."""
        return self._maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self._maxsize = _checked(maxsize)
        self._crew.adjust(maxsize)

    @property
    def size(self) -> int:
        """The number of threads there are."""
        return self._crew.threads

    def __len__(self) -> int:
        """The number of calls asked for that have not ended."""
        return self._crew.unfinished

    def __bool__(self) -> bool:
        # A pool is a thing, not what it has to do.
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {len(self)}/{self.size}/{self.maxsize}>"

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Call `function(*args, **kwargs)` in a thread, without waiting; the result arrives in what is returned.

        An error that arrives when nobody waits for it is also told on stderr.

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
                hub.report_error(describe(function), error)  # as a greenlet's: nobody may ever ask

        self._pending[result] = hub
        try:
            self._crew.take(call, partial(hub.call_soon_threadsafe, arrive), self._maxsize)
        except BaseException:
            release()
            del self._pending[result]
            raise
        return result

    def join(self, timeout: float | Timeout | None = None) -> bool:
        """Wait until all that this thread asked for so far has ended; False after `timeout` seconds."""
        hub = get_hub()
        asked = [result for result, owner in list(self._pending.items()) if owner is hub]
        return len(wait(asked, timeout)) == len(asked)

    def kill(self) -> None:
        """Let the threads end when they have done what was asked so far. Does not wait; new calls start new ones."""
        self._crew.dismiss()

    def _runs_here(self) -> bool:
        return threading.get_ident() in self._crew.idents

    def _begin_anew(self) -> None:
        self._crew = _Crew()
        self._pending.clear()

    def __del__(self) -> None:
        self._crew.dismiss()


class _Crew:
    """What a pool and its threads share. The threads know the crew alone, so a pool that nobody holds can go."""

    def __init__(self) -> None:
        # Reentrant: the collector may let go of the pool, and come to `dismiss`, wherever this is held.
        self.lock = threading.RLock()
        self.work: SimpleQueue[_Work | None] = SimpleQueue()
        self.threads = 0
        self.unfinished = 0
        self.idents: set[int] = set()

    def take(self, call: Callable[[], Any], deliver: _Deliver, most: int) -> None:
        """Have `call()` done by a thread, which then does `deliver(value, error)`."""
        with self.lock:
            if self.unfinished >= self.threads and self.threads < most:
                self._start_thread()
            self.unfinished += 1
            # While the lock is held: `dismiss` must not come in between, or nobody would look into this queue again.
            self.work.put((call, deliver))

    def dismiss(self) -> None:
        """Send all threads away once they have done what they were given. What comes later is for new ones.

        These get a queue of their own: in the old one each would take the word to end that is meant for a thread
        which still hangs in its call, and the new calls would wait for that one.
        """
        with self.lock:
            self.adjust(0)
            self.work = SimpleQueue()

    def adjust(self, most: int) -> None:
        """Send surplus threads away; start those that are missing for what waits."""
        with self.lock:
            while self.threads > most:
                self.threads -= 1
                self.work.put(None)
            for _ in range(self.threads, min(most, self.unfinished)):
                self._start_thread()

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._labour, args=(self.work,), name="gcron-pool", daemon=True).start()
        except RuntimeError:
            if not self.threads:
                raise
            return  # the system allows no more threads: those there are have to do
        self.threads += 1

    def _labour(self, queue: SimpleQueue[_Work | None]) -> None:
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
            # The thread that asked may have ended meanwhile, and its loop with it: then nobody waits for this.
            with suppress(OSError):
                deliver(value, failure)
            # A thread that waits for work must not keep the last one's objects alive.
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
    # A fork takes no threads along, nor what they were at.
    for pool in list(_pools):
        pool._begin_anew()


os.register_at_fork(after_in_child=_after_fork_in_child)
