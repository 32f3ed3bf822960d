"""`Channel`: a queue that stores nothing. `put` waits until somebody gets, `get` until somebody puts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from queue import Empty, Full
from typing import Any, Generic, TypeVar

from gcron.runtime.hub import Carrier, current, require_own_thread, unpark
from gcron.runtime.timeout import Timeout, park_within, timed_out

__all__ = ["Channel"]

T = TypeVar("T")
_NOTHING: Any = object()


class _Waiter(Generic[T]):
    """A waiting getter, whose `item` is to come, or a waiting putter, whose `item` is to be taken."""

    __slots__ = ("greenlet", "item")

    def __init__(self, greenlet: Carrier, item: T) -> None:
        self.greenlet = greenlet
        self.item = item


class Channel(Generic[T]):
    """Passes items from putter to getter, first come, first served.

    `maxsize` can only be 1: it is there for programs that give it to every kind of queue. Others raise `ValueError`.
    """

    def __init__(self, maxsize: int = 1) -> None:
        if maxsize != 1:
            raise ValueError(f"a channel's maxsize is 1, got {maxsize}")
        self._getters: deque[_Waiter[T]] = deque()
        self._putters: deque[_Waiter[T]] = deque()
        # Items for getters that were killed before they could run: the next getters take them first.
        self._returned: deque[T] = deque()

    @property
    def balance(self) -> int:
        """The number of waiting putters minus that of waiting getters."""
        return len(self._putters) - len(self._getters)

    def qsize(self) -> int:
        """0: a channel stores nothing."""
        return 0

    def empty(self) -> bool:
        """True, always."""
        return True

    def full(self) -> bool:
        """True, always."""
        return True

    def put(self, item: T, block: bool = True, timeout: float | Timeout | None = None) -> None:
        """Wait for a getter and give it `item`.

        Raises `Full` after `timeout` seconds, or at once with `block=False`. A `timeout` that is a `Timeout` object
        is raised itself.
        """
        if self._getters:
            require_own_thread(self._getters[0].greenlet)
            self._hand_over(item)
            return
        if not block:
            raise Full
        me: _Waiter[T] = _Waiter(current(), item)
        self._putters.append(me)
        try:
            park_within(me.greenlet, timeout)
        finally:
            waits_still = me in self._putters
            if waits_still:
                self._putters.remove(me)
        if waits_still:
            raise timed_out(timeout, Full)

    def put_nowait(self, item: T) -> None:
        """As `put(item, block=False)`."""
        self.put(item, block=False)

    def get(self, block: bool = True, timeout: float | Timeout | None = None) -> T:
        """Wait for a putter and return its item.

        Raises `Empty` after `timeout` seconds, or at once with `block=False`. A `timeout` that is a `Timeout` object
        is raised itself.
        """
        if self._returned:
            return self._returned.popleft()
        if self._putters:
            require_own_thread(self._putters[0].greenlet)
            putter = self._putters.popleft()
            unpark(putter.greenlet)
            return putter.item
        if not block:
            raise Empty
        me: _Waiter[T] = _Waiter(current(), _NOTHING)
        self._getters.append(me)
        try:
            park_within(me.greenlet, timeout)
        except BaseException:
            if me.item is not _NOTHING:
                self._give_back(me.item)
            raise
        finally:
            if me.item is _NOTHING:
                self._getters.remove(me)
        if me.item is _NOTHING:
            raise timed_out(timeout, Empty)
        return me.item

    def get_nowait(self) -> T:
        """As `get(block=False)`."""
        return self.get(block=False)

    def _hand_over(self, item: T) -> None:
        getter = self._getters.popleft()
        getter.item = item
        unpark(getter.greenlet)

    def _give_back(self, item: T) -> None:
        if self._getters:
            self._hand_over(item)
        else:
            self._returned.append(item)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self.get()
        if item is StopIteration:
            raise StopIteration
        return item

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} balance={self.balance}>"
