"""The ring of what can run next: parking, waking, and the raw greenlets that tasks run on. Every wait is built on this.

**Parking.** `park(me)` runs others until someone calls `unpark(me)` or `interrupt(me, ...)`. A greenlet is in the ring
at most once, however often it is unparked. A pending exception is raised as `park` returns. A primitive that parks must
remove every registration that could unpark it before it returns, on every path.

**Seats.** Thread-safe primitives (events, results, semaphores) queue a `Seat`, not the greenlet. `wake(seat)` is
`unpark` from any thread. Whoever takes a seat out of a queue must wake it. A greenlet that gives up at that moment
finds its seat gone: it abandons the seat to the wake-up that is on its way, and gets a new one. There are no locks.
Threads hand over in single steps: one call of a method of a deque or list, or statements without a call between them.
CPython does not switch threads inside either.

**Carriers.** A task does not own a raw greenlet. It runs on a *carrier*, which is reused after the task has ended: a
raw greenlet costs a fresh 16 KiB data stack on CPython 3.11 and later. Only the hub starts new carriers. A raw greenlet
begins with the C-stack depth and recursion count of its starter, so chains of starts end in `RecursionError`.

May not know timers, descriptors, signals, or what a task computes.
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
    "Host",
    "Seat",
    "Task",
    "interrupt",
    "new_carrier",
    "park",
    "raise_pending",
    "recover",
    "unpark",
    "vacate",
    "wake",
]


NEWCOMER: Any = object()
"""The message that makes the hub start the task `hub.newcomer` on a fresh carrier."""


class Host(Protocol):
    """What greenlets, descriptors and signals ask of their loop."""

    ring: deque[Any]
    credit: int
    successor: Any
    """What the last greenlet that parked switched to; None: to the hub. See `park`."""
    idle_carriers: list[Carrier]
    polling: bool
    """True while it blocks: another thread that appends to the ring must then call `interrupt_poll`."""
    on_wake: list[Callable[[], object]]
    """Called, and forgotten, once it does not block any more. See `Loop.call_on_wake`."""

    def switch(self, *args: Any) -> Any:
        """Switch to the hub, with a task to start or a call to make."""

    def call_soon(self, function: Callable[..., object], *args: Any) -> object:
        """Call it in the hub when its turn in the ring comes."""

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> object:
        """As `call_soon`, from any thread and from signal handlers."""

    def interrupt_poll(self) -> None:
        """End a blocking poll, from any thread."""

    def guard(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Call it now, and report its error."""

    def tell_main(self, error: BaseException) -> None:
        """Raise in the thread's main greenlet."""


class Carrier(RawGreenlet):
    """A reusable raw greenlet. Has what every greenlet that parks needs: a ring, a hub, a seat."""

    # Typed here, set per instance. The main greenlet and foreign raw greenlets get them by adoption.
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
    """Waits in a queue in place of its greenlet."""

    __slots__ = ("greenlet",)

    def __init__(self, greenlet: Carrier) -> None:
        self.greenlet: Carrier | None = greenlet


class Task:
    """Something the ring can start: the base of `Greenlet`."""

    hub: Any

    def execute(self, carrier: Carrier) -> None:
        """Run to the end on `carrier`, which is the running one. Never raises."""
        raise NotImplementedError

    def switch(self) -> Any:
        """Begin on an idle carrier, or have the hub start a fresh one. For the ring, not for users."""
        # The caller is parked inside this call, perhaps for ever. If its frames or the arguments of a switch referred
        # to the task, the task's result would live as long. Hence the attribute, and `del`. HOT PATH.
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
    """Run others until `unpark(me)` or `interrupt(me, ...)`; raise the exception given to `interrupt`.

    `me` is `current()`. HOT PATH: `benchmarks/runtime.py`.
    """
    ring = me.ring
    hub = me.hub
    try:
        # The hub has its turn when nobody else is ready, or when its credit is used up.
        if ring and hub.credit:
            hub.credit -= 1
            # Not a local variable: while we are parked, that would keep a task alive that has long ended.
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


def recover(me: Carrier, error: BaseException) -> None:
    """Put right what is wrong when the switch in `park` has raised `error`."""
    if isinstance(error, GreenletExit):
        # The garbage collector throws this into a carrier that nobody can wake any more. From now on neither the
        # carrier nor a `finally` of its task may switch to anything.
        me.doomed = True
        me.ring = _NoRing()
    elif isinstance(error, RecursionError) and me.hub.successor is not None:
        # There was no stack left to switch to the successor: its place must not be lost.
        me.ring.appendleft(me.hub.successor)


def raise_pending(me: Carrier) -> NoReturn:
    """Raise the exception given to `interrupt`."""
    error = me.pending
    assert error is not None
    me.pending = None
    try:
        raise error
    finally:
        del error  # the traceback holds this frame: break the cycle


def unpark(greenlet: Carrier) -> None:
    """Let a parked greenlet go on when its turn comes. Same thread only. Repeated calls count once. HOT PATH."""
    if not greenlet.ready:
        greenlet.ready = True
        greenlet.ring.append(greenlet)


def wake(seat: Seat) -> None:
    """`unpark` the greenlet of a seat that was taken out of a queue, from any thread. HOT PATH.

    Does nothing when the greenlet has abandoned the seat.
    """
    greenlet = seat.greenlet
    if greenlet is not None and not greenlet.ready:
        greenlet.ready = True
        greenlet.ring.append(greenlet)
        if greenlet.hub.polling:  # it blocks, in another thread
            greenlet.hub.interrupt_poll()


def vacate(me: Carrier) -> None:
    """Abandon the seat that was taken out of its queue while `me` gave up: its wake-up must not end a later wait."""
    me.seat.greenlet = None
    me.seat = Seat(me)
    if me.ready:  # the wake-up came after `park` had returned
        me.ready = False
        me.ring.remove(me)


def interrupt(greenlet: Carrier, task: object, error: BaseException) -> None:
    """Raise `error` where `task` is parked on `greenlet`, when its turn comes. Does nothing if the task has ended."""
    if greenlet.task is not task:
        return  # the carrier runs another task now
    if greenlet.pending is None:
        greenlet.pending = error
        unpark(greenlet)
    else:
        greenlet.hub.call_soon(interrupt, greenlet, task, error)


class _NoRing(deque[Any]):
    """The ring of a doomed carrier, which can neither wait nor be woken."""

    def __bool__(self) -> bool:
        raise GreenletExit

    def append(self, entry: Any) -> None:
        """Drop it."""


def new_carrier(hub: Any) -> Carrier:
    """Make a carrier that has not started. Only the hub starts it, by a switch, after it has set its first task."""
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
    """A carrier's life: run its task, take the next fresh one from the ring, or else idle until it is given one.

    A switch without a task ends it. There is no other way: an idle carrier's frames refer to the carrier itself, so
    dropping it would free nothing.
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
        me.ready = True  # a stale `unpark` must not put an idle carrier into the ring
        idle.append(me)
        # An idle carrier must not keep its last task's context alive.
        me.gr_context = None
        successor.switch()
        if me.task is None:
            del me.seat  # it refers to `me`
            return
        me.ready = False
