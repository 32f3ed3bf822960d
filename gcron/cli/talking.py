"""What the commands that talk to a running gcron have in common: finding it, errors, exit statuses, words for times."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from gcron.cli.terminal import is_terminal, wants_colour
from gcron.control.client import Client, NoGcron, Refused, connect
from gcron.control.failures import FAILURES
from gcron.escaping import escape

__all__ = [
    "NO_GCRON",
    "REFUSED",
    "ago",
    "colour",
    "find",
    "local_time",
    "peak",
    "reason_of",
    "seconds_since",
    "span",
    "style_of",
    "talk",
    "word_of",
]

REFUSED = 1
_WRONG_COMMAND_LINE = 2
NO_GCRON = 3
_NO_JOB = 4

_WORDS = {
    "succeeded": "ok",
    "timed-out": "timed out",
    "start-failed": "not started",
    "unknown-exit": "unknown",
}
# Seconds after its due time from which a run shows it, as in the log (`RunLate`).
_LATE = 5.0
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
Record = dict[str, Any]


def talk(options: argparse.Namespace, ask: Callable[[Client], int]) -> int:
    """Call `ask` with a client of the gcron that is meant; returns its status, or that of what went wrong."""
    try:
        with connect(options.instance, options.socket, _tell) as client:
            return ask(client)
    except NoGcron as error:
        print(f"gcron: {escape(str(error))}", file=sys.stderr)
        return NO_GCRON
    except Refused as error:
        print(f"gcron: {escape(str(error))}", file=sys.stderr)
        for line in str(error.record.get("problem") or "").splitlines():
            print(escape(line), file=sys.stderr)
        if error.code in ("no-such-job", "no-such-run"):
            return _NO_JOB
        return _WRONG_COMMAND_LINE if error.code == "bad-request" else REFUSED
    except KeyError as error:
        print(f"gcron: an answer has no {error}: what listens there is no gcron of this version", file=sys.stderr)
        return NO_GCRON


def _tell(text: str) -> None:
    print(f"gcron: {escape(text)}", file=sys.stderr, flush=True)


def find(client: Client, text: str) -> Record:
    """Return the record of the one job that `text` means. Raises Refused."""
    (job,) = client.get("jobs", find=text)["jobs"]
    found: Record = job
    return found


# -- words --------------------------------------------------------------------------------------------------------


def word_of(outcome: str | None) -> str:
    """Return an outcome in a word or two."""
    return _WORDS.get(outcome or "", outcome or "")


def reason_of(run: Record) -> str:
    """Return why a run ended as it did, after the times at which its fires were due, unless it began on time."""
    if run.get("count", 1) > 1:
        due = f"{run['count']} fires from {local_time(run['first'])} to {local_time(run['last'])}"
    elif run["fire_at"] is None or seconds_since(run["fire_at"], run["created"]) < _LATE:
        return str(run["reason"])
    else:
        due = f"due {local_time(run['fire_at'])}"
    return f"{due}: {run['reason']}" if run["reason"] else due


def style_of(cell: str) -> str:
    """Return the colour of a cell with the word of an outcome, or of a run; empty for none."""
    if cell in ("ok", "running"):
        return "green" if cell == "ok" else "bold"
    return "red" if cell in map(word_of, FAILURES) else ""


def seconds_since(time: str, now: str) -> float:
    """Return the seconds from one time of an answer to another."""
    return (_read(now) - _read(time)).total_seconds()


def local_time(time: str | None, zone: tzinfo | None = None) -> str:
    """Return a time of an answer as the wall clock of `zone`, or of this machine, shows it: `2026-11-30 16:20:10`."""
    return "" if time is None else f"{_read(time).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _read(time: str) -> datetime:
    return datetime.fromisoformat(time)


def span(seconds: float | None) -> str:
    """Return a duration in few characters: `0.3s`, `12s`, `5m02s`, `3h10m`, `2d`."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d"


def peak(size: int | None) -> str:
    """Return a size in few characters: `512K`, `34M`, `1.5G`."""
    if size is None:
        return ""
    if size < 1 << 20:
        return f"{size / (1 << 10):.0f}K"
    return f"{size / (1 << 20):.0f}M" if size < 1 << 30 else f"{size / (1 << 30):.1f}G"


def ago(seconds: float) -> str:
    """Return a distance in time in very few characters: `12s`, `5m`, `3h`, `2d`."""
    whole = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def colour(text: str, name: str) -> str:
    """Return the text in a colour, if stdout is a terminal that has them."""
    if not wants_colour() or not is_terminal() or not text.strip():
        return text
    return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m"
