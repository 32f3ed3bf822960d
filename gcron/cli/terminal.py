"""Standard output: whether it is a terminal, how wide that is, and whether it wants colours."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

__all__ = ["FIXED_BLANK", "WIDEST_TEXT", "is_terminal", "print_wrapped", "wants_colour", "width"]

FIXED_BLANK = "\N{NO-BREAK SPACE}"
"""Stands for a blank at which no line may break."""
WIDEST_TEXT = 100
"""Longer lines of text are hard to read, however wide the terminal is."""

_NARROWEST = 20
# The width if stdout is no terminal: a line may be as long as it likes.
_ENDLESS = 1000


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def wants_colour() -> bool:
    """Whether stdout is a terminal on which colours are welcome (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return the columns of a line of stdout; many if it is no terminal."""
    return max(_NARROWEST, shutil.get_terminal_size().columns) if is_terminal() else _ENDLESS


def print_wrapped(text: str, lead: str = "", following: str = "  ") -> None:
    """Print `lead` and `text`; on a terminal in lines that fit, each after the first with `following` in front."""
    wrapper = textwrap.TextWrapper(
        min(width(), WIDEST_TEXT) if is_terminal() else width(),
        initial_indent=lead,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in wrapper.wrap(text):
        print(line.replace(FIXED_BLANK, " ").rstrip())
