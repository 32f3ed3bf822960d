"""The table of `gcron next`: columns where there is room for them, two lines a fire where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gcron.cli.changes import change_title, mark_words
from gcron.cli.fires import Fire, Gap, Gaps, Window, why_never
from gcron.cli.spans import clock_text, offset_text, relative_text, zone_name
from gcron.cli.terminal import wants_colour, width
from gcron.crontab import Entry
from gcron.schedule import Zone

__all__ = ["print_fires"]

_WIDEST = 1000
_MOST_REASONS = 10
_MARK_STYLE = "yellow"


class _Row(NamedTuple):
    when: str
    offset: str
    zone: str
    relative: str
    job: str
    schedule: str
    mark: str


def print_fires(fires: Sequence[Fire], entries: Sequence[Entry], window: Window) -> None:
    """Print the fires, and between them the times that are not there, on stdout."""
    rows = _rows(fires, entries, window)
    if not rows:
        _print_nothing(entries, window)
        return
    zones = sorted({row.zone for row in rows})
    console = Console(width=width(), highlight=False, no_color=not wants_colour(), soft_wrap=False)
    with console.capture() as captured:
        table = _table(rows, len(zones) > 1, window.is_now)
        natural = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
        if natural > console.width:
            _print_lines(console, rows, len(zones) > 1)
        else:
            console.print(table)
    # Not by rich itself, which fills up lines with blanks, and ends the program when the reader is gone. It has flushed
    # stdout all the same: so only now may something stand there.
    _print_title(zones, window)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _print_title(zones: Sequence[str], window: Window) -> None:
    if len(zones) == 1:
        print(f"times of {zones[0]}")
    read_in = None if window.read_in is None else zone_name(Zone(window.read_in))
    if read_in is not None and zones != [read_in]:
        print(f"(--from and --to were read as times of {read_in})")


def _print_nothing(entries: Sequence[Entry], window: Window) -> None:
    if window.end is not None:
        print("nothing is due in that time")
        return
    print("nothing is due, ever")
    for entry in entries[:_MOST_REASONS]:
        print(f"  {entry.name} {why_never(entry)}")
    if len(entries) > _MOST_REASONS:
        print(f"  and {len(entries) - _MOST_REASONS} more")


def _rows(fires: Sequence[Fire], entries: Sequence[Entry], window: Window) -> list[_Row]:
    missing = Gaps(entries, window)
    has_seconds = any(fire % 60 for fire, _ in fires)
    rows: list[_Row] = []
    offsets: dict[Zone, int] = {}
    for fire, entry in fires:
        rows += map(_gap_row, missing.until(fire))
        rows.append(_fire_row(fire, entry, window, offsets, has_seconds))
    if window.end is not None:
        rows += map(_gap_row, missing.until(window.end))
    return rows


def _fire_row(fire: int, entry: Entry, window: Window, offsets: dict[Zone, int], has_seconds: bool) -> _Row:
    zone = entry.schedule.zone
    offset = zone.offset_at(fire)
    is_new = offsets.get(zone) != offset
    offsets[zone] = offset
    when = datetime.fromtimestamp(fire, zone.tz)
    mark = mark_words(entry.schedule, fire)
    return _Row(
        when.strftime("%a %Y-%m-%d %H:%M" + (":%S" if has_seconds else "")),
        offset_text(offset) if is_new or mark else "",
        zone_name(zone),
        relative_text(fire - window.start, window.is_now),
        entry.name,
        entry.schedule_text,
        mark,
    )


def _gap_row(gap: Gap) -> _Row:
    shift = gap.shift
    day = datetime.fromtimestamp(shift.instant - 1, gap.entry.schedule.zone.tz)
    if len(gap.walls) > 1:
        mark = f"not there: {clock_text(gap.walls[0])} … {clock_text(gap.walls[-1])}, {len(gap.walls)} times"
    else:
        mark = f"not there: {clock_text(gap.walls[0])}"
    return _Row(
        f"{day:%a} {change_title(shift)}",
        "",
        zone_name(gap.entry.schedule.zone),
        "",
        gap.entry.name,
        gap.entry.schedule_text,
        mark,
    )


def _table(rows: Sequence[_Row], several_zones: bool, is_now: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold" if wants_colour() else "")
    table.add_column("when", no_wrap=True)
    table.add_column("offset", no_wrap=True)
    if several_zones:
        table.add_column("zone", overflow="fold")
    table.add_column("in" if is_now else "after", no_wrap=True)
    table.add_column("job", overflow="fold")
    table.add_column("schedule", overflow="fold")
    table.add_column("", overflow="fold")
    for row in rows:
        style = _MARK_STYLE if row.mark and wants_colour() else ""
        zone = [Text(row.zone)] if several_zones else []
        relative = row.relative.removeprefix("in ")
        cells = [Text(row.when), Text(row.offset), *zone, Text(relative), Text(row.job), Text(row.schedule)]
        table.add_row(*cells, Text(row.mark, style=style))
    return table


def _print_lines(console: Console, rows: Sequence[_Row], several_zones: bool) -> None:
    """A line or two a fire, for terminals on which columns would be broken in the middle of words."""
    for row in rows:
        when = " ".join(filter(None, (row.when, row.offset, row.zone if several_zones else "")))
        what = "  ".join(filter(None, (row.job, row.relative)))
        line = Text(f"{when}  {what}")
        if line.cell_len > console.width:
            line = Text(f"{when}\n  {what}")
        console.print(line)
        if row.mark:
            console.print(Text(f"  {row.mark}", style=_MARK_STYLE if wants_colour() else ""))
