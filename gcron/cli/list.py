"""`gcron list`: the jobs, one line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import datetime

from gcron.cli.files import load_or_complain
from gcron.cli.jobs import job_record, limits_of, next_fire, place_of, schedule_of, user_of, why_never
from gcron.cli.table import Table
from gcron.cli.times import zone_name
from gcron.crontab import Entry
from gcron.schedule.clock import SystemClock

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the jobs in the order of the files; returns 1 if a file is wrong."""
    loaded = load_or_complain(options)
    if loaded is None:
        return 1
    now = int(SystemClock().now())
    fires = [next_fire(entry, now) for entry in loaded.entries]
    if options.json:
        for entry, fire in zip(loaded.entries, fires, strict=True):
            print(json.dumps(_record(entry, fire)))
    elif loaded.entries:
        _print_table(loaded.entries, fires)
    else:
        print("no jobs")
    return 0


def _print_table(entries: Sequence[Entry], fires: Sequence[int | None]) -> None:
    zones = {zone_name(entry.schedule.zone) for entry, fire in zip(entries, fires, strict=True) if fire is not None}
    if len(zones) == 1:
        print(f"times of {zones.pop()}")
    rows = [_row(entry, fire, with_zone=bool(zones)) for entry, fire in zip(entries, fires, strict=True)]
    table = Table(
        ("job", "schedule", "next", "zone", "user", "line", ""),
        as_lines=lambda row: [f"{row[0]}  {row[2]} {row[3]}".rstrip(), "  ".join(filter(None, (row[1], *row[4:6])))],
        flexible=("job", "line"),
    )
    table.print(rows)


def _row(entry: Entry, fire: int | None, with_zone: bool) -> list[str]:
    when, zone = "", ""
    if fire is None:
        when, _ = why_never(entry)
    else:
        when = f"{datetime.fromtimestamp(fire, entry.schedule.zone.tz):%a %Y-%m-%d %H:%M:%S}".removesuffix(":00")
        zone = zone_name(entry.schedule.zone) if with_zone else ""
    return [entry.name, schedule_of(entry), when, zone, user_of(entry) or "", place_of(entry), limits_of(entry)]


def _record(entry: Entry, fire: int | None) -> dict[str, object]:
    return job_record(entry, fire) | {
        "timezone": zone_name(entry.schedule.zone),
        "limits": limits_of(entry),
        "enabled": entry.policy.enabled,
        "description": entry.policy.description,
        "reason": why_never(entry)[1] if fire is None else "",
    }
