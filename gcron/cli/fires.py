"""The fires of many entries in one order, and the times that are not there."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from gcron.cli.changes import skipped_walls
from gcron.crontab import Entry
from gcron.schedule import CronSchedule, DelayedSchedule, Shift, shifts

__all__ = ["Fire", "Gap", "Window", "fires_in", "gaps", "named_entries"]

Fire = tuple[int, Entry]


@dataclass(frozen=True, slots=True)
class Window:
    """What of time is looked at: from `start` to `end` (UTC seconds, both included), or open where that is None.

    `is_now` when the start is the present; `read_in` is the zone in which bounds without one were read, else None.
    """

    start: int
    end: int | None
    is_now: bool
    read_in: tzinfo | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Times of a wildcard entry that a change of the clock at `shift` skips: they are not there, and not run."""

    shift: Shift
    entry: Entry
    walls: tuple[int, ...]


def named_entries(entries: Sequence[Entry], name: str | None) -> list[Entry]:
    """The entries of this name; all when it is None."""
    return [entry for entry in entries if name in (None, entry.name)]


def fires_in(entries: Sequence[Entry], window: Window) -> Iterator[Fire]:
    """All fires of all entries in the window; ties in the order of the files."""
    heap: list[tuple[int, int]] = []
    for index, entry in enumerate(entries):
        fire = entry.schedule.next_after(window.start - 1) if entry.policy.enabled else None
        if fire is not None:
            heap.append((fire, index))
    heapq.heapify(heap)
    while heap:
        fire, index = heap[0]
        if window.end is not None and fire > window.end:
            return
        yield fire, entries[index]
        following = entries[index].schedule.next_after(fire)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, index))


def gaps(entries: Sequence[Entry], start: int, end: int) -> list[Gap]:
    """What is not there from `start` to `end`, in order: only wildcard entries have such times."""
    found = [gap for entry in entries for gap in _gaps_of(entry, start, end)]
    return sorted(found, key=lambda gap: gap.shift.instant)


def _gaps_of(entry: Entry, start: int, end: int) -> Iterator[Gap]:
    schedule = entry.schedule.schedule if isinstance(entry.schedule, DelayedSchedule) else entry.schedule
    if not isinstance(schedule, CronSchedule) or not schedule.wildcard or not entry.policy.enabled:
        return
    for shift in shifts(schedule.zone, start - 1, end):
        if shift.after > shift.before and (walls := skipped_walls(schedule, shift)):
            yield Gap(shift, entry, tuple(walls))
