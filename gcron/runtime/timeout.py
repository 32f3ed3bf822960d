"""`Timeout`: an exception that is raised in the current greenlet after some seconds.

A `Timeout` belongs to whoever made it. Functions with a `timeout=` parameter never catch that of somebody else, so an
outer limit gets through all waits inside it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TypeVar

from gcron.runtime.hub import Carrier, Timer, current, interrupt, park, unpark

__all__ = ["Timeout", "park_within", "timed_out", "with_timeout"]

T = TypeVar("T")
D = TypeVar("D")


class Timeout(BaseException):
    """Raise itself, or `exception`, in the current greenlet `seconds` after `start()`.

    `seconds=None` never fires, 0 fires at the next turn. `exception` is a class or an instance to raise instead. A text
    is a message for people. `False` makes the context manager end silently, and has no other effect.
    `ref=False`: it is not work left to do (see `wait`). A `Timeout` is no `Exception`, so that `except Exception` does
    not catch it.

        with Timeout(5):
            ...
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: BaseException | type[BaseException] | str | Literal[False] | None = None,
        ref: bool = True,
    ) -> None:
        super().__init__()
        self.seconds = seconds
        self.exception = exception
        self._ref = ref
        self._timer: Timer | None = None

    @classmethod
    def start_new(
        cls,
        timeout: float | Timeout | None = None,
        exception: BaseException | type[BaseException] | str | Literal[False] | None = None,
        ref: bool = True,
    ) -> Timeout:
        """Return a started timeout. If `timeout` is one, start it unless it is pending."""
        started = timeout if isinstance(timeout, Timeout) else cls(timeout, exception, ref)
        if not started.pending:
            started.start()
        return started

    @property
    def pending(self) -> bool:
        """True from `start()` until it fires or is cancelled."""
        return self._timer is not None and self._timer.pending

    def start(self) -> None:
        """Start to count. Raises `ValueError` when it is pending."""
        if self.pending:
            raise ValueError(f"{self!r} is started already")
        if self.seconds is None:
            return
        me = current()
        self._timer = me.hub.call_later(self.seconds, self._expire, me, me.task, ref=self._ref)

    def cancel(self) -> None:
        """Stop counting. May be started again."""
        if self._timer is not None:
            self._timer.cancel()

    close = cancel

    def _expire(self, greenlet: Carrier, task: object) -> None:
        if greenlet.task is not task:
            return
        if greenlet.pending is None:
            interrupt(greenlet, task, self._error())
        else:
            # Another exception is raised first, and may leave our block: stay pending, so that `cancel` works.
            self._timer = greenlet.hub.call_later(0, self._expire, greenlet, task, ref=self._ref)

    def _error(self) -> BaseException:
        if isinstance(self.exception, type):
            return self.exception()
        return self.exception if isinstance(self.exception, BaseException) else self

    def __enter__(self) -> Timeout:
        if not self.pending:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.cancel()
        if value is not self or self.exception is not False:
            return False
        # The frames in its traceback refer to it: without this, only the cyclic collector could free them.
        self.__traceback__ = None
        return True

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        suffix = "" if self.seconds == 1 else "s"
        if self.exception is False:
            reason = " (silent)"
        elif isinstance(self.exception, str):
            reason = f": {self.exception}"
        else:
            reason = "" if self.exception is None else f": {self.exception!r}"
        return f"{self.seconds} second{suffix}{reason}"

    def __repr__(self) -> str:
        state = " pending" if self.pending else ""
        return f"<{type(self).__name__} at {id(self):#x} seconds={self.seconds}{state}>"


def with_timeout(seconds: float | None, function: Callable[..., T], *args: Any, **kwargs: Any) -> T | Any:
    """Call `function(*args, **kwargs)`, for at most `seconds`.

    After that, return `timeout_value` if that keyword is given, or else raise `Timeout`. A `Timeout` that was started
    elsewhere is not caught.
    """
    has_default = "timeout_value" in kwargs
    default = kwargs.pop("timeout_value", None)
    limit = Timeout.start_new(seconds)
    try:
        return function(*args, **kwargs)
    except Timeout as error:
        if error is limit and has_default:
            limit.__traceback__ = None
            return default
        raise
    finally:
        limit.cancel()


def park_within(me: Carrier, timeout: float | Timeout | None) -> bool:
    """Park `me` for at most `timeout` seconds; False when they passed. `timeout` may be a `Timeout` object."""
    if timeout is None:
        park(me)
        return True
    if isinstance(timeout, Timeout):
        return _park_until(me, timeout)
    timer = me.hub.call_later(timeout, unpark, me)
    try:
        park(me)
    finally:
        expired = not timer.pending
        timer.cancel()
    return not expired


def _park_until(me: Carrier, limit: Timeout) -> bool:
    started_here = not limit.pending
    if started_here:
        limit.start()
    try:
        park(me)
    except Timeout as error:
        if error is not limit:
            raise
        limit.__traceback__ = None
        return False
    finally:
        if started_here:
            limit.cancel()
    return True


def timed_out(timeout: float | Timeout | None, otherwise: Callable[[], BaseException] | None = None) -> BaseException:
    """Return the exception for a wait that took longer than `timeout`.

    A `Timeout` object stands for itself. For numbers it is what `otherwise()` returns, by default a new `Timeout`.
    """
    if isinstance(timeout, Timeout):
        return timeout
    return Timeout(timeout) if otherwise is None else otherwise()
