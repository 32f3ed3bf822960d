"""When each job is due next, earliest first. Pure: it is told the time."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, nsmallest
from itertools import count

__all__ = ["Timetable"]

# So many entries may be stale, besides as many as there are names: it is cleared of all of them at once.
_STALE = 64


class Timetable:
    """The next due instant (integer seconds of UTC) of each name that has one."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._sequence = count()

    def set(self, name: str, due: int | None) -> None:
        """Replace the due instant of `name`; None: it has none."""
        self._due.pop(name, None)
        if due is not None:
            entry = (due, next(self._sequence))
            self._due[name] = entry
            heappush(self._heap, (*entry, name))
        if len(self._heap) > 2 * len(self._due) + _STALE:
            self._drop_all_stale()

    def fill(self, due: Iterable[tuple[str, int]]) -> None:
        """Set the due instants of many names, none of which has one."""
        for name, instant in due:
            entry = self._due[name] = (instant, next(self._sequence))
            self._heap.append((*entry, name))
        heapify(self._heap)

    def get(self, name: str) -> int | None:
        """The due instant of `name`."""
        entry = self._due.get(name)
        return None if entry is None else entry[0]

    def first(self) -> int | None:
        """The earliest due instant of all."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def upcoming(self, count: int) -> list[tuple[int, str]]:
        """The first `count` due instants, with the names that have them."""
        first = nsmallest(count, ((*entry, name) for name, entry in self._due.items()))
        return [(due, name) for due, _, name in first]

    def pop_due(self, now: float) -> tuple[str, int] | None:
        """Remove and return a name that is due at `now`, with its instant; the earliest first, None when none is."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, name = heappop(self._heap)
        del self._due[name]
        return name, due

    def _drop_stale(self) -> None:
        # Entries that were replaced stay in the heap until they come up, or are too many.
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][:2]:
            heappop(self._heap)

    def _drop_all_stale(self) -> None:
        self._heap = [(*entry, name) for name, entry in self._due.items()]
        heapify(self._heap)
