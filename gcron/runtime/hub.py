"""The hub: what a greenlet asks of its thread's loop. One hub per thread.

`get_hub()` returns it, `current()` returns the running greenlet. The modules above import from here what they need of
`loop`, `ring`, `timers`, `poller`, `readiness` and `signals`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from greenlet import GreenletExit, getcurrent
from greenlet import greenlet as RawGreenlet

from gcron.runtime.loop import FATAL, Callback, Loop, LoopExit, RealTime, TimeSource, describe
from gcron.runtime.poller import READ, WRITE
from gcron.runtime.readiness import Watch
from gcron.runtime.ring import (
    Carrier,
    Seat,
    Task,
    interrupt,
    park,
    raise_pending,
    recover,
    unpark,
    vacate,
    wake,
)
from gcron.runtime.signals import SignalHandler
from gcron.runtime.timers import Timer

__all__ = [
    "FATAL",
    "READ",
    "WRITE",
    "Callback",
    "Carrier",
    "Hub",
    "LoopExit",
    "RealTime",
    "Seat",
    "SignalHandler",
    "Task",
    "TimeSource",
    "Timer",
    "Watch",
    "current",
    "describe",
    "get_hub",
    "interrupt",
    "park",
    "require_own_thread",
    "sleep",
    "unpark",
    "vacate",
    "wake",
    "yield_unless_hub",
]


class Hub(Loop):
    """A thread's loop, as greenlets use it. Get it with `get_hub()`; do not make one."""

    make_threadpool: ClassVar[Callable[[Hub], Any]]
    """Set by `gcron/__init__.py`: the thread pool is built on the hub, which therefore may not import it."""

    @property
    def threadpool(self) -> Any:
        """This hub's `gcron.runtime.threadpool.ThreadPool`, made on first use."""
        if self._threadpool is None:
            self._threadpool = self.make_threadpool()
        return self._threadpool

    def wait_io(self, fd: int, mask: int, timeout: float | None = None) -> bool:
        """Wait until `fd` is ready for `mask` (`READ`, `WRITE`); False when `timeout` seconds passed first.

        Raises `OSError` (`EBADF`) when `fd` is closed meanwhile, if that was announced by `io.closing()`.
        """
        me = current()
        timer = None if timeout is None else self.call_later(timeout, unpark, me)
        try:
            watch = self.io.watch(fd, mask, unpark, me)
            try:
                park(me)
            finally:
                ready = not watch.pending
                watch.cancel()
        finally:
            if timer is not None:
                timer.cancel()
        return ready

    def wait_any_io(self, wanted: Iterable[tuple[int, int]], timeout: float | None = None) -> None:
        """Wait until one of the descriptors is ready for its mask, or `timeout` seconds have passed."""
        me = current()
        timer = None if timeout is None else self.call_later(timeout, unpark, me)
        watches: list[Watch] = []
        try:
            for fd, mask in wanted:
                watches.append(self.io.watch(fd, mask, unpark, me))
            park(me)
        finally:
            for watch in watches:
                watch.cancel()
            if timer is not None:
                timer.cancel()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; False when `timeout` seconds passed first.

        Signal handlers, and timers and watches made with `ref=False`, are not work left to do.
        """
        me = current()
        timer = None if timeout is None else self.call_later(timeout, unpark, me, ref=False)
        self._joiners.append(me)
        try:
            park(me)
        finally:
            if timer is not None:
                timer.cancel()
            timed_out = me in self._joiners
            if timed_out:
                self._joiners.remove(me)
        return not timed_out

    def close(self) -> None:
        """Give back descriptors and stacks, at the end of a thread. Greenlets that still wait are left alone."""
        self.io.close()
        if self._threadpool is not None:
            self._threadpool.kill()
        if getcurrent() is not self.main:
            return  # the thread ends in a greenlet, or the collector runs in another thread
        self.throw(GreenletExit)
        while self.idle_carriers:
            self.idle_carriers.pop().switch()  # without a task

    def after_fork_in_child(self) -> None:
        """Get new epoll and wake-up descriptors: the old ones are shared with the parent."""
        self.signals.stop_listening()
        self.io.close_after_fork()
        self._holds.clear()
        self._has_waited = False
        if self.signals:
            self.signals.listen()

    def forget_all(self) -> None:
        """Drop all timers, calls and waits, so that only the running greenlet goes on. For a forked child.

        Whatever else is parked stays so for ever.
        """
        self.ring.clear()
        self.credit = 0
        self.timers.clear()
        self.io.forget_all()
        self._holds.clear()
        self._joiners.clear()
        self.on_wake.clear()


# -- the running greenlet -----------------------------------------------------------------------------------


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Let others run for at least `seconds`. With 0, let everybody who is ready go first.

    `ref=False`: the sleep is not work left to do (see `wait`).
    """
    me: Any = getcurrent()
    try:
        me.ready  # noqa: B018 - as `current`, one call less
    except AttributeError:
        me = _adopted(me)
    ring = me.ring
    hub = me.hub
    if not seconds <= 0:  # NaN, too, which is refused
        timer = hub.call_later(seconds, unpark, me, ref=ref)
        try:
            park(me)
        except BaseException:
            timer.cancel()
            raise
        return
    # As `unpark` and `park`, two calls less. HOT PATH.
    me.ready = True
    ring.append(me)
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
        if me.ready and isinstance(error, RecursionError):  # there was no stack left to switch
            me.ready = False
            ring.remove(me)
        raise
    me.ready = False
    if me.pending is not None:
        raise_pending(me)


def yield_unless_hub() -> None:
    """As `sleep(0)`, but do nothing in the hub: a callback there cannot let others go first."""
    if not isinstance(getcurrent(), Hub):
        sleep()


def current() -> Carrier:
    """Return the running raw greenlet, able to park. HOT PATH.

    Raises `RuntimeError` in the hub: a callback there must not block.
    """
    me: Carrier = getcurrent()  # type: ignore[assignment]
    try:
        me.ready  # noqa: B018 - cheaper than to check its type, and adopted greenlets have it, too
    except AttributeError:
        return _adopted(me)
    return me


def require_own_thread(waiter: Carrier) -> None:
    """Raise `RuntimeError` when `waiter` belongs to another thread. For what threads may not share. HOT PATH."""
    try:
        if getcurrent().ring is waiter.ring:  # type: ignore[attr-defined]
            return
    except AttributeError:  # a greenlet that is not ours, or a thread without a hub
        if _thread.hub is waiter.hub:
            return
    raise RuntimeError(
        "a greenlet of another thread waits here, and only events, results and semaphores may be shared by threads: "
        "have the other thread's hub make the call, by hub.call_soon_threadsafe(function, *args)"
    )


def _adopted(me: RawGreenlet) -> Carrier:
    """Give a raw greenlet that is not ours, a thread's main one for example, what `park` needs."""
    adopted = cast(Carrier, me)
    if isinstance(me, Hub):
        raise RuntimeError("a callback that runs in the hub must not block: spawn a greenlet for it")
    if getattr(adopted, "hub", None) is None:
        adopted.hub = hub = _thread_hub()
        adopted.ring = hub.ring
        adopted.ready = False
        adopted.pending = None
        adopted.seat = Seat(adopted)
        adopted.task = me
    return adopted


# -- one hub per thread -------------------------------------------------------------------------------------


class _Closer:
    """Ends a hub when the locals of its thread are freed."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pid = os.getpid()

    def __del__(self) -> None:
        # Not while Python ends: greenlets cannot be switched to, and a thread that was stopped while it woke us holds
        # its lock for ever. Not in a forked child either: all threads but one were stopped in the middle of anything,
        # and their locals are freed at once. The kernel takes the descriptors back.
        if not sys.is_finalizing() and os.getpid() == self._pid:
            self._hub.close()


class _ThreadState(threading.local):
    hub: Hub | None = None
    closer: _Closer | None = None


_thread = _ThreadState()


def get_hub() -> Hub:
    """Return this thread's hub, made on first use. HOT PATH: every greenlet of ours knows it."""
    try:
        return getcurrent().hub  # type: ignore[attr-defined, no-any-return]
    except AttributeError:
        return _thread_hub()


def _thread_hub() -> Hub:
    hub = _thread.hub
    if hub is None:
        hub = _thread.hub = Hub()
        _thread.closer = _Closer(hub)
        _adopted(cast(RawGreenlet, hub.main))
        _start(hub)
    return hub


def _start(hub: Hub) -> None:
    """Start the hub's raw greenlet at once, where the stack is shallow.

    Carriers inherit the recursion count that the hub began with. If the first greenlet that blocks started it, one deep
    recursion there would leave every later greenlet with little stack.
    """
    me = cast(Carrier, getcurrent())
    if getattr(me, "hub", None) is None:
        _adopted(me)
    hub.call_soon(unpark, me)
    me.ready = False
    hub.switch()
    me.ready = False


def _after_fork_in_child() -> None:
    hub = _thread.hub
    if hub is not None:
        hub.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)

# The main thread's hub starts on import, see `_start`. It opens no descriptor and handles no signal until a greenlet
# waits.
if threading.current_thread() is threading.main_thread():
    get_hub()
