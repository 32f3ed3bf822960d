"""`gcron timeline`: a picture of the coming day, hours across and jobs down, to see where jobs pile up."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import pairwise

from gcron.cli.files import Progress, load_or_complain
from gcron.cli.jobs import next_fire, place_of, user_of
from gcron.cli.messages import say
from gcron.cli.terminal import is_terminal, print_wrapped, wants_colour, width
from gcron.cli.times import TimeError, read_moment, utc_text, zone_name
from gcron.crontab import Entry, Loaded
from gcron.escaping import escape_line
from gcron.frozen import frozen
from gcron.schedule import EverySchedule, Zone
from gcron.schedule.clock import SystemClock
from gcron.wording import plural

__all__ = ["main"]

_DAY = 86400
# Seconds of one column: the shortest of these with which the picture fits.
_HOURS = tuple(hours * 3600 for hours in (1, 2, 3, 4, 6, 12))
_DAYS = tuple(days * _DAY for days in (1, 7, 28, 91, 364, 1820, 3640, 36400))
_SLOTS = (60, 300, 600, 900, 1200, 1800, *_HOURS, *_DAYS)
_YEAR = 364 * _DAY
# Columns if stdout is no terminal: the longest day in quarters of an hour.
_WIDE = 101
_LONGEST_LABEL = 28
# One fire, 2 or 3, from 4, from 8, and so on.
_MARKS = "▁▂▃▄▅▆▇█"
_PLAIN_MARKS = ".:-=+*#@"
_ROWS = 40
# A picture of centuries would keep a number for each of its minutes.
_LONGEST_WITH_MINUTES = 400 * _DAY
_FIRES_PER_LOOK = 10_000


@frozen
class _Picture:
    """What to draw: `size` columns of `slot` seconds each, from `start` on (UTC seconds)."""

    start: int
    slot: int
    size: int
    timezone: tzinfo
    rows: list[tuple[Entry, list[int]]]
    """The number of fires in each column, by job."""
    minutes: Counter[int]
    """The number of fires of all jobs in one minute, by the minute's number since 1970; not kept for long pictures."""

    @property
    def end(self) -> int:
        return self.start + self.slot * self.size

    def add(self, entry: Entry, progress: Progress, doing: str) -> None:
        keeps_minutes = self.end - self.start <= _LONGEST_WITH_MINUTES
        if isinstance(entry.schedule, EverySchedule) and not keeps_minutes:
            self.rows.append((entry, self._counts_of_period(entry)))
            return
        counts = [0] * self.size
        steps = 0
        fire = next_fire(entry, self.start)
        while fire is not None and fire < self.end:
            column = (fire - self.start) // self.slot
            counts[column] += 1
            if keeps_minutes:
                self.minutes[fire // 60] += 1
            steps += 1
            if steps % _FIRES_PER_LOOK == 0:
                progress.show(doing, f"({datetime.fromtimestamp(fire, self.timezone):%Y-%m})")
            fire = entry.schedule.next_after(fire)
        self.rows.append((entry, counts))

    def _counts_of_period(self, entry: Entry) -> list[int]:
        """Count the fires of an `@every` without looking at each: there may be billions."""
        assert isinstance(entry.schedule, EverySchedule)
        if not entry.policy.enabled:
            return [0] * self.size
        bounds = [self.start + column * self.slot for column in range(self.size + 1)]
        before = [entry.schedule.previous_before(bound) for bound in bounds]
        origin = entry.schedule.anchor or 0
        numbers = [0 if fire is None else (fire - origin) // entry.schedule.period + 1 for fire in before]
        return [after - until for until, after in pairwise(numbers)]

    @property
    def sums(self) -> list[int]:
        """The number of fires of all jobs in each column."""
        return [sum(column) for column in zip(*(counts for _, counts in self.rows), strict=True)]


def main(options: argparse.Namespace) -> int:
    """Draw the day; returns 1 when a file or a time is wrong."""
    now = int(SystemClock().now())
    loaded = load_or_complain(options)
    if loaded is None:
        return 1
    try:
        start = read_moment(options.start, now, loaded.timezone)
        end, is_local_end = (
            read_moment(options.end, now, loaded.timezone) if options.end else (start.instant + _DAY, False)
        )
    except TimeError as error:
        say(str(error))
        return 1
    if end <= start.instant:
        say("--to is not after --from: there is nothing between them")
        return 1
    picture = _picture(loaded.entries, start.instant, end, _zone_of(loaded))
    if options.json:
        _print_json(picture)
    else:
        read_in = loaded.timezone if start.is_local or is_local_end else None
        _print_picture(picture, options.rows, read_in)
    return 0


def _zone_of(loaded: Loaded) -> tzinfo:
    """The zone of the jobs if they share one, as in `gcron next`; else that of the command."""
    zones = {entry.schedule.zone: None for entry in loaded.entries}
    return next(iter(zones)).tz if len(zones) == 1 else loaded.timezone


def _picture(entries: Sequence[Entry], start: int, end: int, timezone: tzinfo) -> _Picture:
    label = min(_longest_label(), max((len(entry.name) for entry in entries), default=0))
    room = max(1, width() - label - 2) if is_terminal() else _WIDE
    slot = next((slot for slot in _SLOTS if (end - start) / slot <= room - 1), _SLOTS[-1])
    offset = Zone(timezone).offset_at(start)
    begin = (start + offset) // slot * slot - offset  # a column is a quarter of an hour of the local clock
    picture = _Picture(begin, slot, -(-(end - begin) // slot), timezone, [], Counter())
    with Progress() as progress:
        for done, entry in enumerate(entries):
            doing = f"looking at {done}/{len(entries)}"
            progress.show(doing)
            picture.add(entry, progress, doing)
    return picture


def _print_json(picture: _Picture) -> None:
    record = {
        "from": utc_text(picture.start),
        "to": utc_text(picture.end),
        "slot_seconds": picture.slot,
        "jobs": [
            {"job": entry.name, "user": user_of(entry), "file": entry.path, "line": entry.line, "fires": counts}
            for entry, counts in picture.rows
        ],
    }
    print(json.dumps(record))


# -- the picture ------------------------------------------------------------------------------------------------


def _print_picture(picture: _Picture, most: int | None, read_in: tzinfo | None) -> None:
    firing = [(entry, counts) for entry, counts in picture.rows if any(counts)]
    if not firing:
        print("nothing is due in that time")
        return
    sums = picture.sums
    shown = firing[: most or _ROWS]
    label = min(_longest_label(), max(len(name) for name in (*(entry.name for entry, _ in shown), "all")))
    zone = zone_name(Zone(picture.timezone))
    print_wrapped(f"times of {zone}, {_span(picture.slot)} a column")
    if read_in is not None and zone_name(Zone(read_in)) != zone:
        print_wrapped(f"(--from and --to were read as times of {zone_name(Zone(read_in))})")
    print(f"{'':{label}}  {_axis(picture)}".rstrip())
    remarks = _remarks([entry for entry, _ in shown], width() - label - picture.size - 4)
    for (entry, counts), remark in zip(shown, remarks, strict=True):
        name = _shortened(escape_line(entry.name), label)
        print(f"{name:{label}}  {_line(counts):{picture.size}}  {escape_line(remark)}".rstrip())
    if len(firing) > 1:
        print(f"{'all':{label}}  {_highlighted(_line(sums), sums)}".rstrip())
    _print_notes(picture, len(firing), len(shown))


def _remarks(entries: Sequence[Entry], room: int) -> list[str]:
    """Return user and place of each entry if they differ, and if there is room for them beside the picture."""
    several_users = len({user_of(entry) for entry in entries}) > 1
    several_files = len({entry.path for entry in entries}) > 1
    remarks = [
        "  ".join(filter(None, (user_of(entry) if several_users else "", place_of(entry) if several_files else "")))
        for entry in entries
    ]
    return remarks if max(map(len, remarks)) <= room else [""] * len(entries)


def _print_notes(picture: _Picture, firing: int, shown: int) -> None:
    notes = [f"{_marks()[0]} one fire, {_marks()[1]} two, {_marks()[2]} from 4, {_marks()[3]} from 8, and so on"]
    minute, most = max(picture.minutes.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    if most > 1:
        when = datetime.fromtimestamp(minute * 60, picture.timezone)
        notes.append(f"most in one minute: {most} fires, first on {when:%a %Y-%m-%d at %H:%M}")
    if firing > shown:
        notes.append(f"{plural(firing - shown, 'more job')} in the last row; --rows shows more")
    if idle := len(picture.rows) - firing:
        notes.append(f"{plural(idle, 'job')} without a fire in that time")
    for note in notes:
        print_wrapped(note)


def _axis(picture: _Picture) -> str:
    """Local times above the columns at which they begin, as many as there is room for."""
    text = ""
    step = _step(picture.slot)
    pattern = "%H" if step < _DAY else "%d %b" if step < _YEAR else "%Y"
    for column in range(picture.size):
        instant = picture.start + column * picture.slot
        when = datetime.fromtimestamp(instant, picture.timezone)
        seconds = when.hour * 3600 + when.minute * 60 if step < _DAY else instant // _DAY * _DAY
        is_free = len(text) < column or not text
        if is_free and seconds % step < picture.slot and (step < _DAY or when.hour * 3600 < picture.slot):
            label = when.strftime(pattern)
            if not text or column + len(label) <= picture.size:  # the last label must not make the line too long
                text = text.ljust(column) + label
    return text


def _step(slot: int) -> int:
    """Return the seconds between two labels: at least three columns, seven if they are dates."""
    hours = next((hours for hours in (1, 2, 3, 6, 12) if hours * 3600 >= 3 * slot), None)
    return hours * 3600 if hours is not None else -(-7 * slot // _DAY) * _DAY


def _line(counts: Sequence[int]) -> str:
    marks = _marks()
    return "".join(marks[min(count.bit_length(), len(marks)) - 1] if count else " " for count in counts)


def _marks() -> str:
    try:
        _MARKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN_MARKS
    return _MARKS


def _highlighted(line: str, sums: Sequence[int]) -> str:
    """Return the line with its busiest columns in a colour, if colours are welcome."""
    if not wants_colour():
        return line
    most = max(sums)
    return "".join(f"\x1b[33m{mark}\x1b[0m" if count == most else mark for mark, count in zip(line, sums, strict=True))


def _longest_label() -> int:
    """Return the columns for a name: at most a third of the terminal, so that there is room for the day."""
    return min(_LONGEST_LABEL, max(len("all"), width() // 3))


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _span(seconds: int) -> str:
    for size, unit in ((_DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return plural(seconds // size, unit)
    raise AssertionError("columns are whole minutes")
