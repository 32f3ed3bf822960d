"""Times, time zones and durations: reads those of a command line, and writes those of a command's output."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from gcron.schedule import ScheduleError, Zone, find_zone, parse_duration
from gcron.schedule.clock import local_timezone
from gcron.wording import describe_span

__all__ = [
    "Moment",
    "TimeError",
    "clock_text",
    "offset_text",
    "read_moment",
    "read_near",
    "read_zone",
    "relative_text",
    "utc_text",
    "wall_datetime",
    "zone_name",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HINT = "write now, a date (2027-03-28), a date and time (2027-03-28T02:30, with Z or +02:00 if you like), or +2d"


class TimeError(ValueError):
    """A text that is no time or zone, with what would be right."""


# -- reading ------------------------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """An instant in UTC seconds since 1970. `is_local`: its text had no zone and no offset."""

    instant: int
    is_local: bool


def read_moment(text: str, now: int, timezone: tzinfo) -> Moment:
    """Return the instant that `text` means: `now`, an ISO date or date and time, or a duration from now such as `+2d`.

    A text without zone or offset is a wall time in `timezone`. A wall time that a clock change skips is as long after
    the change as it is after the last wall time before it. Raises TimeError.
    """
    words = text.strip()
    if words.lower() == "now":
        return Moment(now, False)
    if words[:1] in ("+", "-"):
        return Moment(_from_now(words, now), False)
    if words.isascii() and words.isdigit() and len(words) == len("2027"):
        words += "-01-01"
    try:
        moment = datetime.fromisoformat(words)
        is_local = moment.tzinfo is None
        aware = moment.replace(tzinfo=timezone) if is_local else moment
        return Moment((aware - _EPOCH) // timedelta(seconds=1), is_local)
    except (ValueError, OverflowError) as error:
        # Python's message helps for 2027-02-30 (it names the wrong part), but not for `tomorrow`.
        reason = "" if "isoformat" in str(error) else f" ({error})"
        raise TimeError(f"{text!r} is not a date or time{reason}: {_HINT}") from None


def read_near(text: str, now: int, timezone: tzinfo, *, is_past: bool) -> int:
    """Return the instant that `text` means to someone who looks back, or ahead. Raises TimeError.

    As `read_moment`, and `21:00` is the last or the next one; `1h` is an hour ago, or in an hour.
    """
    words = text.strip()
    if words[:1].isdigit() and words[-1:].isalpha() and "T" not in words and words[-1] not in "zZ":
        return _from_now(f"{'-' if is_past else '+'}{words}", now)
    if len(words) > len("21:00:00") or ":" not in words:
        return read_moment(text, now, timezone).instant
    day = datetime.fromtimestamp(now, timezone).date()
    at = read_moment(f"{day}T{words}", now, timezone).instant
    if is_past == (at > now):
        day += timedelta(days=-1 if is_past else 1)
        at = read_moment(f"{day}T{words}", now, timezone).instant
    return at


def _from_now(words: str, now: int) -> int:
    try:
        seconds = int(parse_duration(words[1:]))
    except ScheduleError as error:
        raise TimeError(f"{words!r} is not a time: {error}") from None
    return now + seconds if words[0] == "+" else now - seconds


def read_zone(name: str | None, origin: str = "--tz") -> tzinfo:
    """Return the zone of this name; for None, this machine's. Raises TimeError, which says that `origin` is wrong."""
    try:
        return find_zone(name).tz if name else local_timezone()
    except (ScheduleError, ValueError, OSError) as error:
        raise TimeError(f"{origin if name else 'TZ'}: {error}") from None


# -- writing ------------------------------------------------------------------------------------------------------


def wall_datetime(wall: int) -> datetime:
    """Return what the clock shows at `wall`, in seconds of wall time since 1970; naive."""
    return datetime(1970, 1, 1) + timedelta(seconds=wall)


def clock_text(wall: int) -> str:
    """Return `02:30`; with seconds only if there are any."""
    moment = wall_datetime(wall)
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")


def utc_text(instant: int) -> str:
    """Return an instant as machines read it, in UTC (RFC 3339): `2027-03-28T01:00:00Z`."""
    return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")


def offset_text(seconds: int) -> str:
    """Return an offset from UTC: `+02:00`; with seconds for offsets from before 1972."""
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{'-' if seconds < 0 else '+'}{hours:02}:{rest // 60:02}"
    return f"{text}:{rest % 60:02}" if rest % 60 else text


def relative_text(seconds: float, is_now: bool) -> str:
    """Return `in 4 h 10 min` if it counts from now, else `+4 h 10 min`."""
    return f"in {describe_span(seconds)}" if is_now else f"+{describe_span(seconds)}"


def zone_name(zone: Zone) -> str:
    """Return the zone's name in the tz database, or the name that it gives itself."""
    return str(getattr(zone.tz, "key", None) or zone.tz)
