"""Standard output: whether it is a terminal, how wide that is, and whether it wants colours.

`shutil` is not imported, which has the same `get_terminal_size`: that would take 2 ms of each start of `gcron run`.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable

from gcron.escaping import escape

__all__ = ["FIXED_BLANK", "WIDEST_TEXT", "columns", "is_terminal", "print_wrapped", "wants_colour", "width", "wrap"]

FIXED_BLANK = "\N{NO-BREAK SPACE}"
"""Stands for a blank at which no line may break."""
WIDEST_TEXT = 100
"""Longer lines of text are hard to read, however wide the terminal is."""

_NARROWEST = 20
_USUAL = 80
# The width if stdout is no terminal: a line may be as long as it likes.
_ENDLESS = 1000


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def wants_colour() -> bool:
    """Whether stdout is a terminal on which colours are welcome (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int:
    """Return the columns of the terminal: `COLUMNS` if that is set; 80 if stdout is no terminal."""
    text = os.environ.get("COLUMNS", "")
    if text.isdecimal() and int(text):
        return int(text)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL
    except (OSError, ValueError):  # no terminal; closed, or no file
        return _USUAL


def width() -> int:
    """Return the columns of a line of stdout; many if it is no terminal."""
    return max(_NARROWEST, columns()) if is_terminal() else _ENDLESS


def print_wrapped(text: str, lead: str = "", following: str = "  ", paint: Callable[[str], str] = str) -> None:
    """Print `lead` and `text`; on a terminal in lines that fit, each after the first with `following` in front.

    The text is escaped. `paint` adds colour to a line.
    """
    for line in wrap(text, lead, following):
        print(paint(line))


def wrap(text: str, lead: str = "", following: str = "  ") -> list[str]:
    """Return the lines that `print_wrapped` prints."""
    wrapper = textwrap.TextWrapper(
        min(width(), WIDEST_TEXT) if is_terminal() else width(),
        initial_indent=lead,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(FIXED_BLANK, " ").rstrip() for line in wrapper.wrap(escape(text))]
