"""Whether stdout is for somebody who looks at it, and whether that one likes colours."""

from __future__ import annotations

import os
import sys

__all__ = ["is_terminal", "wants_colour"]


def is_terminal() -> bool:
    """True when stdout is a terminal."""
    return sys.stdout.isatty()


def wants_colour() -> bool:
    """True when escape sequences are welcome there (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
