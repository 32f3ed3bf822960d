"""Whether stdout is for somebody who looks at it, how wide it is there, and whether that one likes colours."""

from __future__ import annotations

import os
import shutil
import sys

__all__ = ["is_terminal", "wants_colour", "width"]

# Where nobody looks, a line is a line however long.
_ENDLESS = 1000
_NARROWEST = 20


def is_terminal() -> bool:
    """True when stdout is a terminal."""
    return sys.stdout.isatty()


def wants_colour() -> bool:
    """True when escape sequences are welcome there (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """The columns of a line of stdout; practically endless where it is no terminal."""
    return max(_NARROWEST, shutil.get_terminal_size().columns) if is_terminal() else _ENDLESS
