"""`gcron history`: the last runs, with their outcomes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from gcron.cli.columns import Column, print_columns, with_nodes
from gcron.cli.talking import NO_GCRON, find, local_time, peak, reason_of, span, style_of, talk, word_of
from gcron.control.client import Client
from gcron.escaping import escape

__all__ = ["main"]

_COUNT = 20
_PAGE = 500

Record = dict[str, Any]


def main(options: argparse.Namespace) -> int:
    """Print the runs, the newest last for people, the newest first as JSON."""
    try:
        since, until = _instant(options.since), _instant(options.until)
    except ValueError as error:
        print(f"gcron: {escape(str(error))}", file=sys.stderr)
        return 2
    status = talk(options, lambda client: _show(client, options, since, until))
    if status == NO_GCRON:
        print("gcron: `gcron state export` prints what a gcron that does not run has remembered", file=sys.stderr)
    return status


def _show(client: Client, options: argparse.Namespace, since: str | None, until: str | None) -> int:
    runs = _runs(client, options, since, until)
    if options.count is not None or since is None:
        runs = islice(runs, options.count or _COUNT)
    if options.json:
        for run in runs:
            print(json.dumps(run))
        return 0
    found = list(runs)
    if not found:
        print("no runs")
        return 0
    found.reverse()
    print_columns(*with_nodes(_COLUMNS, [_row(run) for run in found], found))
    return 0


def _runs(client: Client, options: argparse.Namespace, since: str | None, until: str | None) -> Iterator[Record]:
    failed = "true" if options.failed else None
    words = ("jobs", find(client, options.job)["job"], "runs") if options.job else ("runs",)
    limit = min(options.count or (_COUNT if since is None else _PAGE), _PAGE)
    runs = client.pages("runs", *words, limit=limit, outcome=options.outcome, failed=failed, since=since, until=until)
    return runs if options.node is None else (run for run in runs if run.get("node") == options.node)


def _instant(text: str | None) -> str | None:
    """The time that an option means, as the API wants it. Raises ValueError."""
    if text is None:
        return None
    from gcron.cli.times import read_near, read_zone, utc_text

    return utc_text(read_near(text, int(time.time()), read_zone(None), is_past=True))


_COLUMNS = (
    Column("WHEN", 19, leaves=5),
    Column("JOB", 12),
    Column("OUTCOME", 9, style=style_of),
    Column("TOOK", 5, leaves=4),
    Column("CPU", 4, leaves=2),
    Column("PEAK", 4, leaves=1),
    Column("RUN", 16),
    Column("WHY", 8, leaves=3),
)


def _row(run: Record) -> list[str]:
    outcome = word_of(run["outcome"]) or run["state"]
    used = [span(run["cpu_seconds"]), peak(run["max_rss_bytes"])]
    id_and_why = run["run_id"], reason_of(run)
    return [local_time(run["created"]), run["job"], outcome, span(run["duration"]), *used, *id_and_why]
