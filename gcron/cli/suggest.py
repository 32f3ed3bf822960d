"""`gcron suggest`: quiet times of the day for one more job."""

from __future__ import annotations

import argparse
import json
from datetime import datetime

from gcron.cli.files import load_or_complain
from gcron.cli.jobs import next_fire
from gcron.cli.messages import say
from gcron.cli.times import TimeError, read_moment, utc_text, zone_name
from gcron.schedule import Zone
from gcron.schedule.clock import SystemClock
from gcron.web.quiet import NEAR, quietest_minutes
from gcron.wording import plural

__all__ = ["main"]

_DAY, _MINUTE = 86400, 60
# Of one job: it fires each minute at most, and more often is the same here.
_MOST_FIRES = _DAY // _MINUTE


def main(options: argparse.Namespace) -> int:
    """Print quiet times; returns 1 when a file or a time is wrong."""
    loaded = load_or_complain(options)
    if loaded is None:
        return 1
    try:
        start = read_moment(options.start, int(SystemClock().now()), loaded.timezone).instant // _MINUTE * _MINUTE
    except TimeError as error:
        say(str(error))
        return 1
    fires = [0] * (_DAY // _MINUTE)
    for entry in loaded.entries:
        fire = next_fire(entry, start)
        for _ in range(_MOST_FIRES):
            if fire is None or fire >= start + _DAY:
                break
            fires[(fire - start) // _MINUTE] += 1
            # Only its minutes count: an `@every 1s` has 86,400 fires.
            fire = entry.schedule.next_after(fire // _MINUTE * _MINUTE + _MINUTE - 1)
    times = quietest_minutes(fires, start // _MINUTE, options.count)
    shown = [(datetime.fromtimestamp(start + time.place * _MINUTE, loaded.timezone), time.others) for time in times]
    if options.json:
        zone = zone_name(Zone(loaded.timezone))
        records = [
            {"schedule": f"{at.minute} {at.hour} * * *", "at": utc_text(int(at.timestamp())), "near": near}
            for at, near in shown
        ]
        print(json.dumps({"timezone": zone, "times": records}))
        return 0
    for at, near in shown:
        schedule = f"{at.minute} {at.hour} * * *"
        print(f"{schedule:14}{plural(near, 'other fire')} within {NEAR} minutes")
    return 0
