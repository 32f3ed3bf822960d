"""`gcron next`: what fires when."""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice

from gcron.cli.clock_changes import Gap, Gaps, change_title, mark_words
from gcron.cli.files import complain, describe_unknown_job, load_files
from gcron.cli.table import Row, print_rows
from gcron.cli.times import (
    TimeError,
    clock_text,
    offset_text,
    read_moment,
    relative_text,
    utc_text,
    wall_datetime,
    zone_name,
)
from gcron.crontab import Entry, Loaded
from gcron.frozen import frozen, replace
from gcron.schedule import AfterEndSchedule, Unscheduled, Zone, core_of, occurrence
from gcron.schedule.clock import SystemClock
from gcron.schedule.wording import describe_delay

__all__ = ["main"]

_COUNT = 10
# With --to, which is a limit, too; a job of every second has 86,400 fires a day.
_COUNT_IN_WINDOW = 1000
_MOST_REASONS = 10
_UNSCHEDULED = {
    "reboot": "runs once when gcron starts, not by the clock",
    "service": "is kept running, not started by the clock",
    "manual": "runs only when it is triggered",
}

_Fire = tuple[int, Entry]


@frozen
class _Window:
    """The time to show: from `start` to `end` (UTC seconds, both included), or without an end if that is None.

    `is_now`: the start is the present. `read_in`: the zone in which bounds without a zone were read, else None.
    """

    start: int
    end: int | None
    is_now: bool
    read_in: tzinfo | None


def main(options: argparse.Namespace) -> int:
    """Print the next fires; returns 1 when a file, the job or a time is wrong."""
    try:
        loaded = load_files(options)
        if loaded.errors:
            complain(loaded.errors)
            return 1
        window = _window(options, loaded)
    except TimeError as error:
        print(f"gcron: {error}", file=sys.stderr)
        return 1
    entries = [entry for entry in loaded.entries if options.job in (None, entry.name)]
    if not entries and options.job is not None:
        print(f"gcron: {describe_unknown_job(options.job, loaded.entries)}", file=sys.stderr)
        return 1
    count = options.count or (_COUNT if window.end is None else _COUNT_IN_WINDOW)
    coming = _fires(entries, window)
    if options.json:
        is_cut = _print_json(coming, count, Gaps(entries, window.start, window.end), window)
    else:
        fires = list(islice(coming, count))
        is_cut = next(coming, None) is not None
        # No gap is shown after the last fire, or the table would look complete up to there.
        _print_table(fires, entries, replace(window, end=fires[-1][0]) if is_cut else window)
    if is_cut and options.end:
        print(f"gcron: only the first {count} are shown; -n shows more", file=sys.stderr)
    return 0


def _window(options: argparse.Namespace, loaded: Loaded) -> _Window:
    now = int(SystemClock().now())
    start = read_moment(options.start, now, loaded.timezone)
    end = read_moment(options.end, now, loaded.timezone) if options.end else None
    if end is not None and end.instant < start.instant:
        raise TimeError("--to is before --from: there is nothing between them")
    is_local = start.is_local or (end is not None and end.is_local)
    return _Window(
        start=start.instant,
        end=None if end is None else end.instant,
        is_now=options.start == "now",
        read_in=loaded.timezone if is_local else None,
    )


def _fires(entries: Sequence[Entry], window: _Window) -> Iterator[_Fire]:
    """Yield all fires of all entries in the window; those of one time in the order of the files."""
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


# -- for people ---------------------------------------------------------------------------------------------------


def _print_table(fires: Sequence[_Fire], entries: Sequence[Entry], window: _Window) -> None:
    rows = _rows(fires, entries, window)
    if not rows:
        _print_nothing(entries, window)
        return
    zones = sorted({row.zone for row in rows})
    title = [f"times of {zones[0]}"] if len(zones) == 1 else []
    read_in = None if window.read_in is None else zone_name(Zone(window.read_in))
    if read_in is not None and zones != [read_in]:
        title.append(f"(--from and --to were read as times of {read_in})")
    print_rows(title, rows, several_zones=len(zones) > 1, is_now=window.is_now)


def _print_nothing(entries: Sequence[Entry], window: _Window) -> None:
    if window.end is not None:
        print("nothing is due in that time")
        return
    print("nothing is ever due")
    for entry in entries[:_MOST_REASONS]:
        print(f"  {entry.name} {_why_never(entry)}")
    if len(entries) > _MOST_REASONS:
        print(f"  and {len(entries) - _MOST_REASONS} more")


def _why_never(entry: Entry) -> str:
    if not entry.policy.enabled:
        return "is switched off (enabled=no)"
    if isinstance(entry.schedule, Unscheduled):
        return _UNSCHEDULED[entry.schedule.kind]
    if isinstance(schedule := core_of(entry.schedule), AfterEndSchedule):
        return f"runs {describe_delay(schedule.delay)}"
    return "never fires again: its schedule names no day to come"


def _rows(fires: Sequence[_Fire], entries: Sequence[Entry], window: _Window) -> list[Row]:
    gaps = Gaps(entries, window.start, window.end)
    has_seconds = any(fire % 60 for fire, _ in fires)
    rows: list[Row] = []
    offsets: dict[Zone, int] = {}
    for fire, entry in fires:
        rows += map(_gap_row, gaps.until(fire))
        rows.append(_fire_row(fire, entry, window, offsets, has_seconds))
    if window.end is not None:
        rows += map(_gap_row, gaps.until(window.end))
    return rows


def _fire_row(fire: int, entry: Entry, window: _Window, offsets: dict[Zone, int], has_seconds: bool) -> Row:
    zone = entry.schedule.zone
    offset = zone.offset_at(fire)
    is_new = offsets.get(zone) != offset
    offsets[zone] = offset
    mark = mark_words(entry.schedule, fire)
    return Row(
        datetime.fromtimestamp(fire, zone.tz).strftime("%a %Y-%m-%d %H:%M" + (":%S" if has_seconds else "")),
        offset_text(offset) if is_new or mark else "",
        zone_name(zone),
        relative_text(fire - window.start, window.is_now),
        entry.name,
        entry.schedule_text,
        mark,
    )


def _gap_row(gap: Gap) -> Row:
    zone = gap.entry.schedule.zone
    day = datetime.fromtimestamp(gap.shift.instant - 1, zone.tz)
    mark = f"skipped: {clock_text(gap.walls[0])}"
    if len(gap.walls) > 1:
        mark += f" … {clock_text(gap.walls[-1])}, {len(gap.walls)} times"
    title = f"{day:%a} {change_title(gap.shift)}"
    return Row(title, "", zone_name(zone), "", gap.entry.name, gap.entry.schedule_text, mark)


# -- for machines -------------------------------------------------------------------------------------------------


def _print_json(coming: Iterator[_Fire], count: int, gaps: Gaps, window: _Window) -> bool:
    """Print up to `count` fires as they are found; returns True when there are more."""
    for fire, entry in islice(coming, count):
        for gap in gaps.until(fire):
            print(json.dumps(_gap_record(gap)))
        print(json.dumps(_record(fire, entry) | {"mark": str(occurrence(entry.schedule, fire))}))
    is_cut = next(coming, None) is not None
    if not is_cut and window.end is not None:
        for gap in gaps.until(window.end):
            print(json.dumps(_gap_record(gap)))
    return is_cut


def _gap_record(gap: Gap) -> dict[str, object]:
    skipped = [wall_datetime(wall).isoformat() for wall in gap.walls]
    return _record(gap.shift.instant, gap.entry) | {"mark": "skipped", "skipped": skipped}


def _record(instant: int, entry: Entry) -> dict[str, object]:
    return {
        "at": utc_text(instant),
        "local": datetime.fromtimestamp(instant, entry.schedule.zone.tz).isoformat(),
        "job": entry.name,
        "schedule": entry.schedule_text,
    }
