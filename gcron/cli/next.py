"""`gcron next`: what fires when."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from gcron.cli.files import complain, describe_unknown_job, load_files
from gcron.cli.fires import Fire, Gap, Gaps, Window, fires_in, named_entries
from gcron.cli.moments import MomentError, read_moment
from gcron.cli.spans import utc_text, wall_datetime
from gcron.crontab import Entry, Loaded
from gcron.schedule import occurrence
from gcron.schedule.clock import SystemClock

__all__ = ["main"]

_COUNT = 10
# With --to, which is a limit of its own; a job of every second has 86,400 fires a day.
_COUNT_IN_WINDOW = 1000


def main(options: argparse.Namespace) -> int:
    """Print the fires to come; returns 1 when a file, the job or a time is wrong."""
    try:
        loaded = load_files(options)
        if loaded.errors:
            complain(loaded.errors)
            return 1
        window = _window(options, loaded)
    except MomentError as error:
        print(f"gcron: {error}", file=sys.stderr)
        return 1
    entries = named_entries(loaded.entries, options.job)
    if not entries and options.job is not None:
        print(f"gcron: {describe_unknown_job(options.job, loaded.entries)}", file=sys.stderr)
        return 1
    count = options.count or (_COUNT if window.end is None else _COUNT_IN_WINDOW)
    coming = fires_in(entries, window)
    if options.json:
        is_cut = _print_json(coming, count, Gaps(entries, window), window)
    else:
        fires = list(islice(coming, count))
        is_cut = next(coming, None) is not None
        # Behind the last fire that is shown nothing is told, lest the table look complete up to there.
        _print_table(fires, entries, replace(window, end=fires[-1][0]) if is_cut else window)
    if is_cut and options.end:
        print(f"gcron: there are more; shown are the first {count}, -n shows more", file=sys.stderr)
    return 0


def _window(options: argparse.Namespace, loaded: Loaded) -> Window:
    now = int(SystemClock().now())
    start = read_moment(options.start, now, loaded.timezone)
    end = read_moment(options.end, now, loaded.timezone) if options.end else None
    if end is not None and end.instant < start.instant:
        raise MomentError("--to is before --from: there is nothing between them")
    is_local = start.is_local or (end is not None and end.is_local)
    return Window(
        start=start.instant,
        end=None if end is None else end.instant,
        is_now=options.start == "now",
        read_in=loaded.timezone if is_local else None,
    )


def _print_table(fires: Sequence[Fire], entries: Sequence[Entry], window: Window) -> None:
    # Slow to import, and only needed here.
    from gcron.cli.table import print_fires

    print_fires(fires, entries, window)


def _print_json(coming: Iterator[Fire], count: int, missing: Gaps, window: Window) -> bool:
    """Print up to `count` fires as they are found; True when there are more."""
    for fire, entry in islice(coming, count):
        for gap in missing.until(fire):
            print(json.dumps(_gap_record(gap)))
        print(json.dumps(_fire_record(fire, entry)))
    is_cut = next(coming, None) is not None
    if not is_cut and window.end is not None:
        for gap in missing.until(window.end):
            print(json.dumps(_gap_record(gap)))
    return is_cut


def _fire_record(fire: int, entry: Entry) -> dict[str, object]:
    return _record(fire, entry) | {"mark": str(occurrence(entry.schedule, fire))}


def _gap_record(gap: Gap) -> dict[str, object]:
    """What stands in the place of fires that are not there: `at` is the change of the clock that skips them."""
    walls = [wall_datetime(wall).isoformat() for wall in gap.walls]
    return _record(gap.shift.instant, gap.entry) | {"mark": "skipped", "skipped": walls}


def _record(instant: int, entry: Entry) -> dict[str, object]:
    return {
        "at": utc_text(instant),
        "local": datetime.fromtimestamp(instant, entry.schedule.zone.tz).isoformat(),
        "job": entry.name,
        "schedule": entry.schedule_text,
    }
