"""Sizes in bytes as texts. This module knows nothing of gcron."""

from __future__ import annotations

__all__ = ["describe_size", "option_size"]


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
