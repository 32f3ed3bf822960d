"""Numbers in words: counts, sizes in bytes, lengths of time. This module knows nothing of gcron.

Where room is short, views shorten them themselves: `daemon/formats/text.py`, `cli/talking.py`, `web/words.py`.
"""

from __future__ import annotations

__all__ = ["describe_size", "describe_span", "option_size", "option_span", "plural"]

_UNITS = ((3600, "h"), (60, "m"), (1, "s"))
_DAY = 86400


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "job"), plural(2000, "job")
    ('1 job', '2,000 jobs')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def describe_size(size: float) -> str:
    """Return a size for people.

    >>> describe_size(512), describe_size(35_651_584), describe_size(1_600_000_000)
    ('512 bytes', '34.0 MiB', '1.5 GiB')
    """
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def option_size(size: int) -> str:
    """Return a size exactly, as the value of an option.

    >>> option_size(536_870_912), option_size(1500)
    ('512M', '1500')
    """
    for power, unit in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size and size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)


def describe_span(seconds: float) -> str:
    """Return a time to wait, as people say it.

    >>> describe_span(42), describe_span(1020), describe_span(15_000), describe_span(266_400)
    ('42 s', '17 min', '4 h 10 min', '3 d 2 h')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def option_span(seconds: float) -> str:
    """Return a length of time exactly, as the value of an option.

    >>> option_span(7200), option_span(90_000), option_span(604_800), option_span(1.5)
    ('2h', '25h', '7d', '1.5s')
    """
    days, left = divmod(seconds, _DAY)
    if days and (days < 2 and left):  # nobody writes 1d1h for 25h
        days, left = 0.0, seconds
    parts = [f"{days:.0f}d"] if days else []
    for size, unit in _UNITS:
        count, left = divmod(left, size) if size > 1 else (left, 0.0)
        if count:
            parts.append(f"{round(count, 6):.8g}{unit}")
    return "".join(parts) or "0s"
