"""The loop: who has the next turn, what is due, what is ready, and when to wait for it.

Everything that can run next is in one deque, the ring. Each entry has a `switch()`: parked greenlets, tasks not yet
started, callbacks. A greenlet that blocks takes the next entry and switches to it *directly*, without a stop in the
loop.

The loop has its turn when nobody else is ready, or when its credit is used up: that many entries may go before it. In
its turn it fires due timers, polls I/O (blocking only when nobody else is ready) and gives new credit, at least one for
each entry that is ready just then. So it is fair both ways: everybody ready goes before the loop, and then it goes.

May not know what a task computes, how results are kept or what a queue is. What greenlets ask of it is in `hub`.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from greenlet import GreenletExit, getcurrent
from greenlet import greenlet as RawGreenlet

from gcron.runtime.readiness import Readiness
from gcron.runtime.ring import NEWCOMER, Carrier, Task, interrupt, new_carrier, unpark
from gcron.runtime.signals import Signals
from gcron.runtime.timers import Timer, TimerHeap

__all__ = ["FATAL", "Callback", "Loop", "LoopExit", "RealTime", "TimeSource", "describe"]

# A turn of the loop costs as much as a task's. When tasks are quick (a few that wake each other, say), up to so many of
# their turns go before one of the loop, as long as they take no longer than this (seconds).
_MOST_CREDIT = 64
_LONGEST_CREDIT = 0.0001
# Idle carriers that are kept for good, each with a 16 KiB data stack. Surplus ones end while nobody is ready, a few at
# a time, once per interval (seconds). So the next burst finds the carriers of the last, and memory comes back
# afterwards.
_IDLE_CARRIERS = 128
_TRIM_INTERVAL = 0.02
_TRIM_AT_ONCE = 128
FATAL = (KeyboardInterrupt, SystemExit, SystemError)
"""Exceptions that end the program, wherever they are raised."""


class LoopExit(Exception):
    """The main greenlet waits, and nothing is left that could wake it."""


class TimeSource(Protocol):
    """Where a loop takes its time from. Tests replace it by a virtual clock."""

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
    """A function call that waits in the ring for its turn in the loop."""

    __slots__ = ("args", "function", "hub")

    def __init__(self, hub: Loop, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.hub = hub
        self.function: Callable[..., object] | None = function
        self.args = args

    def switch(self) -> Any:
        """Have the loop make this call. For the ring."""
        return self.hub.switch(self)

    def cancel(self) -> None:
        """Make it do nothing when its turn comes."""
        self.function = None
        self.args = ()


class Loop(RawGreenlet):
    """The loop of one thread; a `Hub` is one."""

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
        "on_wake",
        "polling",
        "ring",
        "successor",
        "timers",
    )

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
        self.on_wake: list[Callable[[], object]] = []
        self._next_trim = 0.0
        self._has_waited = False
        self.io = Readiness(self)
        self.signals = Signals(self, self.io)
        # For modules above, which have one each per hub.
        self._threadpool: Any = None
        self.sigchld_waits: Any = None
        self.use_time(time_source or RealTime())

    def use_time(self, source: TimeSource) -> None:
        """Take time from `source` from now on. Timers already set keep their deadlines."""
        self._time_source = source
        self.monotonic = source.monotonic

    def call_soon(self, function: Callable[..., object], *args: Any) -> Callback:
        """Call `function(*args)` in the hub when its turn comes. It must not block."""
        callback = Callback(self, function, args)
        self.ring.append(callback)
        return callback

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> Callback:
        """As `call_soon`, from any thread."""
        # Appending is atomic. The loop sets `polling` *before* its last look at the ring: either it sees this entry,
        # or we see `polling`. `wake` relies on that, too.
        callback = self.call_soon(function, *args)
        if self.polling:
            self.io.wake()
        return callback

    @property
    def last_turn(self) -> float:
        """When the loop had its last turn, by `monotonic`. Another thread sees by it whether the loop turns."""
        return self._last_turn

    @property
    def is_waiting(self) -> bool:
        """True while nobody is ready, and the loop waits for a timer, a descriptor, a signal or a thread."""
        return self.polling

    def call_on_wake(self, function: Callable[[], object]) -> None:
        """Call `function()` in the loop when its present or next wait ends. Any thread may ask; nothing is woken.

        A thread that asks while the loop waits must look at `is_waiting` afterwards: the wait may have just ended.
        """
        self.on_wake.append(function)

    def interrupt_poll(self) -> None:
        """End a blocking poll, from any thread."""
        self.io.wake()

    def call_later(self, delay: float, function: Callable[..., object], *args: Any, ref: bool = True) -> Timer:
        """Call `function(*args)` in the hub in `delay` seconds. It must not block.

        `ref=False`: the timer is not work left to do (see `Hub.join`).
        """
        timer = Timer(self.timers, function, args, ref)
        self.timers.push(self.monotonic() + delay, timer)
        if delay <= 0:
            self.credit = 0  # it is due at the loop's next turn: let that come soon
        return timer

    def hold(self) -> Callable[[], None]:
        """Announce that something outside (a thread) will wake this hub. Call the returned function when it has."""
        held = object()
        self._holds.add(held)
        return partial(self._holds.discard, held)

    # -- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take turns for ever."""
        ring = self.ring
        message: Any = ()
        while True:
            try:
                if message == ():  # nobody brought anything: it is the loop's own turn
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
                # A signal handler of the program raised, or somebody closed a descriptor of ours: the loop must
                # neither end nor hide it.
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
        # Only timers that were set before this turn: one that sets itself again at once must not stop the loop.
        before = self.timers.next_sequence()
        while (timer := self.timers.pop_due(now, before)) is not None:
            function, args = timer.function, timer.args
            timer.function = None
            timer.args = ()
            self.guard(cast("Callable[..., object]", function), args)

    def _wait(self) -> None:
        """Nobody is ready: block until a timer is due, a descriptor is ready, or a thread or a signal calls."""
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
            # The last ones were used last. Only a few at a time: no timer fires while they end.
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
        """Wake those who wait for the end of all work, or raise `LoopExit`; True when that made somebody ready."""
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
        """Call `function(*args)`; report its error and go on."""
        try:
            function(*args)
        except FATAL:
            raise
        except BaseException as error:
            self.report_error(describe(function), error)

    # -- errors ---------------------------------------------------------------------------------------------

    def report_error(self, label: str, error: BaseException) -> None:
        """Print an error that nobody catches, with its traceback, to stderr. Errors that end programs go to main."""
        if issubclass(type(error), FATAL):  # `isinstance` asks for `__class__`, which may be a property that raises
            self.tell_main(error)
            return
        try:
            text = _traceback_of(error)
            sys.stderr.write(f"{text}{label} failed with {type(error).__name__}\n\n")
        except Exception:
            # A closed or broken stderr must not end the loop, and there is no other place to report it.
            return

    def tell_main(self, error: BaseException) -> None:
        """Raise `error` in the thread's main greenlet, at the point where it waits."""
        main = cast(Carrier, self.main)
        interrupt(main, main.task, error)


def _traceback_of(error: BaseException) -> str:
    try:
        import traceback  # 3 ms, and the first error comes after the start

        return "".join(traceback.format_exception(error))
    except KeyboardInterrupt:
        raise
    except BaseException as second:  # the error's own code
        return f"{type(error).__name__}: <its traceback raises {type(second).__name__}>\n"


def describe(thing: object) -> str:
    """Return `repr(thing)`, or the default one when its class's own fails."""
    try:
        return repr(thing)
    except Exception:
        return object.__repr__(thing)


def _outermost() -> RawGreenlet:
    """Return the thread's main greenlet."""
    greenlet = getcurrent()
    while greenlet.parent is not None:
        greenlet = greenlet.parent
    return greenlet
