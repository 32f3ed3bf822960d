"""`gcron next`: what fires when."""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from gcron.cli.files import complain, load_files
from gcron.cli.terminal import is_terminal, wants_colour
from gcron.clock import SystemClock
from gcron.crontab import Entry
from gcron.schedule import occurrence

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the fires to come; returns 1 when a file cannot be used."""
    loaded = load_files(options)
    if loaded.errors:
        complain(loaded.problems)
        return 1
    entries = [entry for entry in loaded.entries if options.job in (None, entry.name)]
    if not entries and options.job is not None:
        known = ", ".join(entry.name for entry in loaded.entries) or "none"
        print(f"gcron: there is no job named {options.job!r}; known are {known}", file=sys.stderr)
        return 1
    now = SystemClock().now()
    fires = islice(_fires(entries, int(now)), options.count)
    if options.json:
        _print_json(fires)
    else:
        _print_table(list(fires), now)
    return 0


_Fire = tuple[int, Entry]


def _fires(entries: Sequence[Entry], start: int) -> Iterator[_Fire]:
    """All fires of all entries after `start`, in order; ties in the order of the files."""
    heap: list[tuple[int, int]] = []
    for index, entry in enumerate(entries):
        fire = entry.schedule.next_after(start) if entry.policy.enabled else None
        if fire is not None:
            heap.append((fire, index))
    heapq.heapify(heap)
    while heap:
        fire, index = heap[0]
        yield fire, entries[index]
        following = entries[index].schedule.next_after(fire)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, index))


def _local(fire: int, entry: Entry) -> datetime:
    return datetime.fromtimestamp(fire, entry.schedule.zone.tz)


def _print_json(fires: Iterable[_Fire]) -> None:
    for fire, entry in fires:
        record = {
            "at": datetime.fromtimestamp(fire, UTC).isoformat().replace("+00:00", "Z"),
            "local": _local(fire, entry).isoformat(),
            "job": entry.name,
            "schedule": entry.schedule_text,
            "mark": str(occurrence(entry.schedule, fire)),
        }
        print(json.dumps(record))


def _print_table(fires: Sequence[_Fire], now: float) -> None:
    if not fires:
        print("nothing is due, ever")
        return
    # Slow to import, and only needed here.
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold" if wants_colour() else "")
    for title in ("when", "in", "job", "schedule", ""):
        table.add_column(title, overflow="fold")
    for fire, entry in fires:
        when = _local(fire, entry).strftime("%a %Y-%m-%d %H:%M:%S %Z")
        mark = str(occurrence(entry.schedule, fire))
        table.add_row(when, _span(fire - now), escape(entry.name), escape(entry.schedule_text), mark)
    # Where nobody looks, a line is a line however long.
    console = Console(width=None if is_terminal() else 1000, highlight=False)
    with console.capture() as captured:
        console.print(table)
    print(captured.get(), end="")  # not by rich itself, which ends the program when the reader is gone


def _span(seconds: float) -> str:
    """`12 s`, `3 min`, `4 h 10 min`, `12 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
