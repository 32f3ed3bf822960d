"""Local times and stretches of time in the words of tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gcron.schedule import Zone

__all__ = ["clock_text", "offset_text", "relative_text", "span_text", "utc_text", "wall_datetime", "zone_name"]

_EPOCH = datetime(1970, 1, 1)


def wall_datetime(wall: int) -> datetime:
    """What the clock shows at `wall` seconds of wall time since 1970, naive."""
    return _EPOCH + timedelta(seconds=wall)


def utc_text(instant: int) -> str:
    """An instant in UTC as machines read it (RFC 3339): `2027-03-28T01:00:00Z`."""
    return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")


def clock_text(wall: int) -> str:
    """`02:30`, with seconds only when there are any."""
    moment = wall_datetime(wall)
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")


def offset_text(seconds: int) -> str:
    """`+02:00`; with seconds for the offsets of before 1972."""
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{'-' if seconds < 0 else '+'}{hours:02}:{rest // 60:02}"
    return f"{text}:{rest % 60:02}" if rest % 60 else text


def span_text(seconds: float) -> str:
    """`12 s`, `3 min`, `4 h 10 min`, `12 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def relative_text(seconds: float, is_now: bool) -> str:
    """`in 4 h 10 min` from now, `+4 h 10 min` from another start."""
    return f"in {span_text(seconds)}" if is_now else f"+{span_text(seconds)}"


def zone_name(zone: Zone) -> str:
    """The zone's name in the tz database, or what it calls itself."""
    return str(getattr(zone.tz, "key", None) or zone.tz)
