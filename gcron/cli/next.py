"""`gcron next`: what fires when."""

from __future__ import annotations

import argparse
import heapq
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from gcron.cli.clock_changes import Gap, Gaps, change_title, mark_words
from gcron.cli.files import load_or_complain
from gcron.cli.jobs import job_record, next_fire, place_of, schedule_of, user_of, why_never
from gcron.cli.messages import say
from gcron.cli.table import Table
from gcron.cli.terminal import print_wrapped, width
from gcron.cli.times import TimeError, clock_text, offset_text, read_moment, relative_text, wall_datetime, zone_name
from gcron.crontab import Entry, JobNotFound, Loaded, find_job
from gcron.frozen import frozen, replace
from gcron.schedule import Zone, occurrence
from gcron.schedule.clock import SystemClock

__all__ = ["main"]

_COUNT = 10
# With --to, which is a limit, too; a job of every second has 86,400 fires a day.
_COUNT_IN_WINDOW = 1000
_MOST_IDLE = 10

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
    loaded = load_or_complain(options)
    if loaded is None:
        return 1
    try:
        window = _window(options, loaded)
        entries = loaded.entries if options.job is None else [find_job(options.job, loaded.entries)]
    except (TimeError, JobNotFound) as error:
        say(str(error))
        return 1
    if options.all or options.count or options.end or options.job is not None:
        _show_sequence(entries, window, options)
    else:
        _show_first(entries, window, options)
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


# -- the next fire of each job ------------------------------------------------------------------------------------


def _show_first(entries: Sequence[Entry], window: _Window, options: argparse.Namespace) -> None:
    first = [(next_fire(entry, window.start), entry) for entry in entries]
    fires = sorted(((fire, entry) for fire, entry in first if fire is not None), key=itemgetter(0))
    idle = [entry for fire, entry in first if fire is None]
    if options.json:
        for fire, entry in fires:
            print(json.dumps(_fire_record(fire, entry)))
        for entry in idle:
            print(json.dumps(job_record(entry, None) | {"mark": "", "reason": why_never(entry)[1]}))
        return
    if fires:
        _print_table(fires, entries, window, with_gaps=False)
    elif not idle:
        print("nothing is ever due")
    if idle:
        print("no fire by the clock:" if fires else "nothing is ever due")
    for entry in idle[:_MOST_IDLE]:
        print_wrapped(f"{entry.name} {why_never(entry)[1]}", "  ", "    ")
    if len(idle) > _MOST_IDLE:
        print(f"  and {len(idle) - _MOST_IDLE} more")


# -- all fires in their order -------------------------------------------------------------------------------------


def _show_sequence(entries: Sequence[Entry], window: _Window, options: argparse.Namespace) -> None:
    count = options.count or (_COUNT if window.end is None else _COUNT_IN_WINDOW)
    coming = _fires(entries, window)
    if options.json:
        is_cut = _print_json(coming, count, Gaps(entries, window.start, window.end), window)
    else:
        fires = list(islice(coming, count))
        is_cut = next(coming, None) is not None
        # No gap is shown after the last fire, or the table would look complete up to there.
        _print_sequence(fires, entries, replace(window, end=fires[-1][0]) if is_cut else window)
    if is_cut and options.end:
        say(f"only the first {count} are shown; -n shows more", "info")


def _fires(entries: Sequence[Entry], window: _Window) -> Iterator[_Fire]:
    """Yield all fires of all entries in the window; those of one time in the order of the files."""
    heap: list[tuple[int, int]] = []
    for index, entry in enumerate(entries):
        fire = next_fire(entry, window.start)
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


def _print_sequence(fires: Sequence[_Fire], entries: Sequence[Entry], window: _Window) -> None:
    idle = [entry for entry in entries if next_fire(entry, window.start) is None]
    if not _print_table(fires, entries, window, with_gaps=True):
        print("nothing is due in that time" if window.end is not None else "nothing is ever due")
        for entry in idle[:_MOST_IDLE] if window.end is None else ():
            print_wrapped(f"{entry.name} {why_never(entry)[1]}", "  ", "    ")
    elif idle:
        names = ", ".join(entry.name for entry in idle[:_MOST_IDLE])
        more = f" and {len(idle) - _MOST_IDLE} more" if len(idle) > _MOST_IDLE else ""
        print_wrapped(f"without a fire: {names}{more}")


# -- the table ----------------------------------------------------------------------------------------------------


def _print_table(fires: Sequence[_Fire], entries: Sequence[Entry], window: _Window, with_gaps: bool) -> bool:
    """Print a row for each fire, and for each gap if asked for; returns whether there are any."""
    rows = _rows(fires, entries, window, with_gaps)
    if not rows:
        return False
    zones = sorted({row.zone for row in rows})
    if len(zones) == 1:
        print_wrapped(f"times of {zones[0]}")
        rows = [row._replace(zone="") for row in rows]
    read_in = None if window.read_in is None else zone_name(Zone(window.read_in))
    if read_in is not None and zones != [read_in]:
        print_wrapped(f"(--from and --to were read as times of {read_in})")
    columns = ("when", "offset", "zone", "in" if window.is_now else "after", "job", "schedule", "user", "line", "")
    Table(columns, as_lines=_as_lines, flexible=("job", "line")).print(rows)
    return True


class _Row(NamedTuple):
    """The cells of a fire, or of times that a clock change skips."""

    when: str
    offset: str
    zone: str
    relative: str
    job: str
    schedule: str
    user: str
    line: str
    mark: str


def _as_lines(row: Sequence[str]) -> list[str]:
    """Return the first line of a row, and the second one if not all fits on one."""
    when, offset, zone, relative, job, _, user, line, _ = row
    head = " ".join(filter(None, (when, offset, zone)))
    rest = "  ".join(filter(None, (job, relative, user, line)))
    return [f"{head}  {rest}"] if len(head) + 2 + len(rest) <= width() else [head, rest]


def _rows(fires: Sequence[_Fire], entries: Sequence[Entry], window: _Window, with_gaps: bool) -> list[_Row]:
    gaps = Gaps(entries if with_gaps else (), window.start, window.end)
    has_seconds = any(fire % 60 for fire, _ in fires)
    several_users = len({user_of(entry) for entry in entries}) > 1
    several_files = len({entry.path for entry in entries}) > 1

    def row(entry: Entry, when: str, offset: str, relative: str, mark: str) -> _Row:
        user = user_of(entry) or "" if several_users else ""
        place = place_of(entry) if several_files else ""
        zone = zone_name(entry.schedule.zone)
        return _Row(when, offset, zone, relative, entry.name, schedule_of(entry), user, place, mark)

    def gap_row(gap: Gap) -> _Row:
        day = datetime.fromtimestamp(gap.shift.instant - 1, gap.entry.schedule.zone.tz)
        mark = f"skipped: {clock_text(gap.walls[0])}"
        if len(gap.walls) > 1:
            mark += f" … {clock_text(gap.walls[-1])}, {len(gap.walls)} times"
        return row(gap.entry, f"{day:%a} {change_title(gap.shift)}", "", "", mark)

    rows: list[_Row] = []
    offsets: dict[Zone, int] = {}
    for fire, entry in fires:
        rows += map(gap_row, gaps.until(fire))
        zone = entry.schedule.zone
        offset = zone.offset_at(fire)
        mark = mark_words(entry.schedule, fire)
        is_new = offsets.get(zone) != offset
        offsets[zone] = offset
        when = datetime.fromtimestamp(fire, zone.tz).strftime("%a %Y-%m-%d %H:%M" + (":%S" if has_seconds else ""))
        relative = relative_text(fire - window.start, window.is_now).removeprefix("in ")
        rows.append(row(entry, when, offset_text(offset) if is_new or mark else "", relative, mark))
    if window.end is not None:
        rows += map(gap_row, gaps.until(window.end))
    return rows


# -- for machines -------------------------------------------------------------------------------------------------


def _print_json(coming: Iterator[_Fire], count: int, gaps: Gaps, window: _Window) -> bool:
    """Print up to `count` fires as they are found; returns True when there are more."""
    for fire, entry in islice(coming, count):
        for gap in gaps.until(fire):
            print(json.dumps(_gap_record(gap)))
        print(json.dumps(_fire_record(fire, entry)))
    is_cut = next(coming, None) is not None
    if not is_cut and window.end is not None:
        for gap in gaps.until(window.end):
            print(json.dumps(_gap_record(gap)))
    return is_cut


def _fire_record(fire: int, entry: Entry) -> dict[str, object]:
    return job_record(entry, fire) | {"mark": str(occurrence(entry.schedule, fire))}


def _gap_record(gap: Gap) -> dict[str, object]:
    skipped = [wall_datetime(wall).isoformat() for wall in gap.walls]
    return job_record(gap.entry, gap.shift.instant) | {"mark": "skipped", "skipped": skipped}
