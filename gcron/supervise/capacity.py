"""Whether there is room for another process; waiting until there is, and who tries first then.

One of those who wait tries at a time: each try costs, and a thousand that try together would keep the loop from
everything else. May not know what is started.
"""

from __future__ import annotations

import errno
import os
import resource
from bisect import insort
from itertools import count
from typing import NamedTuple
from weakref import WeakKeyDictionary

from gcron.runtime.event import Event
from gcron.runtime.hub import Hub, Timer, get_hub
from gcron.runtime.waiting import wait

__all__ = ["NO_CAPACITY", "Capacity", "Order", "capacity", "check_capacity"]

NO_CAPACITY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors of a start that the end of something else may cure."""
# Descriptors kept free for the log, for reading files again, and for the hub.
_RESERVE = 24
# Seconds from one try to the next while no room is found: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5

Order = tuple[int, float]
"""Who comes first: the smallest. Those of the same order come in the order in which they began to wait."""


def check_capacity() -> None:
    """Raise OSError (EMFILE) when another process would take the last file descriptors, which gcron itself needs."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The lowest free number is enough to know: higher ones are taken only while there is none below.
    lowest_free = os.dup(2)
    os.close(lowest_free)
    if 0 <= limit <= lowest_free + min(_RESERVE, limit // 4):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class _Waiter(NamedTuple):
    order: Order
    number: int
    turn: Event


class Capacity:
    """Those who wait for room, of one hub."""

    def __init__(self) -> None:
        self._waiters: list[_Waiter] = []
        self._numbers = count()
        self._pause = _FIRST_PAUSE
        self._timer: Timer | None = None

    def wait(self, order: Order, given_up: Event, seconds: float) -> None:
        """Park until it is the caller's turn to try, at most `seconds`, or until `given_up` is set."""
        waiter = _Waiter(order, next(self._numbers), Event())
        insort(self._waiters, waiter, key=lambda each: each[:2])
        if self._timer is None:
            self._timer = get_hub().call_later(self._pause, self._next)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        try:
            wait([waiter.turn, given_up], seconds, count=1)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def note_room(self) -> None:
        """A process was started, or has ended: there may be room for the next one."""
        self._pause = _FIRST_PAUSE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = get_hub().call_later(0, self._next)

    def _next(self) -> None:
        self._timer = None
        if not self._waiters:
            return
        self._waiters.pop(0).turn.set()
        if self._waiters:  # else the next one who waits begins anew
            self._timer = get_hub().call_later(self._pause, self._next)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)


_of_hub: WeakKeyDictionary[Hub, Capacity] = WeakKeyDictionary()


def capacity() -> Capacity:
    """This hub's."""
    found = _of_hub.get(get_hub())
    if found is None:
        found = _of_hub[get_hub()] = Capacity()
    return found
