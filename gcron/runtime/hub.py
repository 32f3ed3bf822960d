"""The loop: one ring of what is ready, one heap of timers, one poller, one hub per thread.

Everything that can run next waits in one deque, the ring, and everything in it has a `switch()`: parked greenlets,
tasks not yet started, callbacks. Who blocks pops the next entry and switches to it *directly*; no stop-over in the
hub. The hub has its turn when nobody else is ready, or when as many others as it gave credit for have had theirs: it
fires due timers, looks at I/O (blocking only when nobody else is ready) and gives credit anew, at least for everybody
ready just then. So both are fair by construction: everybody ready goes before the hub, and the hub after them.

May not know what a task computes, how results are kept or what a queue is: only how to run, wait and wake.

Longer than others because its parts need each other: the hub's own waits ask for `current()`, which adopts a thread's
main greenlet, for which the thread's hub is made. In several modules they would import one another.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol, cast

from greenlet import GreenletExit, getcurrent
from greenlet import greenlet as RawGreenlet

from gcron.runtime.parking import NEWCOMER, Carrier, Seat, Task, interrupt, new_carrier, park, unpark, vacate, wake
from gcron.runtime.poller import READ, WRITE
from gcron.runtime.readiness import Readiness, Watch
from gcron.runtime.signals import SignalHandler, Signals
from gcron.runtime.timers import Timer, TimerHeap

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
    "unpark",
    "vacate",
    "wake",
    "yield_now",
    "yield_unless_hub",
]

# A turn of the hub costs as much as a task's. While so many turns (of few tasks that wake each other, say) take no
# longer than this (seconds), the hub has one turn for all of them.
_MOST_CREDIT = 64
_LONGEST_CREDIT = 0.0001
# Idle carriers kept for good, each with a 16 KiB data stack; of those above, some are let go this often (seconds),
# while nobody is ready: a burst finds the carriers of the last one, and its memory comes back after it.
_IDLE_CARRIERS = 128
_TRIM_INTERVAL = 0.02
_TRIM_AT_ONCE = 128
FATAL = (KeyboardInterrupt, SystemExit, SystemError)
"""Exceptions that end the program, wherever they are raised."""


class LoopExit(Exception):
    """The main greenlet waits and nothing is left that could wake it."""


class TimeSource(Protocol):
    """Where a hub takes its time from; replaced by a virtual clock in tests."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def jump(self, seconds: float) -> bool:
        """Pass `seconds` without waiting and return True; False when real time has to pass."""


class RealTime:
    """The machine's monotonic clock."""

    monotonic = staticmethod(time.monotonic)

    def jump(self, seconds: float) -> bool:
        """Real time cannot be skipped."""
        return False


class Callback:
    """A function call that the ring hands to the hub."""

    __slots__ = ("args", "function", "hub")

    def __init__(self, hub: Hub, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.hub = hub
        self.function: Callable[..., object] | None = function
        self.args = args

    def switch(self) -> Any:
        """Go to the hub with this call. For the ring."""
        return self.hub.switch(self)

    def cancel(self) -> None:
        """Make it do nothing when its turn comes."""
        self.function = None
        self.args = ()


class Hub(RawGreenlet):
    """A thread's loop. Get it with `get_hub()`; make none yourself."""

    # Greenlets have a dictionary, and CPython reads attributes that are not in it more quickly. HOT PATH.
    __slots__ = (
        "_allowance",
        "_last_turn",
        "credit",
        "hub",
        "idle_carriers",
        "io",
        "monotonic",
        "newcomer",
        "polling",
        "ring",
        "successor",
        "timers",
    )

    make_threadpool: ClassVar[Callable[[Hub], Any]]
    """Set by the front door: the pool stands above the hub, which may not import it."""

    def __init__(self, time_source: TimeSource | None = None) -> None:
        super().__init__(parent=_outermost())
        self.hub = self
        self.ring: deque[Any] = deque()
        self.credit = 0
        self._allowance = 1
        self._last_turn = 0.0
        self.successor: Any = None
        self.newcomer: Task | None = None
        self.idle_carriers: list[Carrier] = []
        self.timers = TimerHeap()
        self.main = self.parent
        self._holds: set[object] = set()
        self._joiners: list[Carrier] = []
        self.polling = False
        self._next_trim = 0.0
        self._has_waited = False
        self.io = Readiness(self)
        self.signals = Signals(self, self.io)
        # Kept here for the modules above that have one of their own per hub.
        self._threadpool: Any = None
        self.child_roll: Any = None
        self.use_time(time_source or RealTime())

    # -- what everybody uses --------------------------------------------------------------------------------

    def use_time(self, source: TimeSource) -> None:
        """Take time from `source` from now on. Timers already set keep their deadlines."""
        self._time_source = source
        self.monotonic = source.monotonic

    @property
    def threadpool(self) -> Any:
        """This hub's `gcron.runtime.threadpool.ThreadPool`, made on first use."""
        if self._threadpool is None:
            self._threadpool = self.make_threadpool()
        return self._threadpool

    def call_soon(self, function: Callable[..., object], *args: Any) -> Callback:
        """Run `function(*args)` in the hub when its turn comes; it must not block."""
        callback = Callback(self, function, args)
        self.ring.append(callback)
        return callback

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> Callback:
        """As `call_soon`, from any thread."""
        # Appending is atomic, and the hub announces a blocking poll *before* it looks at the ring for the last
        # time: either it sees this entry or we see `polling`. So does `wake`.
        callback = self.call_soon(function, *args)
        if self.polling:
            self.io.wake()
        return callback

    def interrupt_poll(self) -> None:
        """End a blocking look at I/O, from any thread."""
        self.io.wake()

    def call_later(self, delay: float, function: Callable[..., object], *args: Any, ref: bool = True) -> Timer:
        """Run `function(*args)` in the hub `delay` seconds from now.

        `ref=False`: the timer does not count as work left (see `join`).
        """
        timer = Timer(self.timers, function, args, ref)
        self.timers.push(self.monotonic() + delay, timer)
        if delay <= 0:
            self.credit = 0  # due at the hub's next turn: let that be soon
        return timer

    def wait_io(self, fd: int, mask: int, timeout: float | None = None) -> bool:
        """Park until `fd` is ready for `mask` (`READ`, `WRITE`); False when `timeout` seconds passed first.

        Raises `OSError` (`EBADF`) when `fd` is closed through `io.closing()` meanwhile.
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

    def hold(self) -> Callable[[], None]:
        """Say that something outside (a thread) will wake this hub; call what is returned when it has."""
        held = object()
        self._holds.add(held)
        return partial(self._holds.discard, held)

    def join(self, timeout: float | None = None) -> bool:
        """Park until nothing is left to do; False when `timeout` seconds passed first.

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

    # -- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take turns for ever. Entered by the first greenlet that parks."""
        ring = self.ring
        message: Any = ()
        while True:
            try:
                if message == ():  # nobody brought anything: it is the hub's own turn
                    self._take_turn()
                elif isinstance(message, Callback):
                    self._call(message)
                elif message is NEWCOMER:
                    carrier = new_carrier(self)
                    carrier.task, self.newcomer = self.newcomer, None
                    message = carrier.switch()
                    continue
                # Anything else: a carrier has ended.
                message = ()
                if ring and self.credit:
                    self.credit -= 1
                    message = ring.popleft().switch()
            except GreenletExit:
                raise  # the thread ends
            except BaseException as error:
                # Whatever it is (somebody's signal handler raised, a descriptor of ours was closed by others), the
                # loop must not end of it, and must not hide it.
                self.tell_main(error)
                message = None

    def _take_turn(self) -> None:
        now = self.monotonic()
        quick = now - self._last_turn < _LONGEST_CREDIT
        self._allowance = min(self._allowance * 2, _MOST_CREDIT) if quick else 1
        entries = self.timers.entries
        if entries and entries[0][0] <= now:
            self._fire_timers(now)
        if not self.ring:
            self._wait()
        elif self.io.has_any():
            self.io.poll(0)
        self._last_turn = self.monotonic()
        self.credit = max(len(self.ring), self._allowance)

    def _fire_timers(self, now: float) -> None:
        # Only timers that were there when the turn began: one that sets itself again at once must not hold the hub.
        before = self.timers.next_sequence()
        while (timer := self.timers.pop_due(now, before)) is not None:
            function, args = timer.function, timer.args
            timer.function = None
            timer.args = ()
            self.guard(cast("Callable[..., object]", function), args)

    def _wait(self) -> None:
        """Nobody is ready: block until a timer is due, a descriptor is ready or a thread or signal calls."""
        if not self._has_work_left() and self._end_of_work():
            return
        deadline = self.timers.next_deadline()
        delay = None if deadline is None else max(0.0, deadline - self.monotonic())
        if delay is not None and not self._waits_for_outside() and self._time_source.jump(delay):
            return
        if len(self.idle_carriers) > _IDLE_CARRIERS:
            self._trim_carriers()
        if not self._has_waited:
            self._has_waited = True
            self.signals.prepare_to_wait()
        self.successor = None
        self.io.open()
        self.polling = True
        try:
            if not self.ring:
                self.io.poll(delay)
        finally:
            self.polling = False

    def _trim_carriers(self) -> None:
        now = self.monotonic()
        if now >= self._next_trim:
            self._next_trim = now + _TRIM_INTERVAL
            # The last ones were used last. A few at a time: while they end, no timer fires.
            excess = min(len(self.idle_carriers) - _IDLE_CARRIERS, _TRIM_AT_ONCE)
            surplus = self.idle_carriers[:excess]
            del self.idle_carriers[:excess]
            for carrier in surplus:
                carrier.switch()  # without a task

    def _waits_for_outside(self) -> bool:
        return bool(self._holds) or self.io.has_referenced()

    def _has_work_left(self) -> bool:
        return self._waits_for_outside() or self.timers.keeps_alive()

    def _end_of_work(self) -> bool:
        """Tell those who wait for it; True when that made somebody ready."""
        if self._joiners:
            for joiner in self._joiners:
                unpark(joiner)
            self._joiners.clear()
            return True
        if self.signals or self.timers.next_deadline() is not None or self.signals.others_handle():
            return False  # these may still wake somebody
        self.tell_main(LoopExit("the main greenlet waits and nothing is left to wake it"))
        return True

    def _call(self, callback: Callback) -> None:
        function, args = callback.function, callback.args
        if function is not None:
            callback.cancel()
            self.guard(function, args)

    def guard(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Call it; its error is reported and ends nothing."""
        try:
            function(*args)
        except FATAL:
            raise
        except BaseException as error:
            self.report_error(describe(function), error)

    # -- errors ---------------------------------------------------------------------------------------------

    def report_error(self, label: str, error: BaseException) -> None:
        """An error that nobody catches: traceback and one line on stderr; those that end programs go to main."""
        if isinstance(error, FATAL):
            self.tell_main(error)
            return
        try:
            text = "".join(traceback.format_exception(error))
            sys.stderr.write(f"{text}{label} failed with {type(error).__name__}\n\n")
        except Exception:
            # A closed or broken stderr must not end the loop, and there is nowhere left to say so.
            return

    def tell_main(self, error: BaseException) -> None:
        """Raise `error` in the thread's main greenlet, where it waits."""
        main = cast(Carrier, self.main)
        interrupt(main, main.task, error)

    def close(self) -> None:
        """For the end of a thread: give back descriptors and stacks. Greenlets that still wait are left alone."""
        self.io.close()
        if self._threadpool is not None:
            self._threadpool.kill()
        if getcurrent() is not self.main:
            return  # the thread ends in a greenlet, or the collector runs in another thread
        self.throw(GreenletExit)
        while self.idle_carriers:
            self.idle_carriers.pop().switch()  # without a task

    def after_fork_in_child(self) -> None:
        """The epoll and wake-up descriptors are the parent's: get our own."""
        self.signals.stop_listening()
        self.io.close_after_fork()
        self._holds.clear()
        self._has_waited = False
        if self.signals:
            self.signals.listen()


def describe(thing: object) -> str:
    """Return `repr(thing)`, or what can be said without the help of its class."""
    try:
        return repr(thing)
    except Exception:
        return object.__repr__(thing)


# -- standing in the ring -----------------------------------------------------------------------------------


def yield_now() -> None:
    """Let everybody else who is ready run first. HOT PATH."""
    me: Carrier = getcurrent()  # type: ignore[assignment]
    try:
        me.ready  # noqa: B018 - as `current`, one call shorter
    except AttributeError:
        me = _adopted(me)
    me.ready = True
    me.ring.append(me)
    try:
        park(me)
    except RecursionError:
        if me.ready:  # no stack was left to park
            me.ready = False
            me.ring.remove(me)
        raise


def yield_unless_hub() -> None:
    """As `yield_now`; nothing in the hub, where a callback can let nobody go first."""
    if not isinstance(getcurrent(), Hub):
        yield_now()


def current() -> Carrier:
    """The running raw greenlet, able to park. HOT PATH.

    Raises `RuntimeError` in the hub: a callback there must not block.
    """
    me: Carrier = getcurrent()  # type: ignore[assignment]
    try:
        me.ready  # noqa: B018 - cheaper than a look at its type, and true of adopted greenlets too
    except AttributeError:
        return _adopted(me)
    return me


def require_own_thread(waiter: Carrier) -> None:
    """Raise `RuntimeError` when `waiter` is another thread's: for what threads may not share. HOT PATH."""
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
    """Give a raw greenlet that is not ours (a thread's main one) what `park` needs."""
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


def _outermost() -> RawGreenlet:
    """The thread's main greenlet."""
    greenlet = getcurrent()
    while greenlet.parent is not None:
        greenlet = greenlet.parent
    return greenlet


# -- one hub per thread -------------------------------------------------------------------------------------


class _Closer:
    """Ends a hub when its thread's locals are torn down."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pid = os.getpid()

    def __del__(self) -> None:
        # While Python ends, greenlets cannot be switched to, and a thread that was stopped in the middle of waking us
        # holds its lock for ever. In a forked child all threads but one have been stopped so, in the middle of
        # anything, and their locals are torn down at once. The kernel takes the descriptors back.
        if not sys.is_finalizing() and os.getpid() == self._pid:
            self._hub.close()


class _ThreadState(threading.local):
    hub: Hub | None = None
    closer: _Closer | None = None


_thread = _ThreadState()


def get_hub() -> Hub:
    """This thread's hub, made on first use. HOT PATH: every greenlet of ours knows it."""
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

    Carriers inherit the recursion count that the hub began with. Were it started by the first greenlet that blocks,
    one deep recursion there would leave every later greenlet with what little was left.
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

# The main thread's hub starts as this is imported: see `_start`. It opens no descriptor and handles no signal until a
# greenlet waits.
if threading.current_thread() is threading.main_thread():
    get_hub()
