"""Whose turn it is to start a process: one start at a time, the users in turn, and the loop in between.

A start takes a millisecond or more. A thousand in one go would keep all timers and all other fires waiting, and the
jobs of one user would keep those of all others waiting. May not know what is started.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from gcron.runtime.event import Event
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.waiting import wait

__all__ = ["StartTurns", "start_turns"]


class StartTurns:
    """Gives the starts of one hub their turns."""

    def __init__(self) -> None:
        self._lines: dict[int | None, deque[Event]] = {}
        """Those who wait, by user. The first line has the next turn."""
        self._is_taken = False
        self._afterwards: list[Callable[[], object]] = []
        self._are_over: Event | None = None
        """Set once no start of gcron's own user waits; None: nobody waits for that."""

    @contextmanager
    def turn(self, user: int | None, given_up: Event, seconds: float) -> Iterator[bool]:
        """Park until it is the turn of a start of `user` (None: gcron's own). It ends with the block.

        The block gets False, and no turn, when `given_up` is set first. Raises OSError (EAGAIN) after `seconds`.
        """
        if self._is_taken and not self._wait(user, given_up, seconds):
            yield False
            return
        self._is_taken = True
        try:
            yield True
        finally:
            self._end_turn()

    def _wait(self, user: int | None, given_up: Event, seconds: float) -> bool:
        turn = Event()
        self._lines.setdefault(user, deque()).append(turn)
        has_come = False
        try:
            wait([turn, given_up], seconds, count=1)
            has_come = turn.is_set() and not given_up.is_set()
        finally:
            if not has_come:
                self._leave(user, turn)
        if not has_come and not given_up.is_set():
            raise OSError(errno.EAGAIN, "other jobs took too long to start")
        return has_come

    def _leave(self, user: int | None, turn: Event) -> None:
        """Give up a place in the line, or a turn that came at the same moment."""
        if turn.is_set():
            self._end_turn()
            return
        line = self._lines[user]
        line.remove(turn)
        if not line:
            del self._lines[user]

    def _end_turn(self) -> None:
        if self._lines:
            self._next()  # it is woken by way of the ring, and so the loop has its turn
            return
        # First let all who are ready get in line. If the next of them could start at once, the loop would wait for all.
        hub = get_hub()
        hub.call_later(0, hub.call_soon, self._next)

    def wait_while_busy(self, seconds: float) -> None:
        """Park while starts of gcron's own user wait for their turn, for at most `seconds`.

        Starts of other users do not count: with many of them, one would delay what gcron does for all others.
        """
        if self._is_taken and None in self._lines:
            self._are_over = self._are_over or Event()
            self._are_over.wait(seconds)

    def call_afterwards(self, function: Callable[[], object]) -> None:
        """Call `function()` in the hub soon, once no start of gcron's own user waits for its turn."""
        self._afterwards.append(function)
        if not self._is_taken:
            self._call_afterwards()

    def _call_afterwards(self) -> None:
        for function in self._afterwards:
            get_hub().call_soon(function)
        self._afterwards.clear()
        if self._are_over is not None:
            self._are_over.set()
            self._are_over = None

    def _next(self) -> None:
        if None not in self._lines:
            self._call_afterwards()
        if not self._lines:
            self._is_taken = False
            return
        user = next(iter(self._lines))
        line = self._lines.pop(user)
        line.popleft().set()
        if line:
            self._lines[user] = line  # now the last one


_of_hub: WeakKeyDictionary[Hub, StartTurns] = WeakKeyDictionary()


def start_turns() -> StartTurns:
    """This hub's."""
    found = _of_hub.get(get_hub())
    if found is None:
        found = _of_hub[get_hub()] = StartTurns()
    return found


os.register_at_fork(after_in_child=_of_hub.clear)  # a turn under way never ends in a forked child
