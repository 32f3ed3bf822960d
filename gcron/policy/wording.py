"""Options as people write them in a directive: the reverse of what `Option.read` does."""

from __future__ import annotations

from resource import RLIM_INFINITY

from gcron.policy.options import OPTIONS
from gcron.policy.values import read_factor
from gcron.sizes import option_size

__all__ = ["option_text"]

_UNITS = ((3600, "h"), (60, "m"), (1, "s"))
_DAY = 86400


def option_text(name: str, value: object) -> str:
    """Return the value of an option, as the API has it, as a directive has it.

    >>> option_text("timeout", 7200.0), option_text("memory-max", 536_870_912), option_text("enabled", False)
    ('2h', '512M', 'no')
    """
    row = OPTIONS.get(name)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if row is None or not isinstance(value, int | float):
        return str(value).removeprefix("SIG") if name == "stop-signal" else str(value)
    if row.reader is read_factor:
        return f"{value:g}"
    if isinstance(value, float):
        return _duration(value)
    if name == "umask":
        return f"{value:03o}"
    if name == "cpu-max":
        return f"{value}%"
    if value == RLIM_INFINITY and name.startswith("rlimit-"):
        return "unlimited"
    return option_size(value) if "bytes" in row.help or name == "keep-output" else str(value)


def _duration(seconds: float) -> str:
    """Seconds, exactly: `2h`, `25h`, `7d`, `1h30m`, `1.5s`."""
    days, left = divmod(seconds, _DAY)
    if days and (days < 2 and left):  # nobody writes 1d1h for 25h
        days, left = 0.0, seconds
    parts = [f"{days:.0f}d"] if days else []
    for size, unit in _UNITS:
        count, left = divmod(left, size) if size > 1 else (left, 0.0)
        if count:
            parts.append(f"{round(count, 6):.8g}{unit}")
    return "".join(parts) or "0s"
