"""Giving the processor away and getting it back: the few steps on which every wait is built.

**Parking.** `park(me)` runs others until someone calls `unpark(me)` or `interrupt(me, ...)`. A greenlet stands in the
ring at most once, whoever unparks it however often; an exception that is due is raised as `park` returns. A
primitive that parks removes every registration that could unpark it before it returns, on every path.

**Seats.** In the lines of what any thread may use (events, results, semaphores) stands not the greenlet but its seat,
and `wake(seat)` is `unpark` from any thread. Whoever takes a seat out of a line must wake it. A greenlet that gives
up just then finds its seat gone from the line; it leaves that seat to the wake-up on its way and gets a new one.
Nothing is locked: what the threads share changes hands in single steps, by one call of a deque's or list's method or
by statements without a call between them, where CPython does not let another thread in.

**Carriers.** A task does not own a raw greenlet: it runs on a *carrier* that is recycled when the task ends, because
a raw greenlet costs a fresh 16 KiB data stack on CPython 3.11 and later. New carriers are started from the hub
alone: a raw greenlet begins at its starter's C-stack depth and recursion count, so chains of starts anywhere else
end in `RecursionError`.

May not know timers, descriptors or signals, nor what a task computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from greenlet import GreenletExit, getcurrent
from greenlet import greenlet as RawGreenlet

__all__ = [
    "NEWCOMER",
    "Carrier",
    "Loop",
    "Seat",
    "Task",
    "interrupt",
    "mend",
    "new_carrier",
    "park",
    "raise_pending",
    "unpark",
    "vacate",
    "wake",
]


NEWCOMER: Any = object()
"""What the hub is switched to with when `hub.newcomer` is a task to start on a fresh carrier."""


class Loop(Protocol):
    """What greenlets, descriptors and signals ask of their hub."""

    ring: deque[Any]
    credit: int
    successor: Any
    """What the greenlet that parked last has switched to, and nobody's property: see `park`."""
    idle_carriers: list[Carrier]
    polling: bool
    """True while it blocks: who appends to the ring from another thread then has to `interrupt_poll`."""

    def switch(self, *args: Any) -> Any:
        """Go to the hub, with a task to start or a call to make."""

    def call_soon(self, function: Callable[..., object], *args: Any) -> object:
        """Call it in the hub, at its turn in the ring."""

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> object:
        """As `call_soon`, from any thread and from signal handlers."""

    def interrupt_poll(self) -> None:
        """End the blocking, from any thread."""

    def guard(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Call it now; report its error."""

    def tell_main(self, error: BaseException) -> None:
        """Raise in the thread's main greenlet."""


class Carrier(RawGreenlet):
    """A recycled raw greenlet; what every greenlet that parks has: a ring, a hub, and at most one ring entry."""

    # Typed here, set per instance: the main greenlet and foreign raw greenlets get them by adoption.
    if TYPE_CHECKING:
        hub: Any
        ring: deque[Any]
        ready: bool
        doomed: bool
        pending: BaseException | None
        seat: Seat
        task: Any
    else:
        __slots__ = ("doomed", "hub", "pending", "ready", "ring", "seat", "task")


class Seat:
    """Stands in a line for its greenlet."""

    __slots__ = ("greenlet",)

    def __init__(self, greenlet: Carrier) -> None:
        self.greenlet: Carrier | None = greenlet


class Task:
    """Something the ring can start: the base of `Greenlet`."""

    hub: Any

    def execute(self, carrier: Carrier) -> None:
        """Run to the end on `carrier`, the running one; never raises."""
        raise NotImplementedError

    def switch(self) -> Any:
        """Begin on an idle carrier, or have the hub start a fresh one. For the ring, not for users."""
        # Whoever called this is parked inside the call, maybe for ever. Neither its frames nor the arguments of a
        # switch may refer to the task, or its result would live as long: hence the attribute, and `del`. HOT PATH.
        hub = self.hub
        idle = hub.idle_carriers
        if idle:
            carrier = idle.pop()
            carrier.task = self
            del self
            return carrier.switch()
        hub.newcomer = self
        del self
        return hub.switch(NEWCOMER)


def park(me: Carrier) -> None:
    """Run others until `unpark(me)` or `interrupt(me, ...)`; raises what `interrupt` was given.

    `me` is `current()`. HOT PATH: `benchmarks/runtime.py`.
    """
    ring = me.ring
    hub = me.hub
    try:
        # The hub has its turn when nobody else is ready, or has been waiting for long enough.
        if ring and hub.credit:
            hub.credit -= 1
            # Not a variable of ours: while we are parked, that would keep a task which has long ended.
            hub.successor = ring.popleft()
            hub.successor.switch()
        else:
            hub.successor = None
            hub.switch()
    except BaseException as error:
        mend(me, error)
        raise
    me.ready = False
    if me.pending is not None:
        raise_pending(me)


def mend(me: Carrier, error: BaseException) -> None:
    """What `park` has to put right when switching to its successor raised `error`."""
    if isinstance(error, GreenletExit):
        # The garbage collector throws this into a carrier that nobody can wake any more. Where it ran, nothing may
        # be switched to: neither by the carrier nor by what its task does in a `finally`.
        me.doomed = True
        me.ring = _NoRing()
    elif isinstance(error, RecursionError) and me.hub.successor is not None:
        # No stack was left to get to the successor: its place must not be lost.
        me.ring.appendleft(me.hub.successor)


def raise_pending(me: Carrier) -> NoReturn:
    """Raise what `interrupt` was given."""
    error = me.pending
    assert error is not None
    me.pending = None
    try:
        raise error
    finally:
        del error  # the traceback holds this frame: break the cycle


def unpark(greenlet: Carrier) -> None:
    """Let a parked greenlet go on when its turn comes. Same thread only; again and again is once. HOT PATH."""
    if not greenlet.ready:
        greenlet.ready = True
        greenlet.ring.append(greenlet)


def wake(seat: Seat) -> None:
    """`unpark` the greenlet of a seat taken out of a line, from any thread; nobody when it has left it. HOT PATH."""
    greenlet = seat.greenlet
    if greenlet is not None and not greenlet.ready:
        greenlet.ready = True
        greenlet.ring.append(greenlet)
        if greenlet.hub.polling:  # so it blocks, in another thread
            greenlet.hub.interrupt_poll()


def vacate(me: Carrier) -> None:
    """Leave the seat, taken out of its line by somebody while `me` gave up: the wake-up must hit no later wait."""
    me.seat.greenlet = None
    me.seat = Seat(me)
    if me.ready:  # it has come already, after `park` returned
        me.ready = False
        me.ring.remove(me)


def interrupt(greenlet: Carrier, task: object, error: BaseException) -> None:
    """Raise `error` where `task` is parked on `greenlet`, when its turn comes; nothing if the task has ended."""
    if greenlet.task is not task:
        return  # the carrier carries somebody else now
    if greenlet.pending is None:
        greenlet.pending = error
        unpark(greenlet)
    else:
        greenlet.hub.call_soon(interrupt, greenlet, task, error)


class _NoRing(deque[Any]):
    """The ring of a doomed carrier: it can neither wait nor be woken."""

    def __bool__(self) -> bool:
        raise GreenletExit

    def append(self, entry: Any) -> None:
        """Lose it."""


def new_carrier(hub: Any) -> Carrier:
    """Make a carrier, not yet started. Only the hub starts it, by switching to it with its first task."""
    carrier = Carrier(_carry, hub)
    carrier.hub = hub
    carrier.ring = hub.ring
    carrier.ready = False
    carrier.doomed = False
    carrier.pending = None
    carrier.seat = Seat(carrier)
    carrier.task = None
    return carrier


def _carry() -> None:
    """A carrier's life: run the task it was given, take the next fresh one from the ring, or idle until one is given.

    Switching to it without a task ends it. Only so: an idle carrier's frames refer to itself and to others, so that
    letting go of it frees nothing.
    """
    me = cast(Carrier, getcurrent())
    ring = me.ring
    hub = me.hub
    idle = hub.idle_carriers
    while True:
        me.task.execute(me)
        me.task = None
        if me.doomed:
            return
        if ring and hub.credit:
            hub.credit -= 1
            successor = ring.popleft()
            if isinstance(successor, Task):
                me.task = successor
                continue
        else:
            successor = hub
        me.ready = True  # a stale `unpark` must not bring an idle carrier into the ring
        idle.append(me)
        # An idle carrier must keep neither its last task nor that one's context alive.
        me.gr_context = None
        successor.switch()
        if me.task is None:
            del me.seat  # it refers to us
            return
        me.ready = False
