"""`Event` and `AsyncResult`: waiting for something that happens elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, TypeVar

from greenlet import getcurrent

from gcron.runtime.hub import Seat, current, vacate
from gcron.runtime.links import Linkable
from gcron.runtime.ring import raise_pending, recover
from gcron.runtime.timeout import Timeout, timed_out

__all__ = ["AsyncResult", "Event"]

T = TypeVar("T")
_UNSET: Any = object()
_FAILED: Any = object()
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class Event(Linkable):
    """A flag that greenlets wait for. `set()` wakes everybody who waits at that moment, even if cleared at once."""

    def __init__(self) -> None:
        self._flag = False
        self._links = None

    def is_set(self) -> bool:
        """True between `set()` and `clear()`."""
        return self._flag

    ready = isSet = is_set  # noqa: N815 - the standard library's old name

    def set(self) -> None:
        """Set the flag and wake all waiters."""
        self._flag = True
        if self._links:
            self._notify()

    def clear(self) -> None:
        """Clear the flag: later waiters wait again."""
        self._flag = False

    def wait(self, timeout: float | Timeout | None = None) -> bool:
        """Wait until set; False when `timeout` seconds passed first."""
        return self._flag or self._wait_link(timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {'set' if self._flag else 'clear'}>"


class AsyncResult(Linkable, Generic[T]):
    """A value or an error that arrives once, for any number of waiting greenlets.

    It is a valid link target: `greenlet.link(result)` passes the greenlet's result on.
    """

    # Used while `_value` is `_FAILED`.
    _error: BaseException | None = None
    _traceback: TracebackType | None = None

    def __init__(self) -> None:
        # On the instance, though the class has it, too: CPython reads that without looking at the class. HOT PATH.
        self._links = None
        self._value: T = _UNSET

    def ready(self) -> bool:
        """True once there is a value or an error."""
        return self._value is not _UNSET

    def successful(self) -> bool:
        """True once there is a value."""
        return self._value is not _UNSET and self._value is not _FAILED

    @property
    def value(self) -> T | None:
        """The value, or None when there is none."""
        return self._value if self.successful() else None

    @property
    def exception(self) -> BaseException | None:
        """The error, or None when there is none."""
        return self._error if self._value is _FAILED else None

    @property
    def exc_info(self) -> ExcInfo | tuple[()]:
        """The error as `sys.exc_info()` gives it, or `()`."""
        error = self.exception
        return () if error is None else (type(error), error, self._traceback)

    def set(self, value: T = None) -> None:  # type: ignore[assignment]
        """Store a value and wake all waiters. A second value replaces the first."""
        self._value = value
        # As `_notify` and `wake`, two calls less. HOT PATH.
        links, self._links = self._links, None
        if type(links) is Seat:
            waiter = links.greenlet
            if waiter is not None and not waiter.ready:
                waiter.ready = True
                waiter.ring.append(waiter)
                if waiter.hub.polling:
                    waiter.hub.interrupt_poll()
        elif links:
            self._notify_all(links)

    def set_exception(self, exception: BaseException, exc_info: ExcInfo | None = None) -> None:
        """Store an error and wake all waiters. `exc_info` may carry its traceback.

        Raises `TypeError` for what is no exception.
        """
        if not isinstance(exception, BaseException):
            raise TypeError(f"a result's error is an exception, got {exception!r}")
        self._traceback = exc_info[2] if exc_info else exception.__traceback__
        self._error = exception
        self._value = _FAILED  # last: now another thread may raise the error
        if self._links:
            self._notify()

    def get(self, block: bool = True, timeout: float | Timeout | None = None) -> T:
        """Wait for the value and return it.

        Raises the stored error (the same object each time). Raises `Timeout` when there is neither after `timeout`
        seconds, or none yet with `block=False`.
        """
        if self._value is _UNSET:
            if not block:
                raise timed_out(timeout)
            if timeout is None:
                # As `_wait_link` and `park`, four calls less. HOT PATH.
                me: Any = getcurrent()
                try:
                    seat = me.seat
                except AttributeError:
                    me = current()
                    seat = me.seat
                if self._links is None:
                    self._links = seat
                else:
                    self._add_link(seat)
                try:
                    if self._value is _UNSET or not self._drop_link(seat):
                        ring = me.ring
                        hub = me.hub
                        try:
                            if ring and hub.credit:
                                hub.credit -= 1
                                hub.successor = ring.popleft()
                                hub.successor.switch()
                            else:
                                hub.successor = None
                                hub.switch()
                        except BaseException as error:
                            recover(me, error)
                            raise
                        me.ready = False
                        if me.pending is not None:
                            raise_pending(me)
                except BaseException:
                    if not self._drop_link(seat):
                        vacate(me)
                    raise
            elif not self._wait_link(timeout):
                raise timed_out(timeout)
        value = self._value
        if value is not _FAILED:
            return value
        failure, traceback = self._error, self._traceback
        assert failure is not None
        try:
            raise failure.with_traceback(traceback)
        finally:
            # This frame is in the traceback. It must refer neither to the error nor to an object that keeps it.
            del self, failure

    def get_nowait(self) -> T:
        """As `get(block=False)`."""
        try:
            return self.get(block=False)
        finally:
            del self  # see `get`

    # -- as in concurrent.futures ---------------------------------------------------------------------------

    set_result = set
    done = ready

    def result(self, timeout: float | Timeout | None = None) -> T:
        """As `get(timeout=timeout)`."""
        try:
            return self.get(timeout=timeout)
        finally:
            del self  # see `get`

    def cancel(self) -> bool:
        """False: a result cannot be cancelled here."""
        return False

    def cancelled(self) -> bool:
        """False, always."""
        return False

    # -- waiting, linking -----------------------------------------------------------------------------------

    def wait(self, timeout: float | Timeout | None = None) -> T | None:
        """Wait and return the value. None on an error or after `timeout` seconds."""
        if not self.ready():
            self._wait_link(timeout)
        return self.value

    def __call__(self, source: Any) -> None:
        """Take over the result of `source`, as its link."""
        if source.successful():
            self.set(source.value)
        else:
            self.set_exception(source.exception, getattr(source, "exc_info", None))

    def __repr__(self) -> str:
        state = f"value={self._value!r}"
        if self._value is _UNSET:
            state = "unset"
        elif self._value is _FAILED:
            state = f"exception={self._error!r}"
        return f"<{type(self).__name__} {state}>"
