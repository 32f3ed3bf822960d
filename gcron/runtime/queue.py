"""Queues between greenlets: `SimpleQueue`, `Queue` (FIFO), `LifoQueue`, `PriorityQueue`, and `Channel`.

Both ends are first come, first served. An item (or a free place) that wakes a waiter is reserved for it until it has
run, so nobody overtakes it. A waiter that is killed or timed out meanwhile passes the reservation on.

Longer than most modules: all kinds are one algorithm over different stores.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy as shallow_copy
from queue import Empty, Full
from typing import Any, Generic, Self, TypeVar

from greenlet import getcurrent

from gcron.runtime.channel import Channel
from gcron.runtime.event import Event
from gcron.runtime.hub import Carrier, current, interrupt, park, require_own_thread, unpark
from gcron.runtime.timeout import Timeout, park_within, timed_out

__all__ = [
    "Channel",
    "Empty",
    "Full",
    "JoinableQueue",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "ShutDown",
    "SimpleQueue",
]

if sys.version_info >= (3, 13):
    from queue import ShutDown
else:

    class ShutDown(Exception):
        """The queue has been shut down; the standard library's own from Python 3.13 on."""


T = TypeVar("T")


class _Waiters:
    """The greenlets that wait at one end. `admitted` counts those that are woken but have not run yet."""

    __slots__ = ("admitted", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Carrier] = deque()
        self.admitted = 0

    def admit(self, available: int) -> None:
        """Wake as many as there are items (or places) for, the longest waiting first. HOT PATH."""
        waiting = self.waiting
        while waiting and available > self.admitted:
            self.admitted += 1
            unpark(waiting.popleft())

    def dismiss(self, error: type[Exception]) -> None:
        """Raise `error` in all who wait."""
        for waiter in self.waiting:
            if waiter.pending is None:  # otherwise it already leaves
                interrupt(waiter, waiter.task, error())

    def wait(self, timeout: float | Timeout | None) -> bool:
        """Wait for admission. False when `timeout` came first. HOT PATH."""
        me: Any = getcurrent()
        try:
            me.ready  # noqa: B018 - as `current`, one call less
        except AttributeError:
            me = current()
        self.waiting.append(me)
        try:
            if timeout is None:
                park(me)
            else:
                park_within(me, timeout)
                if me in self.waiting:
                    self.waiting.remove(me)
                    return False
        except BaseException:
            if me in self.waiting:
                self.waiting.remove(me)
            else:
                self.admitted -= 1
            raise
        self.admitted -= 1
        return True


class SimpleQueue(Generic[T]):
    """A first in, first out queue of at most `maxsize` items. None and 0 mean no bound, as in the standard library.

    `items` are in it from the start, even if there are more than `maxsize`. A subclass may define `_init(maxsize)`,
    `_put(item)`, `_get()` and `_peek()` over `self.queue`, as in the standard library.
    """

    is_shutdown = False
    """True after `Queue.shutdown()`."""

    def __init__(self, maxsize: int | None = None, items: Iterable[T] = ()) -> None:
        self.maxsize = maxsize if maxsize and maxsize > 0 else None
        self._init(maxsize)
        for item in items:
            self._put(item)
        self._getters = _Waiters()
        self._putters = _Waiters()

    # -- the store, for subclasses --------------------------------------------------------------------------

    def _init(self, maxsize: int | None) -> None:
        self.queue: Any = deque()

    def _put(self, item: T) -> None:
        self.queue.append(item)

    def _get(self) -> T:
        item: T = self.queue.popleft()
        return item

    def _peek(self) -> T:
        item: T = self.queue[0]
        return item

    # -- looking --------------------------------------------------------------------------------------------

    def qsize(self) -> int:
        """The number of items in it."""
        return len(self.queue)

    def __len__(self) -> int:
        return self.qsize()

    def __bool__(self) -> bool:
        # `if queue:` asks whether there is a queue, not whether it has items.
        return True

    def empty(self) -> bool:
        """True when there is no item."""
        return not self.qsize()

    def full(self) -> bool:
        """True when there are `maxsize` items."""
        return self.maxsize is not None and self.qsize() >= self.maxsize

    def copy(self) -> Self:
        """Return an independent queue with the same items and bound. Nobody waits for it."""
        duplicate = type(self)(self.maxsize)
        duplicate.queue = shallow_copy(self.queue)
        return duplicate

    __copy__ = copy

    # -- putting --------------------------------------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | Timeout | None = None) -> None:
        """Wait for a free place and add `item`.

        Raises `Full` after `timeout` seconds, or at once with `block=False`. A `timeout` that is a `Timeout` object
        is raised itself.
        """
        # HOT PATH.
        if self.maxsize is not None and len(self.queue) + self._putters.admitted >= self.maxsize:
            if not block:
                raise Full
            self._wait_to_put(timeout)
        getters = self._getters
        if getters.waiting:
            require_own_thread(getters.waiting[0])
        try:
            self._put(item)
        except BaseException:
            self._admit_putters()  # the place is still free
            raise
        if getters.waiting:
            getters.admit(len(self.queue))

    def put_nowait(self, item: T) -> None:
        """As `put(item, block=False)`."""
        self.put(item, block=False)

    def _wait_to_put(self, timeout: float | Timeout | None) -> None:
        try:
            admitted = self._putters.wait(timeout)
        except BaseException:
            self._admit_putters()
            raise
        if not admitted:
            raise timed_out(timeout, Full)
        if self.is_shutdown:  # since we were admitted
            raise ShutDown

    def _admit_putters(self) -> None:
        if self._putters.waiting:
            places = len(self._putters.waiting) if self.maxsize is None else self.maxsize - len(self.queue)
            self._putters.admit(places)

    # -- getting --------------------------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | Timeout | None = None) -> T:
        """Wait for an item, remove it and return it.

        Raises `Empty` after `timeout` seconds, or at once with `block=False`. A `timeout` that is a `Timeout` object
        is raised itself.
        """
        # HOT PATH.
        if len(self.queue) <= self._getters.admitted:
            self._await_item(block, timeout)
        if self._putters.waiting:
            require_own_thread(self._putters.waiting[0])
        try:
            item = self._get()
        except BaseException:
            self._getters.admit(len(self.queue))  # the item is still there
            raise
        if self._putters.waiting:
            self._admit_putters()
        return item

    def get_nowait(self) -> T:
        """As `get(block=False)`."""
        return self.get(block=False)

    def peek(self, block: bool = True, timeout: float | Timeout | None = None) -> T:
        """As `get`, but leave the item in the queue."""
        if len(self.queue) <= self._getters.admitted:
            self._await_item(block, timeout)
        item = self._peek()
        self._getters.admit(len(self.queue))
        return item

    def peek_nowait(self) -> T:
        """As `peek(block=False)`."""
        return self.peek(block=False)

    def _await_item(self, block: bool, timeout: float | Timeout | None) -> None:
        if self.is_shutdown:
            raise ShutDown
        if not block:
            raise Empty
        try:
            admitted = self._getters.wait(timeout)
        except BaseException:
            self._getters.admit(len(self.queue))
            raise
        if not admitted:
            raise timed_out(timeout, Empty)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self.get()
        if item is StopIteration:
            raise StopIteration
        return item

    def __repr__(self) -> str:
        bound = "" if self.maxsize is None else f" maxsize={self.maxsize}"
        return f"<{type(self).__name__} at {id(self):#x}{bound} qsize={self.qsize()}>"


class Queue(SimpleQueue[T]):
    """A `SimpleQueue` that can be shut down, and that counts the items that are not done yet (see `task_done`)."""

    def __init__(
        self, maxsize: int | None = None, items: Iterable[T] = (), unfinished_tasks: int | None = None
    ) -> None:
        super().__init__(maxsize, items)
        self.unfinished_tasks = self.qsize() if unfinished_tasks is None else unfinished_tasks
        self._all_done = Event()
        self.is_shutdown = False

    def copy(self) -> Self:
        """See `SimpleQueue.copy`. The copy has the same number of unfinished tasks."""
        duplicate = super().copy()
        duplicate.unfinished_tasks = self.unfinished_tasks
        return duplicate

    __copy__ = copy

    def put(self, item: T, block: bool = True, timeout: float | Timeout | None = None) -> None:
        """See `SimpleQueue.put`. Raises `ShutDown` after `shutdown()`."""
        if self.is_shutdown:
            raise ShutDown
        super().put(item, block, timeout)
        self.unfinished_tasks += 1

    def shutdown(self, immediate: bool = False) -> None:
        """Take no more items: from now on `put` raises `ShutDown`, and so does `get` once the queue is empty.

        `immediate`: drop the items that are in it, and count them as done. Those who wait at either end get `ShutDown`.
        A getter that was woken for an item still gets one. As in the standard library from Python 3.13 on.
        """
        self.is_shutdown = True
        if immediate:
            while len(self.queue) > self._getters.admitted:
                self._get()
                if self.unfinished_tasks:
                    self.task_done()
        for waiters in (self._getters, self._putters):
            waiters.dismiss(ShutDown)

    def task_done(self) -> None:
        """Count one item as done.

        Raises `ValueError` when it is called more often than items were put.
        """
        if self.unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self.unfinished_tasks -= 1
        if self.unfinished_tasks == 0:
            self._all_done.set()

    def join(self, timeout: float | Timeout | None = None) -> bool:
        """Wait until every item is done. False after `timeout` seconds."""
        if self.unfinished_tasks == 0:
            return True
        self._all_done.clear()
        return self._all_done.wait(timeout)


JoinableQueue = Queue
"""gevent's old name."""


class LifoQueue(Queue[T]):
    """A queue that returns the newest item first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue = []

    def _get(self) -> T:
        item: T = self.queue.pop()
        return item

    def _peek(self) -> T:
        item: T = self.queue[-1]
        return item


class PriorityQueue(Queue[T]):
    """A queue that returns the smallest item first. Items must be comparable; tuples are usual."""

    def _init(self, maxsize: int | None) -> None:
        self.queue = []

    def _put(self, item: T) -> None:
        try:
            heapq.heappush(self.queue, item)
        except BaseException:
            # The comparison failed after the item was added. Its place in the list is unknown.
            del self.queue[next(place for place, kept in enumerate(self.queue) if kept is item)]
            heapq.heapify(self.queue)
            raise

    def _get(self) -> T:
        item: T = heapq.heappop(self.queue)
        return item
