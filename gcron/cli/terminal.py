"""Whether stdout is for somebody who looks at it, how wide it is there, and whether that one likes colours."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

__all__ = ["FIXED_BLANK", "is_terminal", "print_wrapped", "wants_colour", "width"]

FIXED_BLANK = "\N{NO-BREAK SPACE}"
"""Stands for a blank at which no line is broken."""

# Longer lines are hard to read, however wide the terminal is.
_WIDEST = 100

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


def print_wrapped(text: str, lead: str = "", following: str = "  ") -> None:
    """Print `lead` and `text`, on a terminal in lines that fit, with `following` in front of the second and others."""
    columns = min(width(), _WIDEST) if is_terminal() else width()
    wrapper = textwrap.TextWrapper(
        columns,
        initial_indent=lead,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in wrapper.wrap(text):
        print(line.replace(FIXED_BLANK, " ").rstrip())
