"""`gcron why`: why a job ran, or did not run, at a time."""

from __future__ import annotations

import argparse
import json
from datetime import tzinfo
from typing import Any

from gcron.cli.talking import colour, find, local_time, span, talk
from gcron.cli.terminal import print_wrapped
from gcron.control.client import Client
from gcron.escaping import escape_line

__all__ = ["main"]

Record = dict[str, Any]


def main(options: argparse.Namespace) -> int:
    """Print what the running gcron knows about that time."""
    return talk(options, lambda client: _explain(client, options))


def _explain(client: Client, options: argparse.Namespace) -> int:
    name = find(client, options.job)["job"]
    found = client.get("why", job=name, at=options.time)
    if options.json:
        print(json.dumps(found))
        return 0
    zone = _zone_of(found)
    print_wrapped(f"{name} at {local_time(found['at'], zone)}: {found['explanation']}")
    print_wrapped(f"{found['schedule']}  {found['words']}  ({found['timezone']})", "schedule  ", " " * 10)
    if found["clock"]:
        print_wrapped(found["clock"], "clock     ", " " * 10)
    for field in found["fields"]:
        sign = "ok" if field["fits"] else colour("no", "red")
        text = f"{field['text']} ({field['words']}); it was {field['value']}"
        print_wrapped(text, f"  {sign}  {escape_line(field['field']):14}", " " * 20)
    if not found["due"] and (found["previous_fire"] or found["following_fire"]):
        print_wrapped(_neighbours(found, zone), "fires     ", " " * 10)
    if found["run"] is not None:
        _print_run(found["run"], zone)
    return 0


def _zone_of(found: Record) -> tzinfo | None:
    """The zone of the job, as in its fields; None for one that has no name."""
    from gcron.cli.times import TimeError, read_zone

    try:
        return read_zone(found["timezone"])
    except TimeError:
        return None


def _neighbours(found: Record, zone: tzinfo | None) -> str:
    previous, following = local_time(found["previous_fire"], zone), local_time(found["following_fire"], zone)
    before = f"the last before it {previous}" if previous else "none before it"
    after = f"the next after it {following}" if following else "none after it"
    return f"{before}, {after}"


def _print_run(run: Record, zone: tzinfo | None) -> None:
    words = [f"{run['outcome'] or run['state']}"]
    if run["started"]:
        words.append(f"started {local_time(run['started'], zone)}")
    if run["duration"] is not None:
        words.append(f"took {span(run['duration'])}")
    if run["attempts"] > 1:
        words.append(f"{run['attempts']} attempts")
    print_wrapped(f"{run['run_id']}: {', '.join(words)}", "run       ", " " * 10)
