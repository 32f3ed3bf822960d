"""Options as people write them in a directive: the reverse of what `Option.read` does."""

from __future__ import annotations

from resource import RLIM_INFINITY

from gcron.policy.options import OPTIONS
from gcron.policy.values import read_factor
from gcron.wording import option_size, option_span

__all__ = ["option_text"]


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
        return option_span(value)
    if name == "umask":
        return f"{value:03o}"
    if name == "cpu-max":
        return f"{value}%"
    if value == RLIM_INFINITY and name.startswith("rlimit-"):
        return "unlimited"
    return option_size(value) if "bytes" in row.help or name == "keep-output" else str(value)
