"""The moments and zones that people write on a command line, for `--from`, `--to` and `--tz`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from gcron.schedule import ScheduleError, find_zone, parse_duration
from gcron.schedule.clock import local_timezone

__all__ = ["Moment", "MomentError", "read_moment", "read_zone"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_HINT = "write now, a date (2027-03-28), a date and time (2027-03-28T02:30, with Z or +02:00 if you like), or +2d"


class Moment(NamedTuple):
    """An instant in seconds of UTC since 1970, and whether its text left the zone open."""

    instant: int
    is_local: bool


class MomentError(ValueError):
    """A text that is no moment or zone; says what would be."""


def read_moment(text: str, now: int, timezone: tzinfo) -> Moment:
    """Return the instant that `text` means: `now`, an ISO date or date and time, or a duration from now.

    A text without zone or offset is a wall time in `timezone`; one that a shift skips is as far behind the shift as
    it was written behind the last wall time before it. Raises MomentError.
    """
    words = text.strip()
    if words.lower() == "now":
        return Moment(now, False)
    if words[:1] in ("+", "-"):
        return Moment(_from_now(words, now), False)
    try:
        moment = datetime.fromisoformat(words)
        is_local = moment.tzinfo is None
        aware = moment.replace(tzinfo=timezone) if is_local else moment
        return Moment((aware - _EPOCH) // _SECOND, is_local)
    except (ValueError, OverflowError) as error:
        # Python's own words help for 2027-02-30 (which day is wrong), and nobody for `tomorrow`.
        reason = "" if "isoformat" in str(error) else f" ({error})"
        raise MomentError(f"{text!r} is not a date or time{reason}: {_HINT}") from None


def read_zone(name: str | None) -> tzinfo:
    """The zone of this name; this machine's when it is None. Raises MomentError, which tells where the name is from."""
    try:
        return find_zone(name).tz if name else local_timezone()
    except (ScheduleError, ValueError, OSError) as error:
        raise MomentError(f"{'--tz' if name else 'TZ'}: {error}") from None


def _from_now(words: str, now: int) -> int:
    try:
        seconds = int(parse_duration(words[1:]))
    except ScheduleError as error:
        raise MomentError(f"{words!r} is not a moment: {error}") from None
    return now + seconds if words[0] == "+" else now - seconds
