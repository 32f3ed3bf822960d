"""What a misspelt word was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a word that is not known: the one it was probably meant to be, or the list of them all."""
    words = sorted(known)
    close = closest(word, words)
    return f"did you mean {close}?" if close else "known are " + ", ".join(words)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, if any is like it."""
    if len(word) > 40:
        # difflib takes the square of the length, and nobody misspells a short word into a long one.
        return None
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)
