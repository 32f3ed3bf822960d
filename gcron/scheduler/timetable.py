"""When each job is due next, earliest first. Pure: it does not know the time."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, nsmallest
from itertools import count
from typing import Any

from gcron.scheduler.job import Job

__all__ = ["Timetable"]

# The heap may hold as many stale entries as there are jobs, and this many more. Then all of them are dropped at once.
_STALE = 64

_Entry = list[Any]
"""[due instant, order of entry, job]: no two are equal in the first two, so jobs are never compared."""


class Timetable:
    """The next due instant (seconds of UTC) of each job that has one."""

    def __init__(self) -> None:
        self._due: dict[str, _Entry] = {}
        self._heap: list[_Entry] = []
        self._sequence = count()

    def set(self, job: Job, due: int | None) -> None:
        """Replace the due instant of the job of this name; None: it has none."""
        if due is None:
            self.discard(job.name)
            return
        entry = self._due[job.name] = [due, next(self._sequence), job]
        heappush(self._heap, entry)
        self._drop_many_stale()

    def redefine(self, job: Job) -> None:
        """Let the job of this name be `job`, with the due instant and the place among equals that it has."""
        if (entry := self._due.get(job.name)) is not None:
            entry[2] = job

    def discard(self, name: str) -> None:
        """The job of that name is not due any more."""
        if self._due.pop(name, None) is not None:
            self._drop_many_stale()

    def fill(self, due: Iterable[tuple[Job, int]]) -> None:
        """Set the due instants of many jobs, none of which has one."""
        for job, instant in due:
            entry = self._due[job.name] = [instant, next(self._sequence), job]
            self._heap.append(entry)
        heapify(self._heap)

    def get(self, name: str) -> int | None:
        """The due instant of the job of that name."""
        entry = self._due.get(name)
        return None if entry is None else entry[0]

    def jobs(self) -> list[Job]:
        """All jobs that have a due instant."""
        return [job for _, _, job in self._due.values()]

    def first(self) -> int | None:
        """The earliest due instant of all."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def upcoming(self, count: int) -> list[tuple[int, str]]:
        """The first `count` due instants, with the names of the jobs."""
        return [(due, job.name) for due, _, job in nsmallest(count, self._due.values())]

    def pop_due(self, now: float) -> tuple[Job, int] | None:
        """Remove and return a job that is due at `now`, with its instant; the earliest first, None when none is."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, job = heappop(self._heap)
        del self._due[job.name]
        return job, due

    def _drop_stale(self) -> None:
        # Replaced entries stay in the heap until they come to its top, or are too many.
        while self._heap and self._due.get(self._heap[0][2].name) is not self._heap[0]:
            heappop(self._heap)

    def _drop_many_stale(self) -> None:
        if len(self._heap) > 2 * len(self._due) + _STALE:
            self._heap = list(self._due.values())
            heapify(self._heap)
