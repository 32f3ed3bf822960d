"""Timers, ordered by deadline. May not know what their calls do or whose they are."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

__all__ = ["Timer", "TimerHeap"]


class Timer:
    """A call at a deadline. `cancel()` is cheap and may be called at any time."""

    __slots__ = ("args", "function", "heap", "ref")

    def __init__(self, heap: TimerHeap, function: Callable[..., object], args: tuple[Any, ...], ref: bool) -> None:
        self.heap = heap
        self.function: Callable[..., object] | None = function
        self.args = args
        self.ref = ref

    @property
    def pending(self) -> bool:
        """True until it fires or is cancelled."""
        return self.function is not None

    def cancel(self) -> None:
        """Do not fire. No effect when it has fired."""
        if self.function is not None:
            self.function = None
            self.args = ()
            self.heap.note_cancelled()


class TimerHeap:
    """Timers in the order of their deadlines. Cancelled ones stay until they are first or make up half of the heap."""

    __slots__ = ("_sequence", "cancelled", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Timer]] = []
        self.cancelled = 0
        self._sequence = count().__next__

    def push(self, deadline: float, timer: Timer) -> None:
        """Add a timer. Raises `ValueError` for a deadline that is NaN: it would break the order of all others."""
        if deadline != deadline:
            raise ValueError("a deadline must be a number, got nan")
        heappush(self.entries, (deadline, self._sequence(), timer))

    def clear(self) -> None:
        """Drop all timers."""
        self.entries.clear()
        self.cancelled = 0

    def note_cancelled(self) -> None:
        """Count one more cancelled timer. Remove them all when they make up half of the heap."""
        self.cancelled += 1
        if self.cancelled > 64 and self.cancelled * 2 > len(self.entries):
            self.entries = [entry for entry in self.entries if entry[2].pending]
            heapify(self.entries)
            self.cancelled = 0

    def next_sequence(self) -> int:
        """Return a number greater than that of every timer so far."""
        return self._sequence()

    def pop_due(self, now: float, before: int) -> Timer | None:
        """Remove and return the next timer that is due at `now` and has a sequence number below `before`, or None."""
        while (entries := self.entries) and entries[0][0] <= now and entries[0][1] < before:
            timer = heappop(entries)[2]
            if timer.function is not None:  # as `pending`, without a call. HOT PATH.
                return timer
            self.cancelled -= 1
        return None

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of a timer that is not cancelled, or None."""
        entries = self.entries
        while entries and not entries[0][2].pending:
            heappop(entries)
            self.cancelled -= 1
        return entries[0][0] if entries else None

    def keeps_alive(self) -> bool:
        """True when some timer is work left to do."""
        return any(timer.ref and timer.pending for _, _, timer in self.entries)
