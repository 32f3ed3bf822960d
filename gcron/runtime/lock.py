"""`Semaphore`, `BoundedSemaphore`, `DummySemaphore` and `RLock`: first come, first served.

A release gives its permit directly to the longest waiter. So a greenlet that releases and acquires again cannot
overtake those who wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from greenlet import getcurrent as raw_getcurrent

from gcron.runtime.greenlet import getcurrent
from gcron.runtime.hub import Carrier, Seat, current, get_hub, park, vacate, wake
from gcron.runtime.links import Linkable
from gcron.runtime.timeout import Timeout, park_within

__all__ = ["BoundedSemaphore", "DummySemaphore", "RLock", "Semaphore"]


class Semaphore(Linkable):
    """A number of permits, for greenlets of any thread. `with semaphore:` holds one during the block.

    Raises `ValueError` for a negative initial `value`.
    """

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError(f"a semaphore starts with 0 permits or more, got {value}")
        self.counter = value
        self._acquirers: deque[Seat] = deque()

    def locked(self) -> bool:
        """True when `acquire()` would have to wait."""
        return self.counter <= 0

    def ready(self) -> bool:
        """True when a permit is free."""
        return self.counter > 0

    def acquire(self, blocking: bool = True, timeout: float | Timeout | None = None) -> bool:
        """Wait for a permit and take it. False after `timeout` seconds, or at once if not `blocking`."""
        if self.counter > 0:
            self.counter -= 1
            return True
        if not blocking:
            return False
        me: Any = raw_getcurrent()
        try:
            self._acquirers.append(me.seat)
        except AttributeError:  # as `current`, one call less
            me = current()
            self._acquirers.append(me.seat)
        if self.counter > 0:
            self._grant()  # another thread has released one since we looked
        try:
            if timeout is None:  # as `park_within`, one call less
                park(me)
                return True
            granted = park_within(me, timeout)
        except BaseException:
            if not self._give_up(me):
                self.release()  # granted and interrupted in the same turn: pass it on
            raise
        return granted or not self._give_up(me)

    def _give_up(self, me: Carrier) -> bool:
        """Leave the queue. False when the permit had already been granted."""
        try:
            self._acquirers.remove(me.seat)
        except ValueError:
            vacate(me)
            return False
        return True

    def _grant(self) -> None:
        """Give free permits to those who wait."""
        while self.counter > 0 and self._acquirers:
            self.counter -= 1
            try:
                seat = self._acquirers.popleft()
            except IndexError:
                self.counter += 1  # they gave up: look again for others
            else:
                wake(seat)

    def release(self) -> int:
        """Give a permit to the longest waiter, or else back. Return the number of free ones."""
        if self._acquirers:
            try:
                seat = self._acquirers.popleft()
            except IndexError:
                pass  # that one gave up, in another thread
            else:
                wake(seat)
                return self.counter
        self.counter += 1
        if self._acquirers:
            self._grant()  # somebody has come in another thread since we looked
        elif self._links:
            self._notify()
        return self.counter

    def wait(self, timeout: float | Timeout | None = None) -> int:
        """Wait until a permit is free, without taking it. Return the number of free ones."""
        if self.counter <= 0:
            self._wait_link(timeout)
        return self.counter

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} counter={self.counter}>"


class BoundedSemaphore(Semaphore):
    """A semaphore that raises `ValueError` when it is released more often than acquired."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._initial_value = value

    def release(self) -> int:
        """See `Semaphore.release`."""
        if self.counter >= self._initial_value:
            raise ValueError("semaphore released too many times")
        return super().release()


class DummySemaphore:
    """An unlimited number of permits, for use in place of a `Semaphore`. Nothing in it ever waits."""

    def __init__(self, value: object = None) -> None:
        pass

    def locked(self) -> bool:
        """False, always."""
        return False

    def ready(self) -> bool:
        """True, always."""
        return True

    def acquire(self, blocking: bool = True, timeout: float | Timeout | None = None) -> bool:
        """True, at once."""
        return True

    def release(self) -> None:
        """Do nothing."""

    def wait(self, timeout: float | Timeout | None = None) -> int:
        """1, at once."""
        return 1

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` in the hub at its next turn."""
        get_hub().call_soon(callback, self)

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Do nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class RLock:
    """A lock that its owner, a greenlet, may acquire repeatedly.

    Releasing it from another greenlet raises `RuntimeError`.
    """

    def __init__(self) -> None:
        self._block = Semaphore(1)
        self._owner: Any = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float | Timeout | None = None) -> bool:
        """Wait for the lock and take it. False after `timeout` seconds, or at once if not `blocking`."""
        me = getcurrent()
        if self._owner is me:
            self._count += 1
            return True
        if not self._block.acquire(blocking, timeout):
            return False
        self._owner = me
        self._count = 1
        return True

    def release(self) -> None:
        """Undo one `acquire`."""
        if self._owner is not getcurrent():
            raise RuntimeError("only the greenlet that acquired a lock may release it")
        self._count -= 1
        if self._count == 0:
            self._owner = None
            self._block.release()

    def locked(self) -> bool:
        """True when somebody owns it, or has just been given it."""
        return self._block.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} owner={self._owner!r} count={self._count}>"
